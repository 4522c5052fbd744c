// The paged KV manager, case by case: claims, prefix hits, windows, tables, replicas, and what it refuses.
#include <functional>
#include <gtest/gtest.h>

#include "unit/kv_cache/geometries.hpp"

namespace plimsoll {
namespace {

using testing::context_of;
using testing::counting;
using testing::manager_of;
using testing::named;
using testing::NamedGeometry;

// Claims, allocates, and ends a step that computes all active tokens.
KvAllocation stepped(PagedKvManager& kv, TextContext& context, Token next = 1'000) {
  if (!kv.contains(context.id())) {
    EXPECT_TRUE(kv.claim(context.id()));
  }
  const auto got = kv.alloc(context);
  EXPECT_TRUE(got) << (got ? "" : got.error().message);
  EXPECT_TRUE(context.reaches_end() ? context.update(next) : context.advance_chunk());
  const TextContext* one = &context;
  EXPECT_TRUE(kv.step({&one, 1}));
  return got.value_or(KvAllocation{});
}

KvInputs inputs_of(PagedKvManager& kv, const TextContext& context, std::uint32_t replica = 0) {
  const TextContext* one = &context;
  const auto inputs = kv.runtime_inputs({&one, 1}, {replica});
  EXPECT_TRUE(inputs) << (inputs ? "" : inputs.error().message);
  return inputs.value_or(KvInputs{});
}

std::vector<std::uint32_t> row_of(const KvInputs& inputs, std::size_t group, std::size_t pages) {
  const auto table = inputs.groups[group].table;
  return {table.begin(), table.begin() + static_cast<std::ptrdiff_t>(pages)};
}

void expect_refused(const auto& result, ErrorCode code, const std::string& words) {
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, code);
  EXPECT_NE(result.error().message.find(words), std::string::npos) << result.error().message;
}

// ---- Claims ----------------------------------------------------------------------------------------------------------------

// Invariant 23.
TEST(PagedKvManager, RefusesDoubleClaimsAndWhatWasNeverClaimed) {
  PagedKvManager kv = manager_of("replicas");
  TextContext context = context_of(7, counting(9));
  expect_refused(kv.alloc(context), ErrorCode::kBadRequest, "request 7 is not claimed");
  expect_refused(kv.release(7), ErrorCode::kBadRequest, "request 7 is released, which is not claimed");
  expect_refused(kv.claim(7, 2), ErrorCode::kBadRequest, "replica 2 of 2");
  EXPECT_FALSE(kv.contains(7));
  EXPECT_EQ(kv.replica_of(7), std::nullopt);
  ASSERT_TRUE(kv.claim(7, 1));
  EXPECT_TRUE(kv.contains(7));
  EXPECT_EQ(kv.replica_of(7), 1U);
  expect_refused(kv.claim(7, 0), ErrorCode::kBadRequest, "claimed already, for replica 1");
  expect_refused(kv.runtime_inputs({}, {2}), ErrorCode::kBadRequest, "replica 2");
  ASSERT_TRUE(kv.release(7));
  expect_refused(kv.release(7), ErrorCode::kBadRequest, "not claimed");
}

TEST(PagedKvManager, GivesAClaimBackAtTheEndOfItsScope) {
  PagedKvManager kv = manager_of("dense");
  {
    KvClaim first = KvClaim::take(kv, 1).value();
    EXPECT_FALSE(KvClaim::take(kv, 1));
    KvClaim second = KvClaim::take(kv, 2).value();
    TextContext context = context_of(1, counting(9));
    ASSERT_TRUE(kv.alloc(context));
    KvClaim moved = std::move(first);
    EXPECT_EQ(moved.id(), 1U);
    EXPECT_TRUE(kv.contains(1));
    moved = std::move(second);
    EXPECT_FALSE(kv.contains(1));
    EXPECT_TRUE(moved.release());
    EXPECT_FALSE(kv.contains(2));
    EXPECT_TRUE(moved.release()) << "twice does nothing";
    KvClaim third = KvClaim::take(kv, 3).value();
    EXPECT_TRUE(kv.contains(3));
  }
  EXPECT_EQ(kv.metrics().requests, 0U);
  EXPECT_EQ(kv.metrics().used_pages, 0U);
}

// States have rows for so many requests; the encoder's tokens their pages.
TEST(PagedKvManager, ClaimsRowsAndEncoderPagesAtOnceOrNotAtAll) {
  PagedKvManager hybrid = manager_of("hybrid"); // 12 rows, 2 a request
  for (RequestId id = 0; id < 6; ++id) ASSERT_TRUE(hybrid.claim(id));
  expect_refused(hybrid.claim(6), ErrorCode::kInsufficientBlocks, "needs 2 state rows and 0 are free");
  EXPECT_FALSE(hybrid.contains(6));
  EXPECT_EQ(hybrid.free_pages(0), 0U);
  ASSERT_TRUE(hybrid.release(3));
  EXPECT_EQ(hybrid.free_pages(0), 2U);
  EXPECT_TRUE(hybrid.claim(6));

  PagedKvManager cross = manager_of("cross"); // 18 pages, ceil(10 / 4) a request
  for (RequestId id = 0; id < 6; ++id) ASSERT_TRUE(cross.claim(id));
  expect_refused(cross.claim(6), ErrorCode::kInsufficientBlocks, "needs 3 pages whatever its length and 0 of 18 are free");
  EXPECT_EQ(cross.free_pages(0), 40U);
  EXPECT_TRUE(cross.audit());
}

TEST(PagedKvManager, RowsAndEncoderPagesAreInTheInputs) {
  PagedKvManager kv = manager_of("hybrid");
  TextContext first = context_of(1, counting(5)), second = context_of(2, counting(3));
  for (TextContext* context : {&first, &second}) ASSERT_TRUE(kv.claim(context->id()) && kv.alloc(*context));
  const TextContext* both[] = {&second, &first};
  const KvInputs inputs = kv.runtime_inputs(both).value();
  EXPECT_EQ(inputs.groups[0].rows_per_request, 2U);
  EXPECT_EQ(std::vector(inputs.groups[0].state_rows.begin(), inputs.groups[0].state_rows.end()), (std::vector<std::uint32_t>{2, 3, 0, 1}));
  EXPECT_TRUE(inputs.groups[0].table.empty());

  PagedKvManager cross = manager_of("cross");
  TextContext third = context_of(3, counting(5));
  ASSERT_TRUE(cross.claim(3) && cross.alloc(third));
  EXPECT_EQ(inputs_of(cross, third).groups[1].columns, 8U + 16U); // 3 pages
  EXPECT_EQ(row_of(inputs_of(cross, third), 1, 4), (std::vector<std::uint32_t>{0, 1, 2, 18}));
}

// A sequence's state, or an encoder's output, is not to be had from pages.
TEST(PagedKvManager, CachesNoPrefixBesideStatesOrAnEncoder) {
  for (const char* name : {"hybrid", "state_only", "cross", "shared_hybrid", "dense_uncached"}) {
    PagedKvManager kv = manager_of(name);
    EXPECT_FALSE(kv.prefix_caching()) << name;
    EXPECT_EQ(kv.hit_alignment_tokens(), 0U) << name;
    TextContext first = context_of(1, counting(9)), second = context_of(2, counting(9));
    stepped(kv, first);
    EXPECT_EQ(stepped(kv, second).hit_tokens, 0U) << name;
    EXPECT_EQ(kv.metrics().cached_pages, 0U) << name;
    EXPECT_EQ(kv.metrics().queried_tokens, 0U) << name;
  }
}

// ---- Prefixes --------------------------------------------------------------------------------------------------------------

// Invariant 15: pages of 4; one token is always computed.
TEST(PagedKvManager, HitsWholePagesOfAllButTheNewestToken) {
  for (const auto& [length, hit] :
       std::vector<std::pair<std::size_t, std::uint64_t>>{{1, 0}, {4, 0}, {5, 4}, {7, 4}, {8, 4}, {9, 8}, {12, 8}, {20, 12}}) {
    PagedKvManager kv = manager_of("dense");
    TextContext first = context_of(1, counting(12));
    EXPECT_EQ(stepped(kv, first).new_pages, 3U);
    TextContext second = context_of(2, counting(length));
    const KvAllocation got = stepped(kv, second);
    EXPECT_EQ(got.hit_tokens, hit) << length;
    EXPECT_EQ(got.new_pages, (length + 3) / 4 - hit / 4) << length;
    EXPECT_EQ(kv.metrics().hit_tokens, hit);
    EXPECT_EQ(kv.metrics().queried_tokens, 12 + length);
  }
}

// Two requests that ask for the same before either has computed it each compute it; both copies are kept.
TEST(PagedKvManager, PublishesAfterTheStepAndOnlyCompletePages) {
  PagedKvManager kv = manager_of("dense");
  TextContext first = context_of(1, counting(10)), second = context_of(2, counting(10)), third = context_of(3, counting(10));
  for (TextContext* context : {&first, &second}) ASSERT_TRUE(kv.claim(context->id()));
  ASSERT_TRUE(kv.alloc(first));
  EXPECT_EQ(kv.alloc(second)->hit_tokens, 0U);
  EXPECT_EQ(kv.metrics().cached_pages, 0U);
  const std::vector<std::uint32_t> own = row_of(inputs_of(kv, second), 0, 3);
  ASSERT_TRUE(first.update(1) && second.update(1));
  const TextContext* both[] = {&first, &second};
  ASSERT_TRUE(kv.step(both));
  EXPECT_EQ(kv.metrics().cached_pages, 2U);
  EXPECT_EQ(kv.metrics().used_pages, 6U);
  ASSERT_TRUE(kv.alloc(second));
  EXPECT_EQ(row_of(inputs_of(kv, second), 0, 3), own) << "a table is never changed behind its end";
  EXPECT_EQ(stepped(kv, third).hit_tokens, 8U);
  EXPECT_EQ(kv.metrics().used_pages, 7U);
}

// Invariant 31.
TEST(PagedKvManager, PublishesNoPlaceholder) {
  PagedKvManager kv = manager_of("dense");
  TextContext context = context_of(1, counting(6));
  ASSERT_TRUE(kv.claim(1));
  const TextContext* one = &context;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(kv.alloc(context) && context.update_pending() && kv.step({&one, 1}));
  }
  EXPECT_EQ(context.processed_length(), 8U);
  EXPECT_EQ(kv.metrics().cached_pages, 1U);
  ASSERT_TRUE(context.realise(7) && kv.step({&one, 1}));
  EXPECT_EQ(kv.metrics().cached_pages, 1U);
  ASSERT_TRUE(context.realise(8) && kv.step({&one, 1}));
  EXPECT_EQ(kv.metrics().cached_pages, 2U);
  TextContext other = context_of(2, counting(9));
  EXPECT_EQ(stepped(kv, other).hit_tokens, 8U);
}

