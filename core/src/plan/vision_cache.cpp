// The vision cache of a plan: blocks of finished image rows, out of what the KV cache could have.
#include <algorithm>
#include <fmt/format.h>

#include "base/exact_fraction.hpp"
#include "base/human.hpp"
#include "plan/plan_state.hpp"

namespace plimsoll {
namespace {

// A cache of as many rows as one forward pass has tokens, or one image where that is more.
Result<void> cache_of_tokens(PlanState& s, std::uint64_t image_rows, std::uint64_t row_bytes) {
  const std::uint64_t rows = std::max(s.max_batch_input_tokens, image_rows);
  PLIMSOLL_ASSIGN(const std::uint64_t bytes, (Checked(rows) * row_bytes).get("the vision cache"));
  s.plan.vision_entries = rows / image_rows;
  return s.ledger.add_all(Category::kVisionCache, "vision_cache", PLIMSOLL_BASIS_EXACT, s.profile().name,
                          s.explains() ? fmt::format("{} rows x {} B", rows, row_bytes) : "", bytes);
}

} // namespace

Result<void> plan_vision_cache(PlanState& s) {
  const VisionEntry& v = s.model().declared.vision;
  if (v.rows == 0 || v.row_elements == 0) return {};
  const Dtype type = v.dtype.empty() ? s.kv_types.model : find_dtype(v.dtype).value_or(s.kv_types.model);
  PLIMSOLL_ASSIGN(const std::uint64_t row_bytes, type.bytes(v.row_elements).get("a row of the vision cache"));
  PLIMSOLL_ASSIGN(s.plan.vision_entry_bytes, (Checked(row_bytes) * v.rows).get("an entry of the vision cache"));
  if (s.profile().vision_cache.rule == VisionRule::kTokens) return cache_of_tokens(s, v.rows, row_bytes);
  if (s.vision_utilization == 0 || s.plan.error) return {};
  PLIMSOLL_ASSIGN(const std::uint64_t block_bytes,
                  (Checked(row_bytes) * s.profile().vision_cache.vision_block_tokens).get("a block of the vision cache"));
  const std::uint64_t one_image_blocks = ceil_div(v.rows, s.profile().vision_cache.vision_block_tokens);
  // Every rank keeps the rows of the same images, so the poorest sets the number of blocks.
  std::uint64_t blocks = UINT64_MAX;
  std::uint32_t poorest = 0;
  for (std::uint32_t rank = 0; rank < s.layout.ranks(); ++rank) {
    const std::uint64_t used = s.ledger.used(rank), room = s.budget[rank] > used ? s.budget[rank] - used : 0;
    const std::uint64_t here = bounded_count(share_of(static_cast<Wide>(room), exact_fraction(s.vision_utilization))) / block_bytes;
    if (here < blocks) blocks = here, poorest = rank;
  }
  if (blocks < one_image_blocks) {
    s.warn("vision_cache_raised",
           fmt::format("{:.4g} of the cache memory holds {} blocks; the largest image needs {} ({}), so that much is reserved",
                       s.vision_utilization, blocks, one_image_blocks, human_bytes(s.plan.vision_entry_bytes)));
    blocks = one_image_blocks;
  }
  PLIMSOLL_ASSIGN(const std::uint64_t bytes, (Checked(blocks) * block_bytes).get("the vision cache"));
  if (s.ledger.used(poorest) + bytes > s.budget[poorest]) {
    s.plan.limits.binding = fmt::format("vision cache on rank {} ({})", poorest, s.devices()[poorest].name);
    s.does_not_fit(ErrorCode::kNoRoomForKv,
                   fmt::format("the vision cache needs {} for one image of the largest size and rank {} has {} left", human_bytes(bytes),
                               poorest, human_bytes(s.budget[poorest] - std::min(s.budget[poorest], s.ledger.used(poorest)))),
                   fmt::format("device {} ({})", poorest, s.devices()[poorest].name));
  }
  s.plan.vision_entries = blocks / one_image_blocks;
  return s.ledger.add_all(
      Category::kVisionCache, "vision_cache", PLIMSOLL_BASIS_EXACT, s.model().tree->root().id(),
      s.explains() ? fmt::format("{} blocks x {} tokens x {} B", blocks, s.profile().vision_cache.vision_block_tokens, row_bytes) : "",
      bytes);
}

} // namespace plimsoll
