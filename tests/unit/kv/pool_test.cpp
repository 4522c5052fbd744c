// The KV pool: worked cases by group kind, and properties over random pools.
#include "kv/pool.hpp"

#include <gtest/gtest.h>
#include <random>

namespace plimsoll {
namespace {

std::int64_t number(Wide value) { return narrow(value).value_or(-1); }

KvPoolGroup full(std::uint64_t bytes) { return {CacheKind::kFull, bytes, 0, 0, 0, 1}; }
KvPoolGroup window(std::uint64_t bytes, std::uint64_t tokens) { return {CacheKind::kWindow, bytes, tokens, 0, 0, 1}; }
KvPoolGroup state(std::uint64_t bytes, std::uint64_t rows) { return {CacheKind::kState, 0, 0, 0, bytes, rows}; }
KvPoolGroup cross(std::uint64_t bytes, std::uint64_t tokens) { return {CacheKind::kCross, bytes, 0, tokens, 0, 1}; }

KvPool pool(std::vector<KvPoolGroup> groups, std::uint64_t slack = 0) {
  KvPoolSpec spec;
  spec.groups = std::move(groups);
  spec.slack_tokens = slack;
  return KvPool(std::move(spec));
}

TEST(KvPool, UniformPagesAreTheBudgetOverThePageOneOfThemNull) {
  const KvPool p = pool({full(16777216)});
  const KvPoolCut layout = p.cut(60129542144);
  EXPECT_EQ(layout.pages, 60129542144U / 16777216U);
  EXPECT_EQ(layout.capacity_tokens, (layout.pages - 1) * 128);
  EXPECT_EQ(number(layout.used_bytes + layout.unused_bytes), 60129542144);
  EXPECT_EQ(p.longest_request_tokens(60129542144), layout.capacity_tokens);
}

TEST(KvPool, OnePageNumberSpansFullAndLatentGroups) {
  const KvPool p = pool({full(100), {CacheKind::kLatent, 20, 0, 0, 0, 1}});
  EXPECT_EQ(number(p.request_bytes(129)), 2 * 120);
  EXPECT_EQ(number(p.null_bytes()), 120);
  EXPECT_TRUE(p.fits(360, 129, 1));
  EXPECT_FALSE(p.fits(359, 129, 1));
}

TEST(KvPool, WindowsSaturateOnePageAfterTheWindow) {
  const KvPool p = pool({full(10), window(100, 1024)});
  EXPECT_EQ(number(p.request_bytes(128)), 110);
  EXPECT_EQ(number(p.request_bytes(8 * 128)), 8 * 110);
  EXPECT_EQ(number(p.request_bytes(9 * 128)), 9 * 110);
  EXPECT_EQ(number(p.request_bytes(1000 * 128)), 1000 * 10 + 9 * 100);
}

TEST(KvPool, StatesCostTheirRowsWhateverTheLength) {
  const KvPool p = pool({full(10), state(1000, 2)});
  EXPECT_EQ(number(p.request_bytes(1)), 2010);
  EXPECT_EQ(number(p.request_bytes(128 * 5)), 2050);
  EXPECT_EQ(number(p.null_bytes()), 10);
}

TEST(KvPool, StatesAloneHoldAnyLength) {
  const KvPool p = pool({state(1000, 1)});
  EXPECT_EQ(p.longest_request_tokens(1000), UINT64_MAX);
  EXPECT_EQ(p.longest_request_tokens(999), std::nullopt);
  EXPECT_EQ(p.max_batch(5999, 1 << 20), 5U);
  EXPECT_EQ(p.cut(1000).capacity_tokens, std::nullopt);
  EXPECT_TRUE(p.cut(1000).fits);
  EXPECT_EQ(p.cut(1000).pages, 0U);
}

TEST(KvPool, WindowsAloneHoldAnyLengthOnceTheyFit) {
  const KvPool p = pool({window(10, 256)});
  EXPECT_EQ(p.longest_request_tokens(10 + 30), UINT64_MAX);
  EXPECT_EQ(p.longest_request_tokens(10 + 29), 256U);
  EXPECT_EQ(p.longest_request_tokens(10), std::nullopt);
  EXPECT_EQ(p.cut(1000, 2, 2).pages, 7U);
}

TEST(KvPool, CrossPagesAreFixed) {
  const KvPool p = pool({full(10), cross(7, 300)});
  EXPECT_EQ(number(p.request_bytes(1)), 10 + 21);
  EXPECT_EQ(number(p.null_bytes()), 17);
}

TEST(KvPool, SlackIsPartOfEveryRequest) {
  const KvPool p = pool({full(10)}, 11);
  EXPECT_EQ(number(p.request_bytes(128)), 20);
  EXPECT_EQ(p.longest_request_tokens(30), 2U * 128 - 11);
  EXPECT_EQ(p.longest_request_tokens(19), std::nullopt);
}

TEST(KvPool, CountsRequestsExactly) {
  const KvPool p = pool({full(10)});
  const KvRequestCount count = p.requests_that_fit(10 + 75, 256);
  EXPECT_EQ(count.whole(), 3U);
  EXPECT_EQ(number(count.numerator), 75);
  EXPECT_EQ(number(count.denominator), 20);
  EXPECT_EQ(p.requests_that_fit(5, 256).whole(), 0U);
}

TEST(KvPool, AnEmptyPoolCostsNothing) {
  const KvPool p = pool({});
  EXPECT_TRUE(p.requests_that_fit(0, 1000).unlimited);
  EXPECT_EQ(p.longest_request_tokens(0), UINT64_MAX);
  EXPECT_TRUE(p.cut(0).fits);
}

TEST(KvPool, ExtremesNeitherWrapNorHang) {
  const KvPool p =
      pool({full(UINT64_MAX), window(UINT64_MAX, UINT64_MAX), state(UINT64_MAX, UINT64_MAX), cross(UINT64_MAX, UINT64_MAX)}, UINT64_MAX);
  EXPECT_FALSE(p.fits(INT64_MAX, UINT64_MAX, UINT64_MAX));
  EXPECT_EQ(p.longest_request_tokens(INT64_MAX), std::nullopt);
  EXPECT_EQ(p.max_batch(INT64_MAX, UINT64_MAX), 0U);
  EXPECT_FALSE(p.cut(INT64_MAX, UINT64_MAX, UINT64_MAX).fits);
}

KvPool random_pool(std::mt19937_64& random) {
  const auto below = [&](std::uint64_t n) { return random() % n; };
  std::vector<KvPoolGroup> groups;
  for (std::uint64_t i = below(4) + 1; i > 0; --i) switch (below(6)) {
    case 0:
    case 1: groups.push_back(full(below(5000) + 1)); break;
    case 2: groups.push_back({CacheKind::kLatent, below(5000) + 1, 0, 0, 0, 1}); break;
    case 3: groups.push_back(window(below(5000) + 1, below(2000) + 1)); break;
    case 4: groups.push_back(state(below(20000) + 1, below(3) + 1)); break;
    default: groups.push_back(cross(below(500) + 1, below(1000) + 1)); break;
    }
  KvPoolSpec spec;
  spec.groups = std::move(groups);
  spec.page_tokens = below(300) + 1;
  spec.slack_tokens = below(3) == 0 ? below(20) : 0;
  return KvPool(std::move(spec));
}

TEST(KvPoolProperties, MoreTokensNeverNeedFewerBytes) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 2000; ++round) {
    const KvPool p = random_pool(random);
    const std::uint64_t length = random() % 100000;
    EXPECT_LE(number(p.request_bytes(length)), number(p.request_bytes(length + random() % 1000)));
  }
}

