#include "checkpoint/byte_ranges.hpp"

#include <gtest/gtest.h>

namespace plimsoll {
namespace {

ByteRanges::Summary of(std::initializer_list<std::pair<std::uint64_t, std::uint64_t>> ranges) {
  ByteRanges ledger;
  for (const auto& [begin, end] : ranges) ledger.add(begin, end);
  return ledger.finish();
}

TEST(ByteRanges, FindsOverlapsAndHolesInAnyOrder) {
  EXPECT_FALSE(of({}).overlap_at);
  EXPECT_FALSE(of({{0, 4}, {4, 8}, {8, 8}, {8, 9}}).overlap_at);
  EXPECT_FALSE(of({{8, 9}, {4, 8}, {0, 4}}).overlap_at);
  EXPECT_EQ(of({{8, 9}, {4, 8}, {0, 4}}).end_bytes, 9U);
  EXPECT_EQ(of({{4, 8}, {10, 12}}).hole_bytes, 6U);
  EXPECT_EQ(of({{0, 8}, {4, 6}}).overlap_at, 4U);
  EXPECT_EQ(of({{4, 6}, {0, 8}, {20, 30}}).overlap_at, 4U);
  EXPECT_EQ(of({{0, 4}, {4, 8}, {0, 4}}).overlap_at, 0U);
  EXPECT_EQ(of({{0, 100}, {1, 2}, {50, 60}}).overlap_at, 1U);
  EXPECT_FALSE(of({{0, 8}, {4, 4}, {8, 9}}).overlap_at); // an empty range claims nothing
}

} // namespace
} // namespace plimsoll
