// How many images a step holds at once, while its batch is put together: all that its tokens stand for must be in the vision cache
// together. Threads: plain values.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <set>

#include "plimsoll/pipeline_model.hpp"
#include "runtime/vision_cache.hpp"

namespace plimsoll {

class ImageBudget {
public:
  explicit ImageBudget(const std::optional<ImageLimits>& limits) : limits_(limits) {
    if (limits_) left_ = limits_->cache_blocks;
  }

  // The most active tokens, at most `wanted`, whose images fit beside those of the batch; 0: none.
  std::uint64_t fitting(const TextContext& context, std::uint64_t wanted) const {
    if (!limits_) return wanted;
    std::set<ImageHash> more;
    std::uint64_t left = left_, fits = wanted;
    for_images(context, wanted, [&](const MediaSpan& span) {
      const bool there = held_.contains(image_hash(span)) || more.contains(image_hash(span));
      const std::uint64_t blocks = there ? 0 : blocks_of(span);
      if (blocks > left) fits = std::min(fits, span.begin_tokens - std::min(span.begin_tokens, context.processed_length()));
      left -= std::min(left, blocks);
      more.insert(image_hash(span));
    });
    return fits;
  }
  void add(const TextContext& context) {
    if (!limits_) return;
    for_images(context, context.active_length(), [&](const MediaSpan& span) {
      if (held_.insert(image_hash(span)).second) left_ -= std::min(left_, blocks_of(span));
    });
  }

private:
  std::uint64_t blocks_of(const MediaSpan& span) const {
    const std::uint64_t rows = limits_->rules.block_rows;
    return (span.length_tokens + rows - 1) / rows;
  }
  // Images that some of the next `tokens` stand for.
  template <class Function>
  static void for_images(const TextContext& context, std::uint64_t tokens, Function what) {
    const std::uint64_t begin = context.processed_length(), end = begin + tokens;
    for (const MediaSpan& span : context.media())
      if (span.image && span.begin_tokens < end && span.begin_tokens + span.length_tokens > begin) what(span);
  }

  std::optional<ImageLimits> limits_;
  std::uint64_t left_ = 0; // blocks
  std::set<ImageHash> held_;
};

} // namespace plimsoll