TEST(PagedKvManager, ComputesThePromptWhoseProbabilitiesAreWanted) {
  PagedKvManager kv = manager_of("dense");
  TextContext first = context_of(1, counting(9));
  stepped(kv, first);
  TextContextOptions options;
  options.id = 2;
  options.prompt = counting(9);
  options.max_length = 20;
  options.skip_prefix_read = true;
  TextContext second = TextContext::create(options).value();
  EXPECT_EQ(stepped(kv, second).hit_tokens, 0U);
  EXPECT_EQ(kv.metrics().queried_tokens, 9U);
}

// Invariant 30, through the manager.
TEST(PagedKvManager, SharesNothingAcrossSaltsAdaptersAndMedia) {
  PagedKvManager kv = manager_of("dense");
  RequestId id = 0;
  const auto hit = [&](auto change) {
    TextContextOptions options;
    options.id = ++id;
    options.prompt = counting(9);
    options.max_length = 20;
    change(options);
    TextContext context = TextContext::create(options).value();
    const std::uint64_t tokens = stepped(kv, context).hit_tokens;
    EXPECT_TRUE(kv.release(id));
    return tokens;
  };
  const auto plain = [](TextContextOptions&) {};
  const auto salt = [](TextContextOptions& o) { o.cache_salt = "a"; };
  const auto adapter = [](TextContextOptions& o) { o.adapter = "a"; };
  const auto medium = [](TextContextOptions& o) { o.media = {{5, 2, 3, 4}}; };
  const auto other_medium = [](TextContextOptions& o) { o.media = {{5, 2, 3, 5}}; };
  EXPECT_EQ(hit(plain), 0U);
  EXPECT_EQ(hit(salt), 0U);
  EXPECT_EQ(hit(adapter), 0U);
  EXPECT_EQ(hit(medium), 4U) << "the page before the medium";
  EXPECT_EQ(hit(other_medium), 4U);
  for (const auto& again : std::vector<std::function<void(TextContextOptions&)>>{plain, salt, adapter, medium, other_medium})
    EXPECT_EQ(hit(again), 8U);
}

