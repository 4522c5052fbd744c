// Which images are in the cache of encoded images, and in which of its blocks: entries by the hash of their content, of which those that
// nobody asked for longest make room. Numbers alone; the memory is the ranks'. Called by the reference model before each step. Threads:
// [serial].
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "plimsoll/result.hpp"
#include "plimsoll/text_context.hpp"

namespace plimsoll {

struct ImageHash {
  std::uint64_t low = 0, high = 0;
  friend auto operator<=>(const ImageHash&, const ImageHash&) = default;
};
inline ImageHash image_hash(const MediaSpan& span) { return {span.hash_low, span.hash_high}; }

class VisionCache {
public:
  struct Entry {
    ImageHash hash;
    std::vector<std::uint32_t> blocks; // in the order of the image's rows
    bool encoded = false;              // what is in the blocks is the image's
  };
  struct Wanted {
    ImageHash hash;
    std::uint64_t rows = 0;
  };

  VisionCache(std::uint64_t blocks, std::uint64_t block_rows);

  // All of them at once, from now to the next call at least; those that were not there are not encoded. kInsufficientBlocks: they need more
  // blocks than there are; nothing has changed then.
  Result<void> hold(std::span<const Wanted> images);
  // That is held.
  Entry& entry(const ImageHash& hash) { return *entries_.at(hash); }
  // The row of the pool where a row of the image is.
  std::uint64_t pool_row(const Entry& entry, std::uint64_t row) const {
    return entry.blocks[static_cast<std::size_t>(row / block_rows_)] * block_rows_ + row % block_rows_;
  }

  std::uint64_t block_rows() const { return block_rows_; }
  std::uint64_t total_blocks() const { return total_; }
  std::uint64_t free_blocks() const { return free_.size(); }
  std::uint64_t entries() const { return order_.size(); }
  std::uint64_t evictions() const { return evictions_; }

private:
  std::uint64_t blocks_of(std::uint64_t rows) const { return (rows + block_rows_ - 1) / block_rows_; }
  void evict_oldest();

  std::uint64_t total_, block_rows_, evictions_ = 0;
  std::vector<std::uint32_t> free_;                         // the next at the end
  std::list<Entry> order_;                                  // the last asked for first
  std::map<ImageHash, std::list<Entry>::iterator> entries_; // of order_
};

} // namespace plimsoll
