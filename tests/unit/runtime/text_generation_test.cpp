// The whole pipeline on a trained model: TextGenerationPipeline with its tokenizer, stop strings, echo, sampling, memory. Tokens against a
// second engine's stand in tests/generation.
#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plimsoll/runtime.hpp"
#include "support/built_context.hpp"

namespace plimsoll::text_generation_test {
namespace {

using ::testing::HasSubstr;

constexpr const char* kBible = PLIMSOLL_TEST_DATA "/tiny/kjv";
constexpr const char* kLatent = PLIMSOLL_TEST_DATA "/tiny/mla";
constexpr const char* kPrompt = "And the LORD said unto ";
constexpr const char* kText =
    "Moses, The LORD shall bring thee up to the house of the LORD, and the LORD said unto me, The LOR"; // of llama.cpp, see tests/data/tiny

Result<TextGenerationPipeline> pipeline_of(const char* model, const char* engine = "reference", const char* devices = "64MiB",
                                           const PipelineOptions& options = {}, bool all_logits = false) {
  PlanRequest request;
  request.engine = engine;
  request.devices = devices;
  request.max_batch_size = 4;
  if (all_logits) request.engine_overrides["schedule.logits"] = "all";
  PLIMSOLL_ASSIGN(const Model loaded, test::built_context().load(model));
  return TextGenerationPipeline::create(test::built_context(), loaded, request, options);
}

TextGenerationRequest text_request(std::uint64_t new_tokens = 96) {
  TextGenerationRequest request;
  request.prompt = kPrompt;
  request.max_new_tokens = new_tokens;
  return request;
}

class TextGeneration : public ::testing::Test {
protected:
  void SetUp() override {
    auto made = pipeline_of(kBible);
    ASSERT_TRUE(made) << made.error().message;
    pipeline_.emplace(std::move(*made));
  }
  TextGenerationOutput generate(const TextGenerationRequest& request) {
    auto output = pipeline_->generate(request);
    EXPECT_TRUE(output) << output.error().message;
    return output.value_or(TextGenerationOutput());
  }
  std::optional<TextGenerationPipeline> pipeline_;
};

TEST_F(TextGeneration, TextInTextOut) {
  const TextGenerationOutput output = generate(text_request());
  EXPECT_EQ(output.text, kText);
  EXPECT_EQ(output.status, Status::kMaximumLength);
  EXPECT_EQ(pipeline_->tokenizer()->decode(output.tokens).value(), kText) << "a round trip";
}

TEST_F(TextGeneration, PiecesOfTextAddUp) {
  auto generation = pipeline_->generate_async(std::vector{text_request()});
  ASSERT_TRUE(generation);
  std::string text;
  while (true) {
    const auto outputs = generation->next();
    ASSERT_TRUE(outputs);
    if (!*outputs) break;
    for (const TextGenerationOutput& output : **outputs) text += output.text;
  }
  EXPECT_EQ(text, kText);
}

TEST_F(TextGeneration, AStopStringEndsTheTextBeforeItself) {
  TextGenerationRequest request = text_request();
  request.stop_strings = {"nowhere", " bring"};
  const TextGenerationOutput output = generate(request);
  EXPECT_EQ(output.text, "Moses, The LORD shall");
  EXPECT_EQ(output.status, Status::kEndOfSequence);
  request.stop_strings = {"The LORDS"};
  EXPECT_EQ(generate(request).text, kText) << "held back, and told after all";
}

TEST_F(TextGeneration, AStopTokenIsNoText) {
  TextGenerationRequest request = text_request();
  request.stop_tokens = pipeline_->tokenizer()->encode(",").value();
  const TextGenerationOutput output = generate(request);
  EXPECT_EQ(output.text, "Moses");
  EXPECT_EQ(output.tokens.size(), 6U);
  EXPECT_EQ(output.status, Status::kEndOfSequence);
}

TEST_F(TextGeneration, ACancelledRequestKeepsItsText) {
  auto generation = pipeline_->generate_async(std::vector{text_request()});
  ASSERT_TRUE(generation);
  for (int step = 0; step < 6; ++step) ASSERT_TRUE(generation->next());
  const auto outputs = std::move(*generation).finish();
  EXPECT_EQ(outputs[0].text, "Moses,");
  EXPECT_EQ(outputs[0].status, Status::kCancelled);
  EXPECT_EQ(pipeline_->kv_managers()[0]->metrics().used_pages, 0U);
}

TEST_F(TextGeneration, TheLengthIsThePlans) {
  TextGenerationRequest request = text_request();
  request.max_new_tokens.reset();
  const TextGenerationOutput output = generate(request);
  EXPECT_EQ(output.status, Status::kMaximumLength);
  const std::size_t prompt_tokens = pipeline_->tokenizer()->encode(kPrompt).value().size();
  EXPECT_EQ(output.tokens.size() + prompt_tokens, pipeline_->plan().limits.max_length);
}

TEST_F(TextGeneration, SeedsDrawOtherTextsAndTheSameOnesAgain) {
  TextGenerationRequest request = text_request(40);
  request.sampling = {.temperature = 0.8, .top_k = 40, .top_p = 0.95, .seed = 1};
  const std::string first = generate(request).text;
  EXPECT_EQ(generate(request).text, first);
  request.sampling.seed = 2;
  EXPECT_NE(generate(request).text, first);
}

// An echo costs steps where the plan has few rows of logits, and none where it has a row for each token; it says the same.
TEST_F(TextGeneration, AnEchoIsTheSameInFewRowsAndInMany) {
  TextGenerationRequest request = text_request(5);
  request.log_probabilities = 3;
  request.echo = true;
  auto wide = pipeline_of(kBible, "reference", "64MiB", {}, true);
  ASSERT_TRUE(wide) << wide.error().message;
  const TextGenerationOutput few = generate(request);
  const auto many = wide->generate(request);
  ASSERT_TRUE(many);
  ASSERT_TRUE(few.log_probabilities && many->log_probabilities);
  const std::vector<Token> prompt = pipeline_->tokenizer()->encode(kPrompt).value();
  ASSERT_EQ(few.log_probabilities->sampled.size(), prompt.size() - 1 + 5);
  EXPECT_EQ(few.log_probabilities->sampled, many->log_probabilities->sampled);
  EXPECT_TRUE(std::equal(prompt.begin() + 1, prompt.end(), few.log_probabilities->sampled.begin()));
  for (std::size_t i = 0; i < few.log_probabilities->token.size(); ++i)
    EXPECT_NEAR(few.log_probabilities->token[i], many->log_probabilities->token[i], 2e-5) << "row " << i;
  for (const Usage& usage : wide->usage()) EXPECT_EQ(usage.peak_bytes, usage.planned_bytes) << category_name(usage.category);
}

TEST_F(TextGeneration, WhatWasTakenIsWhatWasPlanned) {
  generate(text_request(8));
  for (const Usage& usage : pipeline_->usage()) {
    EXPECT_EQ(usage.peak_bytes, usage.planned_bytes) << category_name(usage.category);
    EXPECT_EQ(usage.live_bytes, usage.planned_bytes) << category_name(usage.category);
  }
}

TEST_F(TextGeneration, APipelineCanBeMovedUnderItsGeneration) {
  auto generation = pipeline_->generate_async(std::vector{text_request(7)});
  ASSERT_TRUE(generation);
  TextGenerationPipeline moved = std::move(*pipeline_);
  pipeline_.reset();
  while (*generation->next()) {
  }
  EXPECT_EQ(std::move(*generation).finish()[0].text, "Moses, ");
}

TEST(TextGenerationPipeline, WithoutATokenizerThereAreIdsAlone) {
  PipelineOptions options;
  options.load_tokenizer = false;
  auto pipeline = pipeline_of(kBible, "reference", "64MiB", options);
  ASSERT_TRUE(pipeline) << pipeline.error().message;
  EXPECT_EQ(pipeline->tokenizer(), nullptr);
  TextGenerationRequest request;
  request.prompt_tokens = {1, 68, 113, 103};
  request.max_new_tokens = 3;
  const auto output = pipeline->generate(request);
  ASSERT_TRUE(output);
  EXPECT_EQ(output->tokens.size(), 3U);
  EXPECT_TRUE(output->text.empty());
}

TEST(TextGenerationPipeline, ProgressIsToldWhileWeightsAreLoaded) {
  std::uint64_t last = 0, total = 0;
  PipelineOptions options;
  options.progress = [&](std::uint64_t done_bytes, std::uint64_t total_bytes) {
    EXPECT_GE(done_bytes, last);
    last = done_bytes;
    total = total_bytes;
  };
  const auto pipeline = pipeline_of(kBible, "reference", "64MiB", options);
  ASSERT_TRUE(pipeline) << pipeline.error().message;
  EXPECT_EQ(last, 820'352U * 4);
  EXPECT_EQ(total, last);
}

// Another engine's plan sets aside that engine's activations. Enforced, ours are beyond it; observed, the usage says which.
TEST(TextGenerationPipeline, APlanOfAnotherEngineIsObserved) {
  const auto enforced = pipeline_of(kLatent, "max", "500MiB");
  ASSERT_FALSE(enforced);
  EXPECT_EQ(enforced.error().code, ErrorCode::kOverPlan);
  EXPECT_THAT(enforced.error().message, HasSubstr("activation.slab"));
  PipelineOptions options;
  options.arena_mode = ArenaMode::kObserve;
  options.load_tokenizer = false;
  auto pipeline = pipeline_of(kLatent, "max", "500MiB", options);
  ASSERT_TRUE(pipeline) << pipeline.error().message;
  TextGenerationRequest request;
  request.prompt_tokens = {5, 9, 30, 41};
  request.max_new_tokens = 4;
  const auto output = pipeline->generate(request);
  ASSERT_TRUE(output) << output.error().message;
  EXPECT_EQ(output->tokens.size(), 4U);
  for (const Category category : {Category::kWeights, Category::kKvCache, Category::kSignalBuffer}) {
    const Usage usage = pipeline->usage()[static_cast<std::size_t>(category)];
    EXPECT_EQ(usage.peak_bytes, usage.planned_bytes) << category_name(category);
    EXPECT_GT(usage.peak_bytes, 0U) << category_name(category);
  }
  EXPECT_TRUE(pipeline->usage()[static_cast<std::size_t>(Category::kActivation)].over_plan());
}

// The BLAS keeps what it took for the largest passes; that is no burden of a model that comes later.
TEST(TextGenerationPipeline, ASmallModelRunsBesideALargerOne) {
  PipelineOptions options;
  options.arena_mode = ArenaMode::kObserve;
  auto large = pipeline_of(kBible, "max", "1GiB", options);
  ASSERT_TRUE(large) << large.error().message;
  auto small = pipeline_of(kBible);
  ASSERT_TRUE(small) << small.error().message;
  const auto a = large->generate(text_request(6)), b = small->generate(text_request(6));
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->text, b->text);
}

} // namespace
} // namespace plimsoll::text_generation_test