// Invariant 28. A request that ran across the reset adds nothing: what it computes rests on what it computed before.
TEST(PagedKvManager, HitsNothingOfBeforeAReset) {
  PagedKvManager kv = manager_of("dense");
  TextContext running = context_of(1, counting(8));
  stepped(kv, running, 9);
  ASSERT_TRUE(kv.claim(2)); // holds nothing yet
  kv.reset_prefix_cache();
  EXPECT_EQ(kv.metrics().cached_pages, 0U);
  EXPECT_EQ(kv.metrics().used_pages, 2U);
  for (Token token = 10; token < 18; ++token) stepped(kv, running, token);
  EXPECT_EQ(kv.metrics().cached_pages, 0U);
  TextContext second = context_of(2, counting(16)), third = context_of(3, counting(17));
  EXPECT_EQ(stepped(kv, second).hit_tokens, 0U);
  EXPECT_EQ(stepped(kv, third).hit_tokens, 16U) << "what was computed since";
}

// Invariant 22, and the order: the end of a prompt is evicted before its begin, the longest unused first.
TEST(PagedKvManager, EvictsTheEndOfTheLongestUnusedPromptFirst) {
  PagedKvManager kv = manager_of("dense"); // 40 pages
  for (const RequestId id : {1U, 2U}) {
    TextContext context = context_of(id, counting(48, static_cast<Token>(id * 100)));
    stepped(kv, context); // 12 pages
    ASSERT_TRUE(kv.release(id));
  }
  TextContext third = context_of(3, counting(80, 500)); // 16 never used pages, then 4 cached ones
  EXPECT_EQ(stepped(kv, third).new_pages, 20U);
  EXPECT_EQ(kv.metrics().evictions, 4U);
  ASSERT_TRUE(kv.release(3));
  TextContext again = context_of(1, counting(48, 100)), other = context_of(2, counting(48, 200));
  EXPECT_EQ(stepped(kv, again).hit_tokens, 32U) << "pages 9 to 12 are gone";
  EXPECT_EQ(stepped(kv, other).hit_tokens, 32U) << "and made way for them anew";
}

