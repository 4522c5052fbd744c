#include "plan/copied_weights.hpp"

#include <algorithm>

#include "placement/weight_shard.hpp"

namespace plimsoll {
namespace {

// The largest tensor of a class in one layer on the host, all experts of it; a fused one is stored in its parts.
std::uint64_t largest_on_host(const Settled& s, std::size_t i) {
  const WeightClass& c = s.model().declared.weights[i];
  const StoredClass* const stored = s.model().stored_class(i);
  std::uint64_t whole = 0, largest_part = 0, extents = 0;
  for (const WeightPart& part : c.parts) {
    largest_part = std::max(largest_part, part.extent);
    extents += part.extent;
  }
  for (const WeightVariant& v : c.variants) {
    const bool here = v.layers.empty() ? on_stage(c, s.layout, 0, s.layout.host_stage())
                                       : std::any_of(v.layers.begin(), v.layers.end(), [&](std::uint32_t layer) {
                                           return on_stage(c, s.layout, layer, s.layout.host_stage());
                                         });
    if (here) whole = std::max(whole, (c.bytes_of_one(*v.storage, c.dims, c.dtype) * c.whole_experts()).saturated());
  }
  if (whole == 0) return 0;
  if (stored != nullptr && stored->bytes() > 0) whole = *std::max_element(stored->layer_bytes.begin(), stored->layer_bytes.end());
  return c.parts.size() > 1 && extents > 0 ? mul_div_up(whole, largest_part, extents) : whole;
}

} // namespace

CopiedWeights copied_weights(const Settled& s) {
  CopiedWeights out;
  if (!s.profile().placement.copies_host_weights || !s.layout.uses_host()) return out;
  std::uint64_t first = 0, second = 0;
  for (std::size_t i = 0; i < s.model().declared.weights.size(); ++i) {
    const WeightClass& c = s.model().declared.weights[i];
    if (c.role == PLIMSOLL_ROLE_UNUSED || c.role == PLIMSOLL_ROLE_DRAFT || c.stage == PLIMSOLL_STAGE_FIRST || c.n_dims < 2) continue;
    const std::uint64_t bytes = largest_on_host(s, i);
    if (c.stage == PLIMSOLL_STAGE_LAST) {
      out.output_bytes = std::max(out.output_bytes, bytes);
      continue;
    }
    second = std::max(second, std::min(first, bytes));
    first = std::max(first, bytes);
  }
  out.layer_bytes = (Checked(first) + second).saturated();
  return out;
}

} // namespace plimsoll
