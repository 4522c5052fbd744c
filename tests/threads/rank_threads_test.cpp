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