TEST(KvPoolProperties, MoreBudgetNeverGivesLess) {
  std::mt19937_64 random(2);
  for (int round = 0; round < 2000; ++round) {
    const KvPool p = random_pool(random);
    const auto budget = static_cast<std::int64_t>(random() % 3000000);
    const Wide more = budget + static_cast<std::int64_t>(random() % 5000);
    EXPECT_LE(p.longest_request_tokens(budget).value_or(0), p.longest_request_tokens(more).value_or(0));
    const std::uint64_t length = random() % 10000 + 1;
    EXPECT_LE(p.max_batch(budget, length), p.max_batch(more, length));
    const std::uint64_t sequences = random() % 5 + 1;
    EXPECT_LE(p.cut(budget, sequences, sequences).pages, p.cut(more, sequences, sequences).pages);
  }
}

TEST(KvPoolProperties, TheLongestFitsAndOneTokenMoreDoesNot) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 2000; ++round) {
    const KvPool p = random_pool(random);
    const Wide budget = static_cast<std::int64_t>(random() % 3000000);
    const auto longest = p.longest_request_tokens(budget);
    if (!longest) {
      EXPECT_FALSE(p.fits(budget, 1, 1));
      continue;
    }
    EXPECT_TRUE(p.fits(budget, *longest, 1));
    if (*longest != UINT64_MAX) {
      EXPECT_FALSE(p.fits(budget, *longest + 1, 1));
    }
  }
}

TEST(KvPoolProperties, TheBatchFitsAndOneRequestMoreDoesNot) {
  std::mt19937_64 random(4);
  for (int round = 0; round < 2000; ++round) {
    const KvPool p = random_pool(random);
    const Wide budget = static_cast<std::int64_t>(random() % 3000000);
    const std::uint64_t length = random() % 5000 + 1, batch = p.max_batch(budget, length);
    if (batch > 0) {
      EXPECT_TRUE(p.fits(budget, length, batch));
    }
    EXPECT_FALSE(p.fits(budget, length, batch + 1));
  }
}

TEST(KvPoolProperties, ALayoutStaysInItsBudgetAndAnotherPageWouldNot) {
  std::mt19937_64 random(5);
  int fitting = 0;
  for (int round = 0; round < 2000; ++round) {
    const KvPool p = random_pool(random);
    const Wide budget = static_cast<std::int64_t>(random() % 3000000);
    const KvPoolCut layout = p.cut(budget);
    if (!layout.fits) continue;
    ++fitting;
    EXPECT_GE(number(layout.unused_bytes), 0);
    if (p.grows()) {
      EXPECT_EQ(*layout.capacity_tokens, (layout.pages - 1) * p.spec().page_tokens);
      EXPECT_FALSE(p.fits(budget, *layout.capacity_tokens + 1, 1));
    }
  }
  EXPECT_GT(fitting, 1000);
}

} // namespace
} // namespace plimsoll
