#include "plan/vision_cache.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "base/checked.hpp"
#include "base/human.hpp"
#include "kv/vision_share.hpp"

namespace plimsoll {
namespace {

// A cache of as many rows as one forward pass has tokens, or one image where that is more.
Result<void> cache_of_tokens(const Settled& s, std::uint64_t image_rows, std::uint64_t row_bytes, VisionCachePlan& plan, Ledger& ledger) {
  const std::uint64_t rows = std::max(s.max_batch_input_tokens, image_rows);
  PLIMSOLL_ASSIGN(const std::uint64_t bytes, (Checked(rows) * row_bytes).get("the vision cache"));
  plan.entries = rows / image_rows;
  return ledger.add_all(Category::kVisionCache, "vision_cache", Basis::kExact, s.profile().name,
                        s.explains() ? fmt::format("{} rows x {} B", rows, row_bytes) : "", bytes);
}

// The rank that has least room, and the room.
std::pair<std::uint32_t, Wide> poorest_rank(const Settled& s, const Ledger& ledger) {
  std::pair<std::uint32_t, Wide> poorest{0, kWideMax};
  for (std::uint32_t rank = 0; rank < s.layout.ranks(); ++rank)
    if (const Wide room = static_cast<Wide>(s.budget_bytes[rank]) - static_cast<Wide>(ledger.used(rank)); room < poorest.second)
      poorest = {rank, room};
  return poorest;
}

} // namespace

Result<std::uint64_t> vision_row_bytes(const Settled& s) {
  const VisionEntry& v = s.model().declared.vision;
  const Dtype type = v.dtype.empty() ? s.kv_types.model : find_dtype(v.dtype).value_or(s.kv_types.model);
  return type.bytes(v.row_elements).get("a row of the vision cache");
}

Result<VisionCachePlan> plan_vision_cache(const Settled& s, Ledger& ledger, Findings& findings) {
  VisionCachePlan plan;
  const VisionEntry& v = s.model().declared.vision;
  if (v.rows == 0 || v.row_elements == 0) return plan;
  const EngineProfile::VisionCache& rules = s.profile().vision_cache;
  PLIMSOLL_ASSIGN(const std::uint64_t row_bytes, vision_row_bytes(s));
  PLIMSOLL_ASSIGN(plan.entry_bytes, (Checked(row_bytes) * v.rows).get("an entry of the vision cache"));
  if (rules.rule == VisionRule::kTokens) {
    PLIMSOLL_TRY(cache_of_tokens(s, v.rows, row_bytes, plan, ledger));
    return plan;
  }
  if (s.vision_utilization == 0 || findings.error) return plan;
  PLIMSOLL_ASSIGN(const std::uint64_t block_bytes, (Checked(row_bytes) * rules.vision_block_tokens).get("a block of the vision cache"));
  const std::uint64_t image_blocks = ceil_div(v.rows, rules.vision_block_tokens);
  // Every rank keeps the rows of the same images, so the poorest sets the number of blocks.
  const auto [poorest, room] = poorest_rank(s, ledger);
  const VisionShare share = share_for_vision(room, s.vision_utilization, static_cast<Wide>(block_bytes), static_cast<Wide>(image_blocks));
  if (share.raised())
    findings.warn(WarningCode::kVisionCacheRaised,
                  fmt::format("{:.4g} of the cache memory holds {} blocks; the largest image needs {} ({}), so that much is reserved",
                              s.vision_utilization, bounded_count(share.wanted_blocks), image_blocks, human_bytes(plan.entry_bytes)));
  const std::uint64_t blocks = bounded_count(share.blocks);
  PLIMSOLL_ASSIGN(const std::uint64_t bytes, (Checked(blocks) * block_bytes).get("the vision cache"));
  if (static_cast<Wide>(bytes) > room)
    findings.does_not_fit(ErrorCode::kNoRoomForKv,
                          fmt::format("the vision cache needs {} for one image of the largest size and rank {} has {} left",
                                      human_bytes(bytes), poorest, human_bytes(bounded_count(std::max<Wide>(0, room)))),
                          s.device_name(poorest), fmt::format("vision cache on rank {} ({})", poorest, s.devices()[poorest].name));
  plan.entries = blocks / image_blocks;
  PLIMSOLL_TRY(ledger.add_all(Category::kVisionCache, "vision_cache", Basis::kExact, s.model().tree->root().id(),
                              s.explains() ? fmt::format("{} blocks x {} tokens x {} B", blocks, rules.vision_block_tokens, row_bytes) : "",
                              bytes));
  return plan;
}

} // namespace plimsoll
