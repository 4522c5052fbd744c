#include "plan/weights_report.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <numeric>

#include "base/human.hpp"
#include "kv/pricing.hpp"
#include "placement/placement.hpp"
#include "placement/rank_layout.hpp"
#include "plan/place_weights.hpp"
#include "plan/settled.hpp"

namespace plimsoll {
namespace {

std::string_view placement_name(std::uint32_t placement) {
  switch (placement) {
  case PLIMSOLL_PLACE_TP: return "tp";
  case PLIMSOLL_PLACE_VOCAB: return "vocab";
  case PLIMSOLL_PLACE_EXPERT: return "expert";
  case PLIMSOLL_PLACE_ONE: return "one";
  default: return "replicate";
  }
}

std::string_view role_name(std::uint32_t role) {
  switch (role) {
  case PLIMSOLL_ROLE_DRAFT: return "draft";
  case PLIMSOLL_ROLE_UNUSED: return "unused";
  case PLIMSOLL_ROLE_TIED: return "tied";
  default: return "model";
  }
}

WeightClassInfo describe(const WeightClass& c) {
  WeightClassInfo info;
  info.label = c.label;
  info.pattern = c.pattern;
  info.placement = placement_name(c.placement);
  info.role = role_name(c.role);
  info.planner = c.planner;
  for (const WeightVariant& v : c.variants) {
    const std::string name = v.storage->is_plain() ? std::string(c.dtype.name) : v.storage->name();
    if (info.dtype.find(name) == std::string::npos) info.dtype += (info.dtype.empty() ? "" : " | ") + name;
  }
  info.count = c.role == PLIMSOLL_ROLE_TIED ? 0 : c.count();
  info.shape.assign(c.dims.begin(), c.dims.begin() + c.n_dims);
  info.bytes = c.declared_bytes().saturated();
  info.parameters = c.parameters().saturated();
  return info;
}

// What the scan found, in the report's words.
void describe_inventory(const Model::Data& model, WeightsReport& report) {
  const Inventory& found = *model.inventory;
  report.stored_bytes = model.stored.stored_bytes;
  report.unclaimed = found.unclaimed.list();
  report.mismatched = found.mismatched.list();
  report.missing = found.missing;
  report.notes.insert(report.notes.end(), model.stored.notes.begin(), model.stored.notes.end());
  if (found.unknown.count() > found.unclaimed.size())
    report.notes.push_back(fmt::format("{} further unclaimed tensors", found.unknown.count() - found.unclaimed.size()));
  if (found.mismatched_count > found.mismatched.size())
    report.notes.push_back(fmt::format("{} further mismatches", found.mismatched_count - found.mismatched.size()));
  if (found.draft_missing) report.notes.push_back("the configuration names multi-token prediction layers, the checkpoint stores none");
  if (found.table_bytes != 0)
    report.notes.push_back(
        fmt::format("{} bytes of rotary tables, which the file adds to the model, are on every rank", found.table_bytes));
  if (found.buffer_bytes != 0)
    report.not_loaded.push_back({"buffers", found.buffer_bytes, "masks, positions or frequencies, which engines compute themselves"});
  if (found.not_stored.classes > 0)
    report.notes.push_back(fmt::format("nothing in the checkpoint can be the tensors of {} weight classes, {} first; what is stored counts",
                                       found.not_stored.classes, found.not_stored.first));
  for (std::uint64_t& bytes : report.rank_bytes) bytes += found.kv_scale_bytes + found.table_bytes;
}

} // namespace

Result<WeightsReport> make_weights_report(const Model::Data& model, const PlanRequest& request, const ProfileSource& engine,
                                          const std::vector<Device>& devices) {
  if (const std::optional<Error>& unknown = model.quantization.unknown(); unknown && !model.inventory) return tl::unexpected(*unknown);
  PLIMSOLL_ASSIGN(const SettledLayout settled, settle_layout(model, request, engine, devices));
  const RankLayout& layout = settled.layout;
  PLIMSOLL_ASSIGN(const std::optional<Dtype> cast, settle_cast(request));
  const std::optional<Dtype> unpacked = settle_unpacked(*settled.engine);
  WeightsReport report;
  report.source = model.info.weights_source;
  report.parameters = model.parameters;
  report.declared_bytes = model.declared_bytes;
  report.rank_bytes.assign(layout.ranks(), 0);
  for (const Warning& note : model.load_warnings) report.notes.push_back(std::string(warning_name(note.code)) + ": " + note.message);
  if (model.inventory) {
    describe_inventory(model, report);
    PLIMSOLL_TRY(place_unknown(model.inventory->unknown, model.declared.facts, layout, cast ? &*cast : nullptr, report.rank_bytes));
  }
  if (!model.saved_rank_bytes.empty()) {
    PLIMSOLL_TRY(check_saved_ranks(model, layout));
    for (std::size_t rank = 0; rank < report.rank_bytes.size(); ++rank) report.rank_bytes[rank] = model.saved_rank_bytes[rank % layout.tp];
    report.stored_bytes = std::accumulate(model.saved_rank_bytes.begin(), model.saved_rank_bytes.end(), std::uint64_t{0});
    report.notes.push_back("cut and fused as the ranks hold it; classes are as the configuration declares them");
  }
  const bool draft = request.num_draft_tokens > 0 && !request.draft;
  for (std::size_t i = 0; i < model.declared.weights.size(); ++i) {
    const WeightClass& c = model.declared.weights[i];
    const StoredClass* stored = model.stored_class(i);
    const std::uint64_t bytes = stored != nullptr ? stored->bytes() : c.declared_bytes().saturated();
    report.classes.push_back(describe(c));
    if (!model.saved_rank_bytes.empty()) continue;
    if (stored != nullptr) report.classes.back().stored_bytes = bytes;
    if (c.role == PLIMSOLL_ROLE_TIED && stored != nullptr && bytes != 0)
      report.not_loaded.push_back({c.label, bytes, "stored although it is tied to another tensor"});
    if (c.role == PLIMSOLL_ROLE_UNUSED || (c.role == PLIMSOLL_ROLE_DRAFT && !draft)) {
      if (bytes != 0)
        report.not_loaded.push_back(
            {c.label, bytes,
             c.role == PLIMSOLL_ROLE_UNUSED ? "stored, but no engine loads it" : "multi-token prediction; loaded with --num-draft-tokens"});
      continue;
    }
    if (is_shared_end(c, *settled.engine, layout)) {
      report.not_loaded.push_back({c.label, bytes, "a copy; the engine uses the model's own"});
      continue;
    }
    if (c.memory == MemoryKind::kHost) {
      report.notes.push_back(fmt::format("{} stays in host memory, on no device", c.label));
      continue;
    }
    const RunTimeTypes types{cast ? &*cast : nullptr, unpacked ? &*unpacked : nullptr};
    PLIMSOLL_TRY(place_weight(c, layout, types, stored, report.rank_bytes));
    PLIMSOLL_ASSIGN(const std::uint64_t on_host, weight_on_host(c, layout, types, stored));
    if (on_host > 0) report.notes.push_back(fmt::format("{}: {} stay in host memory", c.label, human_bytes(on_host)));
  }
  return report;
}

std::uint64_t kv_bytes_per_token(const Model::Data& model) {
  RankLayout layout;
  layout.stage_begin = {0, model.declared.facts.n_layers};
  const auto types = parse_kv_types(std::string(cache_type_of(model.dtype).name), "");
  const auto prices = price_kv(model.declared, layout, 0, *types, 1, 0, false);
  std::uint64_t sum = 0;
  if (prices)
    for (const KvGroupPrice& price : *prices) sum += price.token_bytes;
  return sum;
}

} // namespace plimsoll
