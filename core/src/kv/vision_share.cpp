#include "kv/vision_share.hpp"

#include <algorithm>

#include "base/exact_fraction.hpp"

namespace plimsoll {

VisionShare share_for_vision(Wide room_bytes, double utilization, Wide block_bytes, Wide image_blocks) {
  VisionShare share;
  share.wanted_blocks = wide_div(share_of(std::max<Wide>(0, room_bytes), exact_fraction(utilization)), block_bytes);
  share.blocks = std::max(share.wanted_blocks, image_blocks);
  return share;
}

} // namespace plimsoll
