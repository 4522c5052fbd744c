// GenerateMixin of the documented module, on a model of the test's own: TextGenerationPipeline::execute, generate, generate_async, release,
// kv_managers, pipeline_config, tokenizer; Generation; get_paged_manager.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/runtime/fake_requests.hpp"

namespace plimsoll::generation_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace plimsoll::testing;

TEST(GenerateMixin, GenerateMergesByRequestInTheOrderOfThePromptsThoughTheyFinishApart) {
  auto pipeline = fake_pipeline();
  ASSERT_TRUE(pipeline) << pipeline.error().message;
  std::vector<TextGenerationRequest> requests{request_of(prompt_of(3, 1), 9), request_of(prompt_of(5, 2), 1),
                                              request_of(prompt_of(2, 3), 5)};
  requests[0].id = 900;
  requests[1].id = 3;
  requests[2].id = 77;
  const auto outputs = pipeline->generate(requests);
  ASSERT_TRUE(outputs) << outputs.error().message;
  expect_as_alone(requests, *outputs);
  expect_nothing_left(*pipeline);
  for (const TextGenerationRequest& request : requests) EXPECT_EQ(fake_model(*pipeline).released[*request.id], 1);
}

TEST(GenerateMixin, OnePromptOrNone) {
  auto pipeline = fake_pipeline();
  ASSERT_TRUE(pipeline);
  const auto one = pipeline->generate(request_of({1, 2, 3}, 4));
  ASSERT_TRUE(one);
  EXPECT_EQ(one->tokens, fake_tokens({1, 2, 3}, 4));
  const auto none = pipeline->generate(std::vector<TextGenerationRequest>{});
  ASSERT_TRUE(none);
  EXPECT_TRUE(none->empty());
}

TEST(GenerateMixin, MoreRequestsThanTheBatchWait) {
  auto pipeline = fake_pipeline({.batch = 3});
  ASSERT_TRUE(pipeline);
  std::vector<TextGenerationRequest> requests;
  for (std::size_t i = 0; i < 11; ++i) requests.push_back(request_of(prompt_of(1 + i % 6, static_cast<Token>(i)), 1 + (i * 5) % 8));
  const auto outputs = pipeline->generate(requests);
  ASSERT_TRUE(outputs) << outputs.error().message;
  expect_as_alone(requests, *outputs);
  EXPECT_EQ(fake_model(*pipeline).most_batch, 3U);
  expect_nothing_left(*pipeline);
}

TEST(GenerateMixin, ALongPromptIsComputedInChunksOfTheStep) {
  auto pipeline = fake_pipeline({.batch = 4, .batch_tokens = 8});
  ASSERT_TRUE(pipeline);
  const std::vector<TextGenerationRequest> requests{request_of(prompt_of(50, 5), 6), request_of(prompt_of(3, 9), 20)};
  auto generation = pipeline->generate_async(requests);
  ASSERT_TRUE(generation);
  int silent = 0;
  while (true) {
    const auto outputs = generation->next();
    ASSERT_TRUE(outputs) << outputs.error().message;
    if (!*outputs) break;
    silent += (*outputs)->empty() ? 1 : 0;
  }
  EXPECT_GE(silent, 5) << "a step may give no output: 50 tokens, 8 a step";
  expect_as_alone(requests, std::move(*generation).finish());
  expect_nothing_left(*pipeline);
}

TEST(GenerateMixin, EachStepGivesItsOutputsInTheOrderOfThePrompts) {
  auto pipeline = fake_pipeline();
  ASSERT_TRUE(pipeline);
  std::vector<TextGenerationRequest> requests{request_of({1}, 1), request_of({2}, 2), request_of({3}, 3)};
  requests[0].id = 30;
  requests[1].id = 20;
  requests[2].id = 10;
  auto generation = pipeline->generate_async(requests);
  ASSERT_TRUE(generation);
  std::vector<std::vector<RequestId>> steps;
  while (true) {
    const auto outputs = generation->next();
    ASSERT_TRUE(outputs);
    if (!*outputs) break;
    std::vector<RequestId> ids;
    for (const TextGenerationOutput& output : **outputs) ids.push_back(output.id);
    steps.push_back(ids);
  }
  EXPECT_THAT(steps, ElementsAre(ElementsAre(30, 20, 10), ElementsAre(20, 10), ElementsAre(10)));
}