// ---- Allocation ------------------------------------------------------------------------------------------------------------

// Invariant 12.
TEST(PagedKvManager, AllocatesInAllGroupsOrInNone) {
  PagedKvManager kv = manager_of("gemma"); // 32 pages for windows, 40 for full attention
  TextContext first = context_of(1, counting(80));
  ASSERT_TRUE(kv.claim(1) && kv.alloc(first));
  TextContext second = context_of(2, counting(60, 500)); // 15 pages of each, 12 and 20 are free
  ASSERT_TRUE(kv.claim(2));
  expect_refused(kv.alloc(second), ErrorCode::kInsufficientBlocks, "request 2 needs 15 free pages and 12 of 32 are free");
  EXPECT_EQ(kv.free_pages(0), 12U);
  EXPECT_EQ(kv.free_pages(1), 20U);
  EXPECT_EQ(second.processed_length(), 0U);
  EXPECT_EQ(kv.fitting_tokens(second).value(), 48U);
  second.set_chunk_limit(48);
  EXPECT_EQ(kv.alloc(second)->new_pages, 24U);
  EXPECT_EQ(kv.fitting_tokens(second).value(), 48U) << "it has them";
}

// A hit that nobody holds is a free page too: 10 are hit, 1 is needed, and 10 are free.
TEST(PagedKvManager, CountsFreeHitsAsDemand) {
  PagedKvManager kv = manager_of("dense");
  TextContext first = context_of(1, counting(40));
  stepped(kv, first);
  ASSERT_TRUE(kv.release(1));
  TextContext holder = context_of(2, counting(120, 500));
  stepped(kv, holder); // the 30 pages that were never used
  EXPECT_EQ(kv.metrics().evictions, 0U);
  TextContext second = context_of(3, counting(41));
  ASSERT_TRUE(kv.claim(3));
  EXPECT_EQ(kv.fitting_tokens(second).value(), 0U);
  expect_refused(kv.alloc(second), ErrorCode::kInsufficientBlocks, "needs 11 free pages and 10 of 40");
  EXPECT_EQ(second.processed_length(), 0U);
  ASSERT_TRUE(kv.release(2));
  EXPECT_EQ(stepped(kv, second).hit_tokens, 40U) << "and nothing was lost";
}

