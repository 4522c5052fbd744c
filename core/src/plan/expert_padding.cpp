#include "plan/expert_padding.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "base/checked.hpp"
#include "base/human.hpp"
#include "placement/weight_shard.hpp"

namespace plimsoll {
namespace {

std::uint64_t rounded_up(std::uint64_t n, std::uint64_t step) { return ceil_div(n, step) * step; }

bool is_fp4(const Storage& storage) { return storage.name().starts_with("mxfp4") || storage.name().starts_with("nvfp4"); }

// Experts of one class, as Marlin and its like lay them out on a rank: what the class has of the model's width is rounded to one
// multiple, the width of each expert to another. Gate and up beside each other are two widths.
WeightDims padded(const WeightClass& c, const WeightDims& local, std::uint64_t hidden, const EngineProfile::Weights& rules) {
  const std::uint32_t in = c.in_dim, other = 1 - c.in_dim;
  const bool down = c.shard_dim == c.in_dim;
  const std::uint32_t of_hidden = down ? other : in, of_width = down ? in : other;
  if (c.dims[of_hidden] != hidden) return local; // nothing that is known
  WeightDims out = local;
  out[of_hidden] = rounded_up(local[of_hidden], rules.expert_hidden_multiple);
  const std::uint64_t widths = !down && c.dims[of_width] % 2 == 0 && c.parts.size() == 2 ? 2 : 1;
  out[of_width] = widths * rounded_up(ceil_div(local[of_width], widths), rules.expert_width_multiple);
  return out;
}

// Bytes that padding adds to what a rank holds of one class.
Result<Checked> padding_of(const Settled& s, const WeightClass& c, std::uint32_t rank) {
  PLIMSOLL_ASSIGN(const WeightShard shard, weight_shard(c, s.layout, rank));
  const std::uint32_t stage = s.layout.stage_of_rank(rank);
  const WeightDims wide = padded(c, shard.shape.dims, s.model().declared.facts.hidden_elements, s.profile().weights);
  Checked more = 0;
  for (const WeightVariant& v : c.variants) {
    if (!is_fp4(*v.storage)) continue;
    const Checked stored = c.bytes_of_one(*v.storage, shard.shape.dims, c.dtype), kept = c.bytes_of_one(*v.storage, wide, c.dtype);
    const std::uint64_t of_one = kept.saturated() - std::min(kept.saturated(), stored.saturated());
    const auto grown = static_cast<std::uint64_t>(static_cast<double>(stored.saturated()) * (s.profile().weights.expert_growth - 1));
    more += (Checked(of_one) + grown) * shard.experts.n * s.layout.layers_on_stage(v.layers, stage);
  }
  return more;
}

} // namespace

Result<void> pad_experts(const Settled& s, Ledger& ledger, Findings& findings) {
  const EngineProfile::Weights& rules = s.profile().weights;
  if (rules.expert_width_multiple <= 1 && rules.expert_hidden_multiple <= 1 && rules.expert_growth <= 1) return {};
  Item item;
  item.label = "experts.padding";
  item.basis = Basis::kBound;
  item.planner = s.profile().name;
  item.bytes.assign(s.layout.ranks(), 0);
  std::uint64_t most = 0;
  for (std::uint32_t rank = 0; rank < s.layout.ranks(); ++rank) {
    Checked sum = 0;
    for (const WeightClass& c : s.model().declared.weights) {
      if (c.experts == 0 || c.n_dims != 2 || c.in_dim > 1 || c.role != PLIMSOLL_ROLE_MODEL) continue;
      PLIMSOLL_ASSIGN(const Checked more, padding_of(s, c, rank));
      sum += more;
    }
    PLIMSOLL_ASSIGN(item.bytes[rank], sum.get("the padding of experts"));
    most = std::max(most, item.bytes[rank]);
  }
  if (most == 0) return {};
  if (s.explains())
    item.formula = fmt::format("experts in multiples of {} by {} on each rank{}", rules.expert_width_multiple, rules.expert_hidden_multiple,
                               rules.expert_growth > 1 ? fmt::format(", and {} times as large", rules.expert_growth) : "");
  findings.warn(
      WarningCode::kExpertsRepacked,
      fmt::format("on such cards {} keeps experts of 4-bit floats in up to {} more a device than the checkpoint has; it is counted as a "
                  "safe upper bound",
                  s.profile().name, human_bytes(most)));
  return ledger.add(Category::kWeights, std::move(item));
}

} // namespace plimsoll