TEST(GenerateMixin, AFullPoolPutsTheYoungestBackAndLosesNone) {
  for (const bool prefix_caching : {false, true}) {
    auto pipeline = fake_pipeline({.pages = 9, .batch = 4, .batch_tokens = 16, .max_length = 40}, prefix_caching);
    ASSERT_TRUE(pipeline);
    std::vector<TextGenerationRequest> requests;
    for (std::size_t i = 0; i < 6; ++i) requests.push_back(request_of(prompt_of(4 + i, static_cast<Token>(3 * i)), 24 - i));
    auto generation = pipeline->generate_async(requests);
    ASSERT_TRUE(generation);
    std::uint64_t most_pages = 0;
    while (true) {
      const auto outputs = generation->next();
      ASSERT_TRUE(outputs) << outputs.error().message;
      if (!*outputs) break;
      most_pages = std::max(most_pages, used_pages(*pipeline));
      const auto audit = pipeline->kv_managers().front()->audit();
      ASSERT_TRUE(audit) << audit.error().message;
    }
    EXPECT_GE(most_pages, 8U);
    expect_as_alone(requests, std::move(*generation).finish());
    expect_nothing_left(*pipeline);
    EXPECT_GT(fake_model(*pipeline).released[3], 1) << "requests were put back on the way";
  }
}

TEST(GenerateMixin, ARequestThatNeverFitsFailsByItselfWithWhatItGave) {
  auto pipeline = fake_pipeline({.pages = 5, .max_length = 60});
  ASSERT_TRUE(pipeline);
  const std::vector<TextGenerationRequest> requests{request_of(prompt_of(6, 1), 8), request_of(prompt_of(10, 2), 40),
                                                    request_of(prompt_of(30, 3), 2), request_of(prompt_of(4, 4), 3)};
  const auto outputs = pipeline->generate(requests);
  ASSERT_TRUE(outputs) << outputs.error().message;
  EXPECT_EQ((*outputs)[0].tokens, fake_tokens(requests[0].prompt_tokens, 8));
  EXPECT_EQ((*outputs)[3].tokens, fake_tokens(requests[3].prompt_tokens, 3));
  const TextGenerationOutput& grown = (*outputs)[1];
  ASSERT_TRUE(grown.error);
  EXPECT_EQ(grown.error->code, ErrorCode::kInsufficientBlocks);
  EXPECT_EQ(grown.status, Status::kCancelled);
  // Of 5 pages with 4 tokens 20 are computed; the token after the last one is still chosen.
  EXPECT_EQ(grown.tokens, fake_tokens(requests[1].prompt_tokens, 11));
  const TextGenerationOutput& large = (*outputs)[2];
  ASSERT_TRUE(large.error);
  EXPECT_EQ(large.error->code, ErrorCode::kInsufficientBlocks);
  EXPECT_THAT(large.error->message, HasSubstr("even alone"));
  EXPECT_TRUE(large.tokens.empty());
  expect_nothing_left(*pipeline);
}

TEST(GenerateMixin, AStopTokenCancelsBetweenStepsAndLeavesNoPage) {
  auto pipeline = fake_pipeline({.batch = 2});
  ASSERT_TRUE(pipeline);
  const std::vector<TextGenerationRequest> requests{request_of({1, 2}, 50), request_of({3, 4, 5}, 1), request_of({6}, 50)};
  auto generation = pipeline->generate_async(requests);
  ASSERT_TRUE(generation);
  std::stop_source stop;
  for (int step = 0; step < 3; ++step) ASSERT_TRUE(generation->next(stop.get_token()));
  EXPECT_GT(used_pages(*pipeline), 0U);
  stop.request_stop();
  const auto last = generation->next(stop.get_token());
  ASSERT_TRUE(last);
  ASSERT_TRUE(*last);
  ASSERT_EQ((*last)->size(), 2U) << "the second request was done";
  for (const TextGenerationOutput& output : **last) EXPECT_EQ(output.status, Status::kCancelled);
  expect_nothing_left(*pipeline);
  const auto end = generation->next(stop.get_token());
  ASSERT_TRUE(end);
  EXPECT_FALSE(*end);
  const auto outputs = std::move(*generation).finish();
  EXPECT_EQ(outputs[0].tokens, fake_tokens({1, 2}, 3));
  EXPECT_EQ(outputs[1].status, Status::kMaximumLength);
  EXPECT_EQ(outputs[2].tokens, fake_tokens({6}, 2));
}

