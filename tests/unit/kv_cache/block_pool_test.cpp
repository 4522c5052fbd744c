// The block pool: the order in which pages are used again, keys, and what it refuses. Random operations are held against lists and maps.
#include <algorithm>
#include <gtest/gtest.h>
#include <list>
#include <map>
#include <random>

#include "plimsoll/kv_cache.hpp"
#include "unit/kv_cache/environment.hpp"

namespace plimsoll {
namespace {

using Pages = std::vector<PageId>;

Pages taken(BlockPool& pool, std::size_t count) {
  Pages out(count);
  EXPECT_TRUE(pool.allocate(out));
  return out;
}

BlockKey key(std::uint64_t number) { return {number, ~number}; }

TEST(BlockPool, StartsWithAllPagesInOrder) {
  BlockPool pool = BlockPool::create(4).value();
  EXPECT_EQ(pool.total_pages(), 4U);
  EXPECT_EQ(pool.free_pages(), 4U);
  EXPECT_EQ(pool.free_list(), (Pages{1, 2, 3, 4}));
  EXPECT_EQ(taken(pool, 3), (Pages{1, 2, 3}));
  EXPECT_EQ(pool.used_pages(), 3U);
  EXPECT_TRUE(pool.audit());
}

// Invariant 4: the null page is the list's sentinel.
TEST(BlockPool, NeverHandsOutTheNullPage) {
  BlockPool pool = BlockPool::create(2).value();
  EXPECT_EQ(taken(pool, 2), (Pages{1, 2}));
  Pages one(1);
  EXPECT_EQ(pool.allocate(one).error().code, ErrorCode::kInsufficientBlocks);
  const PageId null = kNullPage;
  EXPECT_EQ(pool.release({&null, 1}).error().code, ErrorCode::kBadRequest);
  EXPECT_EQ(pool.touch({&null, 1}).error().code, ErrorCode::kBadRequest);
  EXPECT_EQ(pool.publish(kNullPage, key(1)).error().code, ErrorCode::kBadRequest);
  EXPECT_FALSE(pool.is_free(kNullPage));
  BlockPool none = BlockPool::create(0).value();
  EXPECT_FALSE(none.allocate(one));
  EXPECT_TRUE(none.allocate({}));
  EXPECT_TRUE(none.audit());
}

// Invariant 11.
TEST(BlockPool, AllocatesAllOrNothing) {
  BlockPool pool = BlockPool::create(3).value();
  Pages four(4, 99);
  const auto refused = pool.allocate(four);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInsufficientBlocks);
  EXPECT_NE(refused.error().message.find("4 pages are needed and 3 of 3 are free"), std::string::npos) << refused.error().message;
  EXPECT_EQ(four, Pages(4, 99));
  EXPECT_EQ(pool.free_list(), (Pages{1, 2, 3}));
}

// Invariant 13: pages without a key are used first, the last freed before the earlier; those with one last, the longest free first.
TEST(BlockPool, FreesUnhashedPagesToTheFrontAndHashedOnesToTheEnd) {
  BlockPool pool = BlockPool::create(6).value();
  taken(pool, 5);
  for (const PageId page : {2U, 4U}) EXPECT_EQ(pool.publish(page, key(page)).value(), page);
  EXPECT_TRUE(pool.release(Pages{5, 4, 3, 2}));
  EXPECT_EQ(pool.free_list(), (Pages{5, 3, 6, 4, 2}));
  EXPECT_TRUE(pool.release(Pages{1}));
  EXPECT_EQ(pool.free_list(), (Pages{1, 5, 3, 6, 4, 2}));
  EXPECT_EQ(taken(pool, 5), (Pages{1, 5, 3, 6, 4}));
  EXPECT_EQ(pool.evictions(), 1U);
  EXPECT_EQ(pool.find(key(4)), kNullPage);
  EXPECT_EQ(pool.find(key(2)), 2U);
}

// Invariant 14: finding moves nothing, touching takes a page out of the free ones.
TEST(BlockPool, TouchesWhatIsFound) {
  BlockPool pool = BlockPool::create(3).value();
  taken(pool, 2);
  ASSERT_TRUE(pool.publish(1, key(1)) && pool.publish(2, key(2)));
  ASSERT_TRUE(pool.release(Pages{2, 1}));
  EXPECT_EQ(pool.find(key(2)), 2U);
  EXPECT_EQ(pool.free_list(), (Pages{3, 2, 1}));
  ASSERT_TRUE(pool.touch(Pages{2, 2}));
  EXPECT_EQ(pool.references(2), 2U);
  EXPECT_EQ(pool.free_list(), (Pages{3, 1}));
  ASSERT_TRUE(pool.release(Pages{2}));
  EXPECT_EQ(pool.free_pages(), 2U);
  ASSERT_TRUE(pool.release(Pages{2}));
  EXPECT_EQ(pool.free_list(), (Pages{3, 1, 2}));
  EXPECT_EQ(pool.touch(Pages{1, 4}).error().code, ErrorCode::kBadRequest);
  EXPECT_EQ(pool.references(1), 0U);
}

// Invariant 6.
TEST(BlockPool, ReleasesNothingWhereOnePageIsNobodys) {
  BlockPool pool = BlockPool::create(4).value();
  taken(pool, 3);
  for (const Pages& wrong : {Pages{1, 4}, Pages{1, 2, 2}, Pages{1, 9}, Pages{1, kNullPage}}) {
    EXPECT_EQ(pool.release(wrong).error().code, ErrorCode::kBadRequest);
    EXPECT_EQ(pool.references(1), 1U);
    EXPECT_EQ(pool.references(2), 1U);
    EXPECT_EQ(pool.free_list(), Pages{4});
  }
  ASSERT_TRUE(pool.touch(Pages{3}));
  EXPECT_TRUE(pool.release(Pages{3, 1, 3})); // twice held, twice given back
  EXPECT_EQ(pool.free_list(), (Pages{3, 1, 4}));
  EXPECT_TRUE(pool.audit());
}

// Invariants 9 and 10. What a caller does with the answer is its policy.
TEST(BlockPool, PublishesOncePerKeyAndPage) {
  BlockPool pool = BlockPool::create(4).value();
  taken(pool, 3);
  EXPECT_EQ(pool.publish(1, key(7)).value(), 1U);
  EXPECT_EQ(pool.publish(1, key(8)).error().code, ErrorCode::kBadRequest);
  EXPECT_EQ(pool.publish(4, key(8)).error().code, ErrorCode::kBadRequest);
  EXPECT_EQ(pool.publish(2, key(7)).value(), 1U);
  EXPECT_EQ(pool.key_of(2), std::nullopt);
  EXPECT_EQ(pool.key_of(1), key(7));
  EXPECT_EQ(pool.cached_pages(), 1U);
  // Sharing instead of keeping both.
  ASSERT_TRUE(pool.touch(Pages{1}) && pool.release(Pages{2}));
  EXPECT_EQ(pool.references(1), 2U);
  EXPECT_EQ(pool.free_list(), (Pages{2, 4}));
}

// Invariant 28.
TEST(BlockPool, ForgetsKeysAndNothingElse) {
  BlockPool pool = BlockPool::create(3).value();
  taken(pool, 2);
  ASSERT_TRUE(pool.publish(1, key(1)) && pool.publish(2, key(2)));
  ASSERT_TRUE(pool.release(Pages{2}));
  pool.forget_all();
  EXPECT_EQ(pool.cached_pages(), 0U);
  EXPECT_EQ(pool.find(key(1)), kNullPage);
  EXPECT_EQ(pool.references(1), 1U);
  EXPECT_EQ(pool.free_list(), (Pages{3, 2}));
  taken(pool, 2);
  EXPECT_EQ(pool.evictions(), 0U);
  EXPECT_EQ(pool.publish(1, key(1)).value(), 1U); // again, for good
  EXPECT_TRUE(pool.audit());
}

TEST(BlockPool, RefusesMorePagesThanItCanNumber) { EXPECT_EQ(BlockPool::create(kMaxPages + 1).error().code, ErrorCode::kBadRequest); }

// The same with lists and maps.
struct NaivePool {
  explicit NaivePool(PageId pages) : references(pages + 1) {
    for (PageId page = 1; page <= pages; ++page) free.push_back(page);
  }
  std::list<PageId> free;
  std::vector<std::uint32_t> references;
  std::map<PageId, std::uint64_t> key_of;
  std::map<std::uint64_t, PageId> page_of;

