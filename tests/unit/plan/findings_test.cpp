// Answers that were once wrong, each with the right one: a rule that stood in two places, requests that the pages did not hold,
// lengths of nothing.
#include <gmock/gmock.h>

#include <fstream>

#include "base/json.hpp"
#include "plimsoll/estimator.hpp"
#include "unit/plan/planned.hpp"

namespace plimsoll {
namespace {

using testing::loaded;
using testing::on;
using testing::planned;
using testing::warns;

// DeepSeek-V3 with Llama-3.1-8B as its draft model, on 16 ranks: latents of 61 x 576 x 2 B, and of 32 layers one head of 8 each, copied
// twice: 32 x 512 B. The checkpoint's own drafting head is not loaded.
TEST(DraftModels, CountAlikeUnderBothAccountings) {
  for (const Accounting accounting : {Accounting::kPerDevice, Accounting::kPooled}) {
    PlanRequest request = on("16xH200");
    request.ep = 16;
    request.draft = loaded("meta-llama/Llama-3.1-8B");
    request.accounting = accounting;
    const Plan plan = planned("deepseek-ai/DeepSeek-V3", request);
    EXPECT_EQ(plan.kv_cache.bytes_per_token_per_device, 61U * 1152 + 32 * 512) << accounting_name(accounting); // 86,656
    std::vector<std::pair<std::string, std::uint64_t>> groups;
    for (const KvGroupPlan& group : plan.kv_cache.groups) groups.emplace_back(group.label, group.layers);
    EXPECT_EQ(groups, (std::vector<std::pair<std::string, std::uint64_t>>{{"latent", 61}, {"attention", 32}}))
        << accounting_name(accounting);
  }
}

TEST(RunTimeTypes, AreRefusedAlikeByPlansAndWeights) {
  const Model model = loaded("meta-llama/Llama-3.1-8B");
  for (const char* type : {"q8_0", "q4_K", "nonsense"}) {
    PlanRequest request = on("1xH200");
    request.dtype = type;
    const auto plan = test::built_context().plan(model, request);
    const auto weights = test::built_context().weights(model, request);
    ASSERT_FALSE(plan) << type;
    ASSERT_FALSE(weights) << type;
    EXPECT_EQ(plan.error().code, ErrorCode::kBadRequest);
    EXPECT_EQ(weights.error().code, plan.error().code);
    EXPECT_EQ(weights.error().message, plan.error().message) << type;
    EXPECT_EQ(weights.error().where, "--dtype");
  }
}

// Nobody publishes how large an image Keye takes: its cache is a bound, in engines that size it by a share or by tokens, until the
// configuration states the key.
TEST(LargestImages, ThatNobodyPublishesAreBounds) {
  std::ifstream in(PLIMSOLL_SOURCE_DIR "/core/catalogue/models/Kwai-Keye__Keye-VL-1_5-8B.json");
  Json config = Json::parse(in).at("config");
  const auto basis = [](const Plan& plan) {
    for (const Item& item : plan.items)
      if (item.category == Category::kVisionCache) return item.basis;
    return Basis::kHeuristic;
  };
  for (const char* engine : {"max", "vllm"}) {
    PlanRequest request = on("1xH200");
    request.engine = engine;
    const Plan assumed = planned("Kwai-Keye/Keye-VL-1_5-8B", request);
    EXPECT_EQ(basis(assumed), Basis::kBound) << engine;
    EXPECT_TRUE(warns(assumed, WarningCode::kEntryRuleIsABound)) << engine;
    const Plan published = planned("Qwen/Qwen2.5-VL-7B-Instruct", request);
    EXPECT_EQ(basis(published), Basis::kExact) << engine;
    EXPECT_FALSE(warns(published, WarningCode::kEntryRuleIsABound)) << engine;

    config["vision_config"]["max_image_pixels"] = 1'000'000;
    const Result<Model> stated = test::built_context().load_config(config.dump(), "config.json");
    ASSERT_TRUE(stated) << stated.error().message;
    const Result<Plan> plan = test::built_context().plan(*stated, request);
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_EQ(basis(*plan), Basis::kExact) << engine;
    EXPECT_FALSE(warns(*plan, WarningCode::kEntryRuleIsABound)) << engine;
  }
}

// The largest image of Qwen2.5-VL-7B is 16,384 rows of 3,584 bfloat16, however small the share of the cache: in plans of both
// accountings and in the estimate of the same sizes.
TEST(VisionShares, HoldOneImageEverywhere) {
  constexpr std::uint64_t kImage = 117'440'512;
  PlanRequest request = on("1x80GiB");
  request.vision_cache_utilization = 0.00001;
  const Plan plan = planned("Qwen/Qwen2.5-VL-7B-Instruct", request);
  EXPECT_FALSE(plan.error);
  EXPECT_EQ(plan.devices.at(0).vision_cache_bytes, kImage);
  EXPECT_TRUE(warns(plan, WarningCode::kVisionCacheRaised));
  EXPECT_EQ(plan.vision_entries, 1U);

  request.accounting = Accounting::kPooled;
  const Plan pooled = planned("Qwen/Qwen2.5-VL-7B-Instruct", request);
  EXPECT_FALSE(pooled.error);
  EXPECT_EQ(pooled.devices.at(0).vision_cache_bytes, kImage);
  EXPECT_TRUE(warns(pooled, WarningCode::kVisionCacheRaised));

  const DevicePlan& d = plan.devices.at(0);
  EstimateRequest e;
  EstimateDevice device;
  device.free_bytes = static_cast<std::int64_t>(d.free_bytes);
  device.total_bytes = static_cast<std::int64_t>(d.total_bytes);
  e.devices = {device};
  e.weights.total_bytes = static_cast<std::int64_t>(d.weights_bytes);
  e.activations.total_bytes = static_cast<std::int64_t>(d.activation_bytes);
  e.signal_buffers.total_bytes = static_cast<std::int64_t>(d.signal_buffer_bytes);
  EstimateCache cache;
  cache.type = {"bfloat16", 1, 2};
  cache.layers = 28;
  cache.kv_heads = 4;
  cache.query_heads = 28;
  cache.head_dim = 128;
  e.caches = {cache};
  e.max_length = 128'000;
  e.max_batch_input_tokens = 8192;
  e.vision_cache = EstimateVisionCache{};
  e.vision_cache->utilization = 0.00001;
  e.vision_cache->row_elements = 3584;
  e.vision_cache->row_type = {"bfloat16", 1, 2};
  e.vision_cache->entry_bytes = static_cast<std::int64_t>(kImage);
  const EstimateResult estimate = MemoryEstimator::estimate(e);
  ASSERT_FALSE(estimate.error) << estimate.error->where << ": " << estimate.error->message;
  ASSERT_TRUE(estimate.vision_cache);
  EXPECT_EQ(static_cast<std::uint64_t>(estimate.vision_cache->bytes), kImage);
  EXPECT_EQ(static_cast<std::uint64_t>(estimate.max_length.value_or(0)), plan.limits.max_length);
  EXPECT_EQ(static_cast<std::uint64_t>(estimate.max_batch_size.value_or(0)), plan.limits.max_batch_size);
  EXPECT_EQ(static_cast<std::uint64_t>(estimate.max_supported_sequence_length.value_or(0)), plan.limits.max_supported_sequence_length);
}

// One computation behind plans and per-device estimates of the same sizes.
TEST(Estimates, OfPlannedSizesAreThePlans) {
  struct Row {
    const char *model, *devices;
    std::uint32_t ep;
    EstimateCache cache;
    std::int64_t length;
  };
  EstimateCache llama, latent;
  llama.type = {"bfloat16", 1, 2};
  llama.layers = 32;
  llama.kv_heads = 8;
  llama.query_heads = 32;
  llama.head_dim = 128;
  latent.kind = CacheKind::kLatent;
  latent.type = {"bfloat16", 1, 2};
  latent.layers = 61;
  latent.kv_heads = 1;
  latent.query_heads = 128;
  latent.head_dim = 576;
  for (const Row& row : {Row{"meta-llama/Llama-3.1-8B", "1xH100", 1, llama, 131'072},
                         {"meta-llama/Llama-3.1-8B", "2x24GiB", 1, llama, 131'072},
                         {"meta-llama/Llama-3.1-8B", "1x20GiB", 1, llama, 131'072}, // shortened
                         {"deepseek-ai/DeepSeek-V3", "8xH200", 8, latent, 163'840}}) {
    PlanRequest request = on(row.devices);
    request.ep = row.ep;
    const Plan plan = planned(row.model, request);
    EstimateRequest e;
    e.caches = {row.cache};
    e.max_length = row.length;
    e.max_batch_input_tokens = 8192;
    for (const DevicePlan& d : plan.devices) {
      EstimateDevice device;
      device.free_bytes = static_cast<std::int64_t>(d.free_bytes);
      device.total_bytes = static_cast<std::int64_t>(d.total_bytes);
      e.devices.push_back(device);
      e.weights.per_device_bytes.push_back(static_cast<std::int64_t>(d.weights_bytes));
      e.activations.per_device_bytes.push_back(static_cast<std::int64_t>(d.activation_bytes));
      e.signal_buffers.per_device_bytes.push_back(static_cast<std::int64_t>(d.signal_buffer_bytes));
    }
    const EstimateResult estimate = MemoryEstimator::estimate(e);
    const std::string title = std::string(row.model) + " on " + row.devices;
    ASSERT_FALSE(estimate.error) << title << ": " << estimate.error->message;
    ASSERT_EQ(estimate.devices.size(), plan.devices.size());
    for (std::size_t rank = 0; rank < plan.devices.size(); ++rank) {
      EXPECT_EQ(static_cast<std::uint64_t>(estimate.devices[rank].kv_cache_bytes), plan.devices[rank].kv_cache_bytes) << title;
      EXPECT_EQ(estimate.devices[rank].unused_bytes, plan.devices[rank].unused_bytes) << title;
    }
    EXPECT_EQ(static_cast<std::uint64_t>(estimate.pages_per_replica.value_or(0)), plan.kv_cache.pages) << title;
    EXPECT_EQ(static_cast<std::uint64_t>(estimate.max_length.value_or(0)), plan.limits.max_length) << title;
    EXPECT_EQ(static_cast<std::uint64_t>(estimate.max_batch_size.value_or(0)), plan.limits.max_batch_size) << title;
    EXPECT_EQ(static_cast<std::uint64_t>(estimate.max_supported_sequence_length.value_or(0)), plan.limits.max_supported_sequence_length)
        << title;
  }
}

// Windows of 2,048 tokens: 16 pages, and one to slide into.
TEST(CapacityRequests, FollowFromThePagesOfTheDocument) {
  for (const auto& [length, pages] : {std::pair{2048U, 16U}, {2049U, 17U}}) {
    PlanRequest request = on("1x200GiB");
    request.max_length = length;
    const Plan plan = planned("google/recurrentgemma-2b", request);
    EXPECT_EQ(plan.limits.max_batch_size, 512U);
    EXPECT_EQ(plan.kv_cache.pages, 512U * pages + 1) << length;
    EXPECT_DOUBLE_EQ(plan.kv_cache.capacity_requests, static_cast<double>(plan.kv_cache.pages - 1) / pages) << length;
    EXPECT_EQ(plan.limits.max_batch_at_max_length, 512U) << length;
  }
  // Nothing but states, whose rows are there for the sequences of the batch.
  const Plan plan = planned("mistralai/Mamba-Codestral-7B-v0.1", on("2x1TiB"));
  EXPECT_EQ(plan.kv_cache.pages, 0U);
  EXPECT_DOUBLE_EQ(plan.kv_cache.capacity_requests, static_cast<double>(plan.limits.max_batch_size));
  EXPECT_EQ(plan.kv_cache.state_slots, plan.limits.max_batch_size);
}

TEST(Batches, AtFullLengthAreNeverLargerThanTheBatch) {
  for (const char* engine : {"max", "vllm", "sglang", "tensorrt-llm", "llama.cpp"})
    for (const std::uint64_t batch : {1U, 3U, 64U}) {
      PlanRequest request = on("1xH200");
      request.engine = engine;
      request.max_batch_size = batch;
      request.max_length = 4096;
      const Plan plan = planned("meta-llama/Llama-3.1-8B", request);
      EXPECT_EQ(plan.limits.max_batch_size, batch) << engine;
      EXPECT_LE(plan.limits.max_batch_at_max_length, batch) << engine;
    }
}

TEST(Pooled, AModelOfStatesAloneHoldsItsLength) {
  PlanRequest request = on("2x1TiB");
  request.accounting = Accounting::kPooled;
  const Plan plan = planned("mistralai/Mamba-Codestral-7B-v0.1", request);
  EXPECT_EQ(plan.verdict, Verdict::kFits);
  EXPECT_GT(plan.limits.max_length, 0U);
  EXPECT_EQ(plan.limits.max_supported_sequence_length, plan.limits.max_length);
}

TEST(Zero, IsRefusedUnderBothAccountings) {
  const Model model = loaded("meta-llama/Llama-3.1-8B");
  for (const Accounting accounting : {Accounting::kPerDevice, Accounting::kPooled}) {
    PlanRequest request = on("1xH100");
    request.accounting = accounting;
    request.max_batch_size = 0;
    auto plan = test::built_context().plan(model, request);
    ASSERT_FALSE(plan) << accounting_name(accounting);
    EXPECT_EQ(plan.error().where, "--max-batch-size");
    request.max_batch_size.reset();
    request.max_batch_input_tokens = 0;
    plan = test::built_context().plan(model, request);
    ASSERT_FALSE(plan) << accounting_name(accounting);
    EXPECT_EQ(plan.error().where, "--max-batch-input-tokens");
  }
}

} // namespace
} // namespace plimsoll