// Invariant 17: pages for the active tokens and the slack.
TEST(PagedKvManager, OwnsPagesForActiveTokensAndSlack) {
  PagedKvManager kv = manager_of("dense_with_slack"); // 3 tokens
  TextContext context = context_of(1, counting(5), 40);
  for (std::uint64_t length = 5; length < 30; ++length) {
    stepped(kv, context);
    EXPECT_EQ(kv.metrics().used_pages, (length + 3 + 3) / 4) << length;
  }
}

// Pages of a draft, all or none, behind those of the active tokens.
TEST(PagedKvManager, ReservesForADraft) {
  PagedKvManager kv = manager_of("dense");
  const std::uint64_t page = kv.geometry().group(0, 0).page_tokens, pages = kv.total_pages(0);
  TextContext context = context_of(1, counting(page), 100 * page);
  expect_refused(kv.reserve(context, 1), ErrorCode::kBadRequest, "not claimed");
  ASSERT_TRUE(kv.claim(1));
  expect_refused(kv.reserve(context, 1), ErrorCode::kBadRequest, "call alloc");
  ASSERT_TRUE(kv.alloc(context));
  const std::uint64_t before = kv.free_pages(0);
  ASSERT_TRUE(kv.reserve(context, 1));
  EXPECT_EQ(kv.free_pages(0), before - 1);
  ASSERT_TRUE(kv.reserve(context, page));
  EXPECT_EQ(kv.free_pages(0), before - 1) << "the same page";
  expect_refused(kv.reserve(context, pages * page), ErrorCode::kInsufficientBlocks, "free pages");
  EXPECT_EQ(kv.free_pages(0), before - 1);
  expect_refused(kv.reserve(context, UINT64_MAX), ErrorCode::kBadRequest, "are the most");
  ASSERT_TRUE(kv.audit());
  ASSERT_TRUE(kv.release(1));
  EXPECT_EQ(kv.metrics().used_pages, 0U);
}

TEST(PagedKvManager, AsksForAllocBeforeTheStep) {
  PagedKvManager kv = manager_of("dense");
  TextContext context = context_of(1, counting(4));
  ASSERT_TRUE(kv.claim(1));
  const TextContext* one = &context;
  expect_refused(kv.runtime_inputs({&one, 1}), ErrorCode::kBadRequest, "call alloc first");
  ASSERT_TRUE(kv.alloc(context) && context.update(5));
  ASSERT_TRUE(kv.step({&one, 1}));
  expect_refused(kv.runtime_inputs({&one, 1}), ErrorCode::kBadRequest, "no pages for its tokens up to 5; call alloc first");
  ASSERT_TRUE(context.update(6));
  expect_refused(kv.step({&one, 1}), ErrorCode::kBadRequest, "calls 5 tokens processed and holds pages of 4");
  expect_refused(kv.alloc(context), ErrorCode::kBadRequest, "call alloc before each step");
  ASSERT_TRUE(kv.release(1) && kv.claim(1));
  expect_refused(kv.alloc(context), ErrorCode::kBadRequest, "holds none of them");
  ASSERT_TRUE(context.rewind_processing(5));
  EXPECT_EQ(kv.alloc(context)->hit_tokens, 4U) << "pre-empted, it finds what it had computed";
}

// ---- Windows ---------------------------------------------------------------------------------------------------------------

