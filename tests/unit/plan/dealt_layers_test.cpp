// Engines that deal layers to devices and leave some to the host: what lies where, against starts that were printed and by hand.
#include <gmock/gmock.h>

#include <algorithm>
#include <fmt/format.h>

#include "unit/plan/planned.hpp"

namespace plimsoll {
namespace {

using ::testing::HasSubstr;
using testing::loaded;
using testing::on;
using testing::parts_of;
using testing::planned;
using testing::warns;

constexpr std::uint64_t kMiB = 1ULL << 20, kGiBytes = 1ULL << 30;

PlanRequest dealt(const std::string& devices, std::uint64_t length = 4096) {
  PlanRequest request = on(devices);
  request.engine = "llama.cpp";
  request.max_length = length;
  return request;
}

std::uint64_t on_host(const Plan& plan, Category category) {
  std::uint64_t sum = 0;
  for (const Item& item : plan.items)
    if (item.memory == MemoryKind::kHost && item.category == category) sum += item.bytes.at(0);
  return sum;
}

std::uint64_t weights(const Plan& plan) {
  std::uint64_t sum = on_host(plan, Category::kWeights);
  for (const DevicePlan& device : plan.devices) sum += device.weights_bytes;
  return sum;
}

using Layers = std::vector<std::uint32_t>;

struct Split {
  const char *model, *devices;
  Layers stage_layers;
  std::uint32_t output_device;
};

TEST(DealtPlans, FollowTheFreeMemory) {
  for (const Split& c : {Split{"openai/gpt-oss-120b", "3xRTX-4090", {13, 12, 11}, 2}, // 37 units
                         {"openai/gpt-oss-120b", "3xRTX-3090", {13, 12, 11}, 2},
                         {"meta-llama/Llama-3.1-8B", "RTX-3090,RTX-4060", {25, 7}, 1},
                         {"meta-llama/Llama-3.1-8B", "RTX-4060,RTX-3090", {9, 23}, 1},
                         {"meta-llama/Llama-3.1-8B", "24GiB:8GiB,24GiB", {9, 23}, 1}, // what is free, not what there is
                         {"meta-llama/Llama-3.1-8B", "RTX-4090", {32}, 0},
                         {"Qwen/Qwen3.6-27B", "3x24GiB", {22, 22, 21}, 2}}) { // 64 layers and one that drafts, as its start counted them
    const Plan plan = planned(c.model, dealt(c.devices));
    ASSERT_TRUE(plan.dealt) << c.model;
    EXPECT_EQ(plan.dealt->stage_layers, c.stage_layers) << c.model << " " << c.devices;
    EXPECT_EQ(plan.dealt->output_device, std::optional(c.output_device)) << c.model;
    EXPECT_EQ(plan.request.tp, 1U);
    EXPECT_EQ(plan.request.pp, c.stage_layers.size());
  }
}

// Llama-3.1-8B, 32 layers of 436,224,000 B in bfloat16, embedding and output of 1,050,673,152 each; caches of 4,096 tokens are 16 MiB a
// layer.
TEST(DealtPlans, HoldWhatTheLayersTake) {
  constexpr std::uint64_t kLayer = 436'224'000, kOutput = 1'050'673'152, kNorm = 8192, kCache = 16 * kMiB;
  const Plan plan = planned("meta-llama/Llama-3.1-8B", dealt("RTX-3090,RTX-4060"));
  EXPECT_EQ(plan.devices.at(0).weights_bytes, 25 * kLayer);
  EXPECT_EQ(plan.devices.at(1).weights_bytes, 7 * kLayer + kOutput + kNorm);
  EXPECT_EQ(plan.devices.at(0).kv_cache_bytes, 25 * kCache);
  EXPECT_EQ(plan.devices.at(1).kv_cache_bytes, 7 * kCache);
  EXPECT_EQ(plan.host_memory_bytes, on_host(plan, Category::kWeights) + on_host(plan, Category::kOverhead));
  EXPECT_EQ(on_host(plan, Category::kWeights), kOutput); // the input embedding
  EXPECT_TRUE(warns(plan, WarningCode::kHostMemoryNeeded));
  EXPECT_FALSE(plan.host);

  PlanRequest request = dealt("RTX-3090,RTX-4060");
  request.gpu_layers = 11;
  const Plan few = planned("meta-llama/Llama-3.1-8B", request);
  EXPECT_EQ(few.dealt->stage_layers, (Layers{9, 1}));
  EXPECT_EQ(few.dealt->host_layers, 22U);
  EXPECT_EQ(few.dealt->gpu_layers, 11U);
  EXPECT_EQ(few.devices.at(0).weights_bytes, 9 * kLayer);
  EXPECT_EQ(few.devices.at(1).weights_bytes, kLayer + kOutput + kNorm);
  EXPECT_EQ(on_host(few, Category::kWeights), kOutput + 22 * kLayer);
  EXPECT_EQ(on_host(few, Category::kKvCache), 22 * kCache);
  EXPECT_EQ(few.devices.at(0).kv_cache_bytes, 9 * kCache);

  request.gpu_layers = 0;
  const Plan none = planned("meta-llama/Llama-3.1-8B", request);
  EXPECT_EQ(none.devices.at(0).weights_bytes + none.devices.at(1).weights_bytes, 0U);
  EXPECT_GT(none.devices.at(0).activation_bytes, kOutput) << "the first device still computes, with a copy of the output layer";
  EXPECT_EQ(none.devices.at(1).activation_bytes, 0U);
  EXPECT_EQ(on_host(none, Category::kWeights), 2 * kOutput + 32 * kLayer + kNorm);
  EXPECT_FALSE(none.dealt->output_device);
}

// A tied output layer is a copy of the embedding on the device: gemma-3-270m has one matrix and needs two.
TEST(DealtPlans, TiedModelsHaveTheirEmbeddingTwice) {
  const Plan plan = planned("google/gemma-3-270m", dealt("RTX-4060"));
  const std::uint64_t embedding = on_host(plan, Category::kWeights);
  EXPECT_EQ(embedding, 262'144ULL * 640 * 2);
  EXPECT_EQ(plan.devices.at(0).weights_bytes, planned("google/gemma-3-270m", on("RTX-4060")).devices.at(0).weights_bytes);
  PlanRequest request = dealt("RTX-4060");
  request.gpu_layers = 0;
  EXPECT_EQ(weights(planned("google/gemma-3-270m", request)), planned("google/gemma-3-270m", on("RTX-4060")).devices.at(0).weights_bytes)
      << "on the host one matrix is both";
}

// Published for build 6895 and an RTX 4090: Qwen3-30B-A3B in 16 bits, 4,096 tokens, 384 MiB of cache; the experts of 34 layers, the last of
// them in part, stay in host memory, 17,904 MiB on the card and 58,259 on the host, which counts the file's pages.
TEST(DealtPlans, ExpertsOfTheFirstLayersStayOnTheHost) {
  constexpr std::uint64_t kExperts = 3ULL * 128 * 768 * 2048 * 2;
  PlanRequest request = dealt("RTX-4090");
  request.host_bytes = 64 * kGiBytes;
  const Plan whole = planned("Qwen/Qwen3-30B-A3B", request);
  EXPECT_EQ(whole.verdict, Verdict::kDoesNotFit);
  request.cpu_moe_layers = 34;
  const Plan plan = planned("Qwen/Qwen3-30B-A3B", request);
  EXPECT_NE(plan.verdict, Verdict::kDoesNotFit);
  EXPECT_EQ(whole.devices.at(0).weights_bytes - plan.devices.at(0).weights_bytes, 34 * kExperts);
  EXPECT_EQ(on_host(plan, Category::kWeights) - on_host(whole, Category::kWeights), 34 * kExperts);
  EXPECT_NEAR(static_cast<double>(plan.devices.at(0).weights_bytes), 17904.0 * kMiB, 0.035 * 17904 * kMiB);
  EXPECT_EQ(plan.devices.at(0).kv_cache_bytes, 384 * kMiB);
  ASSERT_TRUE(plan.host);
  EXPECT_EQ(parts_of(*plan.host) + static_cast<std::uint64_t>(plan.host->unused_bytes), plan.host->budget_bytes);
  EXPECT_EQ(plan.host->weights_bytes, on_host(plan, Category::kWeights));
  EXPECT_FALSE(warns(plan, WarningCode::kHostMemoryNeeded)) << "it is checked";
  request.cpu_moe_layers = 1000;
  EXPECT_EQ(planned("Qwen/Qwen3-30B-A3B", request).dealt->cpu_moe_layers, 48U);
}

TEST(DealtPlans, HostsThatAreTooSmallSaySo) {
  PlanRequest request = dealt("RTX-4090");
  request.cpu_moe_layers = 34;
  request.host_bytes = 32 * kGiBytes;
  const Plan plan = planned("Qwen/Qwen3-30B-A3B", request);
  EXPECT_EQ(plan.verdict, Verdict::kDoesNotFit);
  ASSERT_TRUE(plan.error);
  EXPECT_EQ(plan.error->where, "host");
  EXPECT_EQ(plan.error->code, ErrorCode::kOutOfMemory);
  EXPECT_THAT(plan.error->message,
              HasSubstr("the host needs 38.88 GiB (weights 38.83 GiB, overhead 50.32 MiB) and has 32.00 GiB (--host): 6.88 GiB short"));
  ASSERT_TRUE(plan.host);
  EXPECT_LT(plan.host->unused_bytes, 0);
  EXPECT_GE(plan.devices.at(0).unused_bytes, 0);

  // Caches of the layers there count too, and a default length is cut to what the host holds of them.
  PlanRequest layers = dealt("RTX-4090");
  layers.gpu_layers = 10;
  layers.max_length.reset();
  layers.host_bytes = 50 * kGiBytes;
  const Plan cut = planned("Qwen/Qwen3-30B-A3B", layers);
  EXPECT_FALSE(cut.error) << cut.error->message;
  EXPECT_GE(cut.host->unused_bytes, 0);
  EXPECT_TRUE(warns(cut, WarningCode::kCapacityClamped) || cut.limits.max_length == 40960);
  layers.max_length = 40960;
  layers.host_bytes = 47 * kGiBytes;
  const Plan refused = planned("Qwen/Qwen3-30B-A3B", layers);
  ASSERT_TRUE(refused.error);
  EXPECT_THAT(refused.error->message, HasSubstr("of KV cache on the host, which has"));
  EXPECT_EQ(refused.error->where, "host");
  EXPECT_LT(refused.host->unused_bytes, 0);
}

// Whatever is split how, the bytes are the same ones.
TEST(DealtPlans, LoseNothing) {
  for (const char* model :
       {"Qwen/Qwen3-30B-A3B", "openai/gpt-oss-20b", "meta-llama/Llama-3.2-1B", "deepseek-ai/DeepSeek-V2-Lite", "Qwen/Qwen3.6-27B"})
    for (const std::optional<std::uint32_t> layers :
         {std::optional<std::uint32_t>(), std::optional(0U), std::optional(1U), std::optional(9U)})
      for (const std::uint32_t experts : {0U, 3U, 40U}) {
        PlanRequest request = dealt("80GiB,40GiB,24GiB");
        request.gpu_layers = layers;
        request.cpu_moe_layers = experts;
        const Plan plan = planned(model, request);
        request.gpu_layers.reset();
        request.cpu_moe_layers.reset();
        request.devices = "400GiB";
        const Plan one = planned(model, request);
        const bool tied = layers == std::optional(0U) && std::string(model) == "meta-llama/Llama-3.2-1B";
        EXPECT_EQ(weights(plan), weights(one) - (tied ? on_host(one, Category::kWeights) : 0)) << model;
        std::uint64_t cache = on_host(plan, Category::kKvCache);
        for (const DevicePlan& device : plan.devices) cache += device.kv_cache_bytes;
        EXPECT_EQ(cache, one.devices.at(0).kv_cache_bytes) << model;
      }
}

// `auto` against every split there is, planned by hand.
TEST(DealtPlans, AutoIsTheLargestSplitThatFits) {
  struct Case {
    const char *model, *devices;
    bool layers, experts;
    std::uint64_t host_gib;
  };
  for (const Case& c : {Case{"Qwen/Qwen3-30B-A3B", "RTX-4090", false, true, 64},
                        {"Qwen/Qwen3-30B-A3B", "RTX-4060", true, true, 64},
                        {"Qwen/Qwen3-30B-A3B", "RTX-4090,RTX-4060", true, false, 64},
                        {"meta-llama/Llama-3.1-8B", "RTX-4060", true, false, 0},
                        {"meta-llama/Llama-3.1-8B", "RTX-4090", true, false, 0},
                        {"meta-llama/Llama-3.1-8B", "RTX-4060", true, true, 0},
                        {"openai/gpt-oss-120b", "RTX-4090,RTX-3090", true, true, 96},
                        {"meta-llama/Llama-3.1-70B", "RTX-4090", true, false, 16}}) { // no split: the host is too small
    PlanRequest request = dealt(c.devices);
    if (c.host_gib > 0) request.host_bytes = c.host_gib * kGiBytes;
    request.gpu_layers_auto = c.layers;
    request.cpu_moe_auto = c.experts;
    const Plan found = planned(c.model, request);
    request.gpu_layers_auto = request.cpu_moe_auto = false;
    const Model model = loaded(c.model);
    const auto fits = [&](std::optional<std::uint32_t> gpu_layers, std::uint32_t experts) {
      request.gpu_layers = gpu_layers;
      request.cpu_moe_layers = experts;
      const auto plan = test::built_context().plan(model, request);
      return plan && !plan->error;
    };
    const std::uint32_t layers = planned(c.model, dealt("400GiB")).dealt->stage_layers.at(0);
    const bool has_experts = std::string(c.model).find("Llama") == std::string::npos;
    std::optional<std::pair<std::uint32_t, std::uint32_t>> best; // layers on devices, experts on the host
    if (c.experts)
      for (std::uint32_t n = 0; !best && n <= (has_experts ? layers : 0); ++n)
        if (fits(std::nullopt, n)) best = {layers + 1, n};
    const std::uint32_t without = c.experts && has_experts ? layers : 0;
    if (c.layers)
      for (std::uint32_t n = layers + 2; !best && n-- > 0;)
        if (fits(n, without)) best = {n, without};
    EXPECT_EQ(best.has_value(), !found.error) << c.model << " " << c.devices;
    ASSERT_TRUE(found.dealt);
    if (!best) best = {0, without};
    EXPECT_EQ(found.dealt->gpu_layers, best->first) << c.model << " " << c.devices;
    EXPECT_EQ(found.dealt->cpu_moe_layers, best->second) << c.model << " " << c.devices;
  }
}

// Deeper than any model: the splits are searched in strides, and the one found is still the first.
TEST(DealtPlans, AutoIsTheLargestSplitOfADeepModel) {
  const auto deep = [](unsigned layers) {
    return test::built_context().load_config(
        fmt::format(R"({{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "bfloat16", "vocab_size": 32000,
                         "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": {}, "num_attention_heads": 8,
                         "num_key_value_heads": 8, "max_position_embeddings": 8192}})",
                    layers),
        "config.json");
  };
  PlanRequest request = dealt("RTX-4060");
  request.gpu_layers_auto = true;
  const Result<Model> model = deep(700);
  ASSERT_TRUE(model) << model.error().message;
  const auto found = test::built_context().plan(*model, request);
  ASSERT_TRUE(found && found->dealt && !found->error);
  request.gpu_layers_auto = false;
  request.gpu_layers = found->dealt->gpu_layers;
  EXPECT_FALSE(test::built_context().plan(*model, request)->error);
  request.gpu_layers = found->dealt->gpu_layers + 1;
  EXPECT_TRUE(test::built_context().plan(*model, request)->error);
  EXPECT_GT(found->dealt->gpu_layers, 0U);
  EXPECT_LT(found->dealt->gpu_layers, 700U);

