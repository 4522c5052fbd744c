// plan(): parts that add up over a grid of models and layouts, verdicts and their codes, what requests may say, advice that
// holds, and plans that do not depend on who asks.
#include <gmock/gmock.h>

#include <set>
#include <thread>

#include "plimsoll/estimator.hpp"
#include "plimsoll/options.hpp"
#include "unit/plan/planned.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::HasSubstr;

constexpr const char* kLlama = "meta-llama/Llama-3.1-8B"; // 8,030,261,248 parameters in two bytes; a page is 128 x 131072 B
constexpr std::uint64_t kLlamaPage = 16'777'216;

void expect_whole(const Plan& plan, const std::string& name) {
  for (const DevicePlan& d : plan.devices) {
    EXPECT_EQ(static_cast<std::int64_t>(parts_of(d)) + d.unused_bytes, static_cast<std::int64_t>(d.budget_bytes)) << name << d.rank;
    if (!plan.error) {
      EXPECT_GE(d.unused_bytes, 0) << name << d.rank;
    }
    std::uint64_t weights = 0, kv = 0, all = 0;
    for (const Item& item : plan.items) {
      ASSERT_EQ(item.bytes.size(), plan.devices.size()) << name;
      if (!item.counted) continue;
      all += item.bytes[d.rank];
      if (item.category == Category::kWeights) weights += item.bytes[d.rank];
      if (item.category == Category::kKvCache) kv += item.bytes[d.rank];
    }
    EXPECT_EQ(weights, d.weights_bytes) << name << d.rank;
    EXPECT_EQ(kv, d.kv_cache_bytes) << name << d.rank;
    EXPECT_EQ(all, parts_of(d)) << name << d.rank;
  }
  EXPECT_EQ(plan.error.has_value(), plan.verdict == Verdict::kDoesNotFit) << name;
}

TEST(Plans, AddUpOnEveryDeviceOfEveryLayout) {
  struct Shape {
    const char* devices;
    std::uint32_t tp, pp, dp, ep;
  };
  const std::vector<Shape> shapes{{"1xH100", 1, 1, 1, 1},
                                  {"24GiB", 1, 1, 1, 1},
                                  {"80GiB,24GiB", 2, 1, 1, 1},
                                  {"80GiB,24GiB", 1, 2, 1, 1},
                                  {"80GiB,24GiB", 1, 1, 2, 1},
                                  {"2xH100,2xA100-40GB", 2, 2, 1, 1},
                                  {"2xH100,2xA100-40GB", 2, 1, 2, 4},
                                  {"4x80GiB:70GiB", 4, 1, 1, 2},
                                  {"8xH200", 8, 1, 1, 8},
                                  {"8xH200", 2, 2, 2, 1},
                                  {"8xH200", 1, 1, 8, 8}};
  int plans = 0, fit = 0;
  for (const char* name : {kLlama, "Qwen/Qwen2.5-0.5B-Instruct", "openai-community/gpt2", "deepseek-ai/DeepSeek-V2-Lite",
                           "mistralai/Mixtral-8x7B-v0.1", "openai/gpt-oss-20b", "google/gemma-3-12b-it", "Qwen/Qwen2.5-VL-7B-Instruct",
                           "XiaomiMiMo/MiMo-7B-Base", "deepseek-ai/DeepSeek-V3"}) {
    const Model model = loaded(name);
    for (const Shape& shape : shapes) {
      PlanRequest r = on(shape.devices);
      r.tp = shape.tp;
      r.pp = shape.pp;
      r.dp = shape.dp;
      r.ep = shape.ep;
      const auto plan = test::built_context().plan(model, r);
      const std::string title = std::string(name) + " on " + shape.devices + " rank ";
      if (!plan) { // heads that do not divide, no experts to spread: a request that cannot be
        EXPECT_EQ(plan.error().code, ErrorCode::kBadRequest) << title << plan.error().message;
        continue;
      }
      expect_whole(*plan, title);
      ++plans;
      fit += plan->error ? 0 : 1;
      for (std::size_t rank = shape.tp * shape.pp; shape.ep == 1 && rank < plan->devices.size(); ++rank) {
        EXPECT_EQ(plan->devices[rank].weights_bytes, plan->devices[rank % (shape.tp * shape.pp)].weights_bytes) << title;
      }
    }
  }
  EXPECT_GT(plans, 60);
  EXPECT_GT(fit, 40);
}

