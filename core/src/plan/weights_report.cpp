#include "plan/weights_report.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "plan/kv_pricing.hpp"
#include "plan/layout.hpp"
#include "plan/placement.hpp"

namespace plimsoll {
namespace {

constexpr std::size_t kMaxMissing = 1000; // named one by one

std::string_view placement_name(std::uint32_t placement) {
  switch (placement) {
  case PLIMSOLL_PLACE_TP: return "tp";
  case PLIMSOLL_PLACE_VOCAB: return "vocab";
  case PLIMSOLL_PLACE_EXPERT: return "expert";
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
  info.label = c.label, info.pattern = c.pattern, info.placement = placement_name(c.placement), info.role = role_name(c.role),
  info.planner = c.planner;
  for (const WeightVariant& v : c.variants) {
    const std::string name = v.storage->is_plain() ? std::string(c.dtype.name) : v.storage->name();
    if (info.dtype.find(name) == std::string::npos) info.dtype += (info.dtype.empty() ? "" : " | ") + name;
  }
  info.count = c.role == PLIMSOLL_ROLE_TIED ? 0 : c.count();
  info.shape.assign(c.dims.begin(), c.dims.begin() + c.n_dims);
  info.bytes = c.declared_bytes().saturated(), info.parameters = c.parameters().saturated();
  return info;
}

} // namespace

Result<WeightsReport> make_weights_report(const Model::Data& model, const PlanRequest& request, const EngineProfile& profile,
                                          std::uint64_t n_devices) {
  PLIMSOLL_ASSIGN(Layout layout, make_layout(request, n_devices, model.declared.facts.n_layers));
  layout.vocab_padding_rows = profile.vocab_padding_rows;
  layout.experts_split_over_dp = profile.experts_split_over_dp;
  std::optional<Dtype> cast;
  if (request.dtype) {
    cast = find_dtype(*request.dtype);
    if (!cast) return fail(ErrorCode::kBadRequest, fmt::format("'{}' is not a type", request.dtype->substr(0, 64)), "--dtype");
  }
  WeightsReport report;
  report.source = model.info.weights_source;
  report.parameters = model.parameters;
  report.declared_bytes = model.declared_bytes;
  report.rank_bytes.assign(layout.ranks(), 0);
  const bool draft = request.num_draft_tokens > 0;
  if (model.inventory) {
    const Inventory& found = *model.inventory;
    report.stored_bytes = model.stored.stored_bytes;
    report.unclaimed = found.unclaimed;
    report.mismatched = found.mismatched;
    report.notes = model.stored.notes;
    if (found.unclaimed_count > found.unclaimed.size())
      report.notes.push_back(fmt::format("{} further unclaimed tensors", found.unclaimed_count - found.unclaimed.size()));
    if (found.mismatched_count > found.mismatched.size())
      report.notes.push_back(fmt::format("{} further mismatches", found.mismatched_count - found.mismatched.size()));
    for (std::uint64_t& bytes : report.rank_bytes) bytes += found.unclaimed_bytes + found.kv_scale_bytes;
  }
  for (std::size_t i = 0; i < model.declared.weights.size(); ++i) {
    const WeightClass& c = model.declared.weights[i];
    report.classes.push_back(describe(c));
    if (const StoredClass* stored = model.stored_class(i)) {
      const std::vector<std::string> missing = missing_tensors(c, *stored, kMaxMissing - std::min(kMaxMissing, report.missing.size()));
      report.missing.insert(report.missing.end(), missing.begin(), missing.end());
      if (c.role == PLIMSOLL_ROLE_TIED && stored->tensors != 0) {
        report.not_loaded.push_back({c.label, stored->layer_bytes.front(), "stored although it is tied to another tensor"});
        continue;
      }
    }
    if (c.role == PLIMSOLL_ROLE_UNUSED)
      report.not_loaded.push_back({c.label, c.declared_bytes().saturated(), "stored, but no engine loads it"});
    else if (c.role == PLIMSOLL_ROLE_DRAFT && !draft)
      report.not_loaded.push_back({c.label, c.declared_bytes().saturated(), "multi-token prediction; loaded with --num-draft-tokens"});
    else PLIMSOLL_TRY(place_weight(c, layout, cast ? &*cast : nullptr, model.stored_class(i), report.rank_bytes));
  }
  return report;
}

std::uint64_t kv_bytes_per_token(const Model::Data& model) {
  Layout layout;
  layout.stage_begin = {0, model.declared.facts.n_layers};
  const bool floating = model.dtype.name.find("float") != std::string_view::npos && model.dtype.block_bytes >= 2;
  const auto types = parse_kv_types(std::string(floating ? model.dtype.name : "bfloat16"), "");
  const auto prices = price_kv(model.declared, layout, 0, *types, 1, 0, false);
  std::uint64_t sum = 0;
  if (prices)
    for (const KvGroupPrice& price : *prices) sum += price.token_bytes;
  return sum;
}

} // namespace plimsoll
