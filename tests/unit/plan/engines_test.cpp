// Plans under the shipped engine profiles against figures that these engines printed at their start.
#include <gtest/gtest.h>

#include "unit/plan/planned.hpp"

namespace plimsoll {
namespace {

using testing::on;
using testing::planned;

PlanRequest under(const std::string& engine, const std::string& devices, std::uint64_t kv_bytes) {
  PlanRequest request = on(devices);
  request.engine = engine;
  request.kv_cache_bytes = kv_bytes;
  return request;
}

std::uint64_t gib(double value) { return static_cast<std::uint64_t>(value * 1073741824.0); }

// "Available KV cache memory" as bytes, 7,162 blocks, 973,760 tokens and 14.77x were printed.
TEST(Engines, UnifiedBlocksHoldStatesAndPages) {
  PlanRequest request = under("vllm@0.11.0", "2xH200", 47878721024);
  request.max_length = 262144;
  const Plan plan = planned("Qwen/Qwen3-Next-80B-A3B-Instruct", request);
  EXPECT_EQ(plan.kv_cache.page_tokens, 544U);
  EXPECT_EQ(plan.kv_cache.pages, 7162U);
  EXPECT_EQ(plan.kv_cache.engine_reported_tokens, 973760U);
  EXPECT_NEAR(plan.kv_cache.capacity_requests, 14.77, 0.005);
  EXPECT_EQ(plan.limits.max_batch_at_max_length, 14U);
}

// The same pool in words of a later release: requests times their length.
TEST(Engines, TheReleaseDecidesWhatTheStartUpLineSays) {
  PlanRequest request = under("vllm@0.21.0", "2xH200", 47878721024);
  request.max_length = 262144;
  const Plan plan = planned("Qwen/Qwen3-Next-80B-A3B-Instruct", request);
  EXPECT_EQ(plan.kv_cache.pages, 7162U);
  EXPECT_EQ(plan.kv_cache.engine_reported_tokens, 7162U * 262144 / 485);
}

// Printed: 45.32 GiB, 2,640,144 tokens, 284.25x: 18 full and 18 window layers in two groups.
TEST(Engines, WindowLayersAreAGroupOfTheirOwn) {
  PlanRequest request = under("vllm@0.10.1.1", "4xA100", gib(45.32));
  request.max_length = 16384;
  request.max_batch_input_tokens = 2048;
  const Plan plan = planned("openai/gpt-oss-120b", request);
  EXPECT_NEAR(static_cast<double>(plan.kv_cache.engine_reported_tokens), 2640144, 300);
  EXPECT_NEAR(plan.kv_cache.capacity_requests, 284.25, 0.04);
}

struct Printed {
  const char *model, *engine, *devices;
  double kv_gib;
  const char* kv_dtype;
  std::uint64_t page_tokens, tokens; // page_tokens 0: the engine's
  std::uint32_t dp;
};

// Tokens within what the two printed decimals of the memory allow.
TEST(Engines, TokensOfAPoolAreThosePrinted) {
  for (const Printed& row : {
           Printed{"zai-org/GLM-5-FP8", "vllm@0.20.0", "8xH200", 32.11, "bfloat16", 0, 344192, 1},
           {"Qwen/Qwen2.5-14B-Instruct", "vllm@0.21.0", "1xH100", 41.43, "bfloat16", 0, 226240, 1},
           {"meta-llama/Llama-3.3-70B-Instruct", "vllm@0.15.0", "4xH100", 20.0 * 4, "bfloat16", 0, 1048576, 1},
           {"deepseek-ai/DeepSeek-V3.2", "sglang", "8xB200", 43.67, "float8_e4m3fn", 0, 975424, 8},
           {"zai-org/GLM-5-FP8", "sglang", "8x283.5GiB", 186.77, "float8_e4m3fn", 1, 3262823, 1},
           {"moonshotai/Kimi-K2.5", "sglang", "8x288GiB", 160.63, "bfloat16", 0, 2454421, 1},
           {"moonshotai/Kimi-K2.5", "tensorrt-llm", "1x800GiB", 166.02, "float8_e4m3fn", 0, 5073376, 1},
           {"HuggingFaceTB/SmolLM2-135M-Instruct", "tensorrt-llm", "1x20GiB", 9.06, "bfloat16", 0, 422048, 1},
       }) {
    PlanRequest request = under(row.engine, row.devices, gib(row.kv_gib));
    request.kv_dtype = row.kv_dtype;
    if (row.page_tokens != 0) request.page_tokens = row.page_tokens;
    if (row.dp > 1) {
      request.tp = 1;
      request.dp = row.dp;
      request.ep = row.dp;
    }
    const Plan plan = planned(row.model, request);
    EXPECT_NEAR(static_cast<double>(plan.kv_cache.engine_reported_tokens) / static_cast<double>(row.tokens), 1, 0.005 / row.kv_gib + 1e-5)
        << row.model << " " << row.engine << ": " << plan.kv_cache.engine_reported_tokens;
  }
}

struct Cells {
  const char *model, *engine;
  std::uint64_t length, sequences;
  const char* kv_dtype;
  std::map<std::string, std::string> set;
  double mib;
};

// A refused start printed 6.66 GiB needed for 30,000 tokens, 5.44 available, 13,528 the longest: slabs of 1,051,776 B, of
// which the request takes 118 + 2 x 259 + 4,099 + 2,065 in five groups.
TEST(Engines, SlabsHoldCompressedCachesBesideWindows) {
  PlanRequest request = under("vllm@0.22.0", "2xH200", 5554ULL * 1051776); // 5.44 GiB
  request.ep = 2;
  request.max_length = 30000;
  request.max_batch_input_tokens = 16384;
  const auto refused = planned("deepseek-ai/DeepSeek-V4-Flash", request);
  EXPECT_EQ(refused.limits.max_supported_sequence_length, 13528U);
  request.kv_cache_bytes = 6800ULL * 1051776;
  const Plan plan = planned("deepseek-ai/DeepSeek-V4-Flash", request);
  EXPECT_EQ(plan.kv_cache.pages, 6800U);
  EXPECT_EQ(plan.limits.max_batch_at_max_length, 1U);
  EXPECT_NEAR(static_cast<double>(*request.kv_cache_bytes) / 1073741824.0, 6.66, 0.005);
  EXPECT_FALSE(testing::warns(plan, WarningCode::kKvRuleIsABound));
  request.engine = "vllm"; // packs denser
  const Plan later = planned("deepseek-ai/DeepSeek-V4-Flash", request);
  EXPECT_TRUE(testing::warns(later, WarningCode::kKvRuleIsABound));
  EXPECT_EQ(later.kv_cache.groups.at(0).basis, Basis::kBound);
  request.engine = "vllm@0.22.0";
  request.kv_cache_bytes = 6800ULL * 1051776 - 1;
  EXPECT_LT(planned("deepseek-ai/DeepSeek-V4-Flash", request).limits.max_supported_sequence_length, 30000U);
}

// 0.1 x 584 x 43 + (584 + 132) / 4 x 21 + 584 / 128 x 20 + 0.1 x 8 / 128 x 10,240 x 21 = 7,705.45 B a token, and rings of
// 128 rows for 256 + 2 requests. A first release printed 15,955.85 B and 1,317,632 tokens of 19.58 GiB: the long rings lay in
// the windows, and one window layer more was counted.
TEST(Engines, RingsLieInWindowsOrBesideRequests) {
  PlanRequest request = under("sglang", "1x300GiB", gib(19.58));
  const std::uint64_t rings = 33152ULL * 4096 * 20;
  const double tokens = static_cast<double>(*request.kv_cache_bytes - rings) / 7705.45;
  Plan plan = planned("deepseek-ai/DeepSeek-V4-Flash", request);
  EXPECT_EQ(plan.kv_cache.page_tokens, 256U);
  EXPECT_NEAR(static_cast<double>(plan.kv_cache.capacity_tokens), tokens, 257);
  EXPECT_EQ(plan.limits.max_batch_size, 256U);
  request.engine_overrides["request_rings"] = "false";
  plan = planned("deepseek-ai/DeepSeek-V4-Flash", request);
  EXPECT_NEAR(static_cast<double>(plan.kv_cache.capacity_tokens) / 1317632, 15955.85 / (15955.85 - 58.4), 0.0005);
}

// Printed: 38 slots and 399,740 tokens; with the spare row inside the share there would be 37.
TEST(Engines, TheSpareRowOfStatesWasBesideTheShare) {
  for (const auto& [engine, slots] : {std::pair{"sglang@0.5.9", 38U}, {"sglang@0.5.10", 37U}}) {
    PlanRequest request = under(engine, "1x16GiB", 38ULL * 76437504 + 399740ULL * 8192);
    request.engine_overrides["prefix_caching"] = "false"; // a slot for each request
    const Plan plan = planned("ibm-granite/granite-4.0-h-micro", request);
    EXPECT_EQ(plan.kv_cache.capacity_tokens, 399740U) << engine;
    EXPECT_EQ(plan.limits.max_batch_size, slots) << engine;
  }
}

TEST(Engines, ContextsTakeTheirCells) {
  for (const Cells& row : {
           Cells{"google/gemma-3-270m", "llama.cpp", 1024, 4, "float16", {}, 18},
           {"google/gemma-2-2b-it", "llama.cpp", 8192, 4, "float16", {{"kv_unified", "true"}}, 832},
           {"google/gemma-3-27b-it", "llama.cpp@3751 (8b3002bb)", 131072, 1, "float16", {}, 63488},
           {"deepseek-ai/DeepSeek-R1", "llama.cpp", 163840, 1, "q8_0", {{"mla_cache", "latent"}}, 5833.125},
           {"deepseek-ai/DeepSeek-R1", "llama.cpp", 65536, 1, "f16", {{"mla_cache", "latent"}}, 4392},
           {"moonshotai/Kimi-K2-Instruct", "llama.cpp", 512, 1, "f16", {{"mla_cache", "heads"}}, 1220},
           {"deepseek-ai/DeepSeek-V2-Lite", "llama.cpp", 512, 1, "f16", {{"mla_cache", "heads"}}, 135},
           {"meta-llama/Llama-3.1-8B", "llama.cpp", 1024, 1, "iq4_nl/f16", {}, 82},
           {"Qwen/Qwen3-235B-A22B", "llama.cpp", 40960, 1, "q8_0/q8_0", {}, 3995},
           {"Qwen/Qwen3-30B-A3B", "llama.cpp@b6895", 4096, 1, "float16", {}, 384},
       }) {
    PlanRequest request = on("1x2000GiB");
    request.engine = row.engine;
    request.engine_overrides = row.set;
    request.max_length = row.length;
    request.max_batch_size = row.sequences;
    request.kv_dtype = row.kv_dtype;
    const Plan plan = planned(row.model, request);
    EXPECT_EQ(plan.devices.at(0).kv_cache_bytes, static_cast<std::uint64_t>(row.mib * 1048576)) << row.model << " " << row.length;
  }
}

// 275.75 GiB free, 15.28 of weights: mem_fraction_static 0.906 by default, a pool of 234.56 GiB, 1,707,904 tokens.
TEST(Engines, AReserveBecomesTheFraction) {
  PlanRequest request = on("X=277.34GiB:275.75GiB");
  request.engine = "sglang";
  request.page_tokens = 64;
  const Plan plan = planned("Qwen/Qwen3-8B", request);
  EXPECT_EQ(plan.request.device_memory_utilization, 0.906);
  EXPECT_NEAR(static_cast<double>(plan.kv_cache.engine_reported_tokens) / 1707904, 1, 2e-4);
}

// The parts and what is unused add up to the budget whatever the fraction covers.
TEST(Engines, PartsAddUpUnderEveryEngine) {
  for (const char* engine : {"max", "vllm", "vllm@0.6.0", "sglang", "tensorrt-llm", "llama.cpp"})
    for (const char* model :
         {"meta-llama/Llama-3.1-8B", "google/gemma-3-27b-it", "Qwen/Qwen3-Next-80B-A3B-Instruct", "deepseek-ai/DeepSeek-V3.2",
          "Qwen/Qwen2.5-VL-32B-Instruct", "state-spaces/mamba-2.8b-hf", "openai/gpt-oss-20b"})
      for (const char* devices : {"8xH200", "2xB200,2xB200"}) {
        PlanRequest request = on(devices);
        request.engine = engine;
        auto plan = test::built_context().plan(testing::loaded(model), request);
        ASSERT_TRUE(plan) << engine << " " << model << ": " << plan.error().message;
        for (const DevicePlan& d : plan->devices)
          EXPECT_EQ(static_cast<std::int64_t>(testing::parts_of(d)) + d.unused_bytes, static_cast<std::int64_t>(d.budget_bytes))
              << engine << " " << model;
      }
}

// More memory never holds fewer tokens, longer requests never fit more often: under every engine.
TEST(Engines, MemoryAndLengthAreMonotone) {
  for (const char* engine : {"max", "vllm", "vllm@0.19.0", "sglang", "tensorrt-llm", "llama.cpp"})
    for (const char* model : {"meta-llama/Llama-3.1-8B", "google/gemma-3-27b-it", "Qwen/Qwen3-Next-80B-A3B-Instruct",
                              "deepseek-ai/DeepSeek-V3.2", "openai/gpt-oss-20b"}) {
      std::uint64_t pages = 0, longest = 0;
      for (const double memory : {4.0, 4.5, 9.0, 20.0, 41.0}) {
        PlanRequest request = under(engine, "4xB200", gib(memory));
        request.max_length = 8192;
        request.frontier = true;
        const Plan plan = planned(model, request);
        EXPECT_GE(plan.kv_cache.pages, pages) << engine << " " << model << " " << memory;
        EXPECT_GE(plan.limits.max_supported_sequence_length, longest) << engine << " " << model << " " << memory;
        pages = plan.kv_cache.pages;
        longest = plan.limits.max_supported_sequence_length;
        ASSERT_EQ(plan.frontier.size(), 1U);
        const std::vector<FrontierPoint>& points = plan.frontier[0].points;
        EXPECT_EQ(points.back().max_length, 8192U);
        for (std::size_t i = 1; i < points.size(); ++i) {
          EXPECT_LT(points[i - 1].max_length, points[i].max_length);
          EXPECT_GE(points[i - 1].max_batch_size, points[i].max_batch_size) << engine << " " << model << " at " << points[i].max_length;
        }
      }
    }
}

// A refusal names what is needed and the longest that fits, and still carries the pool.
TEST(Engines, ARequestTooLongForThePoolStillShowsThePool) {
  PlanRequest request = under("vllm@0.15.0", "1xL40S", gib(2));
  request.max_length = 131072;
  const Plan plan = planned("meta-llama/Llama-3.1-8B", request);
  ASSERT_TRUE(plan.error);
  EXPECT_EQ(plan.error->code, ErrorCode::kOutOfMemory);
  EXPECT_EQ(plan.kv_cache.pages, 1024U);
  EXPECT_EQ(plan.limits.max_supported_sequence_length, 16384U);
  EXPECT_NEAR(plan.kv_cache.capacity_requests, 0.125, 1e-9);
  EXPECT_EQ(plan.devices[0].kv_cache_bytes, gib(16)); // what one request needs
}

// Slots are what caps a hybrid's concurrency: 7,162 blocks, one of attention and three states for the shortest request.
TEST(Engines, StateSlotsAreCountedApart) {
  PlanRequest request = under("vllm@0.11.0", "2xH200", 47878721024);
  EXPECT_EQ(planned("Qwen/Qwen3-Next-80B-A3B-Instruct", request).kv_cache.state_slots, 7162U / 4);
  request.engine_overrides["prefix_caching"] = "true"; // a second row of each state
  EXPECT_EQ(planned("Qwen/Qwen3-Next-80B-A3B-Instruct", request).kv_cache.state_slots, 7162U / 7);
  EXPECT_FALSE(planned("meta-llama/Llama-3.1-8B", under("vllm", "1xH100", gib(8))).kv_cache.state_slots);
  // A share of 0.9 / 1.9 in rows of the state, one of them spare; three rows for each running request.
  const Plan split = planned("Qwen/Qwen3-Next-80B-A3B-Instruct", under("sglang", "4xH200", gib(40)));
  ASSERT_TRUE(split.kv_cache.state_slots);
  std::uint64_t row = 0;
  for (const KvGroupPlan& group : split.kv_cache.groups) row += group.state_bytes_per_sequence;
  EXPECT_EQ(*split.kv_cache.state_slots, static_cast<std::uint64_t>(gib(40) * 9 / 19 / row - 1));
  EXPECT_LE(split.limits.max_batch_size, *split.kv_cache.state_slots / 3);
}

TEST(Engines, WhatBindsIsNamed) {
  EXPECT_EQ(planned("meta-llama/Llama-3.1-8B", under("vllm", "1xH100", gib(8))).limits.binding, "KV pages on rank 0 (H100)");
  PlanRequest hybrid = under("vllm@0.11.0", "2xH200", gib(40));
  hybrid.max_length = 1024; // 2 blocks of tokens, 3 of states
  EXPECT_EQ(planned("Qwen/Qwen3-Next-80B-A3B-Instruct", hybrid).limits.binding, "state slots on rank 0 (H200)");
  hybrid.max_length = 262144;
  EXPECT_EQ(planned("Qwen/Qwen3-Next-80B-A3B-Instruct", hybrid).limits.binding, "KV pages on rank 0 (H200)");
  EXPECT_EQ(planned("meta-llama/Llama-3.1-70B", on("1xH100")).limits.binding, "weights on rank 0 (H100)");
  PlanRequest sampler = on("1xL4"); // the logits of a batch, not the weights
  sampler.engine = "vllm@0.11.0";
  sampler.max_batch_size = sampler.max_batch_input_tokens = 8192;
  EXPECT_EQ(planned("meta-llama/Llama-3.1-8B", sampler).limits.binding, "activation on rank 0 (L4)");
}

TEST(Engines, DecodeContextParallelismSpreadsTokensOverRanks) {
  PlanRequest request = under("vllm@0.15.0", "8xH200", gib(40));
  const Plan alone = planned("deepseek-ai/DeepSeek-V3", request);
  request.engine_overrides["decode_context_parallel"] = "8";
  const Plan spread = planned("deepseek-ai/DeepSeek-V3", request);
  EXPECT_EQ(spread.kv_cache.engine_reported_tokens, alone.kv_cache.engine_reported_tokens * 8);
  EXPECT_GT(spread.kv_cache.capacity_requests, alone.kv_cache.capacity_requests * 7.9);
}

TEST(Engines, QuantisedCachesCountTheirScales) {
  // Llama-3.1-8B: 32 layers x 8 heads x 128 elements.
  const std::pair<const char*, std::uint64_t> rows[] = {{"bfloat16", 131072},
                                                        {"fp8", 65536},
                                                        {"nvfp4", 36864},
                                                        {"fp4", 36864},
                                                        {"int8_per_token_head", 65536 + 32 * 8 * 8},
                                                        {"fp8_per_token_head", 65536 + 32 * 8 * 8},
                                                        {"int4_per_token_head", 32768 + 32 * 8 * 8},
                                                        {"q8_0/q4_0", 34816 + 18432}};
  for (const auto& [type, bytes] : rows) {
    PlanRequest request = under(std::string_view(type).find('/') == std::string_view::npos ? "vllm" : "llama.cpp", "1xH100", gib(10));
    request.kv_dtype = type;
    EXPECT_EQ(planned("meta-llama/Llama-3.1-8B", request).kv_cache.bytes_per_token_per_device, bytes) << type;
  }
}

} // namespace
} // namespace plimsoll