  request.gpu_layers.reset();
  request.gpu_layers_auto = true;
  const Result<Model> deeper = deep(1100);
  ASSERT_TRUE(deeper) << deeper.error().message;
  const auto refused = test::built_context().plan(*deeper, request);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("at most 1024 layers, and the model has 1100"));
}

// Where the length is left to the plan, a split keeps room for 4,096 tokens, as the engine's own fit does.
TEST(DealtPlans, AutoKeepsRoomForALength) {
  PlanRequest request = dealt("RTX-4090");
  request.cpu_moe_auto = true;
  const Plan given = planned("Qwen/Qwen3-30B-A3B", request);
  request.max_length.reset();
  const Plan open = planned("Qwen/Qwen3-30B-A3B", request);
  EXPECT_EQ(open.dealt->cpu_moe_layers, given.dealt->cpu_moe_layers);
  EXPECT_GE(open.limits.max_length, 4096U);
  request.explain = true;
  EXPECT_FALSE(planned("Qwen/Qwen3-30B-A3B", request).items.at(0).formula.empty());
}

// More memory on the one device never takes layers from it, and a larger host never breaks a plan.
TEST(DealtPlans, MoreMemoryNeverFitsLess) {
  std::uint32_t before = 0;
  for (std::uint64_t gib = 2; gib <= 40; ++gib) {
    PlanRequest request = dealt(std::to_string(gib) + "GiB");
    request.gpu_layers_auto = true;
    const Plan plan = planned("Qwen/Qwen3-8B", request);
    EXPECT_GE(plan.dealt->gpu_layers, before) << gib;
    before = plan.dealt->gpu_layers;
  }
  EXPECT_EQ(before, 37U);
  bool fitted = false;
  for (std::uint64_t gib = 1; gib <= 64; ++gib) {
    PlanRequest request = dealt("RTX-4090");
    request.cpu_moe_layers = 34;
    request.host_bytes = gib * kGiBytes;
    const bool fits = !planned("Qwen/Qwen3-30B-A3B", request).error;
    EXPECT_TRUE(fits || !fitted) << gib;
    fitted = fitted || fits;
  }
  EXPECT_TRUE(fitted);
}

