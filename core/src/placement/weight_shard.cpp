#include "placement/weight_shard.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <string>
#include <vector>

#include "plimsoll/limits.hpp"

namespace plimsoll {
namespace {

// Engines copy a tower unless told otherwise, and then too where the ranks do not divide its heads.
bool tower_is_copied(const WeightClass& c, const RankLayout& layout) {
  if (c.aspect != PLIMSOLL_ASPECT_VISION) return false;
  return !layout.vision_split ||
         std::any_of(c.parts.begin(), c.parts.end(), [&](const WeightPart& part) { return part.units % layout.tp != 0; });
}

} // namespace

std::string degrees_text(std::uint64_t units) {
  std::vector<std::uint64_t> degrees;
  constexpr std::size_t kMostListed = 8;
  for (std::uint64_t degree = 1; degree <= std::min<std::uint64_t>(units, kMaxRanks) && degrees.size() < kMostListed; ++degree)
    if (units % degree == 0) degrees.push_back(degree);
  return fmt::format("{}", fmt::join(degrees, ", "));
}

Result<LocalRange> local_range(const WeightPart& part, std::uint32_t index, std::uint32_t degree, std::string_view label) {
  if (degree == 1) return LocalRange{0, part.extent};
  if (part.units == 0) return local_experts(part.extent, index, degree); // the same rule
  const std::uint64_t unit = part.extent / part.units;
  if (part.units % degree == 0) {
    const std::uint64_t rows = part.units / degree * unit;
    return LocalRange{index * rows, rows};
  }
  if (part.replicate && degree % part.units == 0) return LocalRange{index / (degree / part.units) * unit, unit};
  return fail(
      ErrorCode::kBadRequest,
      part.replicate
          ? fmt::format("a tensor-parallel degree of {} neither divides the {} key/value heads of {} nor is a multiple of them; {} do, and "
                        "multiples of {}",
                        degree, part.units, label, degrees_text(part.units), part.units)
          : fmt::format("a tensor-parallel degree of {} does not divide the {} heads of {}; {} do", degree, part.units, label,
                        degrees_text(part.units)),
      "--tp");
}

Result<std::uint64_t> local_extent(const WeightPart& part, std::uint32_t index, std::uint32_t degree, std::string_view label) {
  PLIMSOLL_ASSIGN(const LocalRange range, local_range(part, index, degree, label));
  return range.n;
}

WeightShare weight_share(const WeightClass& c, const RankLayout& layout) {
  WeightShare share;
  share.members = layout.tp;
  if (c.placement == PLIMSOLL_PLACE_EXPERT) {
    share.over_replicas = layout.ep > 1 || layout.experts_split_over_dp;
    if (share.over_replicas) share.members = layout.tp * layout.dp;
    share.expert_groups = layout.ep;
    if (c.experts != 0) share.experts = c.experts + (layout.ep > 1 ? layout.redundant_experts : 0);
  }
  const bool whole = c.placement == PLIMSOLL_PLACE_REPLICATE || c.placement == PLIMSOLL_PLACE_ONE || tower_is_copied(c, layout);
  share.degree = whole ? 1 : share.members / share.expert_groups;
  return share;
}

std::uint32_t held_back_layers(const WeightClass& c, const RankLayout& layout) {
  return c.placement == PLIMSOLL_PLACE_EXPERT && c.experts > 0 ? layout.host_expert_layers : 0;
}

bool on_stage(const WeightClass& c, const RankLayout& layout, std::uint32_t layer, std::uint32_t stage) {
  if (layout.host_tensors != nullptr && layout.host_tensors->has(c.pattern, c.layers.empty() ? 0 : layer))
    return stage == layout.host_stage();
  switch (c.stage) {
  case PLIMSOLL_STAGE_FIRST: {
    const bool on_host = layout.embedding_on_host && c.aspect == PLIMSOLL_ASPECT_EMBED;
    return stage == (on_host ? layout.host_stage() : 0);
  }
  case PLIMSOLL_STAGE_LAST: return stage == layout.last_stage();
  case PLIMSOLL_STAGE_EVERY: return stage != layout.host_stage();
  default: return layout.stage_of_layer(layer, held_back_layers(c, layout)) == stage;
  }
}

Result<LocalShape> local_shape(const WeightClass& c, const RankLayout& layout, std::uint32_t index, std::uint32_t degree) {
  LocalShape shape;
  shape.dims = c.dims;
  if (c.parts.empty()) return shape;
  std::uint64_t& rows = shape.dims[c.shard_dim];
  if (c.placement == PLIMSOLL_PLACE_VOCAB) {
    if (degree == 1 && layout.vocab_padding_rows == 1) return shape;
    const std::uint64_t whole = rows, padded = ceil_div(whole, layout.vocab_padding_rows) * layout.vocab_padding_rows;
    rows = ceil_div(padded, degree);
    const std::uint64_t first = std::min((Checked(rows) * index).saturated(), whole);
    shape.ranges.push_back({first, std::min(rows, whole - first)});
    shape.padding_rows = rows - shape.ranges.front().n;
    return shape;
  }
  if (degree == 1) return shape;
  Checked sum = 0, before = 0;
  for (const WeightPart& part : c.parts) {
    PLIMSOLL_ASSIGN(LocalRange range, local_range(part, index, degree, c.label));
    sum += range.n;
    range.first += before.saturated();
    before += part.extent;
    shape.ranges.push_back(range);
  }
  rows = sum.saturated();
  return shape;
}

Result<WeightShard> weight_shard(const WeightClass& c, const RankLayout& layout, std::uint32_t rank) {
  const WeightShare share = weight_share(c, layout);
  const std::uint32_t member = share.member_of(rank, layout);
  WeightShard shard;
  shard.held = c.placement != PLIMSOLL_PLACE_ONE || rank % layout.tp == c.rank % layout.tp;
  shard.experts = share.experts_of(member);
  shard.degree = share.degree;
  shard.index = member % share.degree;
  PLIMSOLL_ASSIGN(shard.shape, local_shape(c, layout, shard.index, share.degree));
  return shard;
}

} // namespace plimsoll
