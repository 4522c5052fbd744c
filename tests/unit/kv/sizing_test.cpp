// From the KV memory of ranks to length, batch and cuts: defaults, batches that were asked for, what is set aside, what is short.
#include "kv/sizing.hpp"

#include <gtest/gtest.h>

#include "unit/kv/hand_made.hpp"

namespace plimsoll {
namespace {

// Ranks over hand-made stages. One rank a stage unless told otherwise.
class Ranks {
public:
  Ranks(std::vector<HandMade*> stages, std::vector<Wide> rooms, std::uint32_t tp = 1) : rooms_(std::move(rooms)) {
    for (HandMade* stage : stages) owned_.push_back(stage->layout());
    for (const auto& layout : owned_) layouts_.push_back(layout.get());
    for (std::uint32_t rank = 0; rank < rooms_.size(); ++rank) stages_.push_back(rank / tp % static_cast<std::uint32_t>(layouts_.size()));
    ranks_per_replica_ = tp * static_cast<std::uint32_t>(layouts_.size());
  }
  KvMemory memory() const { return {layouts_, stages_, rooms_, ranks_per_replica_}; }
  KvSizing size(const KvWish& wish) const { return size_kv(memory(), wish); }

private:
  std::vector<std::unique_ptr<KvLayout>> owned_;
  std::vector<const KvLayout*> layouts_;
  std::vector<std::uint32_t> stages_;
  std::vector<Wide> rooms_;
  std::uint32_t ranks_per_replica_ = 1;
};

// Pages of 10 tokens and 1,000 B, none of them null; not limited by what is needed.
class Plain : public HandMade {
public:
  explicit Plain(KvLayoutKind kind = KvLayoutKind::kGrouped) : HandMade(kind, 10) {
    full(1, 100);
    rules.null_pages = 0;
    rules.demand_limited = false;
  }
};

KvWish wish_of(std::uint64_t length) {
  KvWish wish;
  wish.max_length = length;
  wish.most_requests = 512;
  wish.usual_request_tokens = 4096;
  return wish;
}
KvWish asking_for(std::uint64_t length, std::uint64_t batch) {
  KvWish wish = wish_of(length);
  wish.batch = batch;
  wish.batch_is_asked_for = true;
  return wish;
}

// Llama 3.1 8B on one H100: 61,248,889,088 B are 3,650 pages, one of them null; requests of 131,072 tokens take 1,024.
TEST(Sizing, LlamaOnOneCard) {
  HandMade made(KvLayoutKind::kGrouped, 128);
  made.full(32, 4096);
  made.rules.demand_limited = false;
  const Ranks ranks({&made}, {61'248'889'088});
  const KvSizing sizing = ranks.size(wish_of(131'072));
  EXPECT_EQ(sizing.shortage, KvShortage::kNone);
  EXPECT_EQ(sizing.cuts.at(0).pages, 3650U);
  EXPECT_EQ(sizing.longest_tokens, 3649U * 128);
  EXPECT_EQ(sizing.max_length, 131'072U);
  EXPECT_EQ(sizing.batch, 114U); // of 4,096 tokens, 32 pages
  EXPECT_EQ(sizing.held.whole(), 3U);
  EXPECT_EQ(sizing.batch_at_max_length(), 3U);
}

TEST(Sizing, TheLengthIsRefusedOrShortened) {
  Plain made;
  const Ranks ranks({&made}, {10'500});
  KvWish wish = wish_of(101);
  KvSizing sizing = ranks.size(wish);
  EXPECT_EQ(sizing.shortage, KvShortage::kTooLong);
  EXPECT_EQ(sizing.needed_bytes.at(0), 11'000);
  EXPECT_EQ(sizing.longest_tokens, 100U);
  EXPECT_EQ(sizing.max_length, 101U);
  wish.may_shorten = true;
  sizing = ranks.size(wish);
  EXPECT_EQ(sizing.shortage, KvShortage::kNone);
  EXPECT_TRUE(sizing.shortened);
  EXPECT_EQ(sizing.max_length, 100U);
  EXPECT_EQ(sizing.batch_at_max_length(), 1U);
  EXPECT_FALSE(ranks.size(wish_of(100)).shortened);
}

TEST(Sizing, NotOnePage) {
  Plain made;
  for (const Wide room : {Wide{999}, Wide{0}, Wide{-5000}}) {
    KvWish wish = wish_of(100);
    wish.may_shorten = true;
    const KvSizing sizing = Ranks({&made}, {room}).size(wish);
    EXPECT_EQ(sizing.shortage, KvShortage::kNoPage);
    EXPECT_EQ(sizing.needed_bytes.at(0), 1000);
    EXPECT_EQ(sizing.batch, 1U);
  }
}

// Stages of one replica have the same number of pages: 10, as the first has room for. The second one keeps a window of 30 tokens
// besides, 4 pages, of which its own room would hold enough for 100 tokens: 6 pages are left for the tokens of a request.
TEST(Sizing, AStageWithMoreGroupsNeedsMoreOfTheCommonPages) {
  Plain first(KvLayoutKind::kUnified), second(KvLayoutKind::kUnified);
  second.window(1, 100, 30);
  const Ranks ranks({&first, &second}, {10'500, 20'500});
  KvWish wish = wish_of(80);
  KvSizing sizing = ranks.size(wish);
  EXPECT_EQ(sizing.cuts.at(1).pages, 10U);
  EXPECT_EQ(sizing.shortage, KvShortage::kTooLong);
  EXPECT_EQ(sizing.longest_tokens, 60U);
  EXPECT_GT(sizing.needed_bytes.at(sizing.scarce_rank), ranks.memory().room_bytes[sizing.scarce_rank]);
  wish.may_shorten = true;
  sizing = ranks.size(wish);
  EXPECT_EQ(sizing.shortage, KvShortage::kNone);
  EXPECT_TRUE(sizing.shortened);
  EXPECT_EQ(sizing.max_length, 60U);
  EXPECT_EQ(sizing.batch_at_max_length(), 1U);
  EXPECT_EQ(ranks.size(wish_of(60)).shortage, KvShortage::kNone);

  Plain few(KvLayoutKind::kUnified);
  few.window(1, 100, 300);
  wish.may_shorten = false;
  sizing = Ranks({&first, &few}, {1'500, 90'500}).size(wish_of(10)); // one page for two groups
  EXPECT_EQ(sizing.shortage, KvShortage::kNoPage);
}

// 50 pages: requests of 30 tokens take three.
TEST(Sizing, ABatchIsChosenByWhatFits) {
  struct Row {
    std::uint64_t length, usual, most, batch, at_length;
  };
  for (const Row& row : {Row{30, 4096, 512, 16, 16}, // 50 / 3
                         {30, 10, 512, 50, 16},      // a usual request is shorter than the longest
                         {30, 10, 20, 20, 16},
                         {30, 4096, 10, 10, 10},
                         {500, 500, 512, 1, 1}}) {
    Plain made;
    KvWish wish = wish_of(row.length);
    wish.usual_request_tokens = row.usual;
    wish.most_requests = row.most;
    const KvSizing sizing = Ranks({&made}, {50'000}).size(wish);
    EXPECT_EQ(sizing.batch, row.batch) << row.length << " " << row.usual;
    EXPECT_EQ(sizing.batch_at_max_length(), row.at_length) << row.length << " " << row.usual;
  }
}

TEST(Sizing, ABatchThatWasAskedForStays) {
  Plain made;
  for (const std::uint64_t batch : {1U, 16U, 17U, 5000U}) {
    const KvSizing sizing = Ranks({&made}, {50'000}).size(asking_for(30, batch));
    EXPECT_EQ(sizing.batch, batch);
    EXPECT_EQ(sizing.batch_at_max_length(), std::min<std::uint64_t>(batch, 16));
  }
}

TEST(Sizing, NoMoreIsTakenThanTheBatchNeeds) {
  Plain made;
  made.rules.demand_limited = true;
  const Ranks ranks({&made}, {50'000});
  EXPECT_EQ(ranks.size(asking_for(30, 4)).cuts.at(0).pages, 12U);
  KvWish wish = asking_for(30, 4);
  wish.limited = false; // a size that was given is taken whole
  EXPECT_EQ(ranks.size(wish).cuts.at(0).pages, 50U);
}

// Engines that derive the batch from the tokens of the pool: 1,000 tokens / 100 x 512, clamped, at most half the tokens.
TEST(Sizing, RequestsOfAContext) {
  struct Row {
    std::uint64_t length, per_context, least, most, batch;
  };
  for (const Row& row : {Row{1000, 100, 1, 4096, 100},
                         {500, 100, 1, 4096, 200},
                         {500, 100, 1, 150, 150},
                         {1000, 10, 64, 4096, 64},
                         {100, 100, 1, 4096, 500},
                         {1000, 100, 2048, 4096, 500},
                         {1000, 100, 200, 100, 200}}) {
    HandMade made(KvLayoutKind::kSplit, 1);
    made.full(1, 100);
    KvWish wish = wish_of(row.length);
    wish.usual_request_tokens = 1;
    wish.most_requests = 4096;
    wish.requests_per_context = row.per_context;
    wish.least_requests = row.least;
    wish.most_context_requests = row.most;
    EXPECT_EQ(Ranks({&made}, {100'000}).size(wish).batch, row.batch) << row.length << " " << row.least;
  }
}

// A state of 4,000 B a sequence beside pages of 1,000 B.
class WithStates : public HandMade {
public:
  WithStates() : HandMade(KvLayoutKind::kGrouped, 10) {
    full(1, 100).state(4, 1000);
    rules.null_pages = 0;
    rules.demand_limited = false;
  }
};

// 50,000 B, requests of 100 tokens: 14,000 B each by themselves. Ten states leave ten pages for one request of full length.
TEST(Sizing, StatesComeFirst) {
  WithStates made;
  const Ranks ranks({&made}, {50'000});
  KvWish wish = wish_of(100);
  wish.usual_request_tokens = 10; // 10 of them: 5,000 B each
  KvSizing sizing = ranks.size(wish);
  EXPECT_EQ(sizing.batch, 10U);
  EXPECT_EQ(sizing.cuts.at(0).pages, 10U);
  EXPECT_EQ(sizing.batch_at_max_length(), 1U);
  wish.max_length = 200; // 20 pages: beside 7 states
  sizing = ranks.size(wish);
  EXPECT_EQ(sizing.batch, 7U);
  EXPECT_EQ(sizing.max_length, 200U);
  EXPECT_EQ(sizing.longest_tokens, 220U);
}

TEST(Sizing, ABatchThatWasAskedForShortensTheLengthOrIsTooMany) {
  WithStates made;
  const Ranks ranks({&made}, {50'000});
  KvWish wish = asking_for(200, 10);
  EXPECT_EQ(ranks.size(wish).shortage, KvShortage::kTooLong); // ten states leave 100 tokens
  EXPECT_EQ(ranks.size(wish).longest_tokens, 100U);
  wish.may_shorten = true;
  EXPECT_EQ(ranks.size(wish).max_length, 100U);
  EXPECT_EQ(ranks.size(wish).batch, 10U);
  wish = asking_for(10, 12);
  EXPECT_EQ(ranks.size(wish).shortage, KvShortage::kNone);
  wish.batch = 13; // 52,000 B of states and a page
  const KvSizing sizing = ranks.size(wish);
  EXPECT_EQ(sizing.shortage, KvShortage::kTooMany);
  EXPECT_EQ(sizing.needed_bytes.at(0), 53'000);
  EXPECT_EQ(sizing.longest_tokens, 0U);
  EXPECT_EQ(sizing.batch, 13U);
}

// A default length is shortened beside the default batch, or taken whole with whatever batch is left.
TEST(Sizing, LengthOrBatchFirst) {
  WithStates made;
  const Ranks ranks({&made}, {50'000});
  KvWish wish = wish_of(100'000);
  wish.may_shorten = true;
  wish.usual_request_tokens = 10;
  KvSizing sizing = ranks.size(wish);
  EXPECT_EQ(sizing.batch, 10U);
  EXPECT_EQ(sizing.max_length, 100U);
  wish.length_first = true;
  sizing = ranks.size(wish);
  EXPECT_EQ(sizing.batch, 1U);
  EXPECT_EQ(sizing.max_length, 460U);
}

// Gemma's windows likewise: a window of 20 tokens never holds more than 3 pages of 2,000 B.
TEST(Sizing, WindowsComeFirst) {
  HandMade made(KvLayoutKind::kGrouped, 10);
  made.full(1, 100).window(2, 100, 20);
  made.rules.null_pages = 0;
  made.rules.demand_limited = false;
  const Ranks ranks({&made}, {50'000});
  KvWish wish = wish_of(200); // 20 pages and 6,000 B of windows: 5 windows
  wish.usual_request_tokens = 10;
  const KvSizing sizing = ranks.size(wish);
  EXPECT_EQ(sizing.batch, 5U);
  EXPECT_EQ(sizing.longest_tokens, 200U);
  EXPECT_EQ(sizing.cuts.at(0).pages, 20U);
}

// Rows of states cap a batch: 45,000 B of 95,000 B are 15 rows of 3,000 B.
TEST(Sizing, RowsCapTheBatch) {
  HandMade made(KvLayoutKind::kSplit, 1);
  made.full(1, 10).state(3, 1000);
  made.rules.split.state_ratio = 0.9;
  KvWish wish = wish_of(100);
  wish.usual_request_tokens = 1;
  EXPECT_EQ(Ranks({&made}, {95'000}).size(wish).batch, 15U);
  made.rules.prefix_caching = true;
  made.rules.state_rows = 3;
  EXPECT_EQ(Ranks({&made}, {95'000}).size(wish).batch, 5U);
  EXPECT_EQ(Ranks({&made}, {95'000}).size(asking_for(100, 9)).batch, 5U); // not even a given one is larger
}

// A page number spans the ranks of a replica; other replicas have pages of their own.
TEST(Sizing, ThePoorestRankOfAReplicaSetsItsPages) {
  Plain made;
  const Ranks ranks({&made}, {50'000, 40'000, 30'000, 60'000}, 2);
  const KvSizing sizing = ranks.size(asking_for(30, 1));
  std::vector<std::uint64_t> pages;
  for (const KvCut& cut : sizing.cuts) pages.push_back(cut.pages);
  EXPECT_EQ(pages, (std::vector<std::uint64_t>{40, 40, 30, 30}));
  EXPECT_EQ(sizing.scarce_rank, 2U);
  EXPECT_EQ(sizing.longest_tokens, 300U);
  EXPECT_EQ(sizing.held.whole(), 10U);
  EXPECT_EQ(requests_that_fit(ranks.memory(), 30).whole(), 10U);
}

// Stages of unequal layers: the one of 3 layers has pages of 3,000 B.
TEST(Sizing, StagesHaveTheirOwnPrices) {
  Plain first;
  HandMade second(KvLayoutKind::kGrouped, 10);
  second.full(3, 100);
  second.rules = first.rules;
  const Ranks ranks({&first, &second}, {50'000, 50'000});
  const KvSizing sizing = ranks.size(asking_for(30, 1));
  EXPECT_EQ(sizing.cuts.at(0).pages, 16U);
  EXPECT_EQ(sizing.cuts.at(1).pages, 16U);
  EXPECT_EQ(sizing.cuts.at(0).used_bytes, 16'000);
  EXPECT_EQ(sizing.cuts.at(1).used_bytes, 48'000);
  EXPECT_EQ(sizing.scarce_rank, 1U);
}

// Pages that grow with a request are on the second stage alone: 40 of 1,000 B beside what the sequences need. What the first one has,
// states or windows, bounds nothing, in either order; a page number still spans both, so there are no more windows than pages.
TEST(Sizing, AStageWithoutGrowingPagesDoesNotBoundThem) {
  for (const bool windows : {false, true}) {
    HandMade first(KvLayoutKind::kGrouped, 10), second(KvLayoutKind::kGrouped, 10);
    if (windows) first.full(0, 100).window(1, 100, 20);
    else first.full(0, 100).state(3, 50);
    second.full(1, 100);
    if (windows) second.window(0, 100, 20);
    else second.state(1, 50);
    for (HandMade* const made : {&first, &second}) {
      made->rules.null_pages = 1;
      made->rules.demand_limited = false;
    }
    const Wide beside = windows ? 1'000 : 2 * 50 + 1'000; // a null page; states of two sequences
    for (const bool swapped : {false, true}) {
      SCOPED_TRACE(std::to_string(windows) + std::to_string(swapped));
      const Ranks ranks({swapped ? &second : &first, swapped ? &first : &second},
                        {swapped ? 40'000 + beside : 50'000, swapped ? 50'000 : 40'000 + beside});
      const KvSizing sizing = ranks.size(asking_for(30, 2));
      const KvCut& grows = sizing.cuts.at(swapped ? 0 : 1);
      EXPECT_EQ(sizing.shortage, KvShortage::kNone);
      EXPECT_EQ(grows.pages, 41U);
      EXPECT_EQ(grows.capacity_tokens, 400U);
      EXPECT_EQ(sizing.longest_tokens, 400U);
      EXPECT_EQ(sizing.cuts.at(swapped ? 1 : 0).used_bytes, windows ? 7'000 : 300); // 3 pages of each window, a null page
    }
  }
}

class Random {
public:
  explicit Random(std::uint64_t seed) : random_(seed) {}
  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  std::unique_ptr<HandMade> memory() { return random_memory(static_cast<KvLayoutKind>(below(4)), random_); }
  KvWish wish() {
    KvWish wish = wish_of(below(3000) + 1);
    wish.may_shorten = below(2) == 0;
    wish.length_first = wish.may_shorten && below(2) == 0;
    wish.most_requests = below(64) + 1;
    wish.usual_request_tokens = below(500) + 1;
    if (below(2) == 0) {
      wish.batch = below(20) + 1;
      wish.batch_is_asked_for = true;
    }
    return wish;
  }

private:
  std::mt19937_64 random_;
};

TEST(SizingProperties, WhatIsPromisedHolds) {
  Random random(23);
  int fitting = 0;
  for (int round = 0; round < 4000; ++round) {
    const auto made = random.memory();
    const KvWish wish = random.wish();
    made->input.sequences = wish.batch.value_or(wish.most_requests); // as plans do
    const Wide room = static_cast<Wide>(random.below(40'000'000));
    const KvSizing sizing = Ranks({made.get()}, {room}).size(wish);
    ASSERT_EQ(sizing.needed_bytes.empty(), sizing.shortage == KvShortage::kNone) << round;
    ASSERT_LE(sizing.batch_at_max_length(), sizing.batch) << round;
    ASSERT_LE(sizing.max_length, wish.max_length) << round;
    ASSERT_EQ(sizing.shortened, sizing.max_length < wish.max_length) << round;
    ASSERT_TRUE(!sizing.shortened || wish.may_shorten) << round;
    ASSERT_LE(sizing.batch, wish.batch.value_or(wish.most_requests)) << round;
    if (sizing.shortage != KvShortage::kNone) {
      ASSERT_GT(sizing.needed_bytes.at(0), room) << round;
      continue;
    }
    ++fitting;
    ASSERT_GE(sizing.batch, 1U) << round;
    ASSERT_GE(sizing.longest_tokens, sizing.max_length) << round;
    ASSERT_TRUE(sizing.cuts.at(0).fits) << round;
    if (made->rules.layout != KvLayoutKind::kSplit) { // whose windows and encoder rows of a chosen batch the gate of the plan sees
      ASSERT_LE(sizing.cuts.at(0).used_bytes, room) << round;
    }
  }
  EXPECT_GT(fitting, 1000);
}

// With a batch that is given, or with the length first, more memory is never a shorter request.
TEST(SizingProperties, MoreMemoryIsNeverAShorterRequest) {
  Random random(29);
  for (int round = 0; round < 3000; ++round) {
    const auto made = random.memory();
    KvWish wish = random.wish();
    wish.may_shorten = true;
    wish.length_first = !wish.batch;
    made->input.sequences = wish.batch.value_or(wish.most_requests); // as plans do
    const Wide room = static_cast<Wide>(random.below(20'000'000)), more = room + static_cast<Wide>(random.below(200'000));
    const KvSizing before = Ranks({made.get()}, {room}).size(wish), after = Ranks({made.get()}, {more}).size(wish);
    // Where states have a share, the next row may take more than was added, and comes before any page.
    if (before.shortage != KvShortage::kNone || before.cuts.at(0).state_rows) continue;
    ASSERT_EQ(after.shortage, KvShortage::kNone) << round;
    ASSERT_LE(before.max_length, after.max_length) << round;
    if (wish.batch && before.max_length == after.max_length) {
      ASSERT_LE(before.batch_at_max_length(), after.batch_at_max_length()) << round;
    }
  }
}

} // namespace
} // namespace plimsoll