// Invariant 18: a window of 10 tokens in pages of 4.
TEST(PagedKvManager, FreesPagesThatLeftTheWindow) {
  PagedKvManager kv = manager_of("gemma");
  TextContext context = context_of(1, counting(17), 100);
  stepped(kv, context, 18); // the token at 17 sees from 8 on
  EXPECT_EQ(kv.free_pages(0), 32U - 3);
  EXPECT_EQ(kv.free_pages(1), 40U - 5);
  ASSERT_TRUE(kv.alloc(context));
  const std::uint32_t null = inputs_of(kv, context).groups[0].fill;
  EXPECT_EQ(null, 32U);
  const std::vector<std::uint32_t> row = row_of(inputs_of(kv, context), 0, 5);
  EXPECT_EQ(std::vector(row.begin(), row.begin() + 3), (std::vector<std::uint32_t>{null, null, 2}));
  for (Token token = 19; token < 60; ++token) {
    stepped(kv, context, token);
    EXPECT_GE(kv.free_pages(0), 32U - 4) << token; // ceil(9 / 4) + 1
  }
  EXPECT_EQ(kv.free_pages(1), 40U - 15);
}

// Pages of a window that left it can still be hit; where its end is gone the hit is shorter, in all groups.
TEST(PagedKvManager, AHitNeedsWhatTheWindowSees) {
  PagedKvManager kv = manager_of("gemma");
  TextContext first = context_of(1, counting(40));
  stepped(kv, first);
  ASSERT_TRUE(kv.release(1));
  TextContext second = context_of(2, counting(40));
  const KvAllocation got = stepped(kv, second);
  EXPECT_EQ(got.hit_tokens, 36U);
  EXPECT_EQ(got.new_pages, 2U);
  EXPECT_EQ(kv.free_pages(0), 32U - 3); // of 27 on
  ASSERT_TRUE(kv.release(2));
  // 22 pages hold nothing, then go those that are unused for longest: 0 to 5, 9, and 6, which the token at 36 sees.
  TextContext hog = context_of(3, counting(120, 500));
  ASSERT_TRUE(kv.claim(3) && kv.alloc(hog));
  ASSERT_TRUE(kv.release(3));
  EXPECT_EQ(kv.metrics().evictions, 8U);
  TextContext third = context_of(4, counting(40));
  EXPECT_EQ(stepped(kv, third).hit_tokens, 0U);
}

// Invariant 20, by brute force: every length is tried.
TEST(PagedKvManager, HitsTheLongestPrefixThatEveryGroupHas) {
  for (const char* name : {"gemma", "two_windows", "llama4", "unaligned_chunk", "window_only", "shared_gemma", "shared_unlike_pages"}) {
    for (std::uint64_t kept = 0; kept <= 40; ++kept) {
      // A first request computes 41 tokens and leaves; a second one of `kept` other tokens takes pages away from it.
      const auto hit_of = [&](std::size_t length) {
        PagedKvManager kv = manager_of(name);
        TextContext first = context_of(1, counting(41));
        first.set_chunk_limit(4);
        while (!first.reaches_end()) stepped(kv, first);
        stepped(kv, first);
        EXPECT_TRUE(kv.release(1));
        TextContext taker = context_of(2, counting(2 * kept + 40, 500));
        taker.set_chunk_limit(8);
        EXPECT_TRUE(kv.claim(2));
        while (kv.alloc(taker) && !taker.reaches_end()) {
          EXPECT_TRUE(taker.advance_chunk());
          const TextContext* one = &taker;
          EXPECT_TRUE(kv.step({&one, 1}));
        }
        EXPECT_TRUE(kv.release(2));
        TextContext asked = context_of(3, counting(length));
        return stepped(kv, asked).hit_tokens;
      };
      // What a longer prompt hits is the longest of what its prefixes hit.
      const std::uint64_t unit = manager_of(name).hit_alignment_tokens();
      std::uint64_t longest = 0;
      for (std::uint64_t length = unit; length <= 40; length += unit)
        if (hit_of(length + 1) == length) longest = length;
      EXPECT_EQ(hit_of(41), longest) << name << ", " << kept;
    }
  }
}

