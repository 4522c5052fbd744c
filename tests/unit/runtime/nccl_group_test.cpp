// Ranks on devices that NCCL joins, as tests play it: what is asked of NCCL, with which counts and in which order, that sums, columns and
// handovers are those of ranks in memory of the host, and how all end where one cannot go on. Then how the library itself is found.
#include <gmock/gmock.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <unistd.h>

#include "runtime/process_group.hpp"
#include "schedule/nccl_memory.hpp"
#include "support/device_ranks.hpp"
#include "support/forked_ranks.hpp"
#include "support/program_builder.hpp"

namespace plimsoll::testing {
namespace {

using test::DeviceRanks;
using test::OnDevice;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::uint64_t kDeviceRows = 13, kDeviceWidth = 24, kDeviceElements = kDeviceRows * kDeviceWidth;

// Values whose sum depends on the order in which they are added.
template <class Real>
std::vector<Real> part_of_rank(std::uint32_t rank) {
  std::vector<Real> values;
  for (const double value : test::random_values(kDeviceElements, rank + 1, 1e3)) values.push_back(static_cast<Real>(value));
  return values;
}

class NcclRanks : public ::testing::Test {
protected:
  void TearDown() override {
    EXPECT_THAT(nccl_.wrongs(), IsEmpty());
    EXPECT_EQ(nccl_.live(), 0U);
    EXPECT_EQ(nccl_.count("ncclGroupStart"), nccl_.count("ncclGroupEnd"));
  }
  test::PlayedNccl nccl_;
};

template <class Real>
void join_values(const test::PlayedNccl& nccl, std::uint32_t tensor_ranks, std::uint64_t buffer_bytes) {
  SCOPED_TRACE(std::to_string(tensor_ranks) + " ranks, buffers of " + std::to_string(buffer_bytes) + " B");
  std::vector<std::vector<Real>> parts;
  for (std::uint32_t rank = 0; rank < tensor_ranks; ++rank) parts.push_back(part_of_rank<Real>(rank));
  std::vector<Real> sum = parts.front();
  for (std::uint32_t rank = 1; rank < tensor_ranks; ++rank)
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += parts[rank][i];
  DeviceRanks ranks(nccl, tensor_ranks, 1, buffer_bytes);
  ASSERT_TRUE(ranks.made) << ranks.made.error().message;
  ASSERT_TRUE(ranks.used) << ranks.used.error().message;
  constexpr std::uint64_t kCut = 5; // columns of padding, which are left out
  const std::uint64_t width = kDeviceWidth * tensor_ranks - kCut;
  std::vector<std::vector<Real>> set(ranks.size), added(ranks.size), all(ranks.size);
  ranks.threads.run([&](std::uint32_t rank) {
    Backend& device = *ranks.devices[rank];
    OnDevice<Real> x(device, parts[rank]), to(device, std::vector<Real>(kDeviceElements, Real{0.5}));
    OnDevice<Real> columns(device, std::vector<Real>(kDeviceRows * width));
    EXPECT_TRUE(ranks.of(rank).all_reduce(x.read(kDeviceWidth), to.rows(kDeviceWidth), true));
    EXPECT_TRUE(ranks.of(rank).all_gather(x.read(kDeviceWidth), columns.rows(width)));
    EXPECT_TRUE(ranks.of(rank).all_reduce(x.read(kDeviceWidth), x.rows(kDeviceWidth), false)); // in place
    set[rank] = x.values();
    added[rank] = to.values();
    all[rank] = columns.values();
  });
  for (std::uint32_t rank = 0; rank < ranks.size; ++rank) {
    EXPECT_EQ(set[rank], sum);
    for (std::size_t i = 0; i < sum.size(); ++i) ASSERT_EQ(added[rank][i], Real{0.5} + sum[i]);
    for (std::size_t i = 0; i < all[rank].size(); ++i) {
      const std::uint64_t row = i / width, column = i % width;
      ASSERT_EQ(all[rank][i], parts[column / kDeviceWidth][row * kDeviceWidth + column % kDeviceWidth]) << i;
    }
  }
}

TEST_F(NcclRanks, SumsAndColumnsAreThoseOfTheHost) {
  for (const std::uint32_t ranks : {2U, 4U})
    for (const std::uint64_t bytes : {128ULL, 1024ULL, 1ULL << 16})
      join_values<float>(nccl_, ranks, bytes); // parts of a row, rows, all at once
  join_values<double>(nccl_, 2, 128);
}

TEST_F(NcclRanks, WhatIsAskedOfNcclHasItsCountAndType) {
  {
    DeviceRanks ranks(nccl_, 2, 2);
    ASSERT_TRUE(ranks.made) << ranks.made.error().message;
    // A communicator for each stage, then one for each line, each kind in one group.
    std::vector<std::string> begun;
    std::vector<int> places;
    for (const auto& call : nccl_.calls()) {
      begun.push_back(call.what);
      if (call.what == "ncclCommInitRankConfig") places.push_back(call.rank);
    }
    EXPECT_EQ(begun.size(), 12U);
    for (const std::size_t at : {0U, 6U}) EXPECT_EQ(begun.at(at), "ncclGroupStart");
    for (const std::size_t at : {5U, 11U}) EXPECT_EQ(begun.at(at), "ncclGroupEnd");
    EXPECT_THAT(places, ElementsAre(0, 1, 0, 1, 0, 0, 1, 1));
    ranks.threads.run([&](std::uint32_t rank) {
      OnDevice<float> x(*ranks.devices[rank], part_of_rank<float>(rank));
      if (rank >= 2) {
        EXPECT_TRUE(ranks.of(rank).receive(x.rows(kDeviceWidth)));
      }
      EXPECT_TRUE(ranks.of(rank).all_reduce(x.read(kDeviceWidth), x.rows(kDeviceWidth), false));
      if (rank < 2) {
        EXPECT_TRUE(ranks.of(rank).send(x.read(kDeviceWidth)));
      } else {
        const std::vector<float> a = part_of_rank<float>(0), b = part_of_rank<float>(1);
        for (std::size_t i = 0; i < a.size(); ++i) ASSERT_EQ(x.values()[i], (a[i] + b[i]) + (a[i] + b[i]));
      }
    });
    for (const auto& call : nccl_.calls()) {
      if (call.type == 0) continue;
      EXPECT_EQ(call.type, kNcclFloat32);
      EXPECT_EQ(call.count, kDeviceElements) << call.what;
      EXPECT_EQ(call.size, 2);
      EXPECT_EQ(call.peer, call.what == "ncclSend" ? 1 : call.what == "ncclRecv" ? 0 : -1);
    }
    EXPECT_EQ(nccl_.count("ncclAllReduce"), 4U);
    EXPECT_EQ(nccl_.count("ncclSend"), 2U);
    EXPECT_EQ(nccl_.count("ncclRecv"), 2U);
  }
  EXPECT_EQ(nccl_.count("ncclCommFinalize"), 8U);
  EXPECT_EQ(nccl_.count("ncclCommDestroy"), 8U);
  EXPECT_EQ(nccl_.count("ncclCommAbort"), 0U);
}

TEST_F(NcclRanks, WhoGivesUpEndsTheOthers) {
  const auto begin = std::chrono::steady_clock::now();
  DeviceRanks ranks(nccl_, 4);
  ASSERT_TRUE(ranks.made) << ranks.made.error().message;
  const auto pass = [&](bool one_fails) {
    EXPECT_TRUE((*ranks.made)->use(ranks.buffers));
    std::atomic<int> ended = 0;
    ranks.threads.run([&](std::uint32_t rank) {
      if (one_fails && rank == 2) return ranks.meeting.abort({ErrorCode::kInternal, "rank 2 has no more", ""});
      OnDevice<float> x(*ranks.devices[rank], part_of_rank<float>(rank));
      const Result<void> done = ranks.of(rank).all_reduce(x.read(kDeviceWidth), x.rows(kDeviceWidth), false);
      if (done) return;
      EXPECT_THAT(done.error().message, HasSubstr("rank 2 has no more"));
      ++ended;
    });
    (void)ranks.meeting.reset();
    return ended.load();
  };
  EXPECT_EQ(pass(false), 0);
  EXPECT_EQ(pass(true), 3);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
  EXPECT_EQ(nccl_.count("ncclCommAbort"), 3U);
  EXPECT_EQ(pass(false), 0);                   // they came together anew
  EXPECT_EQ(nccl_.count("ncclCommAbort"), 4U); // the one that gave up had nothing to wait for
  EXPECT_EQ(nccl_.count("ncclCommInitRankConfig"), 8U);
}

TEST_F(NcclRanks, RanksThatAllStopHaveNothingToEnd) {
  DeviceRanks ranks(nccl_, 2);
  ASSERT_TRUE(ranks.made) << ranks.made.error().message;
  for (int pass = 0; pass < 3; ++pass) {
    ranks.threads.run([&](std::uint32_t) { ranks.meeting.abort({ErrorCode::kBadRequest, "such a step is not computed", ""}); });
    EXPECT_TRUE(ranks.meeting.reset());
    ranks.threads.run([&](std::uint32_t rank) {
      OnDevice<float> x(*ranks.devices[rank], part_of_rank<float>(rank));
      EXPECT_TRUE(ranks.of(rank).all_reduce(x.read(kDeviceWidth), x.rows(kDeviceWidth), false));
    });
  }
}

TEST_F(NcclRanks, WhatNcclHearsOfLaterEndsAllWithItsWords) {
  nccl_.fails_at_call = 1;
  DeviceRanks ranks(nccl_, 2);
  ASSERT_TRUE(ranks.made) << ranks.made.error().message;
  ranks.threads.run([&](std::uint32_t rank) {
    OnDevice<float> x(*ranks.devices[rank], part_of_rank<float>(rank));
    EXPECT_TRUE(ranks.of(rank).all_reduce(x.read(kDeviceWidth), x.rows(kDeviceWidth), false));
    const Result<void> done = ranks.of(rank).all_reduce(x.read(kDeviceWidth), x.rows(kDeviceWidth), false);
    ASSERT_FALSE(done);
    EXPECT_THAT(done.error().message, HasSubstr("remote process exited"));
    EXPECT_THAT(done.error().message, HasSubstr("rank "));
  });
  EXPECT_EQ(nccl_.count("ncclCommAbort"), 2U);
}

TEST_F(NcclRanks, WhoDoesNotComeTogetherSaysWhy) {
  nccl_.init_fails_on = 1;
  const DeviceRanks ranks(nccl_, 2);
  ASSERT_FALSE(ranks.made);
  EXPECT_THAT(ranks.made.error().message, HasSubstr("rank 1: ncclCommInitRankConfig"));
  nccl_.id_fails = true;
  const DeviceRanks without(nccl_, 2);
  ASSERT_FALSE(without.made);
  EXPECT_THAT(without.made.error().message, HasSubstr("no id"));
}

TEST_F(NcclRanks, BuffersThatHoldNothingOfEachRankAreRefused) {
  DeviceRanks ranks(nccl_, 4, 1, 16);
  ASSERT_TRUE(ranks.made);
  ASSERT_FALSE(ranks.used);
  EXPECT_THAT(ranks.used.error().message, HasSubstr("32 B"));
  EXPECT_FALSE((*ranks.made)->use({}));
}

TEST_F(NcclRanks, IdsComeFromTheFirstRankOfEachGroup) {
  ThreadGroup meeting(2);
  nccl_.others_are_elsewhere = true;
  NcclGroup::Ranks second{2, 1, {1}, {test::emulated_backend(false, nccl_.functions())}};
  std::string said;
  const auto gather = [&](std::string_view mine) -> Result<std::vector<std::string>> {
    said = mine;
    std::string first(mine.size(), '\0');
    first[0] = 7; // as the played one numbers them
    return std::vector<std::string>{first, std::string(mine)};
  };
  ASSERT_TRUE(NcclGroup::create(meeting, second, gather));
  EXPECT_EQ(said, std::string(said.size(), '\0')); // it makes none
  const auto garbled = [](std::string_view) -> Result<std::vector<std::string>> { return std::vector<std::string>{"", ""}; };
  const auto made = NcclGroup::create(meeting, second, garbled);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("rank 0 says 0 B"));
  const auto alone = [](std::string_view) -> Result<std::vector<std::string>> { return fail(ErrorCode::kInternal, "rank 0 has left"); };
  EXPECT_FALSE(NcclGroup::create(meeting, second, alone));
}

// Of two processes one is killed while the other waits for it.
TEST(NcclProcesses, WhoWaitsForOneThatIsLostEndsAndNamesIt) {
  const auto begin = std::chrono::steady_clock::now();
  const std::vector<int> codes = test::forked(2, [](Processes& joined) {
    test::PlayedNccl nccl;
    nccl.others_are_elsewhere = true;
    const std::shared_ptr<Processes> with(&joined, [](Processes*) {});
    ProcessGroup meeting(with, GroupShape{2, 1});
    const std::shared_ptr<Backend> device = test::emulated_backend(false, nccl.functions());
    const auto gather = [&](std::string_view mine) { return with->gather(mine); };
    const auto made = NcclGroup::create(meeting, {2, 1, {joined.rank()}, {device}}, gather);
    if (!made) return 1;
    if (!meeting.begin(7)) return 2;
    if (joined.rank() == 1) kill(getpid(), SIGKILL);
    OnDevice<float> x(*device, part_of_rank<float>(0));
    const Result<void> done = (*made)->communicator(0).all_reduce(x.read(kDeviceWidth), x.rows(kDeviceWidth), false);
    if (done || done.error().message.find("rank 1 (process ") != 0 || done.error().where != "rank 1") return 3;
    std::array<std::byte, 64> buffer{};
    if ((*made)->use({std::span(buffer)})) return 5; // for good
    return joined.lost() && nccl.count("ncclCommAbort") == 1 && nccl.wrongs().empty() ? 6 : 4;
  });
  EXPECT_THAT(codes, ElementsAre(6, -SIGKILL));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

TEST(NcclLibrary, WhatCannotBeLoadedIsNamed) {
  const auto none = open_nccl("/no/such/libnccl.so.2");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kBadRequest);
  EXPECT_THAT(none.error().message, HasSubstr("libnccl.so.2"));
  EXPECT_THAT(none.error().message, HasSubstr("--tp 1 --pp 1"));
  const auto other = open_nccl("libm.so.6");
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().message, HasSubstr("has no ncclGetVersion"));
}

