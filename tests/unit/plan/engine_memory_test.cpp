// Memory beside the KV cache as engines take it: the types that checkpoints ask for, alignment, padding of experts, slots for adapters,
// encoders, graphs. Figures that were printed, or worked out by hand.
#include <gtest/gtest.h>

#include "plan/expert_padding.hpp"
#include "plan/lora_slots.hpp"
#include "plan/profile_quantities.hpp"
#include "unit/plan/planned.hpp"

namespace plimsoll {
namespace {

using testing::on;
using testing::planned;
using testing::warns;

PlanRequest under_engine(const std::string& engine, const std::string& devices) {
  PlanRequest request = on(devices);
  request.engine = engine;
  return request;
}

std::uint64_t item_bytes(const Plan& plan, const std::string& label) {
  for (const Item& item : plan.items)
    if (item.label == label) return item.bytes.front();
  return 0;
}

struct Asked {
  const char *model, *engine, *devices, *dtype;
};

TEST(KvType, IsWhatTheCheckpointAsksForWhereTheEngineListens) {
  for (const Asked& c : {Asked{"nvidia/Qwen3-235B-A22B-NVFP4", "vllm@0.20.0", "8xB200", "float8_e4m3fn"},
                         Asked{"nvidia/Qwen3-235B-A22B-NVFP4", "vllm@0.13.0", "8xB200", "bfloat16"},
                         Asked{"nvidia/Qwen3-235B-A22B-NVFP4", "sglang", "8xB200", "float8_e4m3fn"},
                         Asked{"nvidia/Qwen3-235B-A22B-NVFP4", "tensorrt-llm", "8xB200", "float8_e4m3fn"},
                         Asked{"Qwen/Qwen3-8B", "vllm@0.20.0", "1xB200", "bfloat16"},
                         Asked{"deepseek-ai/DeepSeek-V3.2", "sglang", "8xB200", "float8_e4m3fn"},
                         Asked{"deepseek-ai/DeepSeek-V3.2", "sglang", "8xH200", "bfloat16"}})
    EXPECT_EQ(planned(c.model, under_engine(c.engine, c.devices)).kv_cache.dtype, c.dtype)
        << c.model << " " << c.engine << " " << c.devices;
  PlanRequest given = under_engine("vllm@0.20.0", "8xB200");
  given.kv_dtype = "bfloat16"; // always wins
  EXPECT_EQ(planned("nvidia/Qwen3-235B-A22B-NVFP4", given).kv_cache.dtype, "bfloat16");
}

struct Aligned {
  const char *model, *engine, *devices, *backend;
  std::uint64_t page_tokens;
};

// Kimi-Linear: 944 tokens hold a state; "Setting attention block size to 960 tokens" was printed.
TEST(Alignment, FollowsTheKernelsOfAttention) {
  for (const Aligned& c :
       {Aligned{"moonshotai/Kimi-Linear-48B-A3B-Instruct", "vllm@0.11.1", "2xRTX-3090", "", 960},
        Aligned{"moonshotai/Kimi-Linear-48B-A3B-Instruct", "vllm@0.11.1", "2xRTX-3090", "CUTLASS_MLA", 1024},
        Aligned{"moonshotai/Kimi-Linear-48B-A3B-Instruct", "vllm@0.28.0", "2xRTX-3090", "", 1024},
        Aligned{"Qwen/Qwen3.5-9B", "vllm@0.14.0", "1xB200", "", 544}, Aligned{"Qwen/Qwen3.5-9B", "vllm@0.14.0", "1xH100", "", 528},
        Aligned{"Qwen/Qwen3.5-9B", "vllm@0.20.0", "1xB200", "", 528}, Aligned{"Qwen/Qwen3.6-27B", "vllm@0.29.0", "1xH200", "", 784}}) {
    PlanRequest request = under_engine(c.engine, c.devices);
    request.max_length = 8192;
    request.max_batch_size = 8;
    request.weights_bytes = 8ULL << 30;
    if (*c.backend != '\0') request.engine_overrides["attention_backend"] = c.backend;
    EXPECT_EQ(planned(c.model, request).kv_cache.page_tokens, c.page_tokens) << c.model << " " << c.engine << " " << c.devices;
  }
}

// gpt-oss-120b: 65.9651 GiB on one H100, 17.2217 on each of four cards were printed where 60.77 are stored.
TEST(Experts, OfFourBitFloatsArePadded) {
  const double gib = static_cast<double>(1ULL << 30);
  const Plan one = planned("openai/gpt-oss-120b", under_engine("vllm@0.10.1", "1xH100"));
  EXPECT_NEAR(static_cast<double>(one.devices.front().weights_bytes) / gib, 65.9651, 0.1);
  EXPECT_TRUE(warns(one, WarningCode::kExpertsRepacked));
  const Plan four = planned("openai/gpt-oss-120b", under_engine("vllm@0.10.1", "4xA100"));
  EXPECT_NEAR(static_cast<double>(four.devices.front().weights_bytes) / gib, 17.2217, 0.05);
  const Plan spark = planned("openai/gpt-oss-120b", under_engine("tensorrt-llm@1.1", "1xH200"));
  EXPECT_NEAR(static_cast<double>(spark.devices.front().weights_bytes) / gib, 63.52, 0.25);
  EXPECT_EQ(item_bytes(planned("Qwen/Qwen3-30B-A3B", under_engine("vllm", "1xH100")), "experts.padding"), 0U);
}

// 32 layers x 16 x (4,096 + 4,096, ... ) x 2 B: 80 MiB of layers, and of embedding and head 16 x (128,256 + 4,096) x 2 B each.
TEST(Lora, SlotsAreForEveryLinearLayer) {
  PlanRequest request = under_engine("vllm", "1xH100");
  request.max_loras = 1;
  const Plan one = planned("meta-llama/Llama-3.1-8B", request);
  const std::uint64_t layers = 80ULL << 20, vocabularies = 2ULL * 16 * (128256 + 4096) * 2;
  EXPECT_EQ(item_bytes(one, "lora"), layers + vocabularies);
  request.max_loras = 8;
  request.max_lora_rank = 64;
  EXPECT_EQ(item_bytes(planned("meta-llama/Llama-3.1-8B", request), "lora"), 32 * (layers + vocabularies));
  request.max_loras = 1;
  request.max_lora_rank.reset();
  request.lora_targets = {"q_proj", "v_proj"};
  EXPECT_EQ(item_bytes(planned("meta-llama/Llama-3.1-8B", request), "lora"), 32ULL * 16 * (4096 + 4096 + 4096 + 1024) * 2);
  // Qwen3-30B-A3B: 48 layers x 128 experts x 16 x 3 x (2,048 + 768) x 2 B.
  request.lora_targets = {"gate_proj", "up_proj", "down_proj"};
  EXPECT_EQ(item_bytes(planned("Qwen/Qwen3-30B-A3B", request), "lora"), 48ULL * 128 * 16 * 3 * (2048 + 768) * 2);
  request.lora_targets = {"nothing"};
  const auto refused = test::built_context().plan(testing::loaded("Qwen/Qwen3-30B-A3B"), request);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().where, "--lora-targets");
}

// tp divides B of what is cut by its outputs and A of what is cut by its inputs: half of 4,096 here, all of it there.
TEST(Lora, RanksShareWhatTheyShareOfTheLayers) {
  PlanRequest request = under_engine("vllm", "2xH100");
  request.max_loras = 1;
  request.lora_targets = {"q_proj"};
  EXPECT_EQ(item_bytes(planned("meta-llama/Llama-3.1-8B", request), "lora"), 32ULL * 16 * (4096 + 2048) * 2);
  request.lora_targets = {"o_proj"};
  EXPECT_EQ(item_bytes(planned("meta-llama/Llama-3.1-8B", request), "lora"), 32ULL * 16 * (2048 + 4096) * 2);
}

TEST(Media, LimitsShrinkWhatIsProfiledAndLeaveOutEncoders) {
  PlanRequest request = under_engine("vllm", "1xH100");
  request.max_length = 8192;
  const Plan all = planned("Qwen/Qwen2.5-VL-7B-Instruct", request);
  request.images_per_request = 0;
  request.videos_per_request = 0;
  const Plan none = planned("Qwen/Qwen2.5-VL-7B-Instruct", request);
  EXPECT_LT(none.devices.front().weights_bytes, all.devices.front().weights_bytes - (1ULL << 30)); // the tower
  EXPECT_EQ(none.devices.front().vision_cache_bytes, 0U);
  EXPECT_EQ(item_bytes(none, "vision_encoder"), 0U);
  request.images_per_request.reset();
  request.videos_per_request.reset();
  request.language_model_only = true;
  const Plan text = planned("Qwen/Qwen2.5-VL-7B-Instruct", request);
  EXPECT_EQ(text.devices.front().weights_bytes, none.devices.front().weights_bytes);
  request.engine = "vllm@0.14.0"; // loads it all the same
  EXPECT_EQ(planned("Qwen/Qwen2.5-VL-7B-Instruct", request).devices.front().weights_bytes, all.devices.front().weights_bytes);
}

TEST(Graphs, AreCountedBySize) {
  for (const auto& [most, sizes] : {std::pair<std::uint64_t, std::uint64_t>{1, 1},
                                    {2, 2},
                                    {4, 3},
                                    {8, 4},
                                    {16, 5},
                                    {32, 7},
                                    {64, 11},
                                    {128, 19},
                                    {256, 35},
                                    {512, 51},
                                    {1024, 83}})
    EXPECT_EQ(captured_sizes(most), sizes) << most;
  PlanRequest request = under_engine("vllm", "1xH100");
  const std::uint64_t many = item_bytes(planned("Qwen/Qwen3-8B", request), "cuda_graphs");
  request.max_batch_size = 4; // up to 8 rows: 1, 2, 4, 8
  EXPECT_EQ(item_bytes(planned("Qwen/Qwen3-8B", request), "cuda_graphs") * 51, many * 4);
  request.engine_overrides["enforce_eager"] = "true";
  EXPECT_EQ(item_bytes(planned("Qwen/Qwen3-8B", request), "cuda_graphs"), 0U);
}

// Eight ranks of DeepSeek-V3 that share experts: 7,168 elements of 8 x 8,192 tokens gathered; or the buffers of a library.
TEST(AllToAll, TakesWhatItsBackendTakes) {
  PlanRequest request = under_engine("vllm@0.20.0", "8xH200");
  request.tp = 1;
  request.dp = 8;
  request.ep = 8;
  request.max_length = 8192;
  const Plan gathered = planned("deepseek-ai/DeepSeek-V3", request);
  EXPECT_EQ(item_bytes(gathered, "all_gather"), 8ULL * 8192 * (4 * 7168 + 8 * 8));
  EXPECT_EQ(item_bytes(gathered, "experts"), 2ULL * 8 * 8192 * 8 * (7168 + 7168));
  request.engine_overrides["all2all_backend"] = "deepep_high_throughput";
  EXPECT_EQ(item_bytes(planned("deepseek-ai/DeepSeek-V3", request), "all_to_all"), 1ULL << 30);
  request.engine_overrides["all2all_backend"] = "deepep_low_latency";
  const Plan low = planned("deepseek-ai/DeepSeek-V3", request);
  EXPECT_EQ(low.request.max_batch_input_tokens, 256U);
  EXPECT_EQ(item_bytes(low, "all_to_all"), (1ULL << 30) + 65ULL * 256 * 256 * 7168 / 8);
}

// Our own runtime on GPUs: a context, granules and what cuBLAS works in; on memory of another kind, or of nobody's, none of these.
TEST(Reference, OnNvidiaDevicesTakesWhatTheDriverTakes) {
  PlanRequest request = under_engine("reference", "1xH100");
  request.max_length = 1024;
  const Plan plan = planned("meta-llama/Llama-3.1-8B", request);
  EXPECT_EQ(item_bytes(plan, "overhead.context"), 896ULL << 20);
  EXPECT_EQ(item_bytes(plan, "overhead.cublas"), 32ULL << 20);
  // A granule for each weight: 65 norms, seven matrices in each of 32 layers, two of words; 22 for slab, tables, what drafts and the one
  // pool.
  EXPECT_EQ(item_bytes(plan, "overhead.granularity"), (65ULL + 7 * 32 + 2 + 22) * (2U << 20));
  EXPECT_TRUE(warns(plan, WarningCode::kBufferRuleIsABound));
  for (const char* const devices : {"80GiB", "1xMI300X"}) {
    request.devices = devices;
    const Plan other = planned("meta-llama/Llama-3.1-8B", request);
    for (const char* const label : {"overhead.context", "overhead.cublas", "overhead.granularity"})
      EXPECT_EQ(item_bytes(other, label), 0U) << devices << ", " << label;
  }
}

// Ranks that share a model on them are joined by NCCL, whose memory is a bound; replicas that share nothing are not.
TEST(Reference, OnSeveralNvidiaDevicesTakesWhatNcclTakes) {
  PlanRequest request = under_engine("reference", "4xH100");
  request.max_length = 1024;
  request.tp = 2;
  request.pp = 2;
  const Plan plan = planned("meta-llama/Llama-3.1-8B", request);
  EXPECT_EQ(item_bytes(plan, "overhead.collectives"), (384ULL + 4 * (12 + 2 * 8) + 4 * 12) << 20);
  for (const Item& item : plan.items)
    if (item.label == "overhead.collectives") {
      EXPECT_EQ(item.basis, Basis::kBound);
      EXPECT_EQ(item.bytes.size(), 4U);
    }
  request.tp = 1;
  request.pp = 1;
  request.dp = 4;
  EXPECT_EQ(item_bytes(planned("meta-llama/Llama-3.1-8B", request), "overhead.collectives"), 0U);
  request = under_engine("reference", "2xMI300X");
  request.max_length = 1024;
  request.tp = 2;
  EXPECT_EQ(item_bytes(planned("meta-llama/Llama-3.1-8B", request), "overhead.collectives"), 0U);
}

TEST(Offload, StaysInHostMemory) {
  PlanRequest request = under_engine("vllm", "2xH100");
  const Plan without = planned("Qwen/Qwen3-8B", request);
  request.kv_offload_bytes = 64ULL << 30;
  const Plan with = planned("Qwen/Qwen3-8B", request);
  EXPECT_EQ(with.host_memory_bytes, 64ULL << 30);
  EXPECT_EQ(with.devices.front().kv_cache_bytes, without.devices.front().kv_cache_bytes);
  EXPECT_TRUE(warns(with, WarningCode::kHostMemoryNeeded));
}

} // namespace
} // namespace plimsoll
