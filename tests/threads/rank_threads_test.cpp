// Ranks that are threads join many values in a row, in buffers that hold a part of one, and give up at any time. Best under the thread
// sanitizer.
#include <array>
#include <gtest/gtest.h>
#include <string>

#include "runtime/rank_threads.hpp"
#include "runtime/thread_group.hpp"

namespace plimsoll {
namespace {

constexpr std::uint32_t kRanks = 4;
constexpr std::uint64_t kValueRows = 5, kValueWidth = 21, kElements = kValueRows * kValueWidth;

struct alignas(64) RankBuffer {
  std::array<std::byte, 256> bytes{};
};

class RankJoining : public ::testing::Test {
protected:
  void SetUp() override {
    std::vector<std::span<std::byte>> spans;
    for (RankBuffer& buffer : buffers_) spans.emplace_back(buffer.bytes);
    ASSERT_TRUE(group_.use(spans));
  }
  std::array<RankBuffer, kRanks> buffers_;
  ThreadGroup group_{kRanks};
  RankThreads threads_{kRanks};
};

TEST_F(RankJoining, SumsAndColumnsInARow) {
  threads_.run([&](std::uint32_t rank) {
    Communicator& others = group_.communicator(rank);
    std::array<float, kElements> x{};
    std::array<float, kElements * kRanks> all{};
    for (int pass = 0; pass < 50; ++pass) {
      x.fill(static_cast<float>(rank + 1));
      EXPECT_TRUE(others.all_reduce({x.data(), kValueRows, kValueWidth}, {x.data(), kValueRows, kValueWidth}, false));
      for (const float sum : x) ASSERT_EQ(sum, 10);
      x.fill(static_cast<float>(rank));
      EXPECT_TRUE(others.all_gather({x.data(), kValueRows, kValueWidth}, {all.data(), kValueRows, kValueWidth * kRanks}));
      for (std::uint64_t i = 0; i < all.size(); ++i) ASSERT_EQ(all[i], static_cast<float>(i / kValueWidth % kRanks));
    }
  });
}

// Replicas of one rank each share what they have computed, in passes of other sizes each time; a pass that one gives up ends for all.
TEST_F(RankJoining, ReplicasShareRowsAndSums) {
  ThreadGroup replicas(1, 1, kRanks);
  for (std::uint32_t rank = 0; rank < kRanks; ++rank) ASSERT_TRUE(replicas.use({buffers_[rank].bytes}, rank));
  for (std::uint32_t pass = 0; pass < 60; ++pass) {
    const bool whole = pass % 5 != 4;
    threads_.run([&](std::uint32_t rank) {
      if (!whole && rank == pass % kRanks) return replicas.abort({ErrorCode::kBadRequest, "enough", ""});
      const std::uint64_t mine = (rank + pass) % 4;
      Communicator& with = replicas.communicator(rank);
      std::array<float, 4 * kValueWidth> x{}, sums{};
      std::array<float, 4 * kRanks * kValueWidth> rows{};
      x.fill(static_cast<float>(rank));
      const auto all = with.begin_pass(mine);
      if (!all) return;
      ASSERT_EQ(*all, 6U); // 0 + 1 + 2 + 3
      if (!with.gather_rows({x.data(), mine, kValueWidth}, Rows<float>{rows.data(), *all, kValueWidth})) return;
      if (!with.scatter_sum({rows.data(), *all, kValueWidth}, Rows<float>{sums.data(), mine, kValueWidth}, false)) return;
      for (std::uint64_t i = 0; i < mine * kValueWidth; ++i) ASSERT_EQ(sums[i], static_cast<float>(rank * kRanks));
    });
    EXPECT_EQ(replicas.reset().has_value(), !whole);
  }
}

TEST_F(RankJoining, WhoeverGivesUpEndsAllAndTheNextPassIsWhole) {
  for (std::uint32_t pass = 0; pass < 40; ++pass) {
    std::array<bool, kRanks> joined{};
    threads_.run([&](std::uint32_t rank) {
      std::array<float, kElements> x{};
      for (std::uint32_t op = 0; op < 3; ++op) {
        if (rank == pass % kRanks && op == pass % 3) return group_.abort({ErrorCode::kBadRequest, std::to_string(pass), ""});
        joined[rank] = group_.communicator(rank)
                           .all_reduce({x.data(), kValueRows, kValueWidth}, {x.data(), kValueRows, kValueWidth}, false)
                           .has_value();
        if (!joined[rank]) return;
      }
    });
    for (std::uint32_t rank = 0; rank < kRanks; ++rank) EXPECT_TRUE(rank == pass % kRanks || !joined[rank]);
    const std::optional<Error> error = group_.reset();
    ASSERT_TRUE(error);
    EXPECT_EQ(error->message, std::to_string(pass));
    threads_.run([&](std::uint32_t rank) { EXPECT_TRUE(group_.communicator(rank).barrier()); });
  }
}

} // namespace
} // namespace plimsoll
