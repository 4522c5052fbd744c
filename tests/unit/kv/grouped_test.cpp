// The `grouped` layout: pages of Llama, windows of Gemma 3, states, cross attention, tokens spread over ranks, demand, shares.
#include "kv/layouts/grouped.hpp"

#include <gtest/gtest.h>

#include "unit/kv/hand_made.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kLlamaPage = 16'777'216; // 128 tokens x 32 layers x 8 heads x 128 elements x (K and V) x 2 B
constexpr Wide kLlamaRoom = 60'129'542'144;      // 3,584 pages to the byte

// Layers of 8 heads of 128 elements: 4,096 B a slot.
class Llama : public HandMade {
public:
  Llama() : HandMade(KvLayoutKind::kGrouped, 128) { full(32, 4096); }
};

TEST(Grouped, LlamaPagesOfWhichOneIsNull) {
  Llama made;
  const auto layout = made.layout();
  EXPECT_EQ(layout->page_bytes(), std::vector<std::uint64_t>{kLlamaPage});
  EXPECT_EQ(layout->page_tokens(), 128U);
  EXPECT_EQ(layout->block_bytes(), 0U);
  const KvCut cut = layout->cut(kLlamaRoom, {}, kWideMax);
  EXPECT_TRUE(cut.fits);
  EXPECT_EQ(cut.pages, 3584U);
  EXPECT_EQ(cut.capacity_tokens, 458'624U); // 3,583 x 128
  EXPECT_EQ(cut.used_bytes, kLlamaRoom);
  EXPECT_EQ(layout->longest_request_tokens(kLlamaRoom, 1), 458'624U);
  EXPECT_EQ(layout->requests_that_fit(kLlamaRoom, 131'072).whole(), 3U); // 3,583 / 1,024
  EXPECT_EQ(layout->cut(kLlamaRoom - 1, {}, kWideMax).pages, 3583U);
}

TEST(Grouped, ARequestTakesWholePagesAndTheNullPage) {
  Llama made;
  const auto layout = made.layout();
  for (const auto& [length, pages] : {std::pair{1U, 1U}, {128U, 1U}, {129U, 2U}, {131'072U, 1024U}}) {
    EXPECT_EQ(layout->pages_of_request(length), pages) << length;
    EXPECT_EQ(layout->request_bytes(length), static_cast<Wide>(pages + 1) * kLlamaPage) << length;
  }
}

TEST(Grouped, TwoPagesAreTheLeastThatFits) {
  Llama made;
  const auto layout = made.layout();
  EXPECT_TRUE(layout->cut(2 * kLlamaPage, {}, kWideMax).fits);
  const KvCut cut = layout->cut(2 * kLlamaPage - 1, {}, kWideMax);
  EXPECT_FALSE(cut.fits);
  EXPECT_EQ(cut.used_bytes, 2 * kLlamaPage); // what is needed
  EXPECT_EQ(layout->longest_request_tokens(2 * kLlamaPage - 1, 1), std::nullopt);
}

TEST(Grouped, ABatchThatNeedsLessTakesLess) {
  Llama made;
  const auto layout = made.layout();
  const KvCut limited = layout->cut(kLlamaRoom, demand_of(4, 1000, true), kWideMax); // 8 pages each, and the null page
  EXPECT_EQ(limited.pages, 33U);
  EXPECT_EQ(limited.used_bytes, 33 * static_cast<Wide>(kLlamaPage));
  EXPECT_EQ(layout->cut(kLlamaRoom, demand_of(4, 1000), kWideMax).pages, 3584U);
  made.rules.demand_limited = false;
  EXPECT_EQ(made.layout()->cut(kLlamaRoom, demand_of(4, 1000, true), kWideMax).pages, 3584U);
}

TEST(Grouped, OtherRanksOfTheReplicaCapThePages) {
  Llama made;
  const KvCut cut = made.layout()->cut(kLlamaRoom, {}, 100);
  EXPECT_EQ(cut.pages, 100U);
  EXPECT_EQ(cut.capacity_tokens, 99U * 128);
  EXPECT_EQ(cut.used_bytes, 100 * static_cast<Wide>(kLlamaPage));
}

TEST(Grouped, DraftedTokensTakeSlots) {
  Llama made;
  made.input.slack_tokens = 3 * 2 + 1; // two drafts of two tokens in flight, the accepted ones of a third
  const auto layout = made.layout();
  EXPECT_EQ(layout->pages_of_request(128), 2U);
  EXPECT_EQ(layout->pages_of_request(121), 1U);
  EXPECT_EQ(layout->longest_request_tokens(2 * kLlamaPage, 1), 121U);
}

// 8 ranks share a request: each holds an eighth of its tokens.
TEST(Grouped, TokensOfARequestMayBeSpreadOverRanks) {
  Llama made;
  made.rules.decode_context_parallel = 8;
  const auto layout = made.layout();
  EXPECT_EQ(layout->pages_of_request(8 * 128), 1U);
  EXPECT_EQ(layout->pages_of_request(8 * 128 + 1), 2U);
  EXPECT_EQ(layout->cut(kLlamaRoom, {}, kWideMax).capacity_tokens, 8 * 458'624U);
  EXPECT_EQ(layout->longest_request_tokens(kLlamaRoom, 1), 8 * 458'624U);
}

// Gemma-3-27B: 10 layers that see all, 52 with a window of 1,024 tokens; 16 heads of 128: 8,192 B a slot. Pages of 10,485,760
// and 54,525,952 B; a window never holds more than 8 pages and the one that it slides into.
class Gemma : public HandMade {
public:
  Gemma() : HandMade(KvLayoutKind::kGrouped, 128) { full(10, 8192).window(52, 8192, 1024); }
};
constexpr Wide kGemmaFull = 10'485'760, kGemmaWindow = 54'525'952;

TEST(Grouped, WindowsStopGrowing) {
  Gemma made;
  const auto layout = made.layout();
  EXPECT_TRUE(layout->sets_sequences_aside());
  EXPECT_EQ(layout->page_bytes(), (std::vector<std::uint64_t>{10'485'760, 54'525'952}));
  const Wide nulls = kGemmaFull + kGemmaWindow;
  EXPECT_EQ(layout->request_bytes(1024), 8 * nulls + nulls);
  EXPECT_EQ(layout->request_bytes(32'768), 256 * kGemmaFull + 9 * kGemmaWindow + nulls);
  made.rules.windows = false; // an engine that knows no windows
  EXPECT_EQ(made.layout()->request_bytes(32'768), 257 * nulls);
}

TEST(Grouped, WindowsOfABatchAreSetAside) {
  Gemma made;
  const auto layout = made.layout();
  const Wide room = 4 * 9 * kGemmaWindow + 1000 * kGemmaFull + kGemmaFull + kGemmaWindow;
  const KvCut cut = layout->cut(room, demand_of(4, 1), kWideMax);
  EXPECT_EQ(cut.pages, 1001U);
  EXPECT_EQ(cut.used_bytes, room);
  const std::vector<KvGroupShare> shares = layout->shares(cut, demand_of(4, 1));
  ASSERT_EQ(shares.size(), 2U);
  EXPECT_EQ(shares[0].pages, 1001U);
  EXPECT_EQ(shares[1].pages, 37U);
  EXPECT_EQ(shares[1].null_pages, 1U);
  EXPECT_EQ(shares[1].bytes, 37 * kGemmaWindow);
  EXPECT_EQ(layout->longest_request_tokens(room, 4), 1000U * 128);
  EXPECT_EQ(layout->longest_request_tokens(room, 1), (1000U + 27 * 54'525'952 / 10'485'760) * 128); // three windows less
}

// A full layer of 1,000 B a page and a state of 64,000 B: two rows with prefix caching, one more for each drafted token.
TEST(Grouped, StatesTakeTheirRows) {
  HandMade made(KvLayoutKind::kGrouped, 10);
  made.full(1, 100).state(2, 32'000);
  made.rules.state_rows_per_draft_token = 1;
  struct Row {
    bool prefix_caching;
    std::uint64_t draft_tokens, rows;
  };
  for (const Row& row : {Row{false, 0, 1}, {true, 0, 2}, {false, 3, 4}, {true, 3, 5}}) {
    made.rules.prefix_caching = row.prefix_caching;
    made.input.draft_tokens = row.draft_tokens;
    const auto layout = made.layout();
    const auto rows = static_cast<Wide>(row.rows);
    EXPECT_EQ(layout->request_bytes(25), 3 * 1000 + 1000 + rows * 64'000);
    const KvCut cut = layout->cut(3 * rows * 64'000 + 11'000, demand_of(3, 25), kWideMax);
    EXPECT_EQ(cut.pages, 11U);
    const std::vector<KvGroupShare> shares = layout->shares(cut, demand_of(3, 25));
    EXPECT_EQ(shares[1].state_rows, 3 * row.rows);
    EXPECT_EQ(shares[1].bytes, 3 * rows * 64'000);
    EXPECT_EQ(shares[1].pages, 0U);
    // 10 pages of 3 each, but states for three sequences only.
    EXPECT_EQ(layout->requests_held(cut, demand_of(3, 25), 10).whole(), 3U);
    EXPECT_EQ(layout->requests_held(cut, demand_of(3, 25), 100).whole(), 1U);
  }
}

TEST(Grouped, StatesAloneBindByTheSequences) {
  HandMade made(KvLayoutKind::kGrouped, 10);
  made.state(4, 1000);
  const auto layout = made.layout();
  const KvCut cut = layout->cut(20'000, demand_of(5, 1 << 20), kWideMax);
  EXPECT_TRUE(cut.fits);
  EXPECT_EQ(cut.capacity_tokens, std::nullopt);
  EXPECT_EQ(cut.used_bytes, 20'000);
  EXPECT_EQ(layout->requests_held(cut, demand_of(5, 1), 1).whole(), 5U);
  EXPECT_FALSE(layout->cut(19'999, demand_of(5, 1), kWideMax).fits);
  EXPECT_EQ(layout->longest_request_tokens(20'000, 5), UINT64_MAX);
  EXPECT_EQ(layout->longest_request_tokens(19'999, 5), std::nullopt);
}

// Llama-3.2-Vision: 8 layers see 4 tiles of 1,601 rows, 51 pages of 128, from the start of a request.
TEST(Grouped, CrossAttentionTakesItsPagesAtOnce) {
  HandMade made(KvLayoutKind::kGrouped, 128);
  made.full(32, 4096).cross(8, 4096, 4 * 1601);
  const auto layout = made.layout();
  const Wide cross = 4'194'304; // one page of 8 layers
  EXPECT_EQ(layout->request_bytes(1), 2 * kLlamaPage + 52 * cross);
  const KvCut cut = layout->cut(2 * 51 * cross + cross + 10 * kLlamaPage, demand_of(2, 1), kWideMax);
  EXPECT_EQ(cut.pages, 10U);
  const std::vector<KvGroupShare> shares = layout->shares(cut, demand_of(2, 1));
  EXPECT_EQ(shares[1].pages, 103U);
  EXPECT_EQ(shares[1].bytes, 103 * cross);
}

TEST(Grouped, TheSharesAreTheWhole) {
  Gemma made;
  const auto layout = made.layout();
  const KvCut cut = layout->cut(50 * kGemmaWindow, demand_of(3, 1), kWideMax);
  Wide sum = 0;
  for (const KvGroupShare& share : layout->shares(cut, demand_of(3, 1))) sum += share.bytes;
  EXPECT_EQ(sum, cut.used_bytes);
}

} // namespace
} // namespace plimsoll