TEST(DealtPlans, SplitModesPlaceOtherwise) {
  PlanRequest request = dealt("2xRTX-3090");
  const Plan layer = planned("meta-llama/Llama-3.1-8B", request);
  request.split_mode = SplitMode::kNone;
  const Plan none = planned("meta-llama/Llama-3.1-8B", request);
  EXPECT_EQ(none.dealt->stage_layers, (Layers{32, 0}));
  EXPECT_EQ(parts_of(none.devices.at(1)), 0U);
  EXPECT_EQ(none.devices.at(0).weights_bytes, layer.devices.at(0).weights_bytes + layer.devices.at(1).weights_bytes);

  // Matrices by rows: both have half of them and at most 128 rows of each more; the caches stay with the layers.
  request.split_mode = SplitMode::kRow;
  const Plan row = planned("meta-llama/Llama-3.1-8B", request);
  for (std::size_t device : {0U, 1U}) {
    EXPECT_EQ(row.devices.at(device).kv_cache_bytes, layer.devices.at(device).kv_cache_bytes);
    const std::uint64_t half = none.devices.at(0).weights_bytes / 2;
    EXPECT_GE(row.devices.at(device).weights_bytes, half);
    EXPECT_LE(row.devices.at(device).weights_bytes, half + half / 20);
  }
  EXPECT_TRUE(std::any_of(row.items.begin(), row.items.end(), [](const Item& item) { return item.basis == Basis::kBound; }));

  EXPECT_TRUE(warns(row, WarningCode::kPlacementIsABound));
  EXPECT_FALSE(warns(layer, WarningCode::kPlacementIsABound));

  request.split_mode = SplitMode::kTensor;
  const Plan tensor = planned("meta-llama/Llama-3.1-8B", request);
  EXPECT_EQ(tensor.request.tp, 2U);
  EXPECT_FALSE(tensor.dealt);

  request.split_mode.reset();
  request.tensor_split = {3, 1};
  EXPECT_EQ(planned("meta-llama/Llama-3.1-8B", request).dealt->stage_layers, (Layers{25, 7}));
  request.tensor_split = {1};
  EXPECT_EQ(planned("meta-llama/Llama-3.1-8B", request).dealt->stage_layers, (Layers{32, 0}));
}

