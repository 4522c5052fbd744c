// One model of each family worked by hand, and the totals over all devices that the documented planners give.
#include <gmock/gmock.h>

#include "unit/plan/planned.hpp"

namespace plimsoll::testing {
namespace {

std::uint64_t total(const Plan& plan, std::uint64_t DevicePlan::*part) {
  std::uint64_t sum = 0;
  for (const DevicePlan& d : plan.devices) sum += d.*part;
  return sum;
}

// 0.9 x 78.58 GiB less 8,030,261,248 parameters of two bytes, in pages of 128 tokens x 32 layers x 8 heads x 128 x 2 x 2 B.
TEST(WorkedByHand, Llama31) {
  const Plan plan = planned("meta-llama/Llama-3.1-8B", on("1xH100"));
  const DevicePlan& d = plan.devices.at(0);
  EXPECT_EQ(plan.model.parameters, 8'030'261'248U);
  EXPECT_EQ(d.weights_bytes, 16'060'522'496U);
  EXPECT_EQ(d.activation_bytes + d.signal_buffer_bytes + d.vision_cache_bytes + d.overhead_bytes, 0U);
  const std::uint64_t page = 128ULL * 32 * 8 * 128 * 2 * 2;
  EXPECT_EQ(plan.kv_cache.groups.at(0).page_bytes_per_device, page);
  EXPECT_EQ(plan.kv_cache.pages, (d.budget_bytes - d.weights_bytes) / page);
  EXPECT_EQ(d.kv_cache_bytes, plan.kv_cache.pages * page);
  EXPECT_EQ(plan.kv_cache.capacity_tokens, (plan.kv_cache.pages - 1) * 128); // one page is kept free of tokens
}

std::uint64_t fp8(std::uint64_t out, std::uint64_t in) { return out * in + ((out + 127) / 128) * ((in + 127) / 128) * 4; }

// A rank of tp 8, ep 8: an eighth of the heads and of the dense FFN, 32 of 256 experts, latents and routers whole.
TEST(WorkedByHand, DeepSeekV3) {
  PlanRequest r = on("8xH200");
  r.tp = 8;
  r.ep = 8;
  const Plan plan = planned("deepseek-ai/DeepSeek-V3", r);
  const std::uint64_t attention =
      fp8(1536, 7168) + fp8(24576 / 8, 1536) + fp8(576, 7168) + fp8(32768 / 8, 512) + fp8(7168, 16384 / 8) + 2 * (1536 + 512 + 7168 + 7168);
  const std::uint64_t dense = 2 * fp8(18432 / 8, 7168) + fp8(7168, 18432 / 8);
  const std::uint64_t experts =
      32 * (2 * fp8(2048, 7168) + fp8(7168, 2048)) + 2 * fp8(2048 / 8, 7168) + fp8(7168, 2048 / 8) + 256 * 7168 * 2 + 256 * 4;
  const std::uint64_t ends = 2ULL * (129280 / 8) * 7168 * 2 + 7168 * 2;
  for (const DevicePlan& d : plan.devices) EXPECT_EQ(d.weights_bytes, 61 * attention + 3 * dense + 58 * experts + ends);
  ASSERT_EQ(plan.kv_cache.groups.size(), 1U);
  EXPECT_EQ(plan.kv_cache.groups[0].kind, CacheKind::kLatent);
  EXPECT_EQ(plan.kv_cache.groups[0].page_bytes_per_device, 8'994'816U); // 128 x 576 x 2 x 61
  EXPECT_EQ(plan.devices.at(0).signal_buffer_bytes, 294'387'728U);
}

// 46,702,792,704 parameters, halved but for norms and routers.
TEST(WorkedByHand, Mixtral) {
  const Plan plan = planned("mistralai/Mixtral-8x7B-v0.1", on("2xH100"));
  const std::uint64_t copied = 32 * (2 * 4096 + 8 * 4096) + 4096;
  EXPECT_EQ(plan.model.parameters, 46'702'792'704U);
  for (const DevicePlan& d : plan.devices) EXPECT_EQ(d.weights_bytes, ((46'702'792'704 - copied) / 2 + copied) * 2);
  EXPECT_EQ(plan.kv_cache.groups.at(0).page_bytes_per_device, 128ULL * 32 * 4 * 128 * 2 * 2);
}

// 62 layers, every sixth of which sees all: 10 full ones, 52 with a window of 1024 tokens; 16 heads of 128.
TEST(WorkedByHand, Gemma3) {
  const Plan plan = planned("google/gemma-3-27b-it", on("1xH100"));
  ASSERT_EQ(plan.kv_cache.groups.size(), 2U);
  for (const KvGroupPlan& group : plan.kv_cache.groups) {
    const std::uint64_t layers = group.kind == CacheKind::kWindow ? 52 : 10;
    EXPECT_EQ(group.layers, layers);
    EXPECT_EQ(group.page_bytes_per_device, 128ULL * layers * 16 * 128 * 2 * 2);
  }
  const DevicePlan& d = plan.devices.at(0);
  EXPECT_EQ(d.activation_bytes, std::uint64_t{15} << 30);
  EXPECT_EQ(plan.vision_entry_bytes, 256U * 5376 * 2);
  // Windows stop growing at 1024 tokens: a sequence holds nine pages of them at most.
  for (const Item& item : plan.items) {
    if (item.label == "kv_cache.attention.window") {
      EXPECT_LE(item.bytes.at(0), (9 * plan.limits.max_batch_size + 1) * 128ULL * 52 * 16 * 128 * 2 * 2);
    }
  }
}

// The largest image, 12,845,056 pixels in merged patches of 28 x 28: 16,384 rows of 3584.
TEST(WorkedByHand, Qwen25Vl) {
  const Plan plan = planned("Qwen/Qwen2.5-VL-7B-Instruct", on("1xH100"));
  EXPECT_EQ(plan.devices.at(0).weights_bytes, 8'292'166'656U * 2);
  EXPECT_EQ(plan.devices.at(0).activation_bytes, std::uint64_t{5} << 30);
  EXPECT_EQ(plan.vision_entry_bytes, 16384ULL * 3584 * 2);
  EXPECT_GE(plan.vision_entries, 1U);
  EXPECT_EQ(plan.kv_cache.groups.at(0).page_bytes_per_device, 128ULL * 28 * 4 * 128 * 2 * 2);
}

// Experts in MXFP4 (17 bytes for 32 weights), all else in bfloat16: the checkpoint's 13,761,264,768 B. Activations: 6 GiB, for
// FP4 15 GiB more and one layer's 32 experts in bfloat16.
TEST(WorkedByHand, GptOss) {
  const Plan plan = planned("openai/gpt-oss-20b", on("1xH100"));
  const DevicePlan& d = plan.devices.at(0);
  EXPECT_EQ(d.weights_bytes, 13'761'264'768U);
  EXPECT_EQ(d.activation_bytes, (std::uint64_t{21} << 30) + 32ULL * (5760 * 2880 + 2880 * 2880) * 2);
  EXPECT_EQ(d.signal_buffer_bytes, 294'387'728U); // on one device too
}

struct Documented {
  const char* name;
  const char* devices;
  std::uint32_t dp, ep;
  std::uint64_t max_batch_input_tokens, max_length;
  Phase phase;
  std::uint64_t activation, signal;
};

TEST(Documented, TotalsOverAllDevices) {
  for (const Documented& c : std::vector<Documented>{
           {"deepseek-ai/DeepSeek-V3", "8x140GiB", 8, 8, 512, 163840, Phase::kDecode, 14'457'765'888, 2'355'101'824},
           {"deepseek-ai/DeepSeek-V3", "8x140GiB", 8, 8, 8192, 163840, Phase::kBoth, 214'144'385'024, 2'355'101'824},
           {"deepseek-ai/DeepSeek-V3", "8x140GiB", 1, 8, 128, 4096, Phase::kBoth, 2'532'179'968, 2'355'101'824},
           {"nvidia/Kimi-K2.5-NVFP4", "8xB200", 8, 8, 8192, 262144, Phase::kDecode, 180'115'996'672, 2'355'101'824},
           {"openai/gpt-oss-120b", "4x80GiB", 1, 1, 8192, 131072, Phase::kBoth, 28'918'677'504, 1'177'550'912},
           {"MiniMaxAI/MiniMax-M2.5", "8x80GiB", 8, 8, 8192, 131072, Phase::kBoth, 144'284'057'600, 2'355'101'824},
           {"google/gemma-3-27b-it", "2x80GiB", 1, 1, 8192, 8192, Phase::kBoth, 16'106'127'360, 588'775'456},
           {"Qwen/Qwen2.5-VL-7B-Instruct", "2x80GiB", 1, 1, 8192, 8192, Phase::kBoth, 5'368'709'120, 588'775'456},
       }) {
    PlanRequest r = on(c.devices);
    r.dp = c.dp;
    r.ep = c.ep;
    r.max_batch_input_tokens = c.max_batch_input_tokens;
    r.max_length = c.max_length;
    r.phase = c.phase;
    const Plan plan = planned(c.name, r);
    EXPECT_EQ(total(plan, &DevicePlan::activation_bytes), c.activation) << c.name << " " << phase_name(c.phase);
    EXPECT_EQ(total(plan, &DevicePlan::signal_buffer_bytes), c.signal) << c.name;
  }
}

// Thirteen tiles of 128 MiB and their tokens on two devices, where prefill is not chunked.
TEST(Documented, InternVlWithoutChunkedPrefill) {
  PlanRequest r = on("2x80GiB");
  r.engine_overrides["batch.chunked_prefill"] = "false";
  const Plan plan = planned("OpenGVLab/InternVL2_5-8B", r);
  EXPECT_EQ(total(plan, &DevicePlan::activation_bytes), 13'757'317'120U);
  EXPECT_EQ(total(plan, &DevicePlan::signal_buffer_bytes), 588'775'456U);
}

} // namespace
} // namespace plimsoll::testing