// Chunks of 8 tokens: a token sees those since the last multiple.
TEST(PagedKvManager, FreesAChunkAtItsEnd) {
  PagedKvManager kv = manager_of("llama4");
  TextContext context = context_of(1, counting(15), 100);
  stepped(kv, context, 16);
  EXPECT_EQ(kv.free_pages(0), 24U - 2);
  stepped(kv, context, 17); // 16 are processed
  EXPECT_EQ(kv.free_pages(0), 24U);
  stepped(kv, context, 18);
  EXPECT_EQ(kv.free_pages(0), 24U - 1);
}

TEST(PagedKvManager, RefusesToRewindBehindAWindow) {
  PagedKvManager kv = manager_of("window_only");
  TextContext context = context_of(1, counting(22), 100);
  stepped(kv, context);
  ASSERT_TRUE(context.rewind_processing(2) && kv.alloc(context));
  ASSERT_TRUE(context.rewind_processing(10));
  expect_refused(kv.alloc(context), ErrorCode::kBadRequest, "rewound to token 10, whose window is gone");
}

// ---- Inputs ----------------------------------------------------------------------------------------------------------------

// Invariant 25: columns = ceil(longest / 4) rounded up to 8, + 16; the null page is the last one.
TEST(PagedKvManager, WritesTablesAsMaxReadsThem) {
  PagedKvManager kv = manager_of("dense");
  TextContext first = context_of(1, counting(33), 80), second = context_of(2, counting(5, 500), 80);
  stepped(kv, first);
  for (TextContext* context : {&first, &second}) {
    if (!kv.contains(context->id())) {
      ASSERT_TRUE(kv.claim(context->id()));
    }
    ASSERT_TRUE(kv.alloc(*context));
  }
  const TextContext* both[] = {&first, &second};
  const KvInputs inputs = kv.runtime_inputs(both).value();
  EXPECT_EQ(inputs.batch, 2U);
  const KvGroupInputs& group = inputs.groups[0];
  EXPECT_EQ(group.columns, 16U + 16U);
  EXPECT_EQ(group.lanes, 1U);
  EXPECT_EQ(group.fill, 40U);
  ASSERT_EQ(group.table.size(), 2U * 32);
  std::vector<std::uint32_t> expected(64, 40);
  for (std::uint32_t page = 0; page < 9; ++page) expected[page] = page;
  expected[32] = 9;
  expected[33] = 10;
  EXPECT_EQ(std::vector(group.table.begin(), group.table.end()), expected);
  EXPECT_EQ(std::vector(inputs.cache_lengths.begin(), inputs.cache_lengths.end()), (std::vector<std::uint32_t>{33, 0}));
  EXPECT_EQ(std::vector(inputs.max_lengths.begin(), inputs.max_lengths.end()), (std::vector<std::uint32_t>{5, 33}));
  const KvInputs none = kv.runtime_inputs({}).value();
  EXPECT_EQ(none.batch, 0U);
  EXPECT_TRUE(none.groups[0].table.empty());
}

TEST(PagedKvManager, NumbersPagesAsTheLayoutAndTheNullPagesSay) {
  struct Case {
    const char* name;
    std::uint32_t columns, fill, first;
    std::uint64_t total;
  };
  for (const Case& c : {Case{"dense_exact", 2, 0, 1, 41}, Case{"no_null_page", 24, kNoPage, 0, 40}, Case{"three_null_pages", 24, 40, 0, 43},
                        Case{"shared_whole", 24, 40, 0, 41}}) {
    PagedKvManager kv = manager_of(c.name);
    TextContext context = context_of(1, counting(6));
    ASSERT_TRUE(kv.claim(1) && kv.alloc(context));
    const KvInputs inputs = inputs_of(kv, context);
    EXPECT_EQ(inputs.groups[0].columns, c.columns) << c.name;
    EXPECT_EQ(inputs.groups[0].fill, c.fill) << c.name;
    EXPECT_EQ(row_of(inputs, 0, 2), (std::vector{c.first, c.first + 1})) << c.name;
    EXPECT_EQ(kv.total_pages(0), c.total) << c.name;
    EXPECT_EQ(kv.free_pages(0), 38U) << c.name;
  }
}