// A total that was given goes with the layers.
TEST(DealtPlans, GivenWeightsFollowTheLayers) {
  PlanRequest request = dealt("RTX-3090,RTX-4060");
  request.weights_bytes = 32 * kGiBytes / 4;
  request.gpu_layers = 17; // 16 layers, 12 and 4
  const Plan plan = planned("meta-llama/Llama-3.1-8B", request);
  ASSERT_EQ(plan.dealt->stage_layers, (Layers{13, 3}));
  EXPECT_EQ(plan.devices.at(0).weights_bytes, 13 * kGiBytes / 4);
  EXPECT_EQ(plan.devices.at(1).weights_bytes, 3 * kGiBytes / 4);
  EXPECT_EQ(on_host(plan, Category::kWeights), 16 * kGiBytes / 4);
}

// A draft model is a second one on the last device; layers of the first that stay on the host are not its own.
TEST(DealtPlans, DraftModelsStayOnTheLastDevice) {
  PlanRequest request = dealt("2xRTX-3090");
  request.draft = loaded("meta-llama/Llama-3.2-1B");
  const Plan whole = planned("meta-llama/Llama-3.1-8B", request);
  request.gpu_layers = 3;
  const Plan few = planned("meta-llama/Llama-3.1-8B", request);
  const auto draft = [](const Plan& plan, MemoryKind memory) {
    std::uint64_t sum = 0;
    for (const Item& item : plan.items)
      if (item.label.starts_with("draft.") && item.memory == memory)
        for (const std::uint64_t bytes : item.bytes) sum += bytes;
    return sum;
  };
  EXPECT_EQ(draft(whole, MemoryKind::kDevice), draft(few, MemoryKind::kDevice));
  EXPECT_EQ(draft(whole, MemoryKind::kHost), draft(few, MemoryKind::kHost));
}

