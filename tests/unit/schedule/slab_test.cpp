// Buffers in a slab: none that live together overlap, and nothing is wasted where nothing need be.
#include "schedule/slab.hpp"

#include <gtest/gtest.h>
#include <random>

namespace plimsoll {
namespace {

bool overlap(const Lifetime& a, std::uint64_t a_at, const Lifetime& b, std::uint64_t b_at) {
  const bool together = a.first <= b.last && b.first <= a.last;
  return together && a_at < b_at + b.bytes && b_at < a_at + a.bytes;
}

void expect_sound(const std::vector<Lifetime>& buffers, const Slab& slab) {
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    EXPECT_EQ(slab.offset_bytes[i] % kSlabAlignmentBytes, 0U);
    EXPECT_LE(slab.offset_bytes[i] + buffers[i].bytes, slab.bytes);
    for (std::size_t j = 0; j < i; ++j)
      ASSERT_FALSE(overlap(buffers[i], slab.offset_bytes[i], buffers[j], slab.offset_bytes[j])) << i << " and " << j;
  }
}

TEST(Slab, BuffersThatFollowOneAnotherShareTheirPlace) {
  const std::vector<Lifetime> buffers{{0, 1, 256}, {2, 3, 256}, {4, 5, 192}};
  const Slab slab = place_buffers(buffers).value();
  EXPECT_EQ(slab.bytes, 256U);
  expect_sound(buffers, slab);
}

TEST(Slab, BuffersThatMeetAtOneStepDoNot) {
  const std::vector<Lifetime> buffers{{0, 2, 64}, {2, 4, 64}};
  EXPECT_EQ(place_buffers(buffers).value().bytes, 128U);
}

// A layer of a decoder: the residual stays, what attention needs and what the FFN needs take turns.
TEST(Slab, TheLiveBytesOfALayerAreEnough) {
  const std::vector<Lifetime> buffers{{0, 9, 1024}, {1, 2, 1024}, {2, 3, 3072}, {3, 4, 1024}, {5, 6, 1024}, {6, 8, 4096}, {6, 7, 4096}};
  const Slab slab = place_buffers(buffers).value();
  EXPECT_EQ(slab.bytes, live_bytes(buffers));
  expect_sound(buffers, slab);
}

TEST(Slab, NothingTakesNothing) {
  EXPECT_EQ(place_buffers({}).value().bytes, 0U);
  EXPECT_EQ(live_bytes({}), 0U);
}

TEST(Slab, RandomLivesNeverOverlap) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<Lifetime> buffers;
    const std::uint32_t steps = 1 + static_cast<std::uint32_t>(random() % 120);
    for (std::uint64_t n = random() % 80; n > 0; --n) {
      const auto first = static_cast<std::uint32_t>(random() % steps);
      buffers.push_back({first, first + static_cast<std::uint32_t>(random() % (steps - first)), random() % 5000});
    }
    const Slab slab = place_buffers(buffers).value();
    expect_sound(buffers, slab);
    EXPECT_GE(slab.bytes, live_bytes(buffers));
  }
}

TEST(Slab, SizesBeyond63BitsAreAnError) {
  const std::vector<Lifetime> buffers{{0, 0, 1ULL << 62}, {1, 1, 1ULL << 62}, {2, 2, 1ULL << 62}};
  EXPECT_EQ(place_buffers(buffers).error().code, ErrorCode::kBadConfig);
}

} // namespace
} // namespace plimsoll
