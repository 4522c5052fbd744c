// The models that executions are tested with: the same bytes on every machine, as the goldens that were recorded of them say; and what the
// families' planners declare is what their files hold, whatever the format.
#include "support/tiny_model.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "plimsoll/host.hpp"
#include "support/built_context.hpp"
#include "support/sparse_checkpoint.hpp"
#include "support/tiny_gguf.hpp"

namespace plimsoll::test {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::IsEmpty;

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  std::ostringstream out;
  out << file.rdbuf();
  return out.str();
}

// FNV-1a, 64 bits, as sixteen digits.
std::string hash_of(std::string_view bytes) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

const json& goldens() {
  static const json file = json::parse(bytes_of(PLIMSOLL_TEST_DATA "/tiny/goldens.json"));
  return file;
}

std::vector<std::string> strings(const std::vector<TensorBytes>& tensors) {
  std::vector<std::string> out;
  for (const TensorBytes& tensor : tensors) out.push_back(tensor.name);
  return out;
}

std::vector<std::string> strings(const std::vector<Mismatch>& tensors) {
  std::vector<std::string> out;
  for (const Mismatch& tensor : tensors) out.push_back(tensor.name + " " + tensor.declared + " is " + tensor.stored);
  return out;
}

class TinyModels : public testing::TestWithParam<std::string> {
protected:
  static PlanRequest request() {
    PlanRequest out;
    out.devices = "16GiB";
    out.engine = "vllm";
    out.max_length = 512; // of those with states alone the configuration says none
    return out;
  }

  // All that is stored lies on the one rank, and every tensor has a class and every class its tensors.
  static void expect_declared(const Model& model, const TinyModel& written, std::uint64_t element_bytes) {
    const Result<WeightsReport> weights = built_context().weights(model, request());
    ASSERT_TRUE(weights) << weights.error().message;
    EXPECT_THAT(weights->missing, IsEmpty());
    EXPECT_THAT(strings(weights->mismatched), IsEmpty());
    EXPECT_THAT(strings(weights->unclaimed), IsEmpty());
    std::uint64_t elements = 0, never_loaded = 0;
    for (const TinyTensor& tensor : written.tensors) {
      elements += tensor.values.size();
      if (tensor.name.ends_with("rotary_pos_emb.inv_freq")) never_loaded += tensor.values.size() * element_bytes;
    }
    EXPECT_THAT(weights->rank_bytes, ElementsAre(weights->stored_bytes.value_or(0) - never_loaded));
    EXPECT_EQ(weights->parameters, elements);
    EXPECT_GE(weights->stored_bytes, elements * element_bytes);
  }

  static void expect_planned(const Model& model) {
    const Result<Plan> plan = built_context().plan(model, request());
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_EQ(plan->verdict, Verdict::kFits);
    for (const Warning& warning : plan->warnings) ADD_FAILURE() << warning.message;
  }

  void expect_right(const std::string& path, const TinyModel& written, std::uint64_t element_bytes) {
    const Result<Model> model = built_context().load(path);
    ASSERT_TRUE(model) << model.error().message;
    expect_declared(*model, written, element_bytes);
    expect_planned(*model);
  }

  TemporaryDirectory folder_;
};

INSTANTIATE_TEST_SUITE_P(All, TinyModels, testing::ValuesIn(tiny_model_names()), [](const auto& test) { return test.param; });

TEST_P(TinyModels, HaveTheBytesThatTheirGoldensWereRecordedOf) {
  write_tiny_folder(tiny_model(GetParam()), folder_.path());
  ASSERT_TRUE(goldens().at("models").contains(GetParam()));
  const json& expected = goldens()["models"][GetParam()];
  EXPECT_EQ(hash_of(bytes_of(folder_ / "config.json")), expected.at("config"));
  EXPECT_EQ(hash_of(bytes_of(folder_ / "model.safetensors")), expected.at("tensors"));
  if (!expected.contains("gguf")) {
    EXPECT_THROW(write_tiny_gguf(tiny_model(GetParam()), folder_ / "model.gguf"), std::runtime_error);
    return;
  }
  write_tiny_gguf(tiny_model(GetParam()), folder_ / "model.gguf");
  EXPECT_EQ(hash_of(bytes_of(folder_ / "model.gguf")), expected.at("gguf"));
}

TEST_P(TinyModels, AreReadAsTheyWereWritten) {
  const TinyModel model = tiny_model(GetParam());
  write_tiny_folder(model, folder_.path());
  const TinyModel read = read_tiny_folder(folder_.path());
  ASSERT_EQ(read.tensors.size(), model.tensors.size());
  for (std::size_t i = 0; i < read.tensors.size(); ++i) {
    EXPECT_EQ(read.tensors[i].name, model.tensors[i].name);
    EXPECT_EQ(read.tensors[i].shape, model.tensors[i].shape);
    EXPECT_EQ(read.tensors[i].values, model.tensors[i].values) << read.tensors[i].name;
  }
}

TEST_P(TinyModels, AreWhatTheirPlannersDeclare) {
  const TinyModel model = tiny_model(GetParam());
  write_tiny_folder(model, folder_.path());
  expect_right(folder_.path(), model, 4);
}