// From November 2025 on the server has four slots unless it is told otherwise, and they share one stream: states of each, and room for the
// windows of all. Slots that are given have streams of their own.
TEST(DealtPlans, SlotsThatNobodyAskedForAreFour) {
  const auto slots = [](const char* engine, std::optional<std::uint64_t> given) {
    PlanRequest request = dealt("RTX-4090", 8192);
    request.engine = engine;
    request.max_batch_size = given;
    return request;
  };
  const auto cache = [](const char* model, const PlanRequest& request) { return planned(model, request).devices.at(0).kv_cache_bytes; };
  EXPECT_EQ(planned("Qwen/Qwen3.5-4B", slots("llama.cpp", {})).limits.max_batch_size, 4U);
  EXPECT_EQ(planned("Qwen/Qwen3.5-4B", slots("llama.cpp@b6895", {})).limits.max_batch_size, 1U);
  EXPECT_EQ(cache("Qwen/Qwen3.5-4B", slots("llama.cpp", {})), cache("Qwen/Qwen3.5-4B", slots("llama.cpp", 4)));
  EXPECT_GT(cache("Qwen/Qwen3.5-4B", slots("llama.cpp", {})), cache("Qwen/Qwen3.5-4B", slots("llama.cpp@b6895", {})));
  // gpt-oss-20b: 12 window layers of 128 tokens, 2 KiB of each, and 12 others: one stream of 4 x 128 + 512 cells, or four of 128 + 512.
  EXPECT_EQ(cache("openai/gpt-oss-20b", slots("llama.cpp", {})), 2048ULL * 12 * (8192 + 1024));
  EXPECT_EQ(cache("openai/gpt-oss-20b", slots("llama.cpp", 4)), 2048ULL * 12 * (8192 + 4 * 768));
  PlanRequest apart = slots("llama.cpp", {});
  apart.engine_overrides["kv_unified"] = "false";
  EXPECT_EQ(cache("openai/gpt-oss-20b", apart), cache("openai/gpt-oss-20b", slots("llama.cpp", 4)));
}

