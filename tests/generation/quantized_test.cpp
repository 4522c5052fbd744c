// Quantised weights of every scheme that is unpacked: the logits of the floats that their numbers are, to the bit; in whatever way ranks
// and stages share them; planned as float32 and taken to the byte. That the floats are right is said by a witness that shares nothing with
// this.
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "generation/tiny_models.hpp"
#include "plimsoll/verify_run.hpp"
#include "support/sparse_checkpoint.hpp"
#include "support/tiny_quantized.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::HasSubstr;

struct QuantizedCase {
  std::string scheme, model;
};
void PrintTo(const QuantizedCase& c, std::ostream* out) { *out << c.scheme << ":" << c.model; }

std::vector<QuantizedCase> quantized_cases() {
  std::vector<QuantizedCase> out;
  for (const auto& [scheme, model] : test::quantized_models()) out.push_back({scheme, model});
  return out;
}

class Quantized : public ::testing::TestWithParam<QuantizedCase> {
protected:
  Quantized() : model_(test::quantize_tiny(test::quantizable_tiny(GetParam().model), GetParam().scheme)) {
    for (const std::string& folder : {quantized(), floats()}) std::filesystem::create_directories(folder);
    test::write_quantized_folder(model_, quantized());
    test::write_tiny_folder(model_.floats, floats());
  }
  std::string quantized() const { return folder_ / "quantized"; }
  std::string floats() const { return folder_ / "floats"; }

  static PlanRequest ranks_request(std::uint32_t tp, std::uint32_t pp) {
    PlanRequest request = request_of(256);
    request.devices = std::to_string(tp * pp) + "x256MiB";
    request.tp = tp;
    request.pp = pp;
    return request;
  }
  // Of eight tokens the five likeliest and their probabilities, and what each device has of weights.
  struct Said {
    std::vector<Token> tokens;
    std::vector<std::vector<std::pair<Token, float>>> top;
    std::vector<std::uint64_t> weights_bytes;
  };
  static Said say(const std::string& path, const PlanRequest& request) {
    auto pipeline = pipeline_of(path, request);
    if (!pipeline) throw std::runtime_error(pipeline.error().message + " (" + pipeline.error().where + ")");
    TextGenerationRequest asked;
    asked.prompt_tokens = {1, 72, 260, 17, 300, 141, 9, 55};
    asked.max_new_tokens = 8;
    asked.ignore_end = true;
    asked.log_probabilities = 5;
    const auto output = pipeline->generate(asked);
    if (!output || output->error) throw std::runtime_error(output ? output->error->message : output.error().message);
    Said out{output->tokens, output->log_probabilities->top, {}};
    for (const Usage& usage : pipeline->usage()) EXPECT_EQ(usage.peak_bytes, usage.planned_bytes) << category_name(usage.category);
    for (const auto& device : pipeline->plan().devices) out.weights_bytes.push_back(device.weights_bytes);
    return out;
  }

  static void expect_near(const Said& found, const Said& expected) {
    ASSERT_EQ(found.top.size(), expected.top.size());
    for (std::size_t step = 0; step < found.top.size(); ++step)
      for (std::size_t i = 0; i < found.top[step].size(); ++i) {
        EXPECT_EQ(found.top[step][i].first, expected.top[step][i].first);
        EXPECT_NEAR(found.top[step][i].second, expected.top[step][i].second, 1e-4);
      }
  }

  test::TemporaryDirectory folder_;
  test::QuantizedModel model_;
};

TEST_P(Quantized, AreTheFloatsThatAWitnessReadsInThem) {
  const auto all = nlohmann::json::parse(std::ifstream(PLIMSOLL_TEST_DATA "/tiny/quantized.json"));
  for (const auto& golden : all.at("cases")) {
    if (golden.at("scheme") != GetParam().scheme || golden.at("model") != GetParam().model) continue;
    EXPECT_EQ(test::hash_of_tensors(model_.tensors), golden.at("stored"));
    EXPECT_EQ(test::hash_of_tensors(model_.floats.tensors), golden.at("float32"));
    return;
  }
  FAIL() << "no golden";
}

TEST_P(Quantized, SayWhatTheirFloatsSay) {
  for (const auto& [tp, pp] : {std::pair{1U, 1U}, {2U, 1U}, {4U, 1U}, {1U, 2U}, {2U, 2U}}) {
    SCOPED_TRACE(std::to_string(tp) + " x " + std::to_string(pp));
    const PlanRequest request = ranks_request(tp, pp);
    const Said expected = say(floats(), request), found = say(quantized(), request);
    EXPECT_EQ(found.tokens, expected.tokens);
    if (GetParam().scheme == "mxfp4") expect_near(found, expected); // its floats are stored with inputs first: other sums
    else EXPECT_EQ(found.top, expected.top);
    EXPECT_EQ(found.weights_bytes, expected.weights_bytes);
  }
}

TEST_P(Quantized, AreTakenAsTheyWerePlanned) {
  const auto model = context().load(quantized());
  ASSERT_TRUE(model) << model.error().message;
  const auto report = verify_run(context(), *model, ranks_request(2, 1), {});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->verdict, RunVerdict::kWithinPlan);
}

INSTANTIATE_TEST_SUITE_P(Schemes, Quantized, ::testing::ValuesIn(quantized_cases()),
                         [](const auto& info) { return info.param.scheme + "_" + info.param.model; });

// Another engine keeps the numbers; ours counts float32 from the configuration alone, too.
TEST(QuantizedPlans, CountAsTheyAreStoredElsewhere) {
  const test::TemporaryDirectory folder;
  const auto model = test::quantize_tiny(test::quantizable_tiny("llama"), "gptq_act");
  test::write_quantized_folder(model, folder.path());
  std::uint64_t stored_bytes = 0, elements = 0;
  for (const test::StoredTensor& tensor : model.tensors) stored_bytes += tensor.bytes.size();
  for (const test::TinyTensor& tensor : model.floats.tensors) elements += tensor.values.size();
  const auto weights = [&](const char* engine) {
    const auto loaded = context().load(folder.path());
    PlanRequest request;
    request.engine = engine;
    request.devices = "1xH100";
    if (request.engine == "vllm") request.dtype = "float32"; // what is not quantised is not halved
    const auto plan = context().plan(loaded.value(), request);
    EXPECT_TRUE(plan) << plan.error().message;
    return plan ? plan->devices[0].weights_bytes : 0;
  };
  EXPECT_EQ(weights("vllm"), stored_bytes);
  EXPECT_EQ(weights("reference"), elements * 4);
  std::filesystem::remove(folder / "model.safetensors");
  EXPECT_EQ(weights("reference"), elements * 4);
}

} // namespace
} // namespace plimsoll::testing