TEST(GenerateMixin, AStoppedGenerateReturnsWhatThereIs) {
  auto pipeline = fake_pipeline();
  ASSERT_TRUE(pipeline);
  std::stop_source stop;
  stop.request_stop();
  const std::vector<TextGenerationRequest> requests{request_of({1, 2}, 50)};
  const auto outputs = pipeline->generate(requests, stop.get_token());
  ASSERT_TRUE(outputs);
  EXPECT_EQ((*outputs)[0].status, Status::kCancelled);
  EXPECT_TRUE((*outputs)[0].tokens.empty());
  expect_nothing_left(*pipeline);
}

TEST(GenerateMixin, ReleaseAndCancelEndOneRequestAlone) {
  auto pipeline = fake_pipeline({.batch = 2});
  ASSERT_TRUE(pipeline);
  const std::vector<TextGenerationRequest> requests{request_of({1, 2}, 6), request_of({3, 4}, 6), request_of({5}, 6)};
  auto generation = pipeline->generate_async(requests);
  ASSERT_TRUE(generation);
  ASSERT_TRUE(generation->next());
  pipeline->release(0);  // runs
  generation->cancel(2); // waits
  pipeline->release(4711);
  const auto outputs = generation->next();
  ASSERT_TRUE(outputs);
  ASSERT_EQ((*outputs)->size(), 3U);
  EXPECT_EQ((**outputs)[0].status, Status::kCancelled);
  EXPECT_EQ((**outputs)[1].status, Status::kActive);
  EXPECT_EQ((**outputs)[2].status, Status::kCancelled);
  while (*generation->next()) {
  }
  const auto merged = std::move(*generation).finish();
  EXPECT_EQ(merged[0].tokens, fake_tokens({1, 2}, 1));
  EXPECT_EQ(merged[1].tokens, fake_tokens({3, 4}, 6));
  EXPECT_TRUE(merged[2].tokens.empty());
  expect_nothing_left(*pipeline);
}

TEST(GenerateMixin, AGenerationThatGoesGivesAllBack) {
  auto pipeline = fake_pipeline();
  ASSERT_TRUE(pipeline);
  {
    auto generation = pipeline->generate_async(std::vector{request_of({1, 2, 3, 4, 5}, 9), request_of({1}, 9)});
    ASSERT_TRUE(generation);
    ASSERT_TRUE(generation->next());
    EXPECT_GT(used_pages(*pipeline), 0U);
  }
  expect_nothing_left(*pipeline);
  EXPECT_TRUE(pipeline->generate(request_of({1}, 2))) << "ids are free again";
}

TEST(GenerateMixin, AFailedStepEndsTheCallAndLeavesNoClaim) {
  auto pipeline = fake_pipeline();
  ASSERT_TRUE(pipeline);
  fake_model(*pipeline).failing_step = 3;
  const auto outputs = pipeline->generate(std::vector{request_of({1, 2}, 9), request_of({3}, 9)});
  ASSERT_FALSE(outputs);
  EXPECT_EQ(outputs.error().message, "the device fell off the bus");
  expect_nothing_left(*pipeline);
}

TEST(GenerateMixin, AStepThatFailedMayBeTriedAgain) {
  auto pipeline = fake_pipeline();
  ASSERT_TRUE(pipeline);
  fake_model(*pipeline).failing_step = 2;
  const std::vector<TextGenerationRequest> requests{request_of({1, 2}, 5), request_of({3}, 4)};
  auto generation = pipeline->generate_async(requests);
  ASSERT_TRUE(generation);
  ASSERT_TRUE(generation->next());
  ASSERT_FALSE(generation->next());
  while (*generation->next()) {
  }
  expect_as_alone(requests, std::move(*generation).finish());
}

