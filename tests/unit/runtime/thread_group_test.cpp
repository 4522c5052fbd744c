// What ranks that are threads join: sums and columns, the same bits on every rank, in rounds of any size; and what happens when one of them
// gives up.
#include <gmock/gmock.h>

#include <thread>

#include "runtime/rank_threads.hpp"
#include "runtime/thread_group.hpp"
#include "support/program_builder.hpp"

namespace plimsoll::testing {
namespace {

// A group with buffers of its own.
struct OwnGroup {
  OwnGroup(std::uint32_t tensor_ranks, std::uint64_t buffer_bytes, std::uint32_t stages = 1, std::uint32_t replicas = 1)
      : group(tensor_ranks, stages, replicas), threads(tensor_ranks * stages * replicas) {
    std::vector<std::span<std::byte>> spans;
    for (std::uint32_t rank = 0; rank < tensor_ranks * stages * replicas; ++rank) {
      memory.emplace_back(buffer_bytes);
      spans.emplace_back(static_cast<std::byte*>(memory.back().data()), buffer_bytes);
    }
    EXPECT_TRUE(group.use(spans));
  }
  std::vector<test::Memory> memory;
  ThreadGroup group;
  RankThreads threads;
};

constexpr std::uint64_t kRows = 37, kWidth = 24;

// Values whose sum depends on the order in which they are added.
std::vector<float> part_of(std::uint32_t rank) {
  std::vector<float> values;
  for (const double value : test::random_values(kRows * kWidth, rank + 1, 1e3)) values.push_back(static_cast<float>(value));
  return values;
}

class ThreadGroups : public ::testing::TestWithParam<std::uint32_t> {};

TEST_P(ThreadGroups, SumsAreThoseOfOneOrderOnEveryRank) {
  const std::uint32_t ranks = GetParam();
  std::vector<float> expected = part_of(0);
  for (std::uint32_t rank = 1; rank < ranks; ++rank) {
    const std::vector<float> part = part_of(rank);
    for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += part[i];
  }
  for (const std::uint64_t bytes : {128ULL, 1024ULL, 1ULL << 20}) { // 56 rounds, 7, one
    OwnGroup own(ranks, bytes);
    std::vector<std::vector<float>> set(ranks), added(ranks, std::vector<float>(expected.size(), 0.5F));
    own.threads.run([&](std::uint32_t rank) {
      Communicator& with = own.group.communicator(rank);
      set[rank] = part_of(rank);
      const Rows<const float> x{set[rank].data(), kRows, kWidth};
      EXPECT_TRUE(with.all_reduce(x, Rows<float>{added[rank].data(), kRows, kWidth}, true));
      EXPECT_TRUE(with.all_reduce(x, Rows<float>{set[rank].data(), kRows, kWidth}, false)); // in place
    });
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      EXPECT_EQ(set[rank], expected) << bytes;
      for (std::size_t i = 0; i < expected.size(); ++i) ASSERT_EQ(added[rank][i], 0.5F + expected[i]);
    }
  }
}

TEST_P(ThreadGroups, ColumnsStandSideBySideAndPaddingIsLeftOut) {
  const std::uint32_t ranks = GetParam();
  const std::uint64_t whole = ranks * kWidth - (ranks > 1 ? kWidth + 5 : 0); // the last rank has none of them
  for (const std::uint64_t bytes : {128ULL, 1ULL << 20}) {
    OwnGroup own(ranks, bytes);
    std::vector<std::vector<double>> out(ranks, std::vector<double>(kRows * whole, -1));
    own.threads.run([&](std::uint32_t rank) {
      std::vector<double> x(kRows * kWidth);
      for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<double>(i / kWidth * 1000 + rank * kWidth + i % kWidth);
      EXPECT_TRUE(own.group.communicator(rank).all_gather(Rows<const double>{x.data(), kRows, kWidth},
                                                          Rows<double>{out[rank].data(), kRows, whole}));
    });
    for (std::uint32_t rank = 0; rank < ranks; ++rank)
      for (std::uint64_t i = 0; i < kRows * whole; ++i)
        ASSERT_EQ(out[rank][i], static_cast<double>(i / whole * 1000 + i % whole)) << rank << ", " << i;
  }
}

TEST_P(ThreadGroups, WhoWaitsGetsTheErrorOfWhoGivesUpAndTheGroupGoesOnAfterwards) {
  const std::uint32_t ranks = GetParam();
  if (ranks == 1) return;
  OwnGroup own(ranks, 1024);
  for (std::uint32_t bad = 0; bad < ranks; ++bad) {
    std::vector<std::string> messages(ranks);
    own.threads.run([&](std::uint32_t rank) {
      if (rank == bad) return own.group.abort({ErrorCode::kBadRequest, "enough", ""});
      std::vector<float> x = part_of(rank);
      const auto done = own.group.communicator(rank).all_reduce({x.data(), kRows, kWidth}, {x.data(), kRows, kWidth}, false);
      if (!done) messages[rank] = done.error().message;
    });
    for (std::uint32_t rank = 0; rank < ranks; ++rank) EXPECT_EQ(messages[rank], rank == bad ? "" : "enough");
    const auto error = own.group.reset();
    ASSERT_TRUE(error);
    EXPECT_EQ(error->message, "enough");
    own.threads.run([&](std::uint32_t rank) { EXPECT_TRUE(own.group.communicator(rank).barrier()); });
    EXPECT_FALSE(own.group.reset());
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, ThreadGroups, ::testing::Values(1U, 2U, 4U));

// On every stage the sum of its ranks is added to what the stage before has handed over, several times in a row.
TEST(ThreadGroups, StagesHandOnWhatTheyHaveSummed) {
  constexpr std::uint32_t kTensorRanks = 2, kStages = 3, kTimes = 3;
  for (const std::uint64_t bytes : {128ULL, 1024ULL, 1ULL << 20}) {
    OwnGroup own(kTensorRanks, bytes, kStages);
    std::vector<std::vector<double>> last(kTensorRanks);
    own.threads.run([&](std::uint32_t rank) {
      Communicator& with = own.group.communicator(rank);
      const std::uint32_t stage = rank / kTensorRanks;
      EXPECT_EQ(with.rank(), rank % kTensorRanks);
      EXPECT_EQ(with.ranks(), kTensorRanks);
      std::vector<double> x(kRows * kWidth, 0);
      const Rows<double> rows{x.data(), kRows, kWidth};
      for (std::uint32_t time = 0; time < kTimes; ++time) {
        std::vector<double> part(x.size());
        for (std::size_t i = 0; i < part.size(); ++i) part[i] = static_cast<double>(i * (rank + 1) + time);
        std::fill(x.begin(), x.end(), 0);
        EXPECT_TRUE(stage == 0 || with.receive(rows));
        EXPECT_TRUE(with.all_reduce(Rows<const double>{part.data(), kRows, kWidth}, rows, true));
        EXPECT_TRUE(stage + 1 == kStages || with.send(Rows<const double>{x.data(), kRows, kWidth}));
      }
      if (stage + 1 == kStages) last[rank % kTensorRanks] = x;
    });
    for (const std::vector<double>& x : last)
      for (std::size_t i = 0; i < x.size(); ++i) ASSERT_EQ(x[i], static_cast<double>(i * 21 + 6 * (kTimes - 1))) << bytes;
    EXPECT_FALSE(own.group.reset());
  }
}

TEST(ThreadGroups, AStageThatGivesUpEndsTheOthers) {
  for (std::uint32_t bad = 0; bad < 3; ++bad) {
    OwnGroup own(1, 128, 3);
    std::vector<std::uint8_t> ended(3, 0);
    own.threads.run([&](std::uint32_t rank) {
      if (rank == bad) return own.group.abort({ErrorCode::kBadRequest, "enough", ""});
      std::vector<float> x(kRows * kWidth);
      Communicator& with = own.group.communicator(rank);
      for (int time = 0; time < 2 && ended[rank] == 0; ++time)
        if ((rank > 0 && !with.receive(Rows<float>{x.data(), kRows, kWidth})) ||
            (rank < 2 && !with.send(Rows<const float>{x.data(), kRows, kWidth})))
          ended[rank] = 1;
    });
    for (std::uint32_t rank = 0; rank < 3; ++rank) EXPECT_EQ(ended[rank], rank == bad ? 0 : 1) << rank << " of " << bad;
    EXPECT_EQ(own.group.reset().value().message, "enough");
  }
}

// Replicas of two ranks with passes of different sizes, one of them without tokens: all see all rows, and each gets back the sum of its own
// over all ranks, between sums of its own team.
TEST(ReplicaThreadGroups, RowsAreThoseOfAllAndSumsThoseOfEach) {
  constexpr std::uint32_t kTensorRanks = 2, kReplicas = 3, kAllRanks = kTensorRanks * kReplicas;
  for (const std::uint64_t bytes : {128ULL, 1024ULL, 1ULL << 20}) {
    OwnGroup own(kTensorRanks, bytes, 1, kReplicas);
    own.threads.run([&](std::uint32_t rank) {
      Communicator& with = own.group.communicator(rank);
      EXPECT_EQ(with.ranks(), kTensorRanks);
      EXPECT_EQ(with.replicas(), kReplicas);
      const std::uint32_t replica = rank / kTensorRanks;
      for (std::uint64_t pass = 0; pass < 6; ++pass) {
        const auto tokens_of = [&](std::uint64_t of) { return pass == 5 ? 0 : (of + pass) % 3 * 4; };
        const std::uint64_t mine = tokens_of(replica), all = with.begin_pass(mine).value_or(0);
        ASSERT_EQ(all, tokens_of(0) + tokens_of(1) + tokens_of(2));
        std::vector<float> x(mine * kWidth + 1, static_cast<float>(10 * replica + pass)), rows(all * kWidth + 1), sums(x.size(), 1);
        ASSERT_TRUE(with.all_reduce(Rows<const float>{x.data(), mine, kWidth}, Rows<float>{sums.data(), mine, kWidth}, false));
        ASSERT_TRUE(with.gather_rows(Rows<const float>{x.data(), mine, kWidth}, Rows<float>{rows.data(), all, kWidth}));
        std::uint64_t at = 0;
        for (std::uint32_t of = 0; of < kReplicas; ++of)
          for (std::uint64_t i = 0; i < tokens_of(of) * kWidth; ++i) ASSERT_EQ(rows[at++], static_cast<float>(10 * of + pass));
        for (float& value : rows) value += static_cast<float>(rank);
        ASSERT_TRUE(with.scatter_sum(Rows<const float>{rows.data(), all, kWidth}, Rows<float>{sums.data(), mine, kWidth}, true));
        const auto expected = static_cast<float>((10 * replica + pass) * (kTensorRanks + kAllRanks) + 15); // 0 + 1 + ... + 5
        for (std::uint64_t i = 0; i < mine * kWidth; ++i) ASSERT_EQ(sums[i], expected) << bytes;
      }
    });
    EXPECT_FALSE(own.group.reset());
  }
}

TEST(ReplicaThreadGroups, WhoGivesUpEndsThemAll) {
  for (std::uint32_t bad = 0; bad < 4; ++bad) {
    OwnGroup own(2, 256, 1, 2);
    std::vector<std::uint8_t> ended(4, 0);
    own.threads.run([&](std::uint32_t rank) {
      if (rank == bad) return own.group.abort({ErrorCode::kBadRequest, "enough", ""});
      ended[rank] = own.group.communicator(rank).begin_pass(1) ? 0 : 1;
    });
    for (std::uint32_t rank = 0; rank < 4; ++rank) EXPECT_EQ(ended[rank], rank == bad ? 0 : 1) << rank << " of " << bad;
    EXPECT_EQ(own.group.reset().value().message, "enough");
    own.threads.run(
        [&](std::uint32_t rank) { EXPECT_EQ(own.group.communicator(rank).begin_pass(rank).value_or(0), rank % 2 == 0 ? 2U : 4U); });
  }
}

TEST(ThreadGroups, BuffersThatCannotServeAreRefused) {
  test::Memory memory(256);
  auto* const bytes = static_cast<std::byte*>(memory.data());
  ThreadGroup group(2);
  EXPECT_FALSE(group.use({{bytes, 128}}));                         // one is missing
  EXPECT_FALSE(group.use({{bytes, 128}, {bytes + 128, 127}}));     // too small
  EXPECT_FALSE(group.use({{bytes + 4, 128}, {bytes + 128, 128}})); // at an odd address
  EXPECT_TRUE(group.use({{bytes, 128}, {bytes + 128, 128}}));
  ThreadGroup stages(1, 2);
  EXPECT_FALSE(stages.use({{}, {bytes, 128}})); // the first sends
  EXPECT_TRUE(stages.use({{bytes, 128}, {}}));  // the last only receives
  ThreadGroup replicas(1, 1, 2);
  EXPECT_TRUE(replicas.use({{bytes, 128}}, 1)); // of the second
  EXPECT_FALSE(replicas.use({{bytes, 128}}, 2));
  EXPECT_FALSE(replicas.use({{bytes, 64}}, 0));
}

} // namespace
} // namespace plimsoll::testing
