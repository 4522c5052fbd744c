// The `unified` layout: blocks of one size for Qwen3-Next's states, for windows, for compressed caches in slabs.
#include "kv/layouts/unified.hpp"

#include <gtest/gtest.h>

#include "unit/kv/hand_made.hpp"

namespace plimsoll {
namespace {

class Unified : public HandMade {
public:
  explicit Unified(std::uint64_t page_tokens) : HandMade(KvLayoutKind::kUnified, page_tokens) {
    rules.null_pages = 0;
    rules.demand_limited = false;
  }
};

// Qwen3-Next-80B on two ranks: 12 attention layers of one head of 256 elements, 1,024 B a token; 36 recurrent ones of 16 heads of
// 128 x 128 elements and three rows of 4,096 convolved ones, 548,864 B. Blocks grow in steps of 16 tokens to 544, of which one
// layer's page, 557,056 B, holds a state. Groups of 12 layers: one of attention, three of states; 6,684,672 B a block.
class QwenNext : public Unified {
public:
  QwenNext() : Unified(16) { full(12, 1024).state(36, 2 * (16 * 128 * 128 + 3 * 4096)); }
};

TEST(UnifiedLayout, BlocksGrowUntilTheyHoldAState) {
  QwenNext made;
  const auto layout = made.layout();
  EXPECT_EQ(layout->page_tokens(), 544U);
  EXPECT_EQ(layout->block_bytes(), 6'684'672U);
  EXPECT_EQ(layout->pages_of_request(262'144), 482 + 3);
  EXPECT_EQ(layout->pages_of_request(1), 4);
  const Wide room = 47'878'721'024; // printed, with 7,162 blocks, 973,760 tokens and 14.77 requests
  const KvCut cut = layout->cut(room, {}, kWideMax);
  EXPECT_EQ(cut.pages, 7162U);
  EXPECT_EQ(layout->group_tokens(cut.pages), 973'760U); // 7,162 / 4 x 544
  EXPECT_EQ(cut.used_bytes, 7162 * Wide{6'684'672});
  EXPECT_NEAR(layout->requests_held(cut, {}, 262'144).ratio(), 14.77, 0.005);
  EXPECT_EQ(layout->requests_that_fit(room, 262'144).whole(), 14U);
  // 7,162 - 3 blocks of 544 tokens.
  EXPECT_EQ(layout->longest_request_tokens(room, 1), 7159U * 544);
}

TEST(UnifiedLayout, ACachedPrefixKeepsASecondRow) {
  QwenNext made;
  made.rules.prefix_caching = true;
  made.rules.state_rows = 2;
  EXPECT_EQ(made.layout()->pages_of_request(1), 1 + 3 * 2);
  made.rules.state_rows_per_draft_token = 1;
  made.input.draft_tokens = 2;
  EXPECT_EQ(made.layout()->pages_of_request(1), 1 + 3 * 4);
}

// gpt-oss-120b on four ranks: 18 layers that see all, 18 with a window of 128 tokens; two heads of 64 elements, 512 B. One block
// is 16 tokens x 512 B x 18 layers. 16,384 tokens take 1,024 and, with 2,048 in flight, ceil((127 + 2,048) / 16) + 1 = 137.
TEST(UnifiedLayout, WindowsAreAGroupOfTheirOwn) {
  Unified made(16);
  made.full(18, 512).window(18, 512, 128);
  made.input.max_batch_input_tokens = 2048;
  const auto layout = made.layout();
  EXPECT_EQ(layout->block_bytes(), 147'456U);
  EXPECT_EQ(layout->pages_of_request(16'384), 1024 + 137);
  EXPECT_EQ(layout->pages_of_request(100), 7 + 8); // the window holds what there is, and one block more
  made.input.max_batch_input_tokens = 2049;
  EXPECT_EQ(made.layout()->pages_of_request(16'384), 1024 + 137); // 2,176 tokens fill 136: the window counts the token it is for
  made.input.max_batch_input_tokens = 2048;
  made.rules.unified.in_flight_batches = 2;
  EXPECT_EQ(made.layout()->pages_of_request(16'384), 1024 + 265); // ceil((127 + 4,096) / 16) + 1
  made.rules.unified.window_extra_pages = 0;
  EXPECT_EQ(made.layout()->pages_of_request(16'384), 1024 + 264);
  made.rules.windows = false; // all grow: one group, whose block is the sum
  EXPECT_EQ(made.layout()->pages_of_request(16'384), 1024);
  EXPECT_EQ(made.layout()->block_bytes(), 2 * 147'456U);
}

TEST(UnifiedLayout, ChunksHoldNoTokenOfTheOneBefore) {
  Unified made(16);
  made.full(18, 512).chunk(18, 512, 128);
  made.input.max_batch_input_tokens = 16;
  EXPECT_EQ(made.layout()->pages_of_request(16'384), 1024 + 9); // ceil((128 + 16) / 16)
}

// Where a kind's pages differ: the smaller one takes more tokens if that divides, else it is padded.
TEST(UnifiedLayout, PagesAreBroughtToOneSize) {
  struct Row {
    std::uint64_t full_bytes, window_bytes, full_tokens, window_tokens, page_bytes;
  };
  for (const Row& row :
       {Row{4096, 4096, 16, 16, 65'536}, {4096, 8192, 32, 16, 131'072}, {8192, 2048, 16, 64, 131'072}, {4096, 10'240, 16, 16, 163'840}}) {
    Unified made(16);
    made.full(5, row.full_bytes).window(5, row.window_bytes, 1024);
    const auto layout = made.layout();
    EXPECT_EQ(layout->group_page_tokens(0), row.full_tokens) << row.full_bytes << " " << row.window_bytes;
    EXPECT_EQ(layout->group_page_tokens(1), row.window_tokens) << row.full_bytes << " " << row.window_bytes;
    EXPECT_EQ(layout->page_tokens(), row.full_tokens);
    EXPECT_EQ(layout->block_bytes(), 5 * row.page_bytes) << row.full_bytes << " " << row.window_bytes;
    EXPECT_EQ(layout->page_bytes(), std::vector<std::uint64_t>(2, 5 * row.page_bytes));
  }
}

// Groups are as large as the rarest kind, or as the commonest where that is less than half as much again.
TEST(UnifiedLayout, LayersAreDealtIntoEqualGroups) {
  struct Row {
    std::uint64_t full_layers, window_layers, group_layers, groups;
  };
  for (const Row& row : {Row{10, 50, 10, 1 + 5}, {10, 52, 10, 1 + 6}, {10, 14, 14, 2}, {10, 15, 10, 1 + 2}, {14, 10, 14, 2}}) {
    Unified made(16);
    made.full(row.full_layers, 256).window(row.window_layers, 256, 1024);
    const auto layout = made.layout();
    EXPECT_EQ(layout->block_bytes(), row.group_layers * 16 * 256) << row.full_layers << "+" << row.window_layers;
    EXPECT_EQ(layout->group_tokens(600 * row.groups), 600U * 16) << row.full_layers << "+" << row.window_layers;
  }
}

// DeepSeek-V3.2 in 8 bits: 61 latents of 656 B and as many indexer keys of 132 B share pages of 64 tokens: 3,076,352 B.
TEST(UnifiedLayout, WhatAllGrowsSharesOneBlock) {
  Unified made(64);
  made.latent(61, 656).full(61, 132);
  const auto layout = made.layout();
  EXPECT_EQ(layout->block_bytes(), 64U * 48'068);
  EXPECT_EQ(layout->page_bytes(), (std::vector<std::uint64_t>{64 * 61 * 656, 64 * 61 * 132}));
  EXPECT_EQ(layout->pages_of_request(129), 3);
  EXPECT_EQ(layout->cut(Wide{64} * 48'068 * 10 + 5, {}, kWideMax).capacity_tokens, 640U);
}

TEST(UnifiedLayout, TokensOfARequestMayBeSpreadOverRanks) {
  Unified made(16);
  made.full(32, 512);
  made.rules.decode_context_parallel = 8;
  const auto layout = made.layout();
  EXPECT_EQ(layout->pages_of_request(128), 1);
  EXPECT_EQ(layout->pages_of_request(129), 2);
  EXPECT_EQ(layout->cut(Wide{16} * 32 * 512 * 10, {}, kWideMax).capacity_tokens, 1280U);
  EXPECT_EQ(layout->group_tokens(10), 1280U);
}

TEST(UnifiedLayout, TheNullBlockHoldsNoRequest) {
  Unified made(16);
  made.full(1, 64);
  made.rules.null_pages = 1;
  const auto layout = made.layout();
  EXPECT_EQ(layout->request_bytes(32), 3 * 1024);
  const KvCut cut = layout->cut(10 * 1024, {}, kWideMax);
  EXPECT_EQ(cut.pages, 10U);
  EXPECT_EQ(cut.capacity_tokens, 144U);
  EXPECT_EQ(layout->requests_held(cut, {}, 48).whole(), 3U);
  EXPECT_FALSE(layout->cut(1024, {}, kWideMax).fits);
}

// Encoder tokens of a request: ceil(1,500 / 16) = 94 blocks from the start.
TEST(UnifiedLayout, CrossAttentionTakesItsBlocksAtOnce) {
  Unified made(16);
  made.full(4, 256).cross(4, 256, 1500);
  EXPECT_EQ(made.layout()->pages_of_request(1), 1 + 94);
}

// DeepSeek-V4-Flash, 256 tokens a block: 21 layers keep every fourth token and an index of it, 20 every 128th; 43 windows of 128;
// rows of the last 8 and 128 tokens. Pages padded to 576 B: 37,440, 8,640 and 1,728 B. See slabs() for why 22 slots.
class UnifiedV4Flash : public Unified {
public:
  UnifiedV4Flash() : Unified(256) {
    compressed(21, 584, 4).compressed(21, 132, 4).compressed(20, 584, 128).window(43, 584, 128);
    rows(21, {8192, 2048}, 8).rows(20, {4096}, 128);
    rules.unified.slab_alignment_bytes = 576;
    input.max_batch_input_tokens = 16'384;
  }
};

TEST(UnifiedLayout, SlabsHoldPagesOfEverySize) {
  UnifiedV4Flash made;
  const auto layout = made.layout();
  EXPECT_EQ(layout->block_bytes(), 1'051'776U); // 22 x (37,440 + 8,640 + 1,728)
  EXPECT_EQ(layout->pages_of_request(30'000), 118 + 2 * 259 + 4099 + 2065);
  for (const auto& [group, tokens] : {std::pair{0U, 256U}, {1U, 256U}, {2U, 256U}, {3U, 64U}, {4U, 4U}, {5U, 8U}})
    EXPECT_EQ(layout->group_page_tokens(group), tokens) << group;
  EXPECT_EQ(layout->page_bytes().at(0), 21U * 37'440);
  EXPECT_EQ(layout->page_bytes().at(2), 20U * 1728);
  const KvCut cut = layout->cut(Wide{6800} * 1'051'776, {}, kWideMax);
  EXPECT_EQ(cut.pages, 6800U);
  EXPECT_EQ(layout->requests_held(cut, {}, 30'000).whole(), 1U);
  EXPECT_EQ(layout->longest_request_tokens(Wide{5554} * 1'051'776, 1), 13'528U); // printed, of 5.44 GiB
}

// All blocks are stated with the first group, whose bytes are the whole.
TEST(UnifiedLayout, GroupsShareTheirBlocks) {
  QwenNext made;
  const auto layout = made.layout();
  const KvCut cut = layout->cut(Wide{6'684'672} * 100, {}, kWideMax);
  const std::vector<KvGroupShare> shares = layout->shares(cut, {});
  ASSERT_EQ(shares.size(), 2U);
  EXPECT_EQ(shares[0].bytes, cut.used_bytes);
  EXPECT_EQ(shares[1].bytes, 0);
  EXPECT_EQ(shares[0].pages, 100U);
  EXPECT_EQ(shares[1].pages, 100U);
}

TEST(UnifiedLayout, AStageWithoutCachesCostsNothing) {
  Unified made(16);
  made.full(0, 512);
  const auto layout = made.layout();
  EXPECT_EQ(layout->longest_request_tokens(0, 1), UINT64_MAX);
  EXPECT_TRUE(layout->requests_that_fit(0, 100).unlimited);
  EXPECT_TRUE(layout->cut(0, {}, kWideMax).fits);
}

} // namespace
} // namespace plimsoll
