// How much of the memory for caches the images take: whole blocks of finished rows, at least one image of the largest size.
// The one rule behind plans and the per-device estimator (the documented pooled one has its own). Threads: pure.
// Example: Qwen2.5-VL-7B, one image of 128 blocks of 128 rows x 3,584 bfloat16: 117,440,512 B, however small the share.
#pragma once

#include <cstdint>

#include "base/wide.hpp"

namespace plimsoll {

struct VisionShare {
  Wide blocks = 0;
  Wide wanted_blocks = 0; // that the share alone would hold
  bool raised() const { return blocks > wanted_blocks; }
};

// `room_bytes` on the poorest device; `image_blocks` of the largest image, at least 1; `block_bytes` > 0.
VisionShare share_for_vision(Wide room_bytes, double utilization, Wide block_bytes, Wide image_blocks);

} // namespace plimsoll
