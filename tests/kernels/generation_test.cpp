// Whole models on a device: what they generate against the goldens of a second engine, what they took against what was planned, and
// `verify --run` as it finds that right, or injected faults. On the played device the first tokens of a few models, on a GPU all.
#include <gmock/gmock.h>

#include "backend/device_backend.hpp"
#include "generation/tiny_models.hpp"
#include "plimsoll/verify_run.hpp"
#include "support/emulated_device.hpp"
#include "support/test_backend.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::HasSubstr;

bool on_gpu() { return test::chosen_backend()->name() == "cuda"; }
Result<std::shared_ptr<Backend>> open_device(std::uint32_t rank) {
  if (on_gpu()) return open_gpu(rank);
  return test::emulated_backend(false);
}

// A plan for a device with a driver.
PlanRequest device_request(std::uint64_t max_length) {
  PlanRequest request = request_of(max_length);
  request.devices = "1xH200";
  return request;
}

class DeviceGoldens : public ::testing::TestWithParam<std::string> {};

TEST_P(DeviceGoldens, AreGenerated) {
  const char* const quick[] = {
      "kjv",           "mla",        "gemma3", "gpt_oss", "deepseek_v3_groups", "granite_hybrid", "qwen3_next", "llama4_lists",
      "gemma4_inputs", "gemma4_moe", "bloom",  "opt"};
  if (!on_gpu() && std::find(std::begin(quick), std::end(quick), GetParam()) == std::end(quick)) GTEST_SKIP() << "on a GPU alone";
  for (const GoldenCase& golden : golden_cases(GetParam())) {
    PipelineOptions options;
    options.backend = open_device;
    auto pipeline = pipeline_of(folder_of(GetParam()), device_request(golden.max_length), options);
    ASSERT_TRUE(pipeline) << pipeline.error().message;
    TextGenerationRequest request = greedy(golden);
    if (!on_gpu()) request.max_new_tokens = 8;
    const auto output = pipeline->generate(request);
    ASSERT_TRUE(output) << output.error().message;
    ASSERT_FALSE(output->error) << output->error->message;
    const std::vector<Token> expected(golden.tokens.begin(), golden.tokens.begin() + static_cast<std::ptrdiff_t>(output->tokens.size()));
    EXPECT_EQ(output->tokens, expected) << golden.model << ", a prompt of " << golden.prompt.size();
    EXPECT_GE(output->tokens.size(), std::min<std::size_t>(8, golden.tokens.size()));
    for (const Usage& usage : pipeline->usage())
      if (usage.category == Category::kOverhead) EXPECT_LE(usage.peak_bytes, usage.planned_bytes);
      else EXPECT_EQ(usage.peak_bytes, usage.planned_bytes) << category_name(usage.category);
    if (!on_gpu()) break; // its shortest prompt
  }
}

INSTANTIATE_TEST_SUITE_P(Models, DeviceGoldens, ::testing::ValuesIn(golden_models()), [](const auto& info) { return info.param; });

TEST(DeviceGenerationTest, AnAdapterIsApplied) {
  for (const GoldenCase& golden : golden_cases("llama", true)) {
    PlanRequest planned = device_request(golden.max_length);
    planned.max_loras = 1;
    planned.max_lora_rank = 8;
    PipelineOptions options;
    options.backend = open_device;
    options.loras = {"golden=" + adapter_of("llama", golden.adapter)};
    auto pipeline = pipeline_of(folder_of("llama"), planned, options);
    ASSERT_TRUE(pipeline) << pipeline.error().message;
    TextGenerationRequest request = greedy(golden);
    request.adapter = "golden";
    if (!on_gpu()) request.max_new_tokens = 6;
    const auto output = pipeline->generate(request);
    ASSERT_TRUE(output) << output.error().message;
    ASSERT_FALSE(output->error) << output->error->message;
    ASSERT_GE(output->tokens.size(), 6U);
    EXPECT_TRUE(std::equal(output->tokens.begin(), output->tokens.end(), golden.tokens.begin()));
    if (!on_gpu()) break;
  }
}

// `fault` where a plan of that model is made to go wrong.
VerifyRunReport verified(const std::string& model, Fault fault) {
  PlanRequest request = device_request(on_gpu() ? 256 : 20);
  request.max_batch_size = 2;
  if (!on_gpu()) request.max_batch_input_tokens = 20;
  VerifyRunOptions options;
  options.inject = fault;
  options.backend = open_device;
  auto report = verify_run(context(), context().load(folder_of(model)).value(), request, options);
  EXPECT_TRUE(report) << report.error().message;
  return report ? *report : VerifyRunReport{};
}

TEST(DeviceVerifyTest, AModelTakesWhatItsPlanSays) {
  for (const char* const model : {"mla", "granite_hybrid"}) {
    SCOPED_TRACE(model);
    const VerifyRunReport report = verified(model, Fault::kNone);
    EXPECT_EQ(report.verdict, RunVerdict::kWithinPlan) << verify_run_to_json(report);
    EXPECT_EQ(report.memory, test::chosen_backend()->name());
    ASSERT_FALSE(report.ranks.empty());
    std::uint64_t driver_bytes = 0;
    for (const CategoryVerdict& category : report.ranks[0].categories) driver_bytes += category.driver_bytes;
    EXPECT_GT(driver_bytes, 0U);
    EXPECT_THAT(verify_run_to_json(report), HasSubstr("\"driver_bytes\""));
  }
}

TEST(DeviceVerifyTest, FaultsAreFound) {
  const std::pair<Fault, Category> faults[] = {
      {Fault::kOversize, Category::kKvCache}, {Fault::kLeak, Category::kKvCache}, {Fault::kDouble, Category::kActivation}};
  for (const auto& [fault, category] : faults) {
    SCOPED_TRACE(fault_name(fault));
    const VerifyRunReport report = verified("mla", fault);
    EXPECT_EQ(report.verdict, RunVerdict::kOverPlan);
    for (const CategoryVerdict& of : report.ranks.at(0).categories)
      EXPECT_EQ(of.verdict == MemoryVerdict::kOver, of.category == category) << category_name(of.category);
  }
}

} // namespace
} // namespace plimsoll::testing
