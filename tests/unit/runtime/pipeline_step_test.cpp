// TextGenerationPipeline by hand: execute, kv_managers, pipeline_config, tokenizer, usage; get_paged_manager.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/runtime/fake_requests.hpp"

namespace plimsoll::pipeline_step_test {
namespace {

using ::testing::HasSubstr;
using namespace plimsoll::testing;

TEST(GenerateMixin, ExecuteIsOneStepOfAClaimedBatch) {
  auto pipeline = fake_pipeline();
  ASSERT_TRUE(pipeline);
  auto a = pipeline->new_context(request_of({1, 2, 3}, 2), 11), b = pipeline->new_context(request_of({4}, 2), 12);
  ASSERT_TRUE(a && b);
  PagedKvManager& kv = *get_paged_manager(*pipeline);
  const TextGenerationInputs inputs{{&*a, &*b}};
  ASSERT_FALSE(pipeline->execute(inputs)) << "not claimed";
  for (TextGenerationContext* const context : inputs.batch) {
    ASSERT_TRUE(kv.claim(context->id()));
    ASSERT_TRUE(kv.alloc(context->tokens()));
  }
  const auto first = pipeline->execute(inputs);
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(first->at(11).tokens, fake_tokens({1, 2, 3}, 1));
  EXPECT_EQ(first->at(12).tokens, fake_tokens({4}, 1));
  for (TextGenerationContext* const context : inputs.batch) ASSERT_TRUE(kv.alloc(context->tokens()));
  const auto second = pipeline->execute(inputs);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->at(11).status, Status::kMaximumLength);
  const auto third = pipeline->execute(inputs);
  ASSERT_FALSE(third);
  EXPECT_THAT(third.error().message, HasSubstr("has ended (maximum_length)"));
  pipeline->release(11);
  pipeline->release(12);
  pipeline->release(12);
  expect_nothing_left(*pipeline);
  EXPECT_FALSE(pipeline->execute({{&*a, &*a}}));
  EXPECT_FALSE(pipeline->execute({{nullptr}}));
  EXPECT_TRUE(pipeline->execute({}));
}

TEST(GenerateMixin, KvManagersAndConfig) {
  const Plan plan = fake_plan({});
  PipelineParts parts;
  parts.model = std::make_unique<FakeModel>(PipelineModelOptions{plan, {Arena::create(plan, 0).value()}});
  parts.config.devices = "64MiB";
  auto pipeline = TextGenerationPipeline::create(std::move(parts));
  ASSERT_TRUE(pipeline);
  EXPECT_EQ(pipeline->pipeline_config().devices, "64MiB");
  EXPECT_EQ(pipeline->tokenizer(), nullptr);
  ASSERT_EQ(pipeline->kv_managers().size(), 1U);
  EXPECT_EQ(pipeline->kv_managers()[0]->total_pages(0), 65U);
  EXPECT_EQ(&pipeline->plan(), &pipeline->model().plan());
}

TEST(GetPagedManager, IsThePipelinesOwn) {
  auto pipeline = fake_pipeline();
  ASSERT_TRUE(pipeline);
  ASSERT_NE(get_paged_manager(*pipeline), nullptr);
  EXPECT_EQ(get_paged_manager(*pipeline), pipeline->kv_managers()[0]);
  const TextGenerationPipeline& same = *pipeline;
  static_assert(noexcept(get_paged_manager(same)));
}

TEST(GetPagedManager, IsNullForAModelWithoutCacheWhichGeneratesAllTheSame) {
  const Plan plan = fake_plan({.batch_tokens = 12});
  PipelineParts parts;
  parts.model = std::make_unique<CachelessModel>(PipelineModelOptions{plan, {Arena::create(plan, 0).value()}});
  auto pipeline = TextGenerationPipeline::create(std::move(parts));
  ASSERT_TRUE(pipeline);
  EXPECT_EQ(get_paged_manager(*pipeline), nullptr);
  EXPECT_TRUE(pipeline->kv_managers().empty());
  const std::vector<TextGenerationRequest> requests{request_of({1, 2}, 4), request_of({3, 4, 5}, 7), request_of({6}, 2)};
  const auto outputs = pipeline->generate(requests);
  ASSERT_TRUE(outputs) << outputs.error().message;
  expect_as_alone(requests, *outputs);
  const auto long_one = pipeline->generate(std::vector{request_of({1, 2}, 20), request_of({3}, 2)});
  ASSERT_TRUE(long_one);
  ASSERT_TRUE((*long_one)[0].error) << "13 tokens at once exceed the step";
  EXPECT_EQ((*long_one)[0].tokens, fake_tokens({1, 2}, 11));
  EXPECT_EQ((*long_one)[1].tokens, fake_tokens({3}, 2));
}

TEST(GenerateMixin, UsageIsWhatThePlanCountsAndWhatWasTaken) {
  auto pipeline = fake_pipeline();
  ASSERT_TRUE(pipeline);
  const auto usage = pipeline->usage();
  const Usage& kv = usage[static_cast<std::size_t>(Category::kKvCache)];
  EXPECT_EQ(kv.planned_bytes, 65U * 16);
  EXPECT_EQ(kv.live_bytes, kv.planned_bytes);
  const Usage& tables = usage[static_cast<std::size_t>(Category::kActivation)];
  // The fake model takes tokens and offsets elsewhere: 16 x 8 + 5 x 4 + 8 B.
  EXPECT_EQ(tables.peak_bytes, tables.planned_bytes - 156);
}

TEST(GenerateMixin, APipelineNeedsAModelForEachReplica) {
  EXPECT_FALSE(TextGenerationPipeline::create(PipelineParts{}));
  Plan plan = fake_plan({});
  plan.request.dp = 2;
  PipelineParts parts;
  parts.model = std::make_unique<FakeModel>(PipelineModelOptions{plan, {Arena::create(plan, 0).value()}});
  const auto two = TextGenerationPipeline::create(std::move(parts));
  ASSERT_FALSE(two);
  EXPECT_THAT(two.error().message, HasSubstr("2 replicas"));
}

} // namespace
} // namespace plimsoll::pipeline_step_test