TEST(GenerateMixin, LogitsThatAreNoNumbersEndTheirRequestAlone) {
  auto pipeline = fake_pipeline();
  ASSERT_TRUE(pipeline);
  fake_model(*pipeline).broken_row = true;
  auto generation = pipeline->generate_async(std::vector{request_of({1, 2}, 3), request_of({3}, 2)});
  ASSERT_TRUE(generation);
  ASSERT_TRUE(generation->next());
  fake_model(*pipeline).broken_row = false;
  while (*generation->next()) {
  }
  const auto outputs = std::move(*generation).finish();
  ASSERT_TRUE(outputs[0].error);
  EXPECT_THAT(outputs[0].error->message, HasSubstr("no numbers"));
  EXPECT_EQ(outputs[1].tokens, fake_tokens({3}, 2));
  expect_nothing_left(*pipeline);
}

TEST(GenerateMixin, TwoGenerationsShareAPipeline) {
  auto pipeline = fake_pipeline({.pages = 6});
  ASSERT_TRUE(pipeline);
  std::vector<TextGenerationRequest> first{request_of(prompt_of(12, 1), 8)}, second{request_of(prompt_of(12, 2), 8)};
  second[0].id = 5;
  auto a = pipeline->generate_async(first), b = pipeline->generate_async(second);
  ASSERT_TRUE(a && b);
  ASSERT_TRUE(a->next());
  ASSERT_TRUE(b->next());
  std::size_t waited = 0;
  for (bool done = false; !done;) {
    const auto outputs = b->next();
    if (outputs) done = !*outputs;
    else {
      EXPECT_EQ(outputs.error().code, ErrorCode::kInsufficientBlocks);
      ++waited;
      ASSERT_TRUE(a->next()) << "the other one goes on";
    }
  }
  EXPECT_GT(waited, 0U);
  while (*a->next()) {
  }
  expect_as_alone(first, std::move(*a).finish());
  expect_as_alone(second, std::move(*b).finish());
  expect_nothing_left(*pipeline);
}

TEST(GenerateMixin, IdsUnderWayDiffer) {
  auto pipeline = fake_pipeline();
  ASSERT_TRUE(pipeline);
  std::vector<TextGenerationRequest> requests{request_of({1}, 3), request_of({2}, 3)};
  requests[1].id = 0;
  const auto twice = pipeline->generate_async(requests);
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().code, ErrorCode::kBadRequest);
  const auto other = pipeline->generate_async(std::vector{request_of({1}, 3)});
  ASSERT_TRUE(other) << "the call that was refused left nothing behind";
  EXPECT_FALSE(pipeline->generate_async(std::vector{request_of({1}, 3)}));
}

TEST(GenerateMixin, WindowsLetLongPromptsThroughSmallPools) {
  auto pipeline =
      fake_pipeline({.pages = 8, .batch = 3, .batch_tokens = 16, .max_length = 200, .kind = CacheKind::kWindow, .window_tokens = 8});
  ASSERT_TRUE(pipeline);
  const std::vector<TextGenerationRequest> requests{request_of(prompt_of(60, 1), 30), request_of(prompt_of(4, 2), 50),
                                                    request_of(prompt_of(33, 3), 9), request_of(prompt_of(90, 4), 5)};
  const auto outputs = pipeline->generate(requests);
  ASSERT_TRUE(outputs) << outputs.error().message;
  for (std::size_t i = 0; i < requests.size(); ++i)
    EXPECT_EQ((*outputs)[i].tokens, fake_tokens(requests[i].prompt_tokens, *requests[i].max_new_tokens, 8)) << "request " << i;
  EXPECT_GT(fake_model(*pipeline).most_batch, 1U);
  expect_nothing_left(*pipeline);
}

} // namespace
} // namespace plimsoll::generation_test
