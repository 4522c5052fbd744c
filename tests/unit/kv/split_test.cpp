// The `split` layout: DeepSeek-V3.2's tokens, shares of states and windows, rings of the last tokens, cross attention.
#include "kv/layouts/split.hpp"

#include <gtest/gtest.h>

#include "unit/kv/hand_made.hpp"

namespace plimsoll {
namespace {

class Split : public HandMade {
public:
  explicit Split(std::uint64_t page_tokens) : HandMade(KvLayoutKind::kSplit, page_tokens) {
    rules.null_pages = 0;
    rules.demand_limited = false;
  }
};

// DeepSeek-V3.2 in 8 bits: latents of 656 B and indexer keys of 132 B on 61 layers, 48,068 B a token. 975,424 tokens were printed for
// 43.67 GiB, which is between 43.665 and 43.675.
TEST(SplitLayout, ATokenIsTheSumOfItsCaches) {
  Split made(64);
  made.latent(61, 656).full(61, 132);
  const auto layout = made.layout();
  const Wide room = Wide{975'424} * 48'068;
  EXPECT_NEAR(static_cast<double>(room) / 1073741824.0, 43.67, 0.005);
  const KvCut cut = layout->cut(room, {}, kWideMax);
  EXPECT_EQ(cut.pages, 15'241U);
  EXPECT_EQ(cut.capacity_tokens, 975'424U);
  EXPECT_EQ(cut.used_bytes, room);
  EXPECT_EQ(layout->longest_request_tokens(room, 1), 975'424U);
  EXPECT_EQ(layout->cut(room + 64 * 48'068 - 1, {}, kWideMax).capacity_tokens, 975'424U);
  EXPECT_EQ(layout->cut(room - 1, {}, kWideMax).capacity_tokens, 975'360U);
  EXPECT_EQ(layout->requests_that_fit(room, 163'840).whole(), 5U);
  EXPECT_FALSE(layout->cut(64 * 48'068 - 1, {}, kWideMax).fits);
  EXPECT_EQ(layout->longest_request_tokens(64 * 48'068 - 1, 1), std::nullopt);
}

// Attention of 8,192 B a token, a state of 1,000,000 B, three rows for each request. Of 95,000,000 B states get 0.9 / 1.9 =
// 45,000,000 B: 45 rows, one of them spare, for 14 requests; the rest is 6,103 tokens.
TEST(SplitLayout, StatesGetTheirShareFirst) {
  Split made(1);
  made.full(4, 2048).state(10, 100'000);
  made.rules.prefix_caching = true;
  made.rules.state_rows = 3;
  made.rules.split.state_ratio = 0.9;
  made.rules.split.spare_state_rows = 1;
  const auto layout = made.layout();
  const KvCut cut = layout->cut(95'000'000, {}, kWideMax);
  EXPECT_EQ(cut.state_rows, 44U);
  EXPECT_EQ(cut.most_sequences, 14U);
  EXPECT_EQ(cut.capacity_tokens, 50'000'000U / 8192);
  EXPECT_EQ(layout->requests_held(cut, {}, 1).whole(), 14U);
  EXPECT_EQ(layout->requests_held(cut, {}, 1000).whole(), 6U);
  const std::vector<KvGroupShare> shares = layout->shares(cut, {});
  EXPECT_EQ(shares[1].state_rows, 45U);
  EXPECT_EQ(shares[1].bytes, 45'000'000);
  made.rules.split.spare_state_rows = 0;
  EXPECT_EQ(made.layout()->cut(95'000'000, {}, kWideMax).state_rows, 45U);
}

TEST(SplitLayout, AGivenBatchWithoutPrefixCachingGetsJustItsRows) {
  Split made(1);
  made.full(4, 2048).state(10, 100'000);
  made.rules.split.state_ratio = 0.9;
  made.rules.split.spare_state_rows = 1;
  const auto layout = made.layout();
  const KvCut given = layout->cut(95'000'000, demand_of(5, 100), kWideMax);
  EXPECT_EQ(given.state_rows, 5U);
  EXPECT_EQ(given.most_sequences, 5U);
  EXPECT_EQ(given.capacity_tokens, (95'000'000U - 6'000'000) / 8192);
  KvDemand chosen = demand_of(5, 100);
  chosen.sequences_given = false;
  EXPECT_EQ(layout->cut(95'000'000, chosen, kWideMax).state_rows, 44U);
}

// Where nothing grows with the length, the rows alone decide: five of 1,000,000 B and the spare one.
TEST(SplitLayout, RowsOfAGivenBatchMayBeTooMany) {
  Split made(1);
  made.state(10, 100'000);
  made.rules.split.state_ratio = 0.9;
  made.rules.split.spare_state_rows = 1;
  const auto layout = made.layout();
  EXPECT_TRUE(layout->cut(6'000'000, demand_of(5, 100), kWideMax).fits);
  const KvCut cut = layout->cut(5'999'999, demand_of(5, 100), kWideMax);
  EXPECT_FALSE(cut.fits);
  EXPECT_EQ(cut.used_bytes, 6'000'000); // what is needed
}

TEST(SplitLayout, TooLittleForTheRowsOfOneRequest) {
  Split made(1);
  made.full(4, 2048).state(10, 100'000);
  made.rules.prefix_caching = true;
  made.rules.state_rows = 3;
  made.rules.split.state_ratio = 0.9;
  const auto layout = made.layout(); // 3,000,000 B are 0.9 / 1.9 of 6,333,333.3
  EXPECT_TRUE(layout->cut(6'333'334, {}, kWideMax).fits);
  EXPECT_FALSE(layout->cut(6'333'333, {}, kWideMax).fits);
  EXPECT_EQ(layout->longest_request_tokens(6'333'333, 1), std::nullopt);
}

// 1,000 B a token of full layers and 500 B of windows, of which 0.8 as many tokens are kept: a cell is 1,400 B.
TEST(SplitLayout, WindowsAreAPartOfTheTokens) {
  Split made(4);
  made.full(2, 500).window(1, 500, 128);
  made.rules.split.window_ratio = 0.8;
  const auto layout = made.layout();
  const KvCut cut = layout->cut(14'007'000, {}, kWideMax); // 10,005 cells in pages of 4
  EXPECT_EQ(cut.pages, 2501U);
  EXPECT_EQ(cut.capacity_tokens, 10'004U);
  const std::vector<KvGroupShare> shares = layout->shares(cut, {});
  EXPECT_EQ(shares[0].pages, 2501U);
  EXPECT_EQ(shares[1].pages, 2000U); // 8,003.2 tokens
  EXPECT_EQ(cut.used_bytes, Wide{2501} * 4000 + Wide{2000} * 2000);
  made.rules.windows = false;
  EXPECT_EQ(made.layout()->cut(14'007'000, {}, kWideMax).capacity_tokens, 9336U); // 1,500 B a token
}

// Pages of 256 and a tenth as many for windows of 128: a request of one page has a window of one, so ten pages serve one. Longer ones
// may keep two pages of the windows' pool, since a window begins anywhere, and run out of the others first from 20 pages on.
TEST(SplitLayout, WindowsMayRunOutBeforeThePages) {
  Split made(256);
  made.full(1, 1000).window(1, 1000, 128);
  made.rules.split.window_ratio = 0.1;
  const auto layout = made.layout();
  const Wide cell_of_a_page = Wide{256} * 1100;
  const auto served = [&](Wide pages, std::uint64_t length) {
    const Wide room = cell_of_a_page * pages;
    const KvRequestCount held = layout->requests_held(layout->cut(room, {}, kWideMax), {}, length);
    EXPECT_EQ(layout->requests_that_fit(room, length).whole(), held.whole());
    return held.whole();
  };
  EXPECT_EQ(served(1000, 128), 100U);
  EXPECT_EQ(served(1000, 256), 100U);
  EXPECT_EQ(served(1000, 257), 50U);
  EXPECT_EQ(served(1000, 20 * 256), 50U);
  EXPECT_EQ(served(1000, 21 * 256), 47U);
  // Too few pages have no window beside them, and then nothing is served.
  EXPECT_EQ(layout->longest_request_tokens(cell_of_a_page * 9, 1), std::nullopt);
  EXPECT_EQ(layout->longest_request_tokens(cell_of_a_page * 10, 1), 256U);
  EXPECT_EQ(layout->longest_request_tokens(cell_of_a_page * 20, 1), 20U * 256);
  EXPECT_EQ(layout->request_bytes(256), cell_of_a_page * 10);
  EXPECT_EQ(layout->request_bytes(257), cell_of_a_page * 20);
}

TEST(SplitLayout, WindowsAloneAreAllThereIs) {
  Split made(1);
  made.window(10, 100, 128);
  made.rules.split.window_ratio = 0.8;
  const auto layout = made.layout();
  const KvCut cut = layout->cut(100'000, {}, kWideMax);
  EXPECT_EQ(cut.capacity_tokens, 100U);
  EXPECT_EQ(layout->shares(cut, {})[0].pages, 100U);
}

TEST(SplitLayout, StatesAloneSetNoBoundOnTheLength) {
  Split made(1);
  made.state(10, 100);
  made.rules.split.state_ratio = 1;
  const auto layout = made.layout();
  EXPECT_EQ(layout->longest_request_tokens(10'000, 1), UINT64_MAX);
  const KvCut cut = layout->cut(10'000, {}, kWideMax);
  EXPECT_EQ(cut.capacity_tokens, std::nullopt);
  EXPECT_EQ(cut.state_rows, 5U);
  EXPECT_TRUE(cut.fits);
}

// DeepSeek-V4-Flash: 43 windows of 584 B, of which a tenth is kept; every fourth token on 21 layers with its index of 132 B, every 128th
// on 20. Rings of 8 rows x 10,240 B on 21 layers lie in the windows, those of 128 rows x 4,096 B on 20 beside 256 requests and
// two more: (258 x 128 + 1) rows in steps of 128 = 33,152. A token takes 2,511.2 + 3,759 + 91.25 + 1,344 = 7,705.45 B.
class SplitV4Flash : public Split {
public:
  SplitV4Flash() : Split(256) {
    compressed(21, 584, 4).compressed(21, 132, 4).compressed(20, 584, 128).window(43, 584, 128);
    rows(21, {8192, 2048}, 8).rows(20, {4096}, 128);
    rules.split.window_ratio = 0.1;
    rules.split.request_rings = true;
    rules.split.ring_row_step = 128;
    input.sequences = 256;
  }
};
constexpr Wide kRings = Wide{33'152} * 4096 * 20;

TEST(SplitLayout, RingsLieInWindowsOrBesideRequests) {
  SplitV4Flash made;
  const auto layout = made.layout();
  EXPECT_NEAR(static_cast<double>(kRings) / 1073741824.0, 2.53, 0.005);
  const Wide cell_of_a_page = Wide{256} * 770'545 / 100; // 1,972,595.2 B
  for (const std::int64_t pages : {1, 10, 5000}) {
    const KvCut cut = layout->cut(kRings + cell_of_a_page * pages + pages, {}, kWideMax);
    EXPECT_EQ(cut.pages, static_cast<std::uint64_t>(pages));
  }
  const KvCut cut = layout->cut(kRings + cell_of_a_page * 5000 + 5000, {}, kWideMax);
  const std::vector<KvGroupShare> shares = layout->shares(cut, {});
  EXPECT_EQ(shares[3].pages, 500U);
  EXPECT_EQ(shares[4].bytes, Wide{500} * 256 * 8 * 10'240 * 21 / 128);
  EXPECT_EQ(shares[5].bytes, kRings);
  EXPECT_EQ(shares[5].state_rows, 0U); // rows of tokens, not of requests
}

TEST(SplitLayout, AllRingsLayInTheWindowsOnce) {
  SplitV4Flash made;
  made.rules.split.request_rings = false; // and every token of a window brought its part of both
  const KvCut cut = made.layout()->cut(Wide{1} << 34, {}, kWideMax);
  const std::vector<KvGroupShare> shares = made.layout()->shares(cut, {});
  EXPECT_EQ(shares[5].bytes, static_cast<Wide>(shares[3].pages) * 256 * 4096 * 20);
}

TEST(SplitLayout, DraftsDoubleTheRings) {
  SplitV4Flash made;
  made.input.draft_tokens = 2;
  const auto layout = made.layout();
  const KvCut cut = layout->cut(Wide{1} << 34, {}, kWideMax);
  const std::vector<KvGroupShare> shares = layout->shares(cut, {});
  EXPECT_EQ(shares[5].bytes, Wide{66'176} * 4096 * 20); // 258 x 256 + 1 rows, in steps of 128
  EXPECT_EQ(shares[4].bytes, static_cast<Wide>(shares[3].pages) * 256 * 16 * 10'240 * 21 / 128);
}

// 8 layers of 4,096 B keep 6,404 encoder tokens of each sequence.
TEST(SplitLayout, CrossAttentionIsSetAside) {
  Split made(1);
  made.full(32, 4096).cross(8, 4096, 6404);
  const auto layout = made.layout();
  const Wide cross = Wide{8} * 4096 * 6404;
  EXPECT_EQ(layout->request_bytes(10), 10 * 131'072 + cross);
  EXPECT_EQ(layout->cut(cross + 1000 * Wide{131'072}, {}, kWideMax).capacity_tokens, 1000U);
  const KvCut cut = layout->cut(3 * cross + 1000 * Wide{131'072}, demand_of(3, 1), kWideMax);
  EXPECT_EQ(cut.capacity_tokens, 1000U);
  EXPECT_EQ(layout->shares(cut, demand_of(3, 1))[1].pages, 3U * 6404);
  EXPECT_EQ(cut.used_bytes, 3 * cross + 1000 * Wide{131'072});
  EXPECT_FALSE(layout->cut(3 * cross, demand_of(3, 1), kWideMax).fits);
}

} // namespace
} // namespace plimsoll