TEST(PagedKvManager, FullAndLatentGroupsHaveOneTable) {
  PagedKvManager kv = manager_of("full_and_latent");
  TextContext context = context_of(1, counting(6));
  ASSERT_TRUE(kv.claim(1));
  EXPECT_EQ(kv.alloc(context)->new_pages, 2U);
  const KvInputs inputs = inputs_of(kv, context);
  EXPECT_EQ(inputs.groups[0].table.data(), inputs.groups[1].table.data());
  EXPECT_EQ(kv.free_pages(0), kv.free_pages(1));
}

// Rows are added to; a batch in another order, of other requests or lengths must show none of the last one's pages.
TEST(PagedKvManager, WritesRowsAnewWhereTheBatchChanges) {
  for (const char* name : {"dense", "gemma", "shared_gemma"}) {
    PagedKvManager kv = manager_of(name), fresh = manager_of(name);
    std::vector<TextContext> contexts;
    for (RequestId id = 0; id < 4; ++id) contexts.push_back(context_of(id, counting(3 + 5 * id, static_cast<Token>(100 * id)), 60));
    for (PagedKvManager* manager : {&kv, &fresh})
      for (const TextContext& context : contexts) {
        TextContext copy = context;
        ASSERT_TRUE(manager->claim(copy.id()) && manager->alloc(copy));
      }
    // One manager writes every batch over the last one's, the other each into new buffers.
    for (const std::vector<std::size_t>& batch :
         std::vector<std::vector<std::size_t>>{{0, 1, 2, 3}, {3, 2}, {2, 3}, {1}, {0, 1, 2}, {0, 1, 2, 3}, {0}, {}, {3, 1, 0}}) {
      std::vector<const TextContext*> asked;
      for (const std::size_t i : batch) asked.push_back(&contexts[i]);
      const KvInputs written = kv.runtime_inputs(asked).value();
      for (std::size_t group = 0; group < written.groups.size(); ++group)
        for (std::size_t i = 0; i < asked.size(); ++i) {
          const KvInputs alone = inputs_of(fresh, *asked[i]);
          const KvGroupInputs &one = alone.groups[group], &all = written.groups[group];
          for (std::size_t lane = 0; lane < all.lanes; ++lane)
            for (std::size_t page = 0; page < all.columns; ++page)
              ASSERT_EQ(all.table[(lane * asked.size() + i) * all.columns + page],
                        page < one.columns ? one.table[lane * one.columns + page] : one.fill)
                  << name << " group " << group << " row " << i << " column " << page;
        }
    }
  }
}

// ---- Replicas --------------------------------------------------------------------------------------------------------------

// Invariant 24.
TEST(PagedKvManager, ReplicasHavePoolsOfTheirOwn) {
  PagedKvManager kv = manager_of("uneven_replicas");
  EXPECT_EQ(kv.n_replicas(), 2U);
  EXPECT_EQ(kv.ranks_per_replica(), 2U);
  EXPECT_EQ(kv.total_pages(0, 0), 41U);
  EXPECT_EQ(kv.total_pages(0, 1), 21U);
  EXPECT_EQ(kv.total_pages(0, 2), 0U);
  EXPECT_EQ(kv.bytes(0), 41U * 64);
  EXPECT_EQ(kv.bytes(3), 21U * 64);
  EXPECT_EQ(kv.bytes(4), 0U);
  TextContext first = context_of(1, counting(20)), second = context_of(2, counting(20));
  ASSERT_TRUE(kv.claim(1, 0) && kv.claim(2, 1));
  ASSERT_TRUE(kv.alloc(first) && first.update(1));
  const TextContext* one = &first;
  ASSERT_TRUE(kv.step({&one, 1}));
  EXPECT_EQ(kv.alloc(second)->hit_tokens, 0U) << "another replica's pages are out of reach";
  EXPECT_EQ(kv.free_pages(0, 0), 35U);
  EXPECT_EQ(kv.free_pages(0, 1), 15U);
  EXPECT_EQ(inputs_of(kv, second, 1).groups[0].fill, 20U);
  one = &second;
  expect_refused(kv.runtime_inputs({&one, 1}, {0}), ErrorCode::kBadRequest, "a batch is of one replica");
}

} // namespace
} // namespace plimsoll