TEST(Verdict, SaysWhichLimitBrokeAndByHowMuch) {
  // 0.9 of 12 and 16 GiB; 17,867,247,218 x 0.9 leaves 20,000,000 B, more than a page but not a null page too.
  struct Case {
    const char* devices;
    ErrorCode code;
    std::int64_t unused;
  };
  for (const Case& c : {Case{"12GiB", ErrorCode::kModelTooLarge, 11'596'411'699 - 16'060'522'496},
                        {"16GiB", ErrorCode::kNoRoomForKv, 15'461'882'265 - 16'060'522'496},
                        {"17867247218", ErrorCode::kNoPageFits, 16'080'522'496 - 16'060'522'496 - 2 * 16'777'216}}) {
    const Plan plan = planned(kLlama, on(c.devices));
    EXPECT_EQ(plan.verdict, Verdict::kDoesNotFit) << c.devices;
    ASSERT_TRUE(plan.error) << c.devices;
    EXPECT_EQ(plan.error->code, c.code) << c.devices << plan.error->message;
    EXPECT_THAT(plan.error->where, HasSubstr("device 0"));
    EXPECT_EQ(plan.devices.at(0).unused_bytes, c.unused) << c.devices;
    EXPECT_LT(plan.devices.at(0).unused_bytes, 0) << c.devices;
    EXPECT_EQ(plan.kv_cache.bytes_per_token_per_device, 131072U); // a plan that does not fit still says
  }
}

// 131072 tokens are 1024 pages and the null page; 20 GiB x 0.9 less the weights hold 194.
TEST(Verdict, OutOfMemoryForTheLengthAskedFor) {
  PlanRequest r = on("20GiB");
  r.max_length = 131072;
  const Plan plan = planned(kLlama, r);
  ASSERT_TRUE(plan.error);
  EXPECT_EQ(plan.error->code, ErrorCode::kOutOfMemory);
  EXPECT_EQ(plan.devices.at(0).kv_cache_bytes, 1025 * kLlamaPage);
  EXPECT_EQ(plan.devices.at(0).unused_bytes, 19'327'352'832 - 16'060'522'496 - 1025 * 16'777'216LL);
  EXPECT_EQ(plan.limits.max_supported_sequence_length, 193U * 128);
}

TEST(Verdict, TightWhereLittleIsLeftOutside) {
  PlanRequest r = on("80GiB");
  EXPECT_EQ(planned(kLlama, r).verdict, Verdict::kFits);
  r.device_memory_utilization = 0.97;
  EXPECT_EQ(planned(kLlama, r).verdict, Verdict::kTight);
}

TEST(Requests, ABatchAndALengthLimitThePool) {
  PlanRequest r = on("1xH100");
  r.max_batch_size = 4;
  r.max_length = 1000; // 8 pages each, and the null page
  const Plan plan = planned(kLlama, r);
  EXPECT_FALSE(plan.error);
  EXPECT_EQ(plan.kv_cache.pages, 33U);
  EXPECT_EQ(plan.devices.at(0).kv_cache_bytes, 33 * kLlamaPage);
  EXPECT_EQ(plan.limits.max_length, 1000U);
  EXPECT_EQ(plan.limits.max_batch_size, 4U);
  EXPECT_EQ(plan.limits.max_batch_at_max_length, 4U);
}

TEST(Requests, AutoTakesTheLongestThatFits) {
  PlanRequest r = on("20GiB");
  EXPECT_TRUE(warns(planned(kLlama, r), WarningCode::kCapacityClamped));
  r.max_length_auto = true;
  const Plan plan = planned(kLlama, r);
  EXPECT_EQ(plan.limits.max_length, 193U * 128);
  EXPECT_FALSE(warns(plan, WarningCode::kCapacityClamped));
  r.max_length = 8192;
  EXPECT_EQ(planned(kLlama, r).limits.max_length, 8192U);
}

TEST(Requests, KvMemoryMayBeAFigure) {
  PlanRequest r = on("80GiB");
  r.kv_cache_bytes = 1280 * kLlamaPage + 5;
  const Plan plan = planned(kLlama, r);
  EXPECT_FALSE(plan.error);
  EXPECT_EQ(plan.devices.at(0).kv_cache_bytes, 1280 * kLlamaPage);
  EXPECT_EQ(plan.devices.at(0).budget_bytes, plan.devices.at(0).free_bytes);
  EXPECT_EQ(plan.kv_cache.pages, 1280U);
  r.devices = "24GiB"; // holds the weights or the cache, not both
  const Plan over = planned(kLlama, r);
  EXPECT_EQ(over.verdict, Verdict::kDoesNotFit);
  ASSERT_TRUE(over.error);
  EXPECT_EQ(over.error->code, ErrorCode::kOutOfMemory);
  EXPECT_EQ(over.devices.at(0).unused_bytes, 25'769'803'776 - 16'060'522'496 - 1280 * 16'777'216LL);
}

