// Ranks on played devices join many values in a row and give up at any time. Best under the thread sanitizer.
#include <array>
#include <gtest/gtest.h>

#include "support/device_ranks.hpp"

namespace plimsoll {
namespace {

constexpr std::uint32_t kJoined = 4;
constexpr std::uint64_t kJoinedRows = 5, kJoinedWidth = 21, kJoinedElements = kJoinedRows * kJoinedWidth;

TEST(NcclJoining, SumsInARowAndWhoeverGivesUpEndsAll) {
  test::PlayedNccl nccl;
  {
    test::DeviceRanks ranks(nccl, kJoined, 1, 256);
    ASSERT_TRUE(ranks.made) << ranks.made.error().message;
    for (std::uint32_t pass = 0; pass < 12; ++pass) {
      const bool whole = pass % 3 != 0;
      ASSERT_TRUE((*ranks.made)->use(ranks.buffers));
      std::array<bool, kJoined> joined{};
      ranks.threads.run([&](std::uint32_t rank) {
        test::OnDevice<float> x(*ranks.devices[rank], std::vector<float>(kJoinedElements, 1)),
            sum(*ranks.devices[rank], std::vector<float>(kJoinedElements));
        for (std::uint32_t op = 0; op < 4; ++op) {
          if (!whole && rank == pass / 3 % kJoined && op == pass % 4) {
            joined[rank] = false;
            return ranks.meeting.abort({ErrorCode::kInternal, "no more", ""});
          }
          joined[rank] = ranks.of(rank).all_reduce(x.read(kJoinedWidth), sum.rows(kJoinedWidth), true).has_value();
          if (!joined[rank]) return;
        }
        for (const float value : sum.values()) ASSERT_EQ(value, 4 * kJoined);
      });
      EXPECT_EQ(ranks.meeting.reset().has_value(), !whole);
      for (const bool done : joined) EXPECT_EQ(done, whole);
    }
  }
  EXPECT_TRUE(nccl.wrongs().empty()) << nccl.wrongs().front();
  EXPECT_EQ(nccl.live(), 0U);
}

} // namespace
} // namespace plimsoll
