#include "runtime/vision_cache.hpp"

#include <fmt/format.h>

namespace plimsoll {

VisionCache::VisionCache(std::uint64_t blocks, std::uint64_t block_rows) : total_(blocks), block_rows_(block_rows == 0 ? 1 : block_rows) {
  free_.reserve(static_cast<std::size_t>(blocks));
  for (std::uint64_t block = blocks; block-- > 0;) free_.push_back(static_cast<std::uint32_t>(block));
}

void VisionCache::evict_oldest() {
  const Entry& oldest = order_.back();
  free_.insert(free_.end(), oldest.blocks.rbegin(), oldest.blocks.rend());
  entries_.erase(oldest.hash);
  order_.pop_back();
  ++evictions_;
}

Result<void> VisionCache::hold(std::span<const Wanted> images) {
  std::map<ImageHash, std::uint64_t> blocks; // of each image once
  std::uint64_t needed = 0;
  for (const Wanted& image : images)
    if (blocks.emplace(image.hash, blocks_of(image.rows)).second) needed += blocks_of(image.rows);
  if (needed > total_)
    return fail(ErrorCode::kInsufficientBlocks,
                fmt::format("the images of this step need {} blocks of the vision cache, which has {}; compute fewer of them in one step",
                            needed, total_),
                "images");
  for (const auto& [hash, count] : blocks)
    if (const auto found = entries_.find(hash); found != entries_.end()) order_.splice(order_.begin(), order_, found->second);
  for (const auto& [hash, count] : blocks) {
    if (entries_.contains(hash)) continue;
    while (free_.size() < count) evict_oldest(); // never one of these: all of them fit
    Entry& entry = order_.emplace_front();
    entry.hash = hash;
    for (std::uint64_t i = 0; i < count; ++i) {
      entry.blocks.push_back(free_.back());
      free_.pop_back();
    }
    entries_.emplace(hash, order_.begin());
  }
  return {};
}

} // namespace plimsoll
