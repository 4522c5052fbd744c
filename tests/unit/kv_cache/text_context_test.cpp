// A request's tokens: the processed and the active ones, chunks, placeholders, and what is refused. Invariant of the context, always:
// processed + active <= size, and at least one token is active.
#include "plimsoll/text_context.hpp"

#include <array>
#include <gtest/gtest.h>
#include <random>

#include "plimsoll/limits.hpp"
#include "unit/kv_cache/geometries.hpp"

namespace plimsoll {
namespace {

using testing::context_of;
using testing::counting;

// processed, active, size.
using Position = std::array<std::uint64_t, 3>;
Position position(const TextContext& context) { return {context.processed_length(), context.active_length(), context.size_tokens()}; }

TEST(TextContext, StartsWithTheWholePromptActive) {
  const TextContext context = context_of(5, counting(10), 12);
  EXPECT_EQ(context.id(), 5U);
  EXPECT_EQ(position(context), (Position{0, 10, 10}));
  EXPECT_EQ(context.prompt_length(), 10U);
  EXPECT_EQ(context.generated_length(), 0U);
  EXPECT_EQ(context.active_tokens().front(), 1);
  EXPECT_TRUE(context.reaches_end());
}

// The header's example.
TEST(TextContext, TakesThePromptInChunks) {
  TextContext context = context_of(1, counting(10), 12);
  context.set_chunk_limit(4);
  EXPECT_EQ(position(context), (Position{0, 4, 10}));
  EXPECT_FALSE(context.update(7)) << "the chunk does not reach the end";
  ASSERT_TRUE(context.advance_chunk());
  EXPECT_EQ(position(context), (Position{4, 4, 10}));
  ASSERT_TRUE(context.advance_chunk());
  EXPECT_EQ(position(context), (Position{8, 2, 10}));
  EXPECT_FALSE(context.advance_chunk());
  ASSERT_TRUE(context.update(7));
  EXPECT_EQ(position(context), (Position{10, 1, 11}));
  ASSERT_TRUE(context.update(8));
  EXPECT_EQ(context.generated_length(), 2U);
  EXPECT_EQ(context.tokens().back(), 8);
  const auto full = context.update(9);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, ErrorCode::kBadRequest);
  EXPECT_EQ(position(context), (Position{11, 1, 12}));
}

TEST(TextContext, SkipsAndRewinds) {
  TextContext context = context_of(1, counting(10));
  context.set_chunk_limit(4);
  ASSERT_TRUE(context.skip_processing(5));
  EXPECT_EQ(position(context), (Position{5, 4, 10}));
  EXPECT_FALSE(context.skip_processing(5)) << "one token stays to be computed";
  ASSERT_TRUE(context.skip_processing(4));
  EXPECT_EQ(position(context), (Position{9, 1, 10}));
  EXPECT_FALSE(context.rewind_processing(10));
  ASSERT_TRUE(context.rewind_processing(9));
  EXPECT_EQ(position(context), (Position{0, 4, 10}));
  context.set_chunk_limit(0);
  EXPECT_EQ(position(context), (Position{0, 10, 10}));
}

TEST(TextContext, PutsTokensInThePlaceOfPlaceholders) {
  TextContext context = context_of(1, counting(3), 6);
  EXPECT_FALSE(context.realise(4)) << "nothing waits";
  ASSERT_TRUE(context.update_pending());
  ASSERT_TRUE(context.update_pending());
  EXPECT_EQ(position(context), (Position{4, 1, 5}));
  EXPECT_EQ(context.pending_length(), 2U);
  EXPECT_EQ(context.realised_length(), 3U);
  EXPECT_FALSE(context.update(9)) << "placeholders come first";
  ASSERT_TRUE(context.realise(4));
  ASSERT_TRUE(context.realise(5));
  EXPECT_EQ(std::vector<Token>(context.tokens().begin(), context.tokens().end()), counting(5));
  EXPECT_EQ(context.pending_length(), 0U);
  ASSERT_TRUE(context.update(6));
  EXPECT_FALSE(context.update_pending()) << "the request is full";
}

TEST(TextContext, TakesBackWhatWasDrafted) {
  TextContextOptions options;
  options.id = 1;
  options.prompt = {1, 2, 3};
  options.max_length = 20;
  TextContext context = TextContext::create(std::move(options)).value();
  ASSERT_TRUE(context.update(4));
  for (const Token drafted : {5, 6, 7}) ASSERT_TRUE(context.update(drafted));
  EXPECT_FALSE(context.take_back(1)) << "one token stays to be computed";
  ASSERT_TRUE(context.rewind_processing(3));
  EXPECT_EQ(context.processed_length(), 3U);
  EXPECT_EQ(context.active_length(), 4U);
  EXPECT_FALSE(context.take_back(4));
  ASSERT_TRUE(context.take_back(3));
  EXPECT_EQ(context.size_tokens(), 4U);
  EXPECT_EQ(context.active_length(), 1U);
  ASSERT_TRUE(context.update(9));
  EXPECT_EQ(context.tokens().back(), 9);
  EXPECT_EQ(context.processed_length(), 4U);
  ASSERT_TRUE(context.rewind_processing(4));
  EXPECT_FALSE(context.take_back(3)) << "the prompt is none of it";
  ASSERT_TRUE(context.update_pending());
  EXPECT_FALSE(context.take_back(1));
}

TEST(TextContext, RefusesWhatCannotBe) {
  const auto with = [](auto change) {
    TextContextOptions options;
    options.prompt = counting(8);
    options.max_length = 20;
    change(options);
    return TextContext::create(std::move(options));
  };
  EXPECT_TRUE(with([](TextContextOptions& o) { o.media = {{0, 2, 1, 1}, {2, 6, 1, 2}}; }));
  const std::pair<const char*, Result<TextContext>> refused[] = {
      {"no token", with([](TextContextOptions& o) { o.prompt.clear(); })},
      {"a prompt beyond max_length", with([](TextContextOptions& o) { o.max_length = 7; })},
      {"max_length beyond all limits", with([](TextContextOptions& o) { o.max_length = kMaxTokens + 1; })},
      {"an empty medium", with([](TextContextOptions& o) {
         o.media = {{3, 0, 1, 1}};
       })},
      {"a medium beyond the prompt", with([](TextContextOptions& o) {
         o.media = {{6, 3, 1, 1}};
       })},
      {"a medium whose end wraps", with([](TextContextOptions& o) {
         o.media = {{6, UINT64_MAX - 3, 1, 1}};
       })},
      {"a medium that begins beyond", with([](TextContextOptions& o) {
         o.media = {{UINT64_MAX, 1, 1, 1}};
       })},
      {"media that overlap", with([](TextContextOptions& o) {
         o.media = {{0, 3, 1, 1}, {2, 2, 1, 2}};
       })},
      {"media that descend", with([](TextContextOptions& o) {
         o.media = {{4, 2, 1, 1}, {0, 2, 1, 2}};
       })},
  };
  for (const auto& [what, result] : refused) {
    ASSERT_FALSE(result) << what;
    EXPECT_EQ(result.error().code, ErrorCode::kBadRequest) << what;
  }
}

// Whatever is asked, allowed or not.
TEST(TextContext, KeepsItsInvariant) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 2'000; ++round) {
    TextContext context = context_of(1, counting(1 + random() % 12), 20);
    for (int i = 0; i < 40; ++i) {
      const Position before = position(context);
      const std::uint64_t count = random() % 6;
      Result<void> done;
      switch (random() % 7) {
      case 0: context.set_chunk_limit(count); break;
      case 1: done = context.skip_processing(count); break;
      case 2: done = context.rewind_processing(count); break;
      case 3: done = context.advance_chunk(); break;
      case 4: done = context.update(3); break;
      case 5: done = context.update_pending(); break;
      default: done = context.realise(4);
      }
      if (!done) {
        EXPECT_EQ(done.error().code, ErrorCode::kBadRequest);
        EXPECT_EQ(position(context), before);
      }
      ASSERT_GE(context.active_length(), 1U);
      ASSERT_LE(context.current_position(), context.size_tokens());
      ASSERT_LE(context.size_tokens(), context.max_length());
      ASSERT_LE(context.pending_length(), context.generated_length());
    }
  }
}

} // namespace
} // namespace plimsoll
