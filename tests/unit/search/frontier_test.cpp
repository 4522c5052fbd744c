// Frontiers: every point is a plan that can be had and the largest of its length, under engines that bind by pages, by states, by the
// tokens of a pass.
#include "search/frontier.hpp"

#include <gtest/gtest.h>

#include "unit/plan/planned.hpp"

namespace plimsoll {
namespace {

using testing::loaded;
using testing::on;
using testing::planned;

// Every point of a frontier is a plan, and no plan has one request more.
TEST(Frontiers, ArePlansThatCanBeHad) {
  struct Row {
    const char *model, *devices, *engine;
  };
  for (const Row& row : {Row{"Qwen/Qwen3-8B", "8xH200", "vllm"},
                         {"Qwen/Qwen3-8B", "8xH200", "tensorrt-llm"},
                         {"Qwen/Qwen3-8B", "8xH200", "max"},
                         {"Qwen/Qwen3-8B", "4xH200", "llama.cpp"}, // one context, whatever the slots
                         {"Qwen/Qwen3-8B", "1xL4", "vllm"},
                         {"google/gemma-3-27b-it", "1xH100", "max"},
                         {"google/recurrentgemma-2b", "24GiB", "max"},
                         {"Qwen/Qwen3-Next-80B-A3B-Instruct", "4xH200", "max"},
                         {"Qwen/Qwen3-Next-80B-A3B-Instruct", "4xH200", "sglang"},
                         {"meta-llama/Llama-3.2-11B-Vision-Instruct", "1xH100", "max"},
                         {"state-spaces/mamba-2.8b-hf", "24GiB", "max"},
                         {"state-spaces/mamba-2.8b-hf", "24GiB", "sglang"}}) {
    const Model model = loaded(row.model);
    PlanRequest request = on(row.devices);
    request.engine = row.engine;
    request.frontier = true;
    request.max_length_auto = true;
    const Plan whole = planned(row.model, request);
    const std::string title = std::string(row.model) + " under " + row.engine;
    ASSERT_EQ(whole.frontier.size(), 1U) << title;
    const std::vector<FrontierPoint>& points = whole.frontier[0].points;
    ASSERT_GE(points.size(), 5U) << title;
    EXPECT_EQ(points.front().max_length, 256U) << title;
    for (const std::size_t at : {std::size_t{0}, std::size_t{4}, points.size() / 2, points.size() - 1}) {
      const FrontierPoint point = points.at(at);
      EXPECT_LE(point.max_batch_size, whole.request.max_batch_input_tokens) << title; // a request has a token in each pass
      ASSERT_GE(point.max_batch_size, 1U) << title << " at " << point.max_length;
      request.frontier = false;
      request.max_length_auto = false;
      request.max_length = point.max_length;
      request.max_batch_size = point.max_batch_size;
      const Plan had = planned(row.model, request);
      EXPECT_FALSE(had.error) << title << " at " << point.max_length;
      EXPECT_EQ(had.limits.max_length, point.max_length) << title;
      EXPECT_EQ(had.limits.max_batch_at_max_length, point.max_batch_size) << title << " at " << point.max_length;
      if (point.max_batch_size == whole.request.max_batch_input_tokens) continue;
      request.max_batch_size = point.max_batch_size + 1;
      const Plan more = planned(row.model, request);
      EXPECT_TRUE(more.error || more.limits.max_batch_at_max_length <= point.max_batch_size) << title << " at " << point.max_length;
    }
  }
}

// Qwen3-8B on 8 H200 has memory for more requests than a pass of 8,192 tokens has.
// Windows alone: each plan has the pages of its own batch, which is no limit of a larger one. Phi-3-medium, a window of 2,047 tokens and
// 512 tokens of a pass: 512 requests of any length.
TEST(Frontiers, OfWindowsAloneAreNoShorterThanTheirPlans) {
  PlanRequest request;
  request.devices = "2xH100";
  request.kv_dtype = "float8_e4m3fn";
  request.max_batch_input_tokens = 512;
  request.frontier = true;
  const Plan plan = test::built_context().plan(test::built_context().load("microsoft/Phi-3-medium-4k-instruct").value(), request).value();
  ASSERT_EQ(plan.frontier.size(), 1U);
  for (const FrontierPoint& point : plan.frontier.front().points) EXPECT_EQ(point.max_batch_size, 512U) << point.max_length;
}

// Larger batches capture more graphs, which this release takes beside its fraction: a plan for 8 requests starts, one for 1,744 does not.
TEST(Frontiers, LeaveWhatIsTakenBesideTheFraction) {
  PlanRequest request = on("1xH100");
  request.engine = "vllm@0.25.0.dev0";
  request.device_memory_utilization = 0.99;
  request.max_batch_size = 8;
  request.frontier = true;
  const Plan plan = planned("Qwen/Qwen3-8B", request);
  ASSERT_EQ(plan.frontier.size(), 1U);
  ASSERT_FALSE(plan.frontier[0].points.empty());
  request.frontier = false;
  for (const FrontierPoint& point : plan.frontier[0].points) {
    if (point.max_batch_size == 0) continue;
    request.max_length = point.max_length;
    request.max_batch_size = point.max_batch_size;
    EXPECT_NE(planned("Qwen/Qwen3-8B", request).verdict, Verdict::kDoesNotFit) << point.max_length;
  }
}

TEST(Frontiers, AreCappedByTheTokensOfAPass) {
  for (const char* engine : {"vllm", "tensorrt-llm", "max"}) {
    PlanRequest request = on("8xH200");
    request.engine = engine;
    request.frontier = true;
    request.max_batch_input_tokens = 8192;
    const Plan plan = planned("Qwen/Qwen3-8B", request);
    ASSERT_EQ(plan.frontier.size(), 1U);
    EXPECT_EQ(plan.frontier[0].points.at(0).max_batch_size, 8192U) << engine;
    EXPECT_EQ(plan.frontier[0].points.at(4).max_length, 512U);
    EXPECT_EQ(plan.frontier[0].points.at(4).max_batch_size, 8192U) << engine;
  }
}

} // namespace
} // namespace plimsoll
