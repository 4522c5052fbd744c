// Processes that share memory, forked by the test in place of mpirun: what they gather, what they compare, whose end is noticed, and the
// sums of ranks that are processes, which are those of threads to the bit.
#include <gmock/gmock.h>

#include <chrono>
#include <csignal>
#include <thread>
#include <unistd.h>

#include "runtime/process_group.hpp"
#include "support/forked_ranks.hpp"
#include "support/program_builder.hpp"

namespace plimsoll::testing {
namespace {

using test::forked;
using ::testing::Each;
using ::testing::ElementsAre;

TEST(ForkedProcesses, GatherWhatEachSays) {
  const auto text_of = [](std::uint32_t rank, std::size_t round) {
    return std::string(round == 0 ? 0 : round == 1 ? rank * 40'000 : 5, static_cast<char>('a' + rank)); // none, several parts, one
  };
  EXPECT_THAT(forked(3,
                     [&](Processes& with) {
                       for (std::size_t round = 0; round < 3; ++round) {
                         const auto all = with.gather(text_of(with.rank(), round));
                         if (!all || all->size() != 3) return 1;
                         for (std::uint32_t rank = 0; rank < 3; ++rank)
                           if ((*all)[rank] != text_of(rank, round)) return 2;
                       }
                       return 0;
                     }),
              Each(0));
}

TEST(ForkedProcesses, WhatDiffersIsRefusedByAllWithBothRanks) {
  EXPECT_THAT(forked(2,
                     [](Processes& with) {
                       if (!with.agree("plan", "the same")) return 1;
                       const auto agreed = with.agree("plan", with.rank() == 0 ? "this" : "that");
                       if (agreed || agreed.error().code != ErrorCode::kBadRequest) return 2;
                       return agreed.error().message.find("rank 1 has another plan than rank 0") == std::string::npos ? 3 : 0;
                     }),
              Each(0));
}

TEST(ForkedProcesses, AnErrorOfOneIsThatOfAll) {
  EXPECT_THAT(forked(3,
                     [](Processes& with) {
                       if (with.rank() == 2) {
                         with.fail({ErrorCode::kOverPlan, "no more of it", ""});
                         std::this_thread::sleep_for(std::chrono::milliseconds(300)); // or they may see that it has left
                         return 0;
                       }
                       const auto all = with.gather("x");
                       if (all || all.error().code != ErrorCode::kOverPlan) return 1;
                       return all.error().message == "rank 2: no more of it" && !with.lost() ? 0 : 2;
                     }),
              Each(0));
}

TEST(ForkedProcesses, WhoLeavesTooEarlyIsNoticed) {
  EXPECT_THAT(forked(2,
                     [](Processes& with) {
                       if (with.rank() == 1) return 0;
                       const auto all = with.gather("x");
                       return !all && all.error().message.find("rank 1 has left") == 0 ? 0 : 1;
                     }),
              Each(0));
}

TEST(ForkedProcesses, WhoIsKilledIsNamedWithinSeconds) {
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THAT(forked(3,
                     [](Processes& with) {
                       if (with.rank() == 1) std::raise(SIGKILL);
                       const auto all = with.gather("x");
                       if (all || !with.lost()) return 1;
                       if (all.error().message.find("rank 1 (process ") != 0) return 2;
                       return with.speaks() ? (with.rank() == 0 ? 6 : 3) : 7;
                     }),
              ElementsAre(6, -SIGKILL, 7)); // the first of those that are left speaks
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

// Stopped, as by a debugger: it is there and does nothing.
TEST(ForkedProcesses, WhoIsSilentIsNamedWithinSeconds) {
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THAT(forked(2,
                     [](Processes& with) {
                       if (with.rank() == 1) std::raise(SIGSTOP);
                       const auto all = with.gather("x");
                       kill(with.impl().slot(1).process.load(), SIGKILL);
                       const bool named = !all && all.error().message.find("rank 1 (process ") == 0;
                       return named && all.error().message.find("has not been heard of") != std::string::npos ? 6 : 1;
                     }),
              ElementsAre(6, -SIGKILL));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

// Values whose sum depends on the order in which they are added.
constexpr std::uint64_t kValues = 37 * 24;
std::vector<float> values_of(std::uint32_t rank) {
  std::vector<float> values;
  for (const double value : test::random_values(kValues, rank + 1, 1e3)) values.push_back(static_cast<float>(value));
  return values;
}

class ForkedRanks : public ::testing::TestWithParam<std::uint32_t> {};

TEST_P(ForkedRanks, SumsColumnsAndHandoversAreThoseOfThreads) {
  const std::uint32_t ranks = GetParam();
  std::vector<float> sum = values_of(0);
  for (std::uint32_t rank = 1; rank < ranks; ++rank)
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += values_of(rank)[i];
  for (const std::uint64_t bytes : {128ULL, 1024ULL, 1ULL << 16}) { // rounds of a few values, and one
    EXPECT_THAT(forked(2 * ranks,
                       [&](Processes& joined) {
                         // The processes outlive the group, whose pointer to them owns nothing.
                         const std::shared_ptr<Processes> with(&joined, [](Processes*) {});
                         const std::vector<std::uint64_t> shared(2 * ranks, bytes);
                         if (!with->impl().share(shared)) return 1;
                         ProcessGroup group(with, {ranks, 2});
                         Communicator& others = group.communicator(with->rank());
                         for (std::uint64_t pass = 0; pass < 3; ++pass) {
                           if (!group.begin(pass, with->impl().window(with->rank()))) return 2;
                           std::vector<float> x = values_of(with->rank() % ranks), all(kValues * ranks);
                           const bool first_stage = with->rank() < ranks;
                           if (!first_stage && !others.receive(Rows<float>{x.data(), 37, 24})) return 3;
                           if (!first_stage && x != sum) return 4;
                           if (first_stage && !others.all_reduce(Rows<const float>{x.data(), 37, 24}, Rows<float>{x.data(), 37, 24}, false))
                             return 5;
                           if (x != sum) return 6;
                           if (!others.all_gather(Rows<const float>{x.data(), 37, 24}, Rows<float>{all.data(), 37, 24 * ranks})) return 7;
                           for (std::size_t i = 0; i < all.size(); ++i)
                             if (all[i] != sum[i / (24 * ranks) * 24 + i % 24]) return 8;
                           if (first_stage && !others.send(Rows<const float>{x.data(), 37, 24})) return 9;
                           if (group.reset()) return 10;
                         }
                         return 0;
                       }),
                Each(0))
        << bytes;
  }
}

// Two replicas that are processes, with passes of their own sizes and steps of their own.
TEST_P(ForkedRanks, ReplicasShareRowsAndSums) {
  const std::uint32_t ranks = GetParam();
  EXPECT_THAT(forked(2 * ranks,
                     [&](Processes& joined) {
                       const std::shared_ptr<Processes> with(&joined, [](Processes*) {});
                       const std::vector<std::uint64_t> shared(2 * ranks, 1024);
                       if (!with->impl().share(shared)) return 1;
                       ProcessGroup group(with, {ranks, 1, 2});
                       Communicator& others = group.communicator(with->rank());
                       const std::uint32_t replica = with->rank() / ranks;
                       for (std::uint64_t pass = 0; pass < 3; ++pass) {
                         if (!group.begin(10 * replica + pass, with->impl().window(with->rank()))) return 2;
                         const std::uint64_t mine = replica == pass % 2 ? 0 : 37; // one is idle
                         if (others.begin_pass(mine).value_or(0) != 37) return 3;
                         std::vector<float> x = values_of(replica), all(kValues), sums(kValues);
                         if (!others.gather_rows(Rows<const float>{x.data(), mine, 24}, Rows<float>{all.data(), 37, 24})) return 4;
                         if (all != values_of(1 - static_cast<std::uint32_t>(pass % 2))) return 5;
                         if (!others.scatter_sum(Rows<const float>{all.data(), 37, 24}, Rows<float>{sums.data(), mine, 24}, false))
                           return 6;
                         for (std::size_t i = 0; i < mine * 24; ++i)
                           if (std::abs(sums[i] - x[i] * static_cast<float>(2 * ranks)) > 1e-3F * std::abs(x[i])) return 7;
                         if (group.reset()) return 8;
                       }
                       return 0;
                     }),
              Each(0));
}

INSTANTIATE_TEST_SUITE_P(Ranks, ForkedRanks, ::testing::Values(1U, 2U));

TEST(ForkedRankSteps, WhoComputesSomethingElseIsNoticed) {
  EXPECT_THAT(forked(2,
                     [](Processes& joined) {
                       const std::shared_ptr<Processes> with(&joined, [](Processes*) {});
                       const std::vector<std::uint64_t> shared(2, 4096);
                       if (!with->impl().share(shared)) return 1;
                       ProcessGroup group(with, {2, 1});
                       const auto begun = group.begin(with->rank(), with->impl().window(with->rank()));
                       return !begun && begun.error().message.find("computes another step") != std::string::npos ? 0 : 2;
                     }),
              Each(0));
}

} // namespace
} // namespace plimsoll::testing