TEST(Requests, WeightsMayBeAFigure) {
  PlanRequest r = on("2x80GiB");
  r.weights_bytes = 1'000'001;
  const Plan plan = planned(kLlama, r);
  EXPECT_EQ(plan.model.weights_source, WeightsSource::kGiven);
  for (const DevicePlan& d : plan.devices) EXPECT_EQ(d.weights_bytes, 500'001U);
}

TEST(Requests, TheSmallestOfUnequalDevicesSetsThePages) {
  const Plan plan = planned(kLlama, on("80GiB,24GiB"));
  ASSERT_EQ(plan.devices.size(), 2U);
  const std::uint64_t page = kLlamaPage / 2; // 4 of 8 heads on each
  const std::uint64_t room = plan.devices[1].budget_bytes - plan.devices[1].weights_bytes - plan.devices[1].signal_buffer_bytes;
  EXPECT_EQ(plan.kv_cache.pages, room / page);
  EXPECT_EQ(plan.devices[0].kv_cache_bytes, plan.devices[1].kv_cache_bytes);
  EXPECT_THAT(plan.limits.binding, HasSubstr("rank 1 (24GiB)"));
}

TEST(Requests, WhatCannotBeIsRefusedByOption) {
  struct Case {
    const char* where;
    void (*change)(PlanRequest&);
  };
  for (const Case& c : {Case{"--device-memory-utilization", [](PlanRequest& r) { r.device_memory_utilization = 0.0; }},
                        {"--device-memory-utilization", [](PlanRequest& r) { r.device_memory_utilization = 1.5; }},
                        {"--vision-cache-utilization", [](PlanRequest& r) { r.vision_cache_utilization = -0.1; }},
                        {"--max-length", [](PlanRequest& r) { r.max_length = 0; }},
                        {"--max-batch-size", [](PlanRequest& r) { r.max_batch_size = 0; }},
                        {"--max-batch-input-tokens", [](PlanRequest& r) { r.max_batch_input_tokens = 1ULL << 60; }},
                        {"--page-tokens", [](PlanRequest& r) { r.page_tokens = 0; }},
                        {"--kv-dtype", [](PlanRequest& r) { r.kv_dtype = "float17"; }},
                        {"--dtype", [](PlanRequest& r) { r.dtype = "q8_0"; }},
                        {"--ep",
                         [](PlanRequest& r) {
                           r.tp = 1;
                           r.dp = 2;
                           r.ep = 2;
                           r.devices = "2x80GiB";
                         }},
                        {"--tp", [](PlanRequest& r) { r.devices = "3x80GiB"; }},
                        {"--num-draft-tokens", [](PlanRequest& r) { r.num_draft_tokens = 2; }},
                        {"--pp", [](PlanRequest& r) {
                           r.tp = 1;
                           r.pp = 2;
                           r.devices = "2x80GiB";
                           r.accounting = Accounting::kPooled;
                         }}}) {
    PlanRequest r = on("80GiB");
    c.change(r);
    const auto plan = test::built_context().plan(loaded(kLlama), r);
    ASSERT_FALSE(plan) << c.where;
    EXPECT_EQ(plan.error().code, ErrorCode::kBadRequest) << c.where;
    EXPECT_EQ(plan.error().where, c.where) << plan.error().message;
  }
}

TEST(Requests, ABatchIsCappedByTheTokensOfAPass) {
  PlanRequest r = on("1xH100");
  r.max_batch_size = 10'000;
  const Plan plan = planned(kLlama, r);
  EXPECT_TRUE(warns(plan, WarningCode::kBatchCapped));
  EXPECT_EQ(plan.limits.max_batch_size, 8192U);
}

// A model's own multi-token-prediction layer: one more layer of weights and of cache.
TEST(Speculation, LoadsTheDraftLayersOfTheCheckpoint) {
  PlanRequest r = on("8xH200");
  r.ep = 8;
  const Plan plain = planned("deepseek-ai/DeepSeek-V3", r);
  r.num_draft_tokens = 1;
  const Plan drafting = planned("deepseek-ai/DeepSeek-V3", r);
  EXPECT_EQ(plain.kv_cache.bytes_per_token_per_device, 61U * 576 * 2);
  EXPECT_EQ(drafting.kv_cache.bytes_per_token_per_device, 62U * 576 * 2);
  EXPECT_EQ(drafting.kv_cache.groups.size(), plain.kv_cache.groups.size() + 1);
  // On a rank: attention and experts as in the other layers, an embedding and a head of its own, the joining projection.
  const std::uint64_t attention = 36'676'448, experts = 1'418'807'616, ends = 463'353'856;
  EXPECT_EQ(drafting.devices.at(0).weights_bytes - plain.devices.at(0).weights_bytes,
            attention + experts + ends + 7168ULL * 14336 * 2 + 2ULL * 7168 * 2);
  expect_whole(drafting, "drafting ");
}

// Engines that share them keep no copies of embedding and head; where a pipeline parts the two, the copies are counted.
TEST(Speculation, SharesTheEndsWhereTheEngineDoes) {
  const std::uint64_t layer = 36'676'448 + 1'418'807'616, joins = 7168ULL * 14336 * 2 + 3ULL * 7168 * 2, ends = 463'339'520;
  for (const auto& [engine, shares] :
       {std::pair("max", false), {"vllm@0.18.0", false}, {"vllm@0.26.0", true}, {"sglang", true}, {"tensorrt-llm", true}}) {
    PlanRequest r = on("8xH200");
    r.engine = engine;
    r.ep = 8;
    r.max_length = 8192;
    const Plan plain = planned("deepseek-ai/DeepSeek-V3", r);
    r.num_draft_tokens = 1;
    const Plan drafting = planned("deepseek-ai/DeepSeek-V3", r);
    EXPECT_EQ(drafting.devices.at(0).weights_bytes - plain.devices.at(0).weights_bytes, layer + joins + (shares ? 0 : ends)) << engine;
  }
  PlanRequest r = on("16xH200");
  r.engine = "sglang";
  r.pp = 2;
  r.max_length = 8192;
  const Plan plain = planned("deepseek-ai/DeepSeek-V3", r);
  r.num_draft_tokens = 1;
  const std::uint64_t more = planned("deepseek-ai/DeepSeek-V3", r).devices.at(15).weights_bytes - plain.devices.at(15).weights_bytes;
  EXPECT_GT(more, ends);
}

// What advice says is planned again as a user would write it.
PlanRequest applied(const PlanRequest& given, const Advice& advice) {
  std::vector<OptionValue> options = show_options(given);
  for (const AdvisedOption& changed : advice.options) {
    std::erase_if(options, [&](const OptionValue& option) { return option.name == changed.name; });
    if (changed.value) options.push_back({changed.name, *changed.value, changed.name});
  }
  PlanRequest out;
  for (const OptionValue& option : options) EXPECT_TRUE(set_option(out, option)) << option.name << " " << option.value;
  return out;
}

TEST(Advised, ChangesReallyMakeItFit) {
  std::vector<std::pair<std::string, PlanRequest>> cases;
  for (const char* devices :
       {"12GiB", "16GiB", "2x7GiB", " 2 x 7GiB", "2x1x7GiB", "1x1x7GiB,1x1x8GiB", "7GiB,8GiB", "card=12GiB:11GiB", "1xT4"})
    cases.emplace_back(kLlama, on(devices));
  for (const char* devices : {"20GiB", "1xL4", "2x10GiB:9.5GiB"}) {
    cases.emplace_back(kLlama, on(devices));
    cases.back().second.max_length = 131072;
  }
  cases.emplace_back(kLlama, on("20GiB")); // 193 pages of two-byte elements fit, twice as many of one-byte ones
  cases.back().second.max_length = 300 * 128;
  cases.emplace_back("deepseek-ai/DeepSeek-V3", on("8xH100"));
  cases.back().second.ep = 8;
  cases.emplace_back("deepseek-ai/DeepSeek-V3", on("2x4xH100"));
  cases.back().second.ep = 8;
  cases.back().second.nodes = 2;
  cases.emplace_back("mistralai/Mixtral-8x7B-v0.1", on("1xA100-80GB"));
  cases.emplace_back("Qwen/Qwen2.5-VL-7B-Instruct", on("22GiB"));
  cases.emplace_back("Qwen/Qwen3-32B", on("1xA100"));
  cases.back().second.engine = "vllm@0.11.0";
  cases.emplace_back("Qwen/Qwen3.6-27B", on("1xH100")); // more requests than blocks of state
  cases.back().second.engine = "vllm@0.23.0";
  cases.back().second.device_memory_utilization = 0.95;
  cases.emplace_back("meta-llama/Llama-3.1-70B", on("2xH100,2xA100-40GB"));
  cases.back().second.engine = "vllm";
  cases.back().second.max_length = 8192;
  cases.emplace_back("Qwen/Qwen3-30B-A3B", on("RTX-4090"));
  cases.back().second.engine = "llama.cpp";
  std::set<std::string> options;
  for (const auto& [name, request] : cases) {
    const Plan plan = planned(name, request);
    ASSERT_TRUE(plan.error) << name << " on " << request.devices;
    EXPECT_FALSE(plan.advice.empty()) << name << " on " << request.devices;
    for (const Advice& advice : plan.advice) {
      options.insert(advice.option);
      const auto better = test::built_context().plan(loaded(name), applied(request, advice));
      const std::string title = name + " on " + request.devices + ": " + advice.option + " " + advice.value + " " + advice.message;
      ASSERT_TRUE(better) << title << ": " << better.error().where << better.error().message;
      EXPECT_FALSE(better->error) << title << ": " << better->error->message;
      EXPECT_FALSE(advice.option.empty() || advice.value.empty() || advice.options.empty()) << title;
      EXPECT_EQ(advice.command, test::built_context().plan_command(loaded(name), applied(request, advice))) << title;
    }
  }
  for (const char* option : {"--max-length", "--kv-dtype", "--devices", "--device-memory-utilization", "--max-batch-size"})
    EXPECT_TRUE(options.contains(option)) << option;
  EXPECT_TRUE(planned(kLlama, on("1xH100")).advice.empty());
}

TEST(Pooled, IsTheEstimatorOnTheSameSums) {
  for (const std::uint32_t dp : {1U, 2U}) {
    PlanRequest r = on("2xH100");
    r.accounting = Accounting::kPooled;
    r.tp = 2 / dp;
    r.dp = dp;
    const Plan plan = planned(kLlama, r);
    EstimateRequest e;
    e.accounting = Accounting::kPooled;
    e.data_parallel_degree = dp;
    e.device_memory_utilization = 0.9;
    e.weights.total_bytes = e.activations.total_bytes = e.signal_buffers.total_bytes = 0;
    for (const DevicePlan& d : plan.devices) {
      EstimateDevice device;
      device.free_bytes = static_cast<std::int64_t>(d.free_bytes);
      device.total_bytes = static_cast<std::int64_t>(d.total_bytes);
      e.devices.push_back(device);
      e.weights.total_bytes += static_cast<std::int64_t>(d.weights_bytes);
      e.activations.total_bytes += static_cast<std::int64_t>(d.activation_bytes);
      e.signal_buffers.total_bytes += static_cast<std::int64_t>(d.signal_buffer_bytes);
    }
    EstimateCache cache;
    cache.kind = CacheKind::kFull;
    cache.type = {"bfloat16", 1, 2};
    cache.layers = 32;
    cache.kv_heads = 8;
    cache.query_heads = 32;
    cache.head_dim = 128;
    e.caches.push_back(cache);
    e.page_tokens = 128;
    e.max_length = 131072;
    e.max_batch_input_tokens = 8192;
    const EstimateResult expected = MemoryEstimator::estimate(e);
    ASSERT_TRUE(expected.kv_cache_bytes);
    EXPECT_EQ(plan.limits.max_length, static_cast<std::uint64_t>(expected.max_length.value_or(0)));
    EXPECT_EQ(plan.limits.max_batch_size, static_cast<std::uint64_t>(expected.max_batch_size.value_or(0)));
    EXPECT_EQ(plan.kv_cache.pages, static_cast<std::uint64_t>(expected.pages_per_replica.value_or(0)));
    for (const DevicePlan& d : plan.devices) EXPECT_EQ(d.kv_cache_bytes, static_cast<std::uint64_t>(*expected.kv_cache_bytes) / 2);
    expect_whole(plan, "pooled ");
  }
}

TEST(Purity, APlanDependsOnNothingButItsRequest) {
  const Model model = loaded("google/gemma-3-12b-it");
  PlanRequest r = on("80GiB,40GiB");
  r.explain = true;
  const std::string first = plan_to_json(test::built_context().plan(model, r).value());
  std::vector<std::string> others(4);
  std::vector<std::thread> threads;
  for (std::string& other : others) threads.emplace_back([&] { other = plan_to_json(test::built_context().plan(model, r).value()); });
  for (std::thread& thread : threads) thread.join();
  for (const std::string& other : others) EXPECT_EQ(other, first);
  EXPECT_EQ(plan_to_json(test::built_context().plan(loaded("google/gemma-3-12b-it"), r).value()), first); // loaded anew
}

} // namespace
} // namespace plimsoll::testing
