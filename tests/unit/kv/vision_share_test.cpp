// The vision cache's share: whole blocks, and one image of the largest size however small the share.
#include "kv/vision_share.hpp"

#include <gtest/gtest.h>

#include "unit/kv/hand_made.hpp"

namespace plimsoll {
namespace {

// Qwen2.5-VL-7B: 16,384 rows of 3,584 bfloat16 an image, 128 blocks of 917,504 B.
constexpr Wide kBlock = 128 * 3584 * 2;

TEST(VisionShare, IsInWholeBlocks) {
  struct Row {
    Wide room;
    double utilization;
    Wide image_blocks, blocks, wanted;
  };
  for (const Row& row : {Row{1000 * kBlock, 0.5, 128, 500, 500},
                         {1000 * kBlock - 1, 0.5, 128, 499, 499},
                         {1000 * kBlock, 0.1, 128, 128, 100}, // raised to one image
                         {1000 * kBlock, 0.00001, 128, 128, 0},
                         {2560 * kBlock, 0.05, 128, 128, 128}, // just one
                         {2560 * kBlock - 1, 0.05, 128, 128, 127},
                         {1000 * kBlock, 1, 128, 1000, 1000},
                         {0, 0.5, 1, 1, 0},
                         {-5 * kBlock, 0.5, 3, 3, 0}}) { // nothing left: the caller sees that it does not fit
    const VisionShare share = share_for_vision(row.room, row.utilization, kBlock, row.image_blocks);
    EXPECT_EQ(share.blocks, row.blocks) << row.utilization << " of " << narrow(row.room).value_or(0);
    EXPECT_EQ(share.wanted_blocks, row.wanted) << row.utilization << " of " << narrow(row.room).value_or(0);
    EXPECT_EQ(share.raised(), row.blocks > row.wanted) << row.utilization << " of " << narrow(row.room).value_or(0);
  }
}

TEST(VisionShare, OneImageIsAHundredMebibytesOfQwen) {
  EXPECT_EQ(share_for_vision(Wide{80} << 30, 0.00001, kBlock, 128).blocks * kBlock, 117'440'512);
}

// 0.1 of 10,000,000,010 B are 1,000,000,001 B, to the byte.
TEST(VisionShare, IsExact) {
  EXPECT_EQ(share_for_vision(10'000'000'010, 0.1, 1'000'000'001, 1).wanted_blocks, 1);
  EXPECT_EQ(share_for_vision(10'000'000'009, 0.1, 1'000'000'001, 1).wanted_blocks, 0);
}

} // namespace
} // namespace plimsoll
