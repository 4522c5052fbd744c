// What every layout promises, over random memories made by hand: the longest request is the longest, shares are the cut, more memory
// never holds less, what is held fits.
#include "kv/layout.hpp"

#include <gtest/gtest.h>

#include "unit/kv/hand_made.hpp"

namespace plimsoll {
namespace {

constexpr int kRounds = 1500;

struct Kind {
  const char* name;
  KvLayoutKind kind;
};
void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

class EveryLayout : public ::testing::TestWithParam<Kind> {
protected:
  static KvLayoutKind kind() { return GetParam().kind; }
  std::unique_ptr<HandMade> next() { return random_memory(kind(), random_); }
  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  Wide budget() { return static_cast<Wide>(below(30'000'000)) - 1000; }
  KvDemand demand(const HandMade& made) {
    // A context of cells is one for the slots it was made for; the split layout's rows are for a batch that was given.
    return demand_of(kind() == KvLayoutKind::kCells ? made.input.sequences : below(6) + 1, below(3000) + 1, below(2) == 0);
  }

  std::mt19937_64 random_{17};
};

TEST_P(EveryLayout, ALongerRequestNeverTakesLess) {
  for (int round = 0; round < kRounds; ++round) {
    const auto made = next();
    const auto layout = made->layout();
    const std::uint64_t length = below(20'000) + 1, longer = length + below(500);
    ASSERT_LE(layout->request_bytes(length), layout->request_bytes(longer)) << round << ": " << length << " " << longer;
    ASSERT_LE(layout->pages_of_request(length), layout->pages_of_request(longer)) << round;
  }
}

TEST_P(EveryLayout, TheLongestRequestFitsAndOneTokenMoreDoesNot) {
  for (int round = 0; round < kRounds; ++round) {
    const auto made = next();
    const auto layout = made->layout();
    const Wide room = budget();
    const auto longest = layout->longest_request_tokens(room, 1);
    if (kind() == KvLayoutKind::kSplit) { // the memory is divided once: what the pools of tokens hold
      const KvCut cut = layout->cut(room, {}, kWideMax);
      ASSERT_EQ(longest.has_value(), cut.fits) << round;
      if (longest) {
        ASSERT_LE(*longest, cut.capacity_tokens.value_or(UINT64_MAX)) << round;
        ASSERT_GE(layout->requests_held(cut, {}, *longest).whole(), 1U) << round;
      }
      if (longest && *longest < UINT64_MAX) {
        ASSERT_EQ(layout->requests_held(cut, {}, *longest + 1).whole(), 0U) << round;
      }
      continue;
    }
    if (!longest) {
      ASSERT_GT(layout->request_bytes(1), room) << round;
      continue;
    }
    ASSERT_LE(layout->request_bytes(std::min<std::uint64_t>(*longest, 1ULL << 40)), room) << round;
    if (*longest < UINT64_MAX) {
      ASSERT_GT(layout->request_bytes(*longest + 1), room) << round << ": " << *longest;
    }
  }
}

TEST_P(EveryLayout, TheLeastRoomSufficesAndOneByteLessDoesNot) {
  for (int round = 0; round < kRounds / 3; ++round) {
    const auto made = next();
    const auto layout = made->layout();
    const KvDemand wanted = demand(*made);
    const std::uint64_t length = kind() == KvLayoutKind::kCells ? wanted.length_tokens : below(3000) + 1;
    const Wide least = layout->least_room_bytes(length, wanted);
    const auto suffices = [&](Wide room) {
      return layout->longest_request_tokens(room, wanted.sequences).value_or(0) >= length && layout->cut(room, wanted, kWideMax).fits;
    };
    ASSERT_TRUE(suffices(least) || least >= kBeyondAnyMemory) << round; // a share of nothing never holds a state
    ASSERT_FALSE(suffices(least - 1)) << round;
  }
}

TEST_P(EveryLayout, TheSharesAreTheCut) {
  int fitting = 0;
  for (int round = 0; round < kRounds; ++round) {
    const auto made = next();
    const auto layout = made->layout();
    const Wide room = budget();
    const KvDemand wanted = demand(*made);
    const KvCut cut = layout->cut(room, wanted, kWideMax);
    if (!cut.fits) continue;
    ++fitting;
    ASSERT_LE(cut.used_bytes, std::max<Wide>(0, room)) << round;
    const std::vector<KvGroupShare> shares = layout->shares(cut, wanted);
    const std::vector<std::uint64_t> page_bytes = layout->page_bytes();
    ASSERT_EQ(shares.size(), made->prices.size());
    ASSERT_EQ(page_bytes.size(), made->prices.size());
    Wide sum = 0;
    for (std::size_t i = 0; i < shares.size(); ++i) {
      sum += shares[i].bytes;
      ASSERT_GE(shares[i].bytes, 0) << round;
      ASSERT_LE(shares[i].null_pages, shares[i].pages) << round;
      if (layout->block_bytes() > 0 || made->prices[i].group->kind == CacheKind::kState) continue;
      ASSERT_EQ(shares[i].bytes, static_cast<Wide>(shares[i].pages) * static_cast<Wide>(page_bytes[i])) << round << " group " << i;
    }
    ASSERT_EQ(sum, cut.used_bytes) << round;
    if (layout->block_bytes() > 0) {
      ASSERT_EQ(sum, static_cast<Wide>(cut.pages) * static_cast<Wide>(layout->block_bytes())) << round;
    }
  }
  EXPECT_GT(fitting, kRounds / 2);
}

TEST_P(EveryLayout, StatesAreRowsOfTheBatch) {
  for (int round = 0; round < kRounds; ++round) {
    const auto made = next();
    const auto layout = made->layout();
    if (layout->block_bytes() > 0) continue;
    const KvDemand wanted = demand(*made);
    const KvCut cut = layout->cut(budget(), wanted, kWideMax);
    if (!cut.fits) continue;
    const std::vector<KvGroupShare> shares = layout->shares(cut, wanted);
    for (std::size_t i = 0; i < shares.size(); ++i) {
      if (made->prices[i].group->kind != CacheKind::kState) continue;
      ASSERT_EQ(shares[i].bytes, static_cast<Wide>(shares[i].state_rows) * static_cast<Wide>(made->prices[i].state_bytes)) << round;
      if (cut.state_rows) continue;
      ASSERT_EQ(shares[i].state_rows, wanted.sequences * made->rules.rows_per_sequence(made->input.draft_tokens)) << round;
    }
  }
}

TEST_P(EveryLayout, MoreMemoryNeverHoldsLess) {
  for (int round = 0; round < kRounds; ++round) {
    const auto made = next();
    const auto layout = made->layout();
    const Wide room = budget(), more = room + static_cast<Wide>(below(100'000));
    const KvDemand wanted = demand(*made);
    const KvCut before = layout->cut(room, wanted, kWideMax), after = layout->cut(more, wanted, kWideMax);
    ASSERT_LE(before.state_rows.value_or(0), after.state_rows.value_or(0)) << round;
    const std::uint64_t length = below(5000) + 1;
    ASSERT_FALSE(layout->requests_that_fit(room, length) < layout->requests_that_fit(room, length + below(300))) << round;
    // Where states have a share, the next row may take more than was added, and comes before any page.
    if (before.state_rows) continue;
    ASSERT_LE(before.fits, after.fits) << round;
    ASSERT_LE(before.pages, after.pages) << round;
    ASSERT_LE(before.capacity_tokens.value_or(0), after.capacity_tokens.value_or(0)) << round;
    ASSERT_LE(layout->longest_request_tokens(room, 1).value_or(0), layout->longest_request_tokens(more, 1).value_or(0)) << round;
    ASSERT_FALSE(layout->requests_that_fit(more, length) < layout->requests_that_fit(room, length)) << round;
  }
}

TEST_P(EveryLayout, OtherRanksCapThePages) {
  if (kind() == KvLayoutKind::kCells) GTEST_SKIP() << "a context is as large as it was asked for";
  for (int round = 0; round < kRounds; ++round) {
    const auto made = next();
    const auto layout = made->layout();
    const Wide room = budget();
    const KvDemand wanted = demand(*made);
    const KvCut alone = layout->cut(room, wanted, kWideMax);
    const std::uint64_t most = below(alone.pages + 2);
    const KvCut capped = layout->cut(room, wanted, static_cast<Wide>(most));
    ASSERT_LE(capped.pages, std::max(most, made->rules.null_pages)) << round;
    ASSERT_LE(capped.pages, alone.pages) << round;
    if (alone.fits && capped.fits) {
      ASSERT_LE(capped.used_bytes, alone.used_bytes) << round;
    }
  }
}

// Requests of a batch that a cut for it holds fit together, however they would be placed.
TEST_P(EveryLayout, WhatIsHeldFits) {
  for (int round = 0; round < kRounds; ++round) {
    const auto made = next();
    const auto layout = made->layout();
    const Wide room = budget();
    KvDemand wanted = demand(*made);
    wanted.limited = false;
    if (kind() == KvLayoutKind::kSplit) wanted = {};
    const std::uint64_t length = kind() == KvLayoutKind::kCells ? wanted.length_tokens : below(3000) + 1;
    const KvCut cut = layout->cut(room, wanted, kWideMax);
    const KvRequestCount held = layout->requests_held(cut, wanted, length), fit = layout->requests_that_fit(room, length);
    if (!cut.fits) continue;
    if (kind() == KvLayoutKind::kCells) {
      ASSERT_TRUE(held.unlimited || held.whole() == 1) << round << ": a context holds what it was made for";
    } else if (kind() == KvLayoutKind::kGrouped) { // windows and states are there for the batch
      ASSERT_LE(std::min(held.whole(), wanted.sequences), fit.whole()) << round;
    } else {
      ASSERT_EQ(held.whole(), fit.whole()) << round;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Layouts, EveryLayout,
                         ::testing::Values(Kind{"Grouped", KvLayoutKind::kGrouped}, Kind{"Unified", KvLayoutKind::kUnified},
                                           Kind{"Split", KvLayoutKind::kSplit}, Kind{"Cells", KvLayoutKind::kCells}),
                         [](const auto& info) { return info.param.name; });

TEST(CellsOfSlots, ThatFitAreAContextThatFits) {
  std::mt19937_64 random(31);
  for (int round = 0; round < kRounds; ++round) {
    const auto made = random_memory(KvLayoutKind::kCells, random);
    const auto layout = made->layout();
    const Wide room = static_cast<Wide>(random() % 30'000'000);
    const std::uint64_t length = random() % 3000 + 1, slots = layout->requests_that_fit(room, length).whole();
    if (slots > 0) {
      ASSERT_TRUE(layout->cut(room, demand_of(slots, slots * length), kWideMax).fits) << round;
    }
    ASSERT_FALSE(layout->cut(room, demand_of(slots + 1, (slots + 1) * length), kWideMax).fits) << round;
  }
}

TEST(Largest, FindsTheLastOfARun) {
  for (std::uint64_t last : {0ULL, 1ULL, 6ULL, 99ULL, 100ULL}) EXPECT_EQ(largest(100, [&](std::uint64_t n) { return n <= last; }), last);
  EXPECT_EQ(largest(UINT64_MAX, [](std::uint64_t) { return true; }), UINT64_MAX);
}

} // namespace
} // namespace plimsoll