  void forget(PageId page) {
    if (const auto at = key_of.find(page); at != key_of.end()) {
      page_of.erase(at->second);
      key_of.erase(at);
    }
  }
  std::optional<Pages> allocate(std::size_t count) {
    if (count > free.size()) return std::nullopt;
    Pages out;
    while (out.size() < count) {
      out.push_back(free.front());
      forget(free.front());
      references[free.front()] = 1;
      free.pop_front();
    }
    return out;
  }
  bool release(const Pages& order) {
    std::vector<std::uint32_t> left = references;
    for (const PageId page : order)
      if (page == 0 || page >= left.size() || left[page]-- == 0) return false;
    Pages front;
    for (const PageId page : order) {
      if (left[page] > 0 || references[page] == 0) continue;
      references[page] = 0;
      if (key_of.contains(page)) free.push_back(page);
      else front.push_back(page);
    }
    free.insert(free.begin(), front.begin(), front.end());
    references = left;
    return true;
  }
  void touch(PageId page) {
    if (references[page]++ == 0) free.remove(page);
  }
};

// Invariants 1-6, 8-11: keys of few values, so that they collide, are evicted and come back.
TEST(BlockPoolProperty, BehavesAsListsAndMapsDo) {
  std::mt19937_64 random(testing::environment_number("PLIMSOLL_KV_SEED", 1));
  const std::uint64_t operations = testing::environment_number("PLIMSOLL_KV_OPERATIONS", testing::kOptimised ? 1'000'000 : 50'000);
  constexpr PageId kPages = 23;
  BlockPool pool = BlockPool::create(kPages).value();
  NaivePool naive(kPages);
  const auto below = [&](std::uint64_t end) { return random() % end; };
  // Buckets are few, so low bits that agree make long runs.
  const auto some_key = [&] { return BlockKey{below(6) * 64 + below(5), below(2)}; };
  const auto number = [](const BlockKey& k) { return k.low * 2 + k.high; };
  for (std::uint64_t i = 0; i < operations; ++i) {
    switch (below(6)) {
    case 0: {
      Pages out(below(6));
      const std::optional<Pages> expected = naive.allocate(out.size());
      ASSERT_EQ(pool.allocate(out).has_value(), expected.has_value()) << i;
      if (expected) {
        ASSERT_EQ(out, *expected) << i;
      }
      break;
    }
    case 1:
    case 2: {
      Pages order(below(6));
      for (PageId& page : order) page = static_cast<PageId>(below(kPages + 2));
      ASSERT_EQ(pool.release(order).has_value(), naive.release(order)) << i;
      break;
    }
    case 3: {
      const auto page = static_cast<PageId>(1 + below(kPages));
      naive.touch(page);
      ASSERT_TRUE(pool.touch({&page, 1})) << i;
      break;
    }
    case 4: {
      const auto page = static_cast<PageId>(1 + below(kPages));
      const BlockKey k = some_key();
      const bool may = naive.references[page] > 0 && !naive.key_of.contains(page);
      const auto got = pool.publish(page, k);
      ASSERT_EQ(got.has_value(), may) << i;
      if (!may) break;
      const auto [at, is_new] = naive.page_of.try_emplace(number(k), page);
      if (is_new) naive.key_of[page] = number(k);
      ASSERT_EQ(*got, at->second) << i;
      break;
    }
    default: {
      const BlockKey k = some_key();
      const auto at = naive.page_of.find(number(k));
      ASSERT_EQ(pool.find(k), at == naive.page_of.end() ? kNullPage : at->second) << i;
      if (below(2'000) == 0) {
        pool.forget_all();
        naive.key_of.clear();
        naive.page_of.clear();
      }
    }
    }
    ASSERT_EQ(pool.free_pages(), naive.free.size()) << i;
    if (i % 8 != 0) continue;
    ASSERT_EQ(pool.free_list(), Pages(naive.free.begin(), naive.free.end())) << i;
    ASSERT_EQ(pool.cached_pages(), naive.key_of.size()) << i;
    const auto audited = pool.audit();
    ASSERT_TRUE(audited) << i << ": " << audited.error().message;
  }
}

} // namespace
} // namespace plimsoll