TEST_P(TinyModels, AreWhatTheirPlannersDeclareInShards) {
  const TinyModel model = tiny_model(GetParam());
  write_tiny_folder(model, folder_.path(), TinyFormat::kBF16, 3);
  expect_right(folder_.path(), model, 2);
}

TEST_P(TinyModels, AreWhatTheirPlannersDeclareAsGguf) {
  if (!goldens()["models"][GetParam()].contains("gguf")) GTEST_SKIP() << "no such file is written (tests/data/tiny/README.md)";
  const TinyModel model = tiny_model(GetParam());
  write_tiny_gguf(model, folder_ / "model.gguf", TinyFormat::kF16);
  expect_right(folder_ / "model.gguf", model, 2);
}

TEST(TinyGoldens, AreOfModelsThatThereAre) {
  std::set<std::string> models;
  for (const std::string& name : tiny_model_names()) models.insert(name);
  EXPECT_EQ(goldens().at("models").size(), models.size());
  std::set<std::string> with_goldens;
  for (const json& golden : goldens().at("cases")) with_goldens.insert(golden.at("model").get<std::string>());
  models.insert({"kjv", "mla"});
  EXPECT_EQ(with_goldens, models);
}

// A text that repeats itself, or whose steps are close, shows nothing.
TEST(TinyGoldens, AreWorthComparing) {
  for (const json& golden : goldens().at("cases")) {
    const std::string name = golden.at("model").get<std::string>() + " after " + golden.at("prompt").dump();
    const auto tokens = golden.at("tokens").get<std::vector<int>>();
    EXPECT_GE(tokens.size(), 32U) << name;
    EXPECT_GE(std::set<int>(tokens.begin(), tokens.end()).size(), 12U) << name;
    EXPECT_EQ(std::count(tokens.begin(), tokens.end(), 2), 0) << name;
    EXPECT_GT(golden.at("smallest_margin"), 0.001) << name;
    EXPECT_TRUE(golden.at("witness") == "llama.cpp" || golden.contains("why_not_llama.cpp")) << name;
    for (const json& step : golden.at("top")) EXPECT_EQ(step.at("tokens")[0], tokens.at(step.at("step").get<std::size_t>())) << name;
  }
}

TEST(TinyModel, OfAnUnknownNameIsAnError) { EXPECT_THROW(tiny_model("grok"), std::runtime_error); }

TEST(TinyModel, OfAnotherSeedHasOtherWeights) {
  const TinyModel one = tiny_model("llama", 1), two = tiny_model("llama", 3);
  EXPECT_EQ(one.config, two.config);
  EXPECT_EQ(one.tensors[0].shape, two.tensors[0].shape);
  EXPECT_NE(one.tensors[0].values, two.tensors[0].values);
}

TEST(TinyModel, OfAnotherConfigurationHasItsWidths) {
  json config = json::parse(tiny_model("mixtral").config);
  config["num_hidden_layers"] = 1;
  config["num_local_experts"] = 6;
  const TinyModel model = tiny_model_of(config.dump(), 1);
  std::size_t experts = 0;
  for (const TinyTensor& tensor : model.tensors) experts += tensor.name.ends_with(".w2.weight") ? 1U : 0U;
  EXPECT_EQ(experts, 6U);
}

TEST(TinyBytes, AreRoundedToNearestEven) {
  struct Case {
    float value;
    std::uint64_t half, brain;
  };
  const Case cases[] = {
      {0.0F, 0x0000, 0x0000},
      {-0.0F, 0x8000, 0x8000},
      {1.0F, 0x3c00, 0x3f80},
      {-2.5F, 0xc100, 0xc020},
      {65504.0F, 0x7bff, 0x4780},         // the largest half
      {65520.0F, 0x7c00, 0x4780},         // halfway to what would be next: infinite
      {1.00048828125F, 0x3c00, 0x3f80},   // 1 + 2^-11: a tie, to even
      {1.00146484375F, 0x3c02, 0x3f80},   // 1 + 3 x 2^-11: a tie, to even
      {1.00390625F, 0x3c04, 0x3f80},      // 1 + 2^-8: a tie of bfloat16
      {1.01171875F, 0x3c0c, 0x3f82},      // 1 + 3 x 2^-8: a tie of bfloat16
      {6.103515625e-05F, 0x0400, 0x3880}, // the smallest normal half
      {5.9604645e-08F, 0x0001, 0x3380},   // the smallest half: 2^-24
      {2.9802322e-08F, 0x0000, 0x3300},   // half of it: a tie, to even
      {2.98023259e-08F, 0x0001, 0x3300},  // the next float
      {1e-10F, 0x0000, 0x2edc},
  };
  for (const Case& known : cases) {
    EXPECT_EQ(tiny_bytes({&known.value, 1}, TinyFormat::kF16), little_endian(known.half, 2)) << known.value;
    EXPECT_EQ(tiny_bytes({&known.value, 1}, TinyFormat::kBF16), little_endian(known.brain, 2)) << known.value;
  }
}

} // namespace
} // namespace plimsoll::test
