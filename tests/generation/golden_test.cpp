// What models of every described family generate, against what a second engine generated from the same weights, and against themselves in
// other batches, chunks and caches; and what they took against what was planned, to the byte.
#include <cmath>
#include <gmock/gmock.h>

#include "generation/tiny_models.hpp"
#include "plimsoll/verify_run.hpp"

namespace plimsoll::testing {
namespace {

constexpr double kSameWeights = 2e-5; // of log-probabilities computed in another order

class Goldens : public ::testing::TestWithParam<std::string> {
protected:
  // The same tokens, and log-probabilities as near as the witness is exact.
  static void expect_golden(const TextGenerationOutput& output, const GoldenCase& golden) {
    ASSERT_FALSE(output.error) << output.error->message;
    ASSERT_EQ(output.tokens, golden.tokens) << golden.model << ", a prompt of " << golden.prompt.size();
    ASSERT_TRUE(output.log_probabilities);
    for (const TopRow& row : golden.top)
      for (std::size_t i = 0; i < row.tokens.size(); ++i) {
        const auto& found = output.log_probabilities->top.at(row.step);
        const auto at = std::find_if(found.begin(), found.end(), [&](const auto& entry) { return entry.first == row.tokens[i]; });
        if (at == found.end()) {
          EXPECT_GT(i, 2U) << "step " << row.step << " lacks token " << row.tokens[i]; // the last of five may change places with the sixth
          continue;
        }
        EXPECT_NEAR(at->second, row.log_probabilities[i], golden.tolerance) << "step " << row.step << ", token " << row.tokens[i];
      }
  }
  static void expect_alike(const TextGenerationOutput& a, const TextGenerationOutput& b) {
    ASSERT_EQ(a.tokens, b.tokens);
    ASSERT_TRUE(a.log_probabilities && b.log_probabilities);
    for (std::size_t i = 0; i < a.log_probabilities->token.size(); ++i)
      EXPECT_NEAR(a.log_probabilities->token[i], b.log_probabilities->token[i], kSameWeights) << "step " << i;
  }
  static void expect_as_planned(const TextGenerationPipeline& pipeline) {
    for (const Usage& usage : pipeline.usage()) EXPECT_EQ(usage.peak_bytes, usage.planned_bytes) << category_name(usage.category);
  }
  static std::vector<TextGenerationRequest> requests_of(const std::vector<GoldenCase>& cases) {
    std::vector<TextGenerationRequest> out;
    for (const GoldenCase& golden : cases) out.push_back(greedy(golden));
    return out;
  }
  // Cases of the first of the model's lengths.
  static std::vector<GoldenCase> cases() {
    std::vector<GoldenCase> all = golden_cases(GetParam());
    std::erase_if(all, [length = all.front().max_length](const GoldenCase& golden) { return golden.max_length != length; });
    return all;
  }
};

TEST_P(Goldens, EachPromptByItself) {
  for (const GoldenCase& golden : golden_cases(GetParam())) {
    auto pipeline = pipeline_of(folder_of(GetParam()), request_of(golden.max_length));
    ASSERT_TRUE(pipeline) << pipeline.error().message;
    const auto output = pipeline->generate(greedy(golden));
    ASSERT_TRUE(output) << output.error().message;
    expect_golden(*output, golden);
    expect_as_planned(*pipeline);
  }
}

TEST_P(Goldens, AllInOneBatchAndInChunks) {
  const std::vector<GoldenCase> all = cases();
  for (const std::uint64_t chunk : {std::uint64_t{512}, std::uint64_t{11}}) {
    PlanRequest request = request_of(all.front().max_length);
    request.max_batch_input_tokens = chunk;
    request.max_batch_size = 3;
    auto pipeline = pipeline_of(folder_of(GetParam()), request);
    ASSERT_TRUE(pipeline) << pipeline.error().message;
    const auto outputs = pipeline->generate(requests_of(all));
    ASSERT_TRUE(outputs) << outputs.error().message;
    ASSERT_EQ(outputs->size(), all.size());
    for (std::size_t i = 0; i < all.size(); ++i) expect_golden((*outputs)[i], all[i]);
    expect_as_planned(*pipeline);
    if (PagedKvManager* const pages = get_paged_manager(*pipeline)) {
      EXPECT_EQ(pages->metrics().used_pages, 0U);
      EXPECT_TRUE(pages->audit());
    }
  }
}

TEST_P(Goldens, APrefixThatWasHitIsAsGoodAsOneThatWasComputed) {
  const GoldenCase golden = cases().back();
  auto pipeline = pipeline_of(folder_of(GetParam()), request_of(golden.max_length));
  ASSERT_TRUE(pipeline) << pipeline.error().message;
  const auto cold = pipeline->generate(greedy(golden));
  ASSERT_TRUE(cold) << cold.error().message;
  const auto warm = pipeline->generate(greedy(golden));
  ASSERT_TRUE(warm) << warm.error().message;
  expect_alike(*cold, *warm);
  // What a prefix left in a state no page can say: then nothing is hit.
  if (!get_paged_manager(*pipeline)->prefix_caching()) {
    EXPECT_EQ(get_paged_manager(*pipeline)->metrics().hit_tokens, 0U);
    return;
  }
  const std::uint64_t whole_pages = (golden.prompt.size() - 1) / 16 * 16; // at least one token is computed
  EXPECT_GE(get_paged_manager(*pipeline)->metrics().hit_tokens, whole_pages);
}

// What a GGUF file does not say is refused and never guessed; what such a file cannot say at all is another model, of which
// gguf_files_test.cpp has one that it can say.
struct OnlySafetensors {
  const char *model, *message; // no message: it runs, as the file says
};
constexpr OnlySafetensors kOnlySafetensors[]{
    {"deepseek_v2_groups", "does not say how groups of experts are chosen"},
    {"mistral", nullptr},       // llama.cpp's llama has no windows
    {"gpt_oss_exact", nullptr}, // and rounds the ends of yarn's ramp
    {"falcon_mamba", nullptr},  // one epsilon for all norms
    {"exaone4", nullptr},       // windows where there are 64 layers, and nowhere else
    {"olmo3", nullptr},         // windows in three layers of four, and yarn's own factor
    {"cohere2", nullptr},       // windows in three layers of four
    {"smollm3", nullptr},       // every fourth layer does not turn
    {"starcoder2", nullptr},    // no windows
};

TEST_P(Goldens, TheSameWeightsAsAGgufFile) {
  if (!has_gguf(GetParam())) GTEST_SKIP() << "no GGUF file of it is written (tests/data/tiny/README.md)";
  const std::vector<GoldenCase> all = cases();
  auto pipeline = pipeline_of(gguf_of(GetParam()), request_of(all.front().max_length));
  const auto only = std::find_if(std::begin(kOnlySafetensors), std::end(kOnlySafetensors),
                                 [](const OnlySafetensors& row) { return row.model == GetParam(); });
  if (only != std::end(kOnlySafetensors) && only->message != nullptr) {
    ASSERT_FALSE(pipeline);
    EXPECT_EQ(pipeline.error().code, ErrorCode::kUnsupportedArchitecture);
    EXPECT_THAT(pipeline.error().message, ::testing::HasSubstr(only->message));
    return;
  }
  ASSERT_TRUE(pipeline) << pipeline.error().message;
  if (only != std::end(kOnlySafetensors)) return expect_as_planned(*pipeline);
  const auto outputs = pipeline->generate(requests_of(all));
  ASSERT_TRUE(outputs) << outputs.error().message;
  for (std::size_t i = 0; i < all.size(); ++i) expect_golden((*outputs)[i], all[i]);
  expect_as_planned(*pipeline);
}

// Through adapters, in one batch with requests that have none, over either file of the base model.
class GoldenAdapters : public Goldens {};

TEST_P(GoldenAdapters, BesideRequestsWithoutOne) {
  const std::vector<GoldenCase> adapted = golden_cases(GetParam(), true), plain = cases();
  PlanRequest request = request_of(plain.front().max_length);
  request.max_loras = 1;
  request.lora_dtype = "float32"; // a GGUF file's own is bfloat16
  std::vector<TextGenerationRequest> requests = requests_of(adapted);
  for (TextGenerationRequest& one : requests) one.adapter = "golden";
  for (const GoldenCase& golden : plain) requests.push_back(greedy(golden));
  for (const std::string& base : {folder_of(GetParam()), gguf_of(GetParam())}) {
    auto pipeline = pipeline_of(base, request);
    ASSERT_TRUE(pipeline) << pipeline.error().message;
    const LoraAnswer loaded = pipeline->model().lora_manager()->load("golden=" + adapter_of(GetParam(), adapted.front().adapter));
    ASSERT_TRUE(loaded.ok()) << loaded.error->message;
    const auto outputs = pipeline->generate(requests);
    ASSERT_TRUE(outputs) << outputs.error().message;
    for (std::size_t i = 0; i < adapted.size(); ++i) expect_golden((*outputs)[i], adapted[i]);
    for (std::size_t i = 0; i < plain.size(); ++i) expect_golden((*outputs)[adapted.size() + i], plain[i]);
    expect_as_planned(*pipeline);
  }
}

// Chunks whose end is the longest request's, caches that other layers look into, experts beside an FFN, heads without positions.
class Verified : public ::testing::TestWithParam<std::string> {};

TEST_P(Verified, TakesWhatItsPlanSays) {
  PlanRequest request = request_of(128);
  request.max_batch_size = 2;
  const auto report = verify_run(context(), context().load(folder_of(GetParam())).value(), request, {});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->verdict, RunVerdict::kWithinPlan) << verify_run_to_json(*report);
}

INSTANTIATE_TEST_SUITE_P(Models, Verified, ::testing::Values("llama4", "gemma4_inputs", "gemma4_moe", "bloom", "falcon"),
                         [](const auto& info) { return info.param; });
INSTANTIATE_TEST_SUITE_P(Models, GoldenAdapters, ::testing::Values("llama", "qwen3"), [](const auto& info) { return info.param; });
INSTANTIATE_TEST_SUITE_P(Models, Goldens, ::testing::ValuesIn(golden_models()), [](const auto& info) { return info.param; });

} // namespace
} // namespace plimsoll::testing