TEST(NcclLibrary, AnEnvironmentThatMakesItTakeMoreIsRefused) {
  for (const char* const name : {"NCCL_BUFFSIZE", "NCCL_MAX_CTAS"}) {
    setenv(name, "33554432", 1);
    const auto loaded = load_nccl();
    unsetenv(name);
    ASSERT_FALSE(loaded);
    EXPECT_THAT(loaded.error().message, HasSubstr(std::string(name) + "=33554432"));
  }
}

TEST(NcclLibrary, IsFoundWhereItIs) {
  const auto loaded = load_nccl();
  if (!loaded) GTEST_SKIP() << loaded.error().message;
  int version = 0;
  EXPECT_EQ((*loaded)->get_version(&version), kNcclSuccess);
  EXPECT_GE(version, kLeastNcclVersion);
  EXPECT_NE((*loaded)->get_error_string(5), nullptr);
}

// Figures of the header, counted by hand: 384 MiB; a pair has one connection on each of four channels and 16 MiB for switches.
TEST(NcclMemory, IsBounded) {
  constexpr std::uint64_t kMiB = 1U << 20;
  EXPECT_EQ(nccl_bound_bytes(1, 1).saturated(), 0U);
  EXPECT_EQ(nccl_bound_bytes(2, 1).saturated(), (384 + 4 * (12 + 16)) * kMiB);
  EXPECT_EQ(nccl_bound_bytes(8, 1).saturated(), (384 + 4 * (5 * 12 + 64)) * kMiB);
  EXPECT_EQ(nccl_bound_bytes(1, 2).saturated(), (384 + 4 * 12) * kMiB);
  EXPECT_EQ(nccl_bound_bytes(2, 4).saturated(), (384 + 4 * (12 + 16) + 4 * 2 * 12) * kMiB);
}

} // namespace
} // namespace plimsoll::testing
