// --quantize: weights as exporters would write them, against what they have written and published.
#include "model/what_if.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.hpp"
#include "base/regular_file.hpp"
#include "plimsoll/host.hpp"
#include "storage/exporters.hpp"
#include "support/built_context.hpp"

namespace plimsoll {
namespace {

using ::testing::HasSubstr;

Result<Plan> plan_as(const std::string& model, std::vector<std::string> methods, const std::string& devices = "1x4000GiB",
                     const std::string& engine = "max") {
  PlanRequest request;
  request.devices = devices;
  request.engine = engine;
  request.max_length = 2048;
  request.max_batch_size = 1;
  request.quantize = std::move(methods);
  return test::built_context().plan(test::built_context().load(model).value(), request);
}

std::uint64_t weights_as(const std::string& model, const std::string& method) {
  const Result<Plan> plan = plan_as(model, {method});
  EXPECT_TRUE(plan) << model << " " << method << ": " << (plan ? "" : plan.error().message);
  return plan ? plan->devices.front().weights_bytes : 0;
}

// A model and what its maker (or the exporter's) published of it: the same bytes.
TEST(WhatIf, ComesToWhatWasPublished) {
  struct Row {
    const char *model, *method, *published;
  };
  for (const Row& row :
       {Row{"Qwen/Qwen3-32B", "fp8-block", "Qwen/Qwen3-32B-FP8"},
        Row{"Qwen/Qwen3-32B", "fp8-static", "Qwen/Qwen3-32B-FP8-Static-PerTensor"},
        Row{"Qwen/Qwen3-30B-A3B", "fp8-block", "Qwen/Qwen3-30B-A3B-FP8"},
        Row{"Qwen/Qwen3-235B-A22B", "fp8-block", "Qwen/Qwen3-235B-A22B-FP8"},
        Row{"Qwen/Qwen3-235B-A22B", "nvfp4", "nvidia/Qwen3-235B-A22B-NVFP4"}, Row{"zai-org/GLM-5.2", "fp8-block", "zai-org/GLM-5.2-FP8"},
        Row{"deepseek-ai/DeepSeek-V3.1", "nvfp4", "nvidia/DeepSeek-V3.1-NVFP4"},
        Row{"MiniMaxAI/MiniMax-M2.5", "nvfp4-mlp", "nvidia/MiniMax-M2.5-NVFP4"},
        Row{"google/gemma-4-31B-it", "nvfp4-mlp", "nvidia/Gemma-4-31B-IT-NVFP4"},
        Row{"Qwen/Qwen2-VL-2B-Instruct", "awq", "Qwen/Qwen2-VL-2B-Instruct-AWQ"}})
    EXPECT_EQ(weights_as(row.model, row.method), weights_as(row.published, "none")) << row.model << " " << row.method;
}

// Llama-3.1-8B: (16,060,522,496 - 2,101,346,304) / 2 of linear layers in 8 bits, and the embedding, the head and the norms
// that stay; a 16-bit scale for each of 1,376,256 rows, or a 32-bit one for each block of 128 x 128, or a scalar for each of 224 layers.
TEST(WhatIf, CountsTheScalesThatExportersStore) {
  const std::string model = "meta-llama/Llama-3.1-8B";
  const std::uint64_t norms = 65ULL * 4096 * 2, ends = 2101346304, linear = 16060522496 - ends - norms;
  EXPECT_EQ(weights_as(model, "none"), 16060522496U);
  EXPECT_EQ(weights_as(model, "fp8"), linear / 2 + ends + norms + 1376256 * 2);
  EXPECT_EQ(weights_as(model, "int8"), weights_as(model, "fp8"));
  EXPECT_EQ(weights_as(model, "fp8_block"), linear / 2 + ends + norms + linear / 2 / (128 * 128) * 4);
  EXPECT_EQ(weights_as(model, "fp8_static"), linear / 2 + ends + norms + 224 * 2 * 4);
  EXPECT_EQ(weights_as(model, "nvfp4"), linear / 4 + linear / 32 + ends + norms + 224 * 2 * 4);
}

// Qwen3-14B in 4 bits as MLX publishes it, the embedding and the head converted too.
TEST(WhatIf, ConvertsTheEndsWhereTheExporterDoes) { EXPECT_EQ(weights_as("Qwen/Qwen3-14B", "mlx-4bit"), 8307783680U); }

// The sizes of llama-quantize's own table for Llama-3.1-8B, bits for each weight to four digits.
TEST(WhatIf, ComesToTheSizesThatLlamaCppLists) {
  struct Row {
    const char* method;
    double bits;
  };
  const double parameters = 8030261248;
  for (const Row& row :
       {Row{"IQ1_S", 2.0042},  Row{"IQ1_M", 2.1460},   Row{"IQ2_XXS", 2.3824}, Row{"IQ2_XS", 2.5882}, Row{"IQ2_S", 2.7403},
        Row{"IQ2_M", 2.9294},  Row{"IQ3_XXS", 3.2548}, Row{"IQ3_XS", 3.4977},  Row{"IQ3_S", 3.6606},  Row{"IQ3_M", 3.7628},
        Row{"IQ4_XS", 4.4597}, Row{"IQ4_NL", 4.6818},  Row{"Q2_K_S", 2.9697},  Row{"Q2_K", 3.1593},   Row{"Q3_K_S", 3.6429},
        Row{"Q3_K_L", 4.2979}, Row{"Q4_K_S", 4.6672},  Row{"Q4_K_M", 4.8944},  Row{"Q5_K_S", 5.5704}, Row{"Q5_K_M", 5.7036},
        Row{"Q6_K", 6.5633},   Row{"Q8_0", 8.5008},    Row{"F16", 16.0005}})
    EXPECT_NEAR(static_cast<double>(weights_as("meta-llama/Llama-3.1-8B", row.method)) * 8 / parameters, row.bits, 0.00006) << row.method;
}

TEST(WhatIf, LeavesTowersRoutersAndDraftsAlone) {
  const auto& context = test::built_context();
  PlanRequest request;
  request.quantize = {"fp8"};
  for (const char* name : {"Qwen/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen3-30B-A3B", "zai-org/GLM-4.5-Air"}) {
    const WeightsReport report = context.weights(context.load(name).value(), request).value();
    std::size_t quantised = 0;
    for (const WeightClassInfo& c : report.classes) {
      const bool stays = c.label.find("vision") != std::string::npos || c.pattern.find(".gate.weight") != std::string::npos ||
                         c.pattern.find("visual") != std::string::npos || c.role == "draft" || c.pattern.find("embed") != std::string::npos;
      if (stays) {
        EXPECT_EQ(c.dtype.find("fp8"), std::string::npos) << name << " " << c.pattern;
      }
      if (c.dtype.find("fp8") != std::string::npos) ++quantised;
    }
    EXPECT_GT(quantised, 4U) << name;
  }
}

TEST(WhatIf, SaysWhatItIs) {
  const Plan plan = plan_as("Qwen/Qwen3-8B", {"Q4-K-M"}, "1x80GiB", "llama.cpp").value();
  EXPECT_EQ(plan.request.quantize, "q4_k_m");
  EXPECT_EQ(plan.model.weights_source, WeightsSource::kConfig);
  ASSERT_FALSE(plan.warnings.empty());
  EXPECT_EQ(plan.warnings.front().code, WarningCode::kQuantizationAssumed);
  EXPECT_THAT(plan.warnings.front().message, HasSubstr("llama-quantize"));
  bool marked = false;
  for (const Item& item : plan.items) marked = marked || (item.category == Category::kWeights && item.basis == Basis::kHeuristic);
  EXPECT_TRUE(marked);
}

TEST(WhatIf, ComparesSeveralAndPlansTheFirstThatFits) {
  const Plan plan = plan_as("meta-llama/Llama-3.1-8B", {"none", "fp8", "q4_k_m", "awq"}, "1x8GiB").value();
  ASSERT_EQ(plan.quantizations.size(), 4U);
  EXPECT_EQ(plan.quantizations[0].quantize, "none");
  EXPECT_EQ(plan.quantizations[0].weights_bytes, 16060522496U);
  EXPECT_EQ(plan.quantizations[0].verdict, Verdict::kDoesNotFit);
  EXPECT_EQ(plan.quantizations[1].verdict, Verdict::kDoesNotFit);
  EXPECT_NE(plan.quantizations[2].verdict, Verdict::kDoesNotFit);
  EXPECT_EQ(plan.request.quantize, "q4_k_m");
  EXPECT_EQ(plan.devices.front().weights_bytes, plan.quantizations[2].weights_bytes);
  EXPECT_EQ(plan.kv_cache.capacity_tokens, plan.quantizations[2].capacity_tokens);
  EXPECT_FALSE(plan.error);
  const Plan none = plan_as("meta-llama/Llama-3.1-8B", {"none", "fp8"}, "1x8GiB").value();
  EXPECT_TRUE(none.error);
  EXPECT_EQ(none.request.quantize, "");
}

TEST(WhatIf, KnowsWhatEnginesLoad) {
  struct Row {
    const char *method, *engine, *devices;
    bool loads;
  };
  for (const Row& row :
       {Row{"q4_k_m", "llama.cpp", "1xH100", true}, Row{"fp8", "llama.cpp", "1xH100", false}, Row{"fp8", "vllm", "1xH100", true},
        Row{"nvfp4", "vllm", "1xH200", true}, Row{"nvfp4", "vllm", "1xMI300X", false}, Row{"q4_k_m", "tensorrt-llm", "1xH100", false},
        Row{"awq", "sglang", "1xH100", true}, Row{"fp8", "max", "1xH100", true}}) {
    const Result<Plan> plan = plan_as("Qwen/Qwen3-8B", {row.method}, row.devices, row.engine);
    ASSERT_TRUE(plan) << row.method << " " << row.engine << ": " << plan.error().message;
    EXPECT_EQ(plan->verdict != Verdict::kDoesNotFit, row.loads) << row.method << " " << row.engine << " " << row.devices;
    if (row.loads) continue;
    EXPECT_EQ(plan->error->where, "--quantize");
    EXPECT_THAT(plan->error->message, HasSubstr(row.engine));
    EXPECT_TRUE(plan->advice.empty());
  }
  // A file that is there is planned all the same.
  const Plan stored = plan_as("Qwen/Qwen3-32B-FP8", {}, "1x80GiB", "llama.cpp").value();
  EXPECT_EQ(stored.warnings.front().code, WarningCode::kQuantizationNotLoaded);
}

TEST(WhatIf, IsRefusedWhereItMeansNothing) {
  struct Row {
    const char *model, *method, *message;
  };
  for (const Row& row : {Row{"Qwen/Qwen3-8B", "q4_k_n", "did you mean q4_k_"},
                         Row{"Qwen/Qwen3-8B", "zzzzzzzz", "known are none (the model as it is), fp8, fp8_block"},
                         Row{"Qwen/Qwen2-VL-2B-Instruct-AWQ", "fp8", "is quantised already (awq, awq_int4_g128)"},
                         Row{"openai/gpt-oss-20b", "q4_k_m", "is quantised already (mxfp4"},
                         Row{"deepseek-ai/DeepSeek-V3", "fp8", "is stored in 8 bits already"}}) {
    const Result<Plan> plan = plan_as(row.model, {row.method});
    ASSERT_FALSE(plan) << row.model << " " << row.method;
    EXPECT_EQ(plan.error().code, ErrorCode::kBadRequest);
    EXPECT_EQ(plan.error().where, "--quantize");
    EXPECT_THAT(plan.error().message, HasSubstr(row.message));
  }
  PlanRequest request;
  request.devices = "1x80GiB";
  request.engine = "reference";
  request.quantize = {"fp8"};
  const auto& context = test::built_context();
  const Model model = context.load("Qwen/Qwen3-8B").value();
  EXPECT_THAT(context.program(model, request).error().message, HasSubstr("what-if"));
  request.quantize = {"fp8", "awq"};
  EXPECT_THAT(context.weights(model, request).error().message, HasSubstr("a list of 2"));
}

// A checkpoint says which tensors there are; the bytes are those that its exporter would write.
TEST(WhatIf, ConvertsWhatACheckpointHolds) {
  const std::string tiny = PLIMSOLL_SOURCE_DIR "/tests/data/tiny/kjv";
  const Plan whole = plan_as(tiny, {}, "1x1GiB").value(), half = plan_as(tiny, {"int8"}, "1x1GiB").value();
  EXPECT_EQ(whole.model.weights_source, WeightsSource::kSafetensors);
  EXPECT_EQ(half.model.weights_source, WeightsSource::kConfig);
  EXPECT_LT(half.devices.front().weights_bytes, whole.devices.front().weights_bytes);
  EXPECT_GT(half.devices.front().weights_bytes, whole.devices.front().weights_bytes / 4);
}

// Whatever a catalogue model is, a what-if of it is smaller than the model, or refused for what the model is.
TEST(WhatIf, IsSmallerThanTheModel) {
  const auto& context = test::built_context();
  const std::vector<CatalogueModel> models = context.models("").value();
  std::size_t planned = 0;
  for (std::size_t i = 0; i < models.size(); i += 5) {
    const Model model = context.load(models[i].name).value();
    PlanRequest request;
    const auto bytes = [&](const char* method) -> std::optional<std::uint64_t> {
      request.quantize = {method};
      const Result<WeightsReport> report = context.weights(model, request);
      if (report) return report->rank_bytes.front();
      EXPECT_EQ(report.error().where, "--quantize") << models[i].name << ": " << report.error().message;
      return std::nullopt;
    };
    const std::uint64_t whole = bytes("none").value();
    for (const char* method : {"awq", "q4_k_m"}) {
      const std::optional<std::uint64_t> less = bytes(method);
      if (!less) continue;
      ++planned;
      EXPECT_LT(*less, whole) << models[i].name << " " << method;
      EXPECT_GT(*less, whole / 8) << models[i].name << " " << method;
    }
  }
  EXPECT_GT(planned, 60U);
}

// Whatever a model is stored in already, no what-if is the model itself under another name: it is smaller, or refused. Also where planners
// name the formats of a maker's own files (DeepSeek-V4 in fp8 throughout).
TEST(WhatIf, OfAQuantisedModelIsNeverTheModel) {
  const auto& context = test::built_context();
  const auto config_of = [](const std::string& entry) {
    const auto text = read_text_file(PLIMSOLL_SOURCE_DIR "/core/catalogue/models/" + entry, 1 << 20, ErrorCode::kInternal);
    return Json::parse(text.value())["config"];
  };
  std::vector<std::pair<std::string, Json>> models;
  Json v4 = config_of("deepseek-ai__DeepSeek-V4-Flash.json");
  v4.erase("expert_dtype");
  v4["quantization_config"] = {{"quant_method", "fp8"}, {"activation_scheme", "dynamic"}, {"weight_block_size", {128, 128}}};
  models.emplace_back("DeepSeek-V4 in fp8", v4);
  v4["expert_dtype"] = "fp8";
  models.emplace_back("DeepSeek-V4 in fp8, its experts said so", v4);
  for (const char* entry : {"Qwen__Qwen3-8B.json", "Qwen__Qwen3-30B-A3B.json", "deepseek-ai__DeepSeek-V3.json", "openai__gpt-oss-20b.json"})
    for (const Exporter& exporter : exporters()) {
      Json config = config_of(entry);
      config["quantization_config"] = Json::parse(exporter.settings);
      models.emplace_back(std::string(entry) + " as " + std::string(exporter.name), config);
    }
  std::size_t planned = 0, refused = 0;
  for (const auto& [what, config] : models) {
    const Result<Model> model = context.load_config(config.dump(), "config.json");
    ASSERT_TRUE(model) << what << ": " << model.error().message;
    const std::uint64_t whole = context.weights(*model, {}).value().rank_bytes.front();
    for (const char* method : {"fp8", "int8", "awq", "gptq_int4", "nvfp4", "mxfp4", "mlx_4bit", "q4_k_m"}) {
      PlanRequest request;
      request.quantize = {method};
      const Result<WeightsReport> report = context.weights(*model, request);
      if (!report) {
        EXPECT_EQ(report.error().where, "--quantize") << what << ": " << report.error().message;
        EXPECT_THAT(report.error().message, HasSubstr("already")) << what;
        ++refused;
        continue;
      }
      ++planned;
      EXPECT_LT(report->rank_bytes.front(), whole * 4 / 5) << what << ", as " << method;
      EXPECT_GT(report->rank_bytes.front(), whole / 4) << what << ", as " << method;
    }
  }
  EXPECT_GT(planned, 10U);
  EXPECT_GT(refused, 100U);
}

// Scales split with their weights, or are on every rank.
TEST(WhatIf, SplitsOverRanks) {
  const Plan one = plan_as("Qwen/Qwen3-32B", {"awq"}, "1x80GiB").value(), two = plan_as("Qwen/Qwen3-32B", {"awq"}, "2x80GiB").value();
  const std::uint64_t whole = one.devices.front().weights_bytes, sum = two.devices[0].weights_bytes + two.devices[1].weights_bytes;
  EXPECT_GE(sum, whole);
  EXPECT_LT(sum, whole + whole / 50);
}

} // namespace
} // namespace plimsoll