struct Refused {
  const char* where;
  const char* says;
  void (*change)(PlanRequest&);
};

TEST(DealtPlans, RefuseWhatMeansNothing) {
  for (const Refused& c : {Refused{"--split-mode", "engine vllm does not deal layers",
                                   [](PlanRequest& r) {
                                     r.engine = "vllm";
                                     r.split_mode = SplitMode::kLayer;
                                   }},
                           {"--tensor-split", "does not deal",
                            [](PlanRequest& r) {
                              r.engine = "max";
                              r.tensor_split = {1, 1};
                            }},
                           {"--gpu-layers", "does not deal",
                            [](PlanRequest& r) {
                              r.engine = "sglang";
                              r.gpu_layers = 3;
                            }},
                           {"--gpu-layers", "does not deal",
                            [](PlanRequest& r) {
                              r.engine = "sglang";
                              r.gpu_layers_auto = true;
                            }},
                           {"--n-cpu-moe", "does not deal",
                            [](PlanRequest& r) {
                              r.engine = "tensorrt-llm";
                              r.cpu_moe_layers = 3;
                            }},
                           {"--n-cpu-moe", "does not deal",
                            [](PlanRequest& r) {
                              r.engine = "tensorrt-llm";
                              r.cpu_moe_auto = true;
                            }},
                           {"--tensor-split", "3 shares for 2 devices",
                            [](PlanRequest& r) {
                              r.tensor_split = {1, 1, 1};
                            }},
                           {"--stage-layers", "leave out",
                            [](PlanRequest& r) {
                              r.stage_layers = {16, 16};
                              r.tensor_split = {1, 1};
                            }},
                           {"--stage-layers", "leave out",
                            [](PlanRequest& r) {
                              r.stage_layers = {16, 16};
                              r.gpu_layers = 3;
                            }},
                           {"--split-mode", "leave out --tp",
                            [](PlanRequest& r) {
                              r.split_mode = SplitMode::kRow;
                              r.tp = 2;
                            }},
                           {"--gpu-layers", "leave out",
                            [](PlanRequest& r) {
                              r.split_mode = SplitMode::kTensor;
                              r.gpu_layers = 3;
                            }},
                           {"--tensor-split", "leave it out",
                            [](PlanRequest& r) {
                              r.split_mode = SplitMode::kTensor;
                              r.tensor_split = {1, 1};
                            }},
                           {"--devices", "give its memory as --host SIZE", [](PlanRequest& r) { r.devices = "RTX-3090,host=64GiB"; }},
                           {"--host", "is 0", [](PlanRequest& r) { r.host_bytes = 0; }}}) {
    PlanRequest request = dealt("2xRTX-3090");
    c.change(request);
    const auto plan = test::built_context().plan(loaded("meta-llama/Llama-3.1-8B"), request);
    ASSERT_FALSE(plan) << c.where << " " << c.says;
    EXPECT_EQ(plan.error().code, ErrorCode::kBadRequest);
    EXPECT_EQ(plan.error().where, c.where);
    EXPECT_THAT(plan.error().message, HasSubstr(c.says));
  }
}

} // namespace
} // namespace plimsoll
