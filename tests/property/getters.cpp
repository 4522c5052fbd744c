// The C getters against the document.
#include <array>

#include "property/figures.hpp"
#include "property/relations.hpp"

namespace plimsoll::property {
namespace {

Json or_zero(const Json& value) { return value.is_null() ? Json(0U) : value; }

std::string verdict_differs(const plimsoll_plan* plan, const Json& document) {
  const std::string verdict = document["verdict"];
  const int code = verdict == "fits" ? PLIMSOLL_HOST_FITS : verdict == "tight" ? PLIMSOLL_HOST_TIGHT : PLIMSOLL_HOST_DOES_NOT_FIT;
  return unequal("plimsoll_plan_verdict", plimsoll_plan_verdict(plan), code);
}

std::string ranks_differ(const plimsoll_plan* plan, const Json& devices) {
  if (std::string text = unequal("plimsoll_plan_rank_count", plimsoll_plan_rank_count(plan), devices.size()); !text.empty()) return text;
  constexpr std::array<const char*, 10> kFigures{"total_bytes",      "free_bytes",          "budget_bytes",       "weights_bytes",
                                                 "activation_bytes", "signal_buffer_bytes", "vision_cache_bytes", "overhead_bytes",
                                                 "kv_cache_bytes",   "unused_bytes"};
  for (std::size_t rank = 0; rank < devices.size(); ++rank)
    for (std::size_t category = 0; category < kFigures.size(); ++category) {
      std::int64_t bytes = 0;
      if (plimsoll_plan_rank_bytes(plan, static_cast<std::uint32_t>(rank), static_cast<int>(category), &bytes) != PLIMSOLL_HOST_OK)
        return std::string(kFigures[category]) + " cannot be asked for";
      if (std::string text = unequal(kFigures[category], bytes, devices[rank][kFigures[category]]); !text.empty()) return text;
    }
  return {};
}

std::string limits_differ(const plimsoll_plan* plan, const Json& document) {
  const Json &limits = document["limits"], &kv = document["kv_cache"];
  const std::array<Json, 14> figures{limits["max_length"],
                                     limits["max_batch_size"],
                                     limits["max_supported_sequence_length"],
                                     limits["max_batch_at_max_length"],
                                     document["request"]["max_batch_input_tokens"],
                                     kv["pages"],
                                     kv["page_tokens"],
                                     kv["capacity_tokens"],
                                     kv["groups"].size(),
                                     document["vision_cache"]["entry_bytes"],
                                     document["vision_cache"]["entries"],
                                     or_zero(kv["state_slots"]),
                                     kv["engine_reported_tokens"],
                                     kv["bytes_per_token_per_device"]};
  for (std::size_t which = 0; which < figures.size(); ++which) {
    std::uint64_t value = 0;
    if (plimsoll_plan_limit(plan, static_cast<int>(which), &value) != PLIMSOLL_HOST_OK)
      return "a limit cannot be asked for: " + std::to_string(which);
    if (std::string text = unequal("limit " + std::to_string(which), value, figures[which]); !text.empty()) return text;
  }
  const std::array<Json, 2> fractions{kv["capacity_requests"], document["request"]["device_memory_utilization"]};
  for (std::size_t which = 0; which < fractions.size(); ++which) {
    double value = -1;
    if (plimsoll_plan_fraction(plan, static_cast<int>(which), &value) != PLIMSOLL_HOST_OK) return "a fraction cannot be asked for";
    if (value != fractions[which].get<double>()) return "fraction " + std::to_string(which) + " is not " + fractions[which].dump();
  }
  const std::array<Json, 2> texts{limits["binding"], kv["dtype"]};
  for (std::size_t which = 0; which < texts.size(); ++which) {
    char* text = nullptr;
    if (plimsoll_plan_text(plan, static_cast<int>(which), &text) != PLIMSOLL_HOST_OK) return "a text cannot be asked for";
    const std::string found = text;
    plimsoll_free(text);
    if (texts[which] != found) return "text '" + found + "' is not " + texts[which].dump();
  }
  return {};
}

std::string groups_differ(const plimsoll_plan* plan, const Json& groups) {
  for (std::size_t group = 0; group < groups.size(); ++group) {
    const Json& shown = groups[group];
    const std::array<Json, 4> of_group{shown["layers"], shown["page_bytes_per_device"], or_zero(shown["window_tokens"]),
                                       shown["state_bytes_per_sequence"]};
    for (std::size_t which = 0; which < of_group.size(); ++which) {
      std::uint64_t value = 0;
      if (plimsoll_plan_kv_group(plan, static_cast<std::uint32_t>(group), static_cast<int>(which), &value) != PLIMSOLL_HOST_OK)
        return "a group cannot be asked for";
      if (std::string text = unequal("group " + shown["label"].dump(), value, of_group[which]); !text.empty()) return text;
    }
  }
  return {};
}

// One rank's group of the geometry.
class RankGroup {
public:
  RankGroup(const plimsoll_plan* plan, std::uint32_t rank, std::uint32_t group) : plan_(plan), rank_(rank), group_(group) {}
  std::uint64_t figure(int which) {
    std::uint64_t value = 0;
    fine_ = fine_ && plimsoll_plan_kv_rank_group(plan_, rank_, group_, which, &value) == PLIMSOLL_HOST_OK;
    return value;
  }
  std::string text(int which) {
    char* text = nullptr;
    fine_ = fine_ && plimsoll_plan_kv_rank_group_text(plan_, rank_, group_, which, &text) == PLIMSOLL_HOST_OK;
    std::string out = text == nullptr ? "" : text;
    plimsoll_free(text);
    return out;
  }
  std::size_t layers() {
    std::size_t count = 0;
    fine_ = fine_ && plimsoll_plan_kv_rank_group_layers(plan_, rank_, group_, nullptr, 0, &count) == PLIMSOLL_HOST_OK;
    return count;
  }
  bool fine() const { return fine_; }

private:
  const plimsoll_plan* plan_;
  std::uint32_t rank_, group_;
  bool fine_ = true;
};

std::string rank_group_differs(RankGroup& group, const Json& shown) {
  const std::string name = "rank group " + shown["label"].dump();
  if (group.text(PLIMSOLL_HOST_RANK_LABEL) != shown["label"]) return name + ": another label";
  if (group.text(PLIMSOLL_HOST_RANK_KIND_NAME) != shown["kind"]) return name + ": another kind";
  if (group.layers() != group.figure(PLIMSOLL_HOST_RANK_LAYERS)) return name + ": layers without numbers";
  if (group.figure(PLIMSOLL_HOST_RANK_WINDOW_TOKENS) != or_zero(shown["window_tokens"]) && shown["kind"] == "window")
    return name + ": another window";
  if (group.figure(PLIMSOLL_HOST_RANK_NULL_PAGES) > group.figure(PLIMSOLL_HOST_RANK_PAGES)) return name + ": more null pages than pages";
  if (shown["kind"] == "latent" && group.figure(PLIMSOLL_HOST_RANK_LATENT_ELEMENTS) + group.figure(PLIMSOLL_HOST_RANK_ROPE_ELEMENTS) !=
                                       group.figure(PLIMSOLL_HOST_RANK_K_ELEMENTS))
    return name + ": the parts of the latent are not the latent";
  return group.fine() ? std::string() : name + " cannot be asked for";
}

// The groups of every rank are the document's; their bytes are the rank's KV cache, in whole pages, rows and blocks.
std::string geometry_differs(const plimsoll_plan* plan, const Json& document) {
  std::uint64_t groups = 0, shared = 0;
  plimsoll_plan_limit(plan, PLIMSOLL_HOST_KV_RANK_GROUPS, &groups);
  plimsoll_plan_limit(plan, PLIMSOLL_HOST_KV_SHARED_BLOCKS, &shared);
  const Json& shown = document["kv_cache"]["groups"];
  const bool none = document["verdict"] == "does_not_fit" || document["request"]["accounting"] == "pooled";
  if (groups == 0 && (none || shown.empty())) return {};
  if (std::string text = unequal("groups of a rank", groups, shown.size()); !text.empty()) return text;
  const Json ranks = ranks_of(document);
  for (std::uint32_t rank = 0; rank < ranks.size(); ++rank) {
    std::uint64_t sum = 0;
    for (std::uint32_t at = 0; at < groups; ++at) {
      RankGroup group(plan, rank, at);
      if (std::string text = rank_group_differs(group, shown[at]); !text.empty()) return text;
      const std::uint64_t bytes = group.figure(PLIMSOLL_HOST_RANK_BYTES), pages = group.figure(PLIMSOLL_HOST_RANK_PAGES);
      const std::uint64_t rows = group.figure(PLIMSOLL_HOST_RANK_STATE_ROWS);
      const std::uint64_t whole =
          shared == 1 ? (at == 0 ? pages * group.figure(PLIMSOLL_HOST_RANK_BLOCK_BYTES) : 0)
                      : pages * group.figure(PLIMSOLL_HOST_RANK_PAGE_BYTES) + rows * group.figure(PLIMSOLL_HOST_RANK_STATE_ROW_BYTES);
      const bool ring = shared == 0 && shown[at]["kind"] == "state" && rows == 0;
      // States of drafted tokens lie in buffers of their own beside the rows.
      const bool drafted = shared == 0 && rows > 0 && document["request"].value("num_draft_tokens", std::uint64_t{0}) > 0 &&
                           bytes > whole && (bytes - whole) % group.figure(PLIMSOLL_HOST_RANK_STATE_ROW_BYTES) == 0;
      if (whole != bytes && !ring && !drafted) return unequal("pages and rows of " + shown[at]["label"].dump(), whole, bytes);
      sum += bytes;
    }
    if (std::string text = unequal("the groups of a rank", sum, ranks[rank]["kv_cache_bytes"]); !text.empty()) return text;
  }
  return {};
}

} // namespace

std::string getters_differ(const plimsoll_plan* plan, const Json& document) {
  if (std::string text = verdict_differs(plan, document); !text.empty()) return text;
  if (std::string text = ranks_differ(plan, ranks_of(document)); !text.empty()) return text;
  if (std::string text = limits_differ(plan, document); !text.empty()) return text;
  if (std::string text = groups_differ(plan, document["kv_cache"]["groups"]); !text.empty()) return text;
  return geometry_differs(plan, document);
}

} // namespace plimsoll::property
