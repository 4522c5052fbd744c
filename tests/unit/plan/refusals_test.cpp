// What engines refuse to start with, in their own words: starts that were reported, each beside what was printed.
#include "plan/refusals.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/plan/planned.hpp"

namespace plimsoll {
namespace {

using ::testing::HasSubstr;
using testing::on;
using testing::planned;
using testing::warns;

PlanRequest start(const std::string& devices, const std::string& engine, double fraction, std::uint64_t length = 0) {
  PlanRequest request = on(devices);
  request.engine = engine;
  request.device_memory_utilization = fraction;
  if (length > 0) request.max_length = length;
  return request;
}

Error refused(const std::string& model, const PlanRequest& request) {
  const auto plan = test::built_context().plan(testing::loaded(model), request);
  if (!plan) return plan.error();
  if (!plan->error) ADD_FAILURE() << model << " fits";
  return plan->error.value_or(Error{});
}

// Qwen3.8-27B on one card of 95 GiB, vLLM 0.29: 652 blocks for 256 requests; with the default of 1,024 there were 635, and no start.
TEST(Refusals, MoreRequestsThanBlocksOfStateDoNotStart) {
  PlanRequest request = start("1xRTX-PRO-6000", "vllm@0.29.0", 0.9, 8192);
  request.max_batch_input_tokens = 8192;
  request.max_batch_size = 256;
  const Plan starts = planned("Qwen/Qwen3.6-27B", request);
  EXPECT_EQ(starts.verdict, Verdict::kFits);
  EXPECT_EQ(starts.kv_cache.page_tokens, 784U);
  EXPECT_NEAR(static_cast<double>(starts.kv_cache.pages), 652, 7);
  request.max_batch_size.reset(); // the engine's default counts, not one that would fit
  const Plan refused_plan = planned("Qwen/Qwen3.6-27B", request);
  ASSERT_TRUE(refused_plan.error);
  EXPECT_EQ(refused_plan.error->where, "--max-batch-size");
  EXPECT_NEAR(static_cast<double>(refused_plan.kv_cache.pages), 635, 7);
  EXPECT_THAT(refused_plan.error->message, HasSubstr("vllm says \"max_num_seqs (1024) exceeds available Mamba cache blocks (" +
                                                     std::to_string(refused_plan.kv_cache.pages)));
  EXPECT_GT(refused_plan.devices.front().kv_cache_bytes, 0U); // and shows what it found
  // Exactly the blocks would start.
  request.max_batch_size = refused_plan.kv_cache.pages;
  EXPECT_FALSE(planned("Qwen/Qwen3.6-27B", request).error);
  for (const auto& [engine, eager] : {std::pair{"vllm@0.29.0", true}, {"vllm@0.19.1", false}}) {
    request.max_batch_size = 1024;
    request.engine = engine;
    request.engine_overrides.clear();
    if (eager) request.engine_overrides["enforce_eager"] = "true";
    EXPECT_FALSE(planned("Qwen/Qwen3.6-27B", request).error) << engine;
  }
}

// Prefixes of recurrent state are cached by default from 0.28 on: 314,187 tokens and 38.35 requests of 8,192 for 652 blocks of 784.
TEST(Refusals, PrefixesOfStatesCostARowFrom028On) {
  PlanRequest request = start("1xRTX-PRO-6000", "vllm@0.29.0", 0.9, 8192);
  request.kv_blocks = 652;
  request.max_batch_size = 256;
  const Plan plan = planned("Qwen/Qwen3.6-27B", request);
  EXPECT_EQ(plan.kv_cache.pages, 652U);
  EXPECT_EQ(plan.kv_cache.engine_reported_tokens, 314187U);
  EXPECT_NEAR(plan.kv_cache.capacity_requests, 38.35, 0.005);
  request.engine = "vllm@0.27.1";
  EXPECT_NEAR(planned("Qwen/Qwen3.6-27B", request).kv_cache.capacity_requests, 652 / 14.0, 0.005);
}

TEST(Refusals, ABlockLongerThanAForwardPassDoesNotStartWithPrefixCaching) {
  PlanRequest request = start("1xRTX-5090", "vllm@0.20.0", 0.9, 8192);
  request.weights_bytes = 8ULL << 30;
  request.max_batch_size = 8;
  request.max_batch_input_tokens = 512;
  request.engine_overrides["prefix_caching"] = "true";
  EXPECT_THAT(refused("Qwen/Qwen3.6-27B", request).message, HasSubstr("block_size (784) must be <= max_num_batched_tokens (512)"));
  request.engine = "vllm@0.28.0";
  EXPECT_FALSE(planned("Qwen/Qwen3.6-27B", request).error);
  request.engine_overrides["chunked_prefill"] = "false";
  EXPECT_THAT(refused("Qwen/Qwen3.6-27B", request).message, HasSubstr("Chunked prefill is required"));
}

struct Said {
  const char *model, *devices, *engine;
  double fraction;
  const char* sentence;
};

TEST(Refusals, SayWhatTheEngineSays) {
  for (const Said& c : {
           Said{"Qwen/Qwen3-8B", "H100=80GiB:10GiB", "vllm@0.26.0", 0.92,
                "Free memory on device cuda:0 (10.00/80.00 GiB) on startup is less than desired GPU memory utilization (0.92, 73.60 GiB)"},
           Said{"Qwen/Qwen3-8B", "MI355X", "vllm", 0.95,
                "(271.00/287.98 GiB) on startup is less than desired GPU memory utilization (0.95, 273.58 GiB)"},
           Said{"Qwen/Qwen3-14B", "x=32GiB", "vllm@0.20.0", 0.85, "No available memory for the cache blocks"},
           Said{"meta-llama/Llama-3.1-8B", "1xRTX-4090", "vllm@0.20.0", 0.9, "max seq len (131072), (16.00 GiB KV cache is needed"},
           Said{"deepseek-ai/DeepSeek-V4-Pro", "8xH200", "sglang", 0.88,
                "Loaded weights leave no GPU memory for the KV cache under --mem-fraction-static=0.88"},
       }) {
    EXPECT_THAT(refused(c.model, start(c.devices, c.engine, c.fraction)).message, HasSubstr(c.sentence)) << c.model << " " << c.devices;
  }
}

struct Unknown {
  const char *engine, *devices, *kv_dtype;
  std::uint64_t page_tokens;
  const char* where;
};

TEST(Refusals, TypesPagesAndDevicesThatTheEngineDoesNotTake) {
  for (const Unknown& c :
       {Unknown{"sglang", "4xH100", "q8_0", 0, "--kv-dtype"}, Unknown{"tensorrt-llm", "4xH100", "q4_0", 0, "--kv-dtype"},
        Unknown{"vllm", "4xH100", "q4_0", 0, "--kv-dtype"}, Unknown{"vllm", "4xH100", "bfloat16/float8_e4m3fn", 0, "--kv-dtype"},
        Unknown{"vllm@0.11.0", "4xH100", "nvfp4", 0, "--kv-dtype"}, Unknown{"max", "4xH100", "int4", 0, "--kv-dtype"},
        Unknown{"vllm", "4xH100", "", 7, "--page-tokens"}, Unknown{"tensorrt-llm", "4xH100", "", 48, "--page-tokens"},
        Unknown{"vllm", "A100,MI300X", "", 0, "--devices"}, Unknown{"tensorrt-llm", "2xMI300X", "", 0, "--devices"}}) {
    PlanRequest request = on(c.devices);
    request.engine = c.engine;
    if (*c.kv_dtype != '\0') request.kv_dtype = c.kv_dtype;
    if (c.page_tokens > 0) request.page_tokens = c.page_tokens;
    const Error error = refused("Qwen/Qwen3-32B", request);
    EXPECT_EQ(error.code, ErrorCode::kBadRequest) << c.engine << " " << c.kv_dtype;
    EXPECT_EQ(error.where, c.where) << c.engine << " " << c.kv_dtype << " " << c.page_tokens;
  }
}

TEST(Refusals, AReleaseThatNobodyKnowsIsWarnedOf) {
  PlanRequest request = on("2xH100");
  request.engine = "vllm@9.9.9";
  EXPECT_TRUE(warns(planned("Qwen/Qwen3-8B", request), WarningCode::kReleaseUnknown));
  request.engine = "vllm@0.29.0";
  EXPECT_FALSE(warns(planned("Qwen/Qwen3-8B", request), WarningCode::kReleaseUnknown));
}

// Qwen3-30B-A3B on four cards of 22 GiB, 0.8.5: out of memory while graphs were captured, beside a fraction of 0.9.
TEST(Refusals, GraphsBesideTheFractionMustBeFree) {
  PlanRequest request = on("4xA10");
  request.engine = "vllm@0.8.5";
  request.max_length = 8192;
  EXPECT_THAT(refused("Qwen/Qwen3-30B-A3B", request).message, HasSubstr("beside its fraction vllm takes about"));
  request.engine_overrides["enforce_eager"] = "true";
  EXPECT_FALSE(planned("Qwen/Qwen3-30B-A3B", request).error);
  request.engine_overrides.clear();
  request.device_memory_utilization = 0.85;
  const Plan starts = planned("Qwen/Qwen3-30B-A3B", request);
  EXPECT_FALSE(starts.error);
  EXPECT_TRUE(warns(starts, WarningCode::kOutsideFraction));
  request.engine = "vllm@0.21.0";
  EXPECT_FALSE(warns(planned("Qwen/Qwen3-30B-A3B", request), WarningCode::kOutsideFraction));
}

TEST(Refusals, BlocksAreOfOneSizeOrNotGiven) {
  PlanRequest request = on("1xH100");
  request.engine = "sglang";
  request.kv_blocks = 1000;
  EXPECT_EQ(refused("Qwen/Qwen3-8B", request).where, "--num-gpu-blocks-override");
  request.engine = "vllm";
  EXPECT_EQ(planned("Qwen/Qwen3-8B", request).kv_cache.pages, 1000U);
  request.kv_cache_bytes = 1ULL << 30;
  EXPECT_EQ(refused("Qwen/Qwen3-8B", request).where, "--num-gpu-blocks-override");
}

} // namespace
} // namespace plimsoll
