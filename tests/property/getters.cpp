// The C getters against the document.
#include "property/relations.hpp"

#include <array>

#include "property/figures.hpp"

namespace plimsoll::property {
std::string getters_differ(const plimsoll_plan* plan, const Json& document) {
  const std::string verdict = document["verdict"];
  const int verdict_code = verdict == "fits" ? PLIMSOLL_HOST_FITS : verdict == "tight" ? PLIMSOLL_HOST_TIGHT : PLIMSOLL_HOST_DOES_NOT_FIT;
  if (std::string text = unequal("plimsoll_plan_verdict", plimsoll_plan_verdict(plan), verdict_code); !text.empty()) return text;
  const Json& devices = document["devices"];
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
  const Json &limits = document["limits"], &kv = document["kv_cache"];
  const std::array<Json, 11> figures{limits["max_length"],
                                     limits["max_batch_size"],
                                     limits["max_supported_sequence_length"],
                                     limits["max_batch_at_max_length"],
                                     document["request"]["max_batch_input_tokens"],
                                     kv["pages"],
                                     kv["page_tokens"],
                                     kv["capacity_tokens"],
                                     kv["groups"].size(),
                                     document["vision_cache"]["entry_bytes"],
                                     document["vision_cache"]["entries"]};
  for (std::size_t which = 0; which < figures.size(); ++which) {
    std::uint64_t value = 0;
    if (plimsoll_plan_limit(plan, static_cast<int>(which), &value) != PLIMSOLL_HOST_OK)
      return "a limit cannot be asked for: " + std::to_string(which);
    if (std::string text = unequal("limit " + std::to_string(which), value, figures[which]); !text.empty()) return text;
  }
  for (std::size_t group = 0; group < kv["groups"].size(); ++group) {
    const Json& shown = kv["groups"][group];
    const std::array<Json, 4> of_group{shown["layers"], shown["page_bytes_per_device"],
                                       shown["window_tokens"].is_null() ? Json(0U) : shown["window_tokens"],
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

} // namespace plimsoll::property
