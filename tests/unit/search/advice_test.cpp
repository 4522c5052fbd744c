// Advice: what operators met and what helps there, in the order in which it costs; lists of more devices.
#include "search/advice.hpp"

#include <algorithm>
#include <chrono>
#include <gmock/gmock.h>
#include <iterator>
#include <limits>

#include "device/catalogue.hpp"
#include "unit/plan/planned.hpp"

namespace plimsoll {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::loaded;
using testing::on;
using testing::planned;

struct Case {
  const char *title, *model, *devices, *engine;
  std::optional<std::uint64_t> max_length;
  std::optional<double> fraction;
  std::vector<std::string> advised; // "option value, option value" of each advice; a part of it
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.title; }

std::string changes(const Advice& advice) {
  std::string out;
  for (const AdvisedOption& option : advice.options)
    out += (out.empty() ? "" : ", ") + option.name + " " + option.value.value_or("as usual");
  return out;
}

class Advised : public ::testing::TestWithParam<Case> {};

TEST_P(Advised, WhatHelps) {
  const Case& c = GetParam();
  PlanRequest request = on(c.devices);
  request.engine = c.engine;
  request.max_length = c.max_length;
  request.device_memory_utilization = c.fraction;
  const Plan plan = planned(c.model, request);
  ASSERT_TRUE(plan.error);
  std::string all;
  for (const Advice& advice : plan.advice) all += changes(advice) + "\n";
  ASSERT_EQ(plan.advice.size(), c.advised.size()) << all;
  for (std::size_t at = 0; at < c.advised.size(); ++at) EXPECT_THAT(changes(plan.advice[at]), HasSubstr(c.advised[at])) << all;
}

const Case kCases[] = {
    // 38.87 GiB of a budget of 36.24 on the small cards: fewer rows to sample from, or more layers on the large ones.
    {"MixedCards",
     "meta-llama/Llama-3.1-70B",
     "2xH100,2xA100-40GB",
     "vllm",
     8192,
     {},
     {"max_batch_size ", "device_memory_utilization 0.9", "tp 2, pp 2, stage_layers 54,26"}},
    // Some 28,000 tokens fit; twice as many of half the size.
    {"LongDefault", "meta-llama/Llama-3.1-70B", "2xA100", "vllm", {}, {}, {"max_length 2", "max_length 5", "devices 3xA100, tp 1, pp 3"}},
    {"ThreeCards", "openai/gpt-oss-120b", "RTX-4090", "llama.cpp", {}, {}, {"n_cpu_moe ", "devices 3xRTX-4090"}},
    {"ExpertsOnTheHost", "Qwen/Qwen3-30B-A3B", "RTX-4090", "llama.cpp", {}, {}, {"n_cpu_moe ", "devices 3xRTX-4090"}},
    {"LayersOnTheHost", "meta-llama/Llama-3.1-70B", "2xRTX-4090", "llama.cpp", 8192, {}, {"gpu_layers ", "devices 7xRTX-4090"}},
    {"SmallTypeOfTheEngine",
     "meta-llama/Llama-3.1-8B",
     "RTX-3090",
     "llama.cpp",
     131072,
     {},
     {"max_length ", "gpu_layers ", "kv_dtype q8_0", "devices 2xRTX-3090"}},
    // A public start: with 8 requests it served at the same fraction.
    {"SmallFraction",
     "Qwen/Qwen3.5-4B",
     "RTX-4090",
     "vllm",
     8192,
     0.5,
     {"max_batch_size ", "device_memory_utilization 0.", "devices 2xRTX-4090, tp "}},
    // Half of it is free, so the usual 0.92 does not start.
    {"LessFree", "meta-llama/Llama-3.1-8B", "H100=80GiB:40GiB", "vllm", {}, {}, {"device_memory_utilization 0.5"}},
    // A quarter is, and 15 GiB of weights: shorter requests too.
    {"MuchLessFree",
     "meta-llama/Llama-3.1-8B",
     "H100=80GiB:20GiB",
     "vllm",
     {},
     {},
     {"max_length 2", "kv_dtype float8_e4m3fn", "devices 2xH100=80GiB:20GiB, tp 2, device_memory_utilization 0.25"}},
    // 15 GiB never fit in 10: only more cards.
    {"TooLittleFree", "meta-llama/Llama-3.1-8B", "H100=80GiB:10GiB", "vllm", {}, {}, {"xH100=80GiB:10GiB, tp "}},
    {"WholeNodes", "deepseek-ai/DeepSeek-V3", "2x4xH100", "max", {}, {}, {"devices 3x4xH100, tp "}},
};
INSTANTIATE_TEST_SUITE_P(Operators, Advised, ::testing::ValuesIn(kCases), [](const auto& info) { return std::string(info.param.title); });

// What is in the order of what it costs, and no advice asks for all that another asks for and more.
TEST(Advice, ComesInTheOrderOfItsCost) {
  PlanRequest request = on("1xA100");
  request.engine = "vllm@0.11.0";
  const Plan plan = planned("Qwen/Qwen3-32B", request);
  std::vector<std::string> options;
  for (const Advice& advice : plan.advice) options.push_back(advice.option);
  EXPECT_THAT(options, ElementsAre("--max-length", "--kv-dtype", "--device-memory-utilization", "--devices"));
}

// The largest batch and the smallest fraction: one more, or one hundredth less, does not fit.
TEST(Advice, AsksForNoMoreThanItMust) {
  PlanRequest request = on("1xA100");
  request.engine = "vllm@0.11.0";
  for (const Advice& advice : planned("Qwen/Qwen3-32B", request).advice) {
    PlanRequest r = request;
    if (advice.option == "--max-batch-size") r.max_batch_size = std::stoull(advice.value) + 1;
    else if (advice.option == "--max-length") r.max_length = std::stoull(advice.value) + 16;
    else if (advice.option == "--device-memory-utilization") r.device_memory_utilization = std::stod(advice.value) - 0.01;
    else continue;
    EXPECT_TRUE(planned("Qwen/Qwen3-32B", r).error) << advice.option << " " << advice.value;
  }
}

// The user's own options are in every command, and what a plan of another way of asking was told.
TEST(Advice, CommandsHoldTheWholeRequest) {
  PlanRequest request = on("16GiB");
  request.engine_overrides = {{"prefix_caching", "false"}};
  request.max_length_auto = true;
  request.dtype = "float16";
  const Plan plan = planned("meta-llama/Llama-3.1-8B", request);
  ASSERT_FALSE(plan.advice.empty());
  for (const Advice& advice : plan.advice) {
    EXPECT_THAT(advice.command, HasSubstr("plimsoll plan meta-llama/Llama-3.1-8B --devices "));
    for (const char* option : {" --set engine.prefix_caching=false", " --dtype float16", " --max-length auto"})
      EXPECT_THAT(advice.command, HasSubstr(option));
  }
}

TEST(Advice, AModelThatWasGivenAsTextStandsForAFile) {
  const auto model = test::built_context().load_config(
      R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
          "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256, "torch_dtype": "bfloat16"})",
      "some name");
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_THAT(test::built_context().plan_command(*model, on("16GiB")), HasSubstr("plimsoll plan config.json --devices 16GiB"));
}

class Growth : public ::testing::Test {
protected:
  Result<std::vector<Device>> read(const std::string& spec) const { return parse_devices(spec, cards_); }
  std::string grown(const std::string& spec, std::uint32_t steps, std::optional<std::uint32_t> nodes = {}) const {
    const auto now = read(spec);
    const DeviceGrowth growth(spec, *now, nodes, [this](const std::string& text) { return read(text); });
    const std::optional<MoreDevices> more = growth.grown(steps);
    if (!more) return "";
    EXPECT_EQ(more->devices.size(), now->size() + static_cast<std::size_t>(steps) * growth.step());
    return more->spec;
  }
  DeviceCatalogue cards_{PLIMSOLL_SOURCE_DIR "/core/catalogue/devices.yaml"};
};

TEST_F(Growth, SaysMoreDevicesAsAUserWould) {
  EXPECT_EQ(grown("H100", 1), "2xH100");
  EXPECT_EQ(grown(" 2 x H100 ", 1), "3xH100");
  EXPECT_EQ(grown("H100,H100", 2), "4xH100");
  EXPECT_EQ(grown("80GiB", 2), "3x80GiB");
  EXPECT_EQ(grown("card=80GiB:70GiB", 1), "2xcard=80GiB:70GiB");
  EXPECT_EQ(grown("2x8xH200", 1), "3x8xH200");
  EXPECT_EQ(grown("1x7GiB", 1), "2x7GiB");
  EXPECT_EQ(grown("8xH200", 1, 2), "12xH200"); // two nodes of four: a node more
  EXPECT_EQ(grown("2xA100-40GB,2xH100", 1), "2xA100-40GB,2xH100,H100");
  EXPECT_EQ(grown("2xA100-40GB,2xH100", 3), "2xA100-40GB,2xH100,3xH100");
  EXPECT_EQ(grown("1x2xA100-40GB,1x2xH100", 1), "1x2xA100-40GB,1x2xH100,1x2xH100");
}

} // namespace
} // namespace plimsoll
