// What is made of a geometry: tables, pools, places of layers; and geometries that cannot be.
#include "kv_cache/cache_layout.hpp"

#include <array>
#include <functional>
#include <gtest/gtest.h>

#include "kv_cache/block_packing.hpp"
#include "plimsoll/limits.hpp"
#include "unit/kv_cache/geometries.hpp"

namespace plimsoll {
namespace {

using testing::apart;
using testing::named;
using testing::paged;
using testing::sharing;
using testing::states;

CacheLayout layout_of(const std::string& name) { return CacheLayout::of(named(name).geometry, named(name).options).value(); }

TEST(CacheLayout, FullAndLatentGroupsOfOnePageSizeAreOneTable) {
  const CacheLayout layout = layout_of("full_and_latent");
  ASSERT_EQ(layout.tables.size(), 1U);
  EXPECT_EQ(layout.tables[0].groups, (std::vector<std::size_t>{0, 1}));
  EXPECT_EQ(layout.n_pools, 1U);
  EXPECT_EQ(layout_of("gemma").n_pools, 2U);
  EXPECT_EQ(layout_of("two_windows").n_pools, 3U);
  EXPECT_EQ(layout_of("hybrid").tables.size(), 1U);
  EXPECT_EQ(layout_of("shared_gemma").n_pools, 1U);
}

TEST(CacheLayout, AHitEndsWhereAPageOfEveryTableDoes) {
  EXPECT_EQ(layout_of("dense").hit_alignment_tokens, 4U);
  EXPECT_EQ(layout_of("shared_unlike_pages").hit_alignment_tokens, 8U);
  const KvGeometry odd = sharing({paged("a", CacheKind::kFull, 6, 1), paged("b", CacheKind::kWindow, 4, 1, 9)}, 9, 96);
  EXPECT_EQ(CacheLayout::of(odd, {}).value().hit_alignment_tokens, 12U);
  const KvGeometry far =
      sharing({paged("a", CacheKind::kFull, 1'048'573, 1), paged("b", CacheKind::kWindow, 1'048'571, 1, 9)}, 9, 1ULL << 40);
  EXPECT_EQ(CacheLayout::of(far, {}).value().hit_alignment_tokens, 1'048'573ULL * 1'048'571);
}

// The first token that one after `processed` can still see.
TEST(CacheLayout, KnowsWhatWindowsAndChunksSee) {
  TableSpec window;
  window.kind = CacheKind::kWindow;
  window.window_tokens = 10;
  TableSpec chunk = window, full = window;
  chunk.kind = CacheKind::kChunk;
  full.kind = CacheKind::kFull;
  for (const auto& [processed, by_window, by_chunk] :
       std::vector<std::array<std::uint64_t, 3>>{{0, 0, 0}, {9, 0, 0}, {10, 1, 10}, {11, 2, 10}, {19, 10, 10}, {20, 11, 20}}) {
    EXPECT_EQ(window.first_seen(processed), by_window) << processed;
    EXPECT_EQ(chunk.first_seen(processed), by_chunk) << processed;
    EXPECT_EQ(full.first_seen(processed), 0U) << processed;
  }
}

// Layer by layer, as the formula must say.
TEST(BlockPacking, DealsLayersIntoBlocksWithoutCuttingOne) {
  for (std::uint64_t block = 1; block < 40; ++block)
    for (std::uint64_t layer = 1; layer <= block; ++layer)
      for (std::uint64_t begun = 0; begun <= block; begun += 3) {
        BlockCursor slow{2, begun};
        for (std::uint64_t layers = 0; layers < 12; ++layers) {
          const BlockCursor fast = after_layers({2, begun}, layers, layer, block);
          ASSERT_EQ(fast.block, slow.block) << block << " " << layer << " " << begun << " " << layers;
          ASSERT_EQ(fast.offset_bytes, slow.offset_bytes) << block << " " << layer << " " << begun << " " << layers;
          const BlockCursor next = next_layer(slow, layer, block);
          ASSERT_LE(next.offset_bytes + layer, block);
          slow = {next.block, next.offset_bytes + layer};
        }
      }
}

// 5 layers of 64 B with windows in blocks of two: 2 + 2 + 1.
TEST(CacheLayout, PagesLargerThanABlockTakeSeveral) {
  const auto g = named("shared_gemma");
  const CacheLayout layout = layout_of("shared_gemma");
  EXPECT_EQ(layout.tables[0].lanes, 3U);
  EXPECT_EQ(layout.tables[1].lanes, 1U);
  EXPECT_EQ(layout.n_rows, 4U);
  const auto place = [&](std::size_t group, std::uint64_t layer) {
    const KvPlace p = place_of(g.geometry, layout, 0, group, layer);
    EXPECT_EQ(p.bytes, 64U);
    return std::pair<std::uint32_t, std::uint64_t>(p.lane, p.offset_bytes);
  };
  EXPECT_EQ(place(0, 1), std::pair(0U, 64UL));
  EXPECT_EQ(place(0, 2), std::pair(1U, 0UL));
  EXPECT_EQ(place(0, 4), std::pair(2U, 0UL));
  EXPECT_EQ(place(1, 1), std::pair(0U, 64UL));
}

// A block that holds all growing layers serves every group with one number.
TEST(CacheLayout, ABlockOfAllGroupsIsOnePageOfThemAll) {
  const CacheLayout layout = layout_of("shared_whole");
  ASSERT_EQ(layout.tables.size(), 1U);
  EXPECT_EQ(layout.tables[0].lanes, 1U);
  EXPECT_EQ(place_of(named("shared_whole").geometry, layout, 0, 1, 0).offset_bytes, 128U);
}

TEST(CacheLayout, StagesHaveTheSameNumbersAndPlacesOfTheirOwn) {
  const KvGeometry g = named("stages").geometry;
  const CacheLayout layout = layout_of("stages");
  EXPECT_EQ(layout.pools[0][0].pages, 33U) << "the rank without a draft does not count";
  EXPECT_EQ(place_of(g, layout, 0, 0, 2).offset_bytes, 128U);
  EXPECT_EQ(place_of(g, layout, 0, 1, 0).bytes, 0U);
  EXPECT_EQ(place_of(g, layout, 1, 1, 0).bytes, 64U);
}

// Rings that an engine keeps in its own pages are bytes without rows.
TEST(CacheLayout, StatesWithoutRowsAskForNone) {
  KvGeometry g = apart({states(2, 16, 1), paged("attention", CacheKind::kFull, 4, 1)}, {4, 9});
  g.pools[0].state_rows = 0;
  const CacheLayout layout = CacheLayout::of(g, {}).value();
  EXPECT_EQ(layout.n_state_rows, 0U);
  PagedKvManager kv = PagedKvManager::create(g).value();
  for (RequestId id = 0; id < 100; ++id) EXPECT_TRUE(kv.claim(id));
  EXPECT_EQ(kv.bytes(0), g.bytes(0));
}

TEST(CacheLayout, AModelThatCachesNothingIsServed) {
  KvGeometry g;
  g.stages.resize(1);
  g.stage_of_rank = {0};
  PagedKvManager kv = PagedKvManager::create(g).value();
  TextContext context = testing::context_of(1, testing::counting(9));
  ASSERT_TRUE(kv.claim(1));
  EXPECT_EQ(kv.alloc(context)->new_pages, 0U);
  EXPECT_EQ(kv.fitting_tokens(context).value(), 9U);
  const TextContext* one = &context;
  EXPECT_EQ(kv.runtime_inputs({&one, 1})->cache_lengths.size(), 1U);
  EXPECT_FALSE(kv.prefix_caching());
}

// Whatever a host makes by hand: an error, no crash and no unbounded memory.
TEST(CacheLayout, RefusesGeometriesThatCannotBe) {
  const auto full = [] { return apart({paged("attention", CacheKind::kFull, 4, 2)}, {9}, 2); };
  const auto window = [] { return apart({paged("window", CacheKind::kWindow, 4, 2, 9)}, {9}, 2); };
  const auto shared = [] { return sharing({paged("attention", CacheKind::kFull, 4, 2)}, 9, 128); };
  const auto state = [] { return apart({states(2, 16, 1)}, {4}, 2); };
  const auto group = [](KvGeometry& g) -> KvGroupGeometry& { return g.stages[0].groups[0]; };
  struct Case {
    const char* what;
    std::function<KvGeometry()> from;
    std::function<void(KvGeometry&, KvOptions&)> change;
  };
  const std::vector<Case> cases{
      {"has no rank", full, [](KvGeometry& g, KvOptions&) { g.stage_of_rank.clear(); }},
      {"2 ranks cannot be dealt to 3 replicas", full, [](KvGeometry&, KvOptions& o) { o.replicas = 3; }},
      {"2 ranks cannot be dealt to 0 replicas", full, [](KvGeometry&, KvOptions& o) { o.replicas = 0; }},
      {"contradicts itself", full, [](KvGeometry& g, KvOptions&) { g.pools.pop_back(); }},
      {"contradicts itself", full, [](KvGeometry& g, KvOptions&) { g.stage_of_rank[1] = 1; }},
      {"contradicts itself", full, [](KvGeometry& g, KvOptions&) { g.stages.emplace_back(); }},
      {"contradicts itself", full, [](KvGeometry& g, KvOptions&) { g.stages.clear(); }},
      {"pages of 0 tokens", full, [&](KvGeometry& g, KvOptions&) { group(g).page_tokens = 0; }},
      {"pages of 1048577 tokens", full, [&](KvGeometry& g, KvOptions&) { group(g).page_tokens = kMaxPageTokens + 1; }},
      {"9 pages, 10 of them null", full, [](KvGeometry& g, KvOptions&) { g.pools[1].null_pages = 10; }},
      {"pages, 268435456 are the most", full,
       [](KvGeometry& g, KvOptions&) {
         for (KvGroupPool& pool : g.pools) pool.pages = UINT64_MAX;
       }},
      {"a window of 0 tokens", window, [&](KvGeometry& g, KvOptions&) { group(g).window_tokens = 0; }},
      {"a window of", window, [&](KvGeometry& g, KvOptions&) { group(g).window_tokens = UINT64_MAX; }},
      {"encoder tokens", full, [&](KvGeometry& g, KvOptions&) { group(g).fixed_tokens = UINT64_MAX; }},
      {"layers, 1000000 are the most", full, [&](KvGeometry& g, KvOptions&) { group(g).n_layers = UINT64_MAX; }},
      {"differs between stages", full,
       [](KvGeometry& g, KvOptions&) {
         g.stages.push_back(g.stages[0]);
         g.stages[1].groups[0].page_tokens = 8;
       }},
      {"layers of 64 B in blocks of 63 B", shared, [](KvGeometry& g, KvOptions&) { g.stages[0].block_bytes = 63; }},
      {"layers of 64 B in blocks of 0 B", shared, [](KvGeometry& g, KvOptions&) { g.stages[0].block_bytes = 0; }},
      {"blocks for a page", shared,
       [&](KvGeometry& g, KvOptions&) {
         group(g).n_layers = 900'000;
         group(g).page_bytes = 900'000ULL * 128;
       }},
      {"rows a sequence", state, [&](KvGeometry& g, KvOptions&) { group(g).rows_per_sequence = UINT64_MAX; }},
      {"state rows, 268435456 are the most", state,
       [](KvGeometry& g, KvOptions&) {
         for (KvGroupPool& pool : g.pools) pool.state_rows = UINT64_MAX;
       }},
      {"tokens of slack", full, [](KvGeometry&, KvOptions& o) { o.slack_tokens = UINT64_MAX; }},
  };
  for (const Case& c : cases) {
    KvGeometry geometry = c.from();
    KvOptions options;
    c.change(geometry, options);
    const auto made = PagedKvManager::create(std::move(geometry), options);
    ASSERT_FALSE(made) << c.what;
    EXPECT_EQ(made.error().code, ErrorCode::kBadRequest) << c.what;
    EXPECT_NE(made.error().message.find(c.what), std::string::npos) << made.error().message << ", not: " << c.what;
  }
}

} // namespace
} // namespace plimsoll
