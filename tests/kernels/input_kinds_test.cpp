// What a device computes beside text that goes on: pictures before it, vectors of texts, and tokens that a second model drafts; all against
// what witnesses say, all inside the plan.
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "generation/tiny_models.hpp"
#include "plimsoll/embedding.hpp"
#include "plimsoll/image.hpp"
#include "plimsoll/verify_run.hpp"
#include "support/emulated_device.hpp"
#include "support/sparse_checkpoint.hpp"
#include "support/test_backend.hpp"
#include "support/tiny_encoders.hpp"
#include "support/tiny_vlm.hpp"

namespace plimsoll::testing {
namespace {

Result<std::shared_ptr<Backend>> open_this_device(std::uint32_t rank) {
  if (test::chosen_backend()->name() == "cuda") return open_gpu(rank);
  return test::emulated_backend(false);
}
PipelineOptions on_this_device() {
  PipelineOptions options;
  options.backend = open_this_device;
  options.load_tokenizer = false;
  return options;
}
PlanRequest small_request(std::uint64_t max_length) {
  PlanRequest request = request_of(max_length);
  request.devices = "1xH200";
  request.max_batch_size = 2;
  return request;
}
nlohmann::json golden_file(const std::string& name) { return nlohmann::json::parse(std::ifstream(PLIMSOLL_TEST_DATA "/tiny/" + name)); }

void expect_all_taken(const std::array<Usage, kCategories>& usage) {
  for (const Usage& of : usage)
    if (of.category != Category::kOverhead) {
      EXPECT_EQ(of.peak_bytes, of.planned_bytes) << category_name(of.category);
    }
}

TEST(DeviceInputs, PicturesAreSeen) {
  const test::TemporaryDirectory scratch;
  const std::string folder = scratch / "vlm";
  test::write_tiny_folder(test::tiny_vlm(), folder);
  std::ofstream(std::filesystem::path(folder) / "preprocessor_config.json") << test::tiny_preprocessor_config();
  const ImageNormalisation by = read_image_normalisation(folder).value();
  PlanRequest request = small_request(64);
  request.max_batch_input_tokens = 32;
  request.vision_cache_utilization = 0.01;
  auto pipeline = pipeline_of(folder, request, on_this_device());
  ASSERT_TRUE(pipeline) << pipeline.error().message;
  const nlohmann::json golden = golden_file("vlm.json").at("cases").at(0);
  ASSERT_EQ(golden.at("images").size(), 1U);
  const std::uint32_t height = golden["images"][0]["height"], width = golden["images"][0]["width"];
  TextGenerationRequest asked;
  asked.prompt_tokens = golden.at("prompt").get<std::vector<Token>>();
  asked.images = {image_of_rgb(test::tiny_picture(height, width, golden["images"][0]["seed"]), height, width, by).value()};
  asked.max_new_tokens = 4;
  asked.ignore_end = true;
  const auto output = pipeline->generate(asked);
  ASSERT_TRUE(output) << output.error().message;
  ASSERT_FALSE(output->error) << output->error->message;
  std::vector<Token> expected = golden.at("tokens").get<std::vector<Token>>();
  expected.resize(4);
  EXPECT_EQ(output->tokens, expected);
  expect_all_taken(pipeline->usage());
}

// The cache of encoded images lies on the device too: verified with images of the largest size, and with what its driver had less for it.
TEST(DeviceInputs, PicturesAreVerified) {
  const test::TemporaryDirectory scratch;
  test::write_tiny_folder(test::tiny_vlm(), scratch / "vlm");
  PlanRequest request = small_request(64);
  request.max_batch_input_tokens = 64;
  request.vision_cache_utilization = 1e-6;
  VerifyRunOptions options;
  options.backend = open_this_device;
  const auto report = verify_run(context(), context().load(scratch / "vlm").value(), request, options);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->verdict, RunVerdict::kWithinPlan) << verify_run_to_json(*report);
  const VerifyCheck& check = report->checks.at(6);
  EXPECT_EQ(check.name, "vision_cache");
  EXPECT_EQ(check.result, CheckResult::kPass) << check.message;
  const CategoryVerdict& cache = report->ranks.at(0).categories.at(static_cast<std::size_t>(Category::kVisionCache));
  EXPECT_GT(cache.planned_bytes, 0U);
  EXPECT_GE(cache.driver_bytes, cache.planned_bytes);
}

TEST(DeviceInputs, TextsBecomeVectors) {
  const nlohmann::json cases = golden_file("embeddings.json").at("cases");
  for (const char* const encoder : {"bert", "contriever"}) {
    SCOPED_TRACE(encoder);
    const test::TemporaryDirectory scratch;
    test::write_tiny_folder(test::tiny_encoder(encoder), scratch / "encoder");
    const Model model = context().load(scratch / "encoder").value();
    auto pipeline = EmbeddingPipeline::create(context(), model, small_request(40), on_this_device());
    ASSERT_TRUE(pipeline) << pipeline.error().message;
    std::vector<EmbeddingRequest> requests;
    std::vector<std::vector<double>> expected;
    for (const auto& c : cases)
      if (c.at("model") == encoder && requests.size() < 2) {
        requests.push_back({"", c.at("tokens").get<std::vector<Token>>()});
        expected.push_back(c.at(std::string(pooling_name(pipeline->pooling()))).get<std::vector<double>>());
      }
    ASSERT_EQ(requests.size(), 2U);
    const auto vectors = pipeline->embed(requests);
    ASSERT_TRUE(vectors) << vectors.error().message;
    for (std::size_t n = 0; n < expected.size(); ++n)
      for (std::size_t i = 0; i < expected[n].size(); ++i)
        ASSERT_NEAR((*vectors)[n].vector.at(i), expected[n][i], test::test_tolerance(1e-5)) << n << ", element " << i;
    expect_all_taken(pipeline->usage());
  }
}

// The model drafts for itself, so all that is drafted is accepted: both of them computed the same, in one cache.
TEST(DeviceInputs, TokensAreDrafted) {
  const GoldenCase golden = golden_cases("llama").front();
  PlanRequest request = small_request(golden.max_length);
  request.max_batch_input_tokens = 64;
  request.draft = context().load(folder_of("llama")).value();
  request.num_draft_tokens = 2;
  auto pipeline = pipeline_of(folder_of("llama"), request, on_this_device());
  ASSERT_TRUE(pipeline) << pipeline.error().message;
  TextGenerationRequest asked = greedy(golden);
  asked.log_probabilities = 0;
  asked.max_new_tokens = 6;
  const auto output = pipeline->generate(asked);
  ASSERT_TRUE(output) << output.error().message;
  ASSERT_FALSE(output->error) << output->error->message;
  EXPECT_EQ(output->tokens, std::vector<Token>(golden.tokens.begin(), golden.tokens.begin() + 6));
  EXPECT_GT(output->drafted_tokens, 0U);
  EXPECT_EQ(output->accepted_tokens, output->drafted_tokens);
  expect_all_taken(pipeline->usage());
}

} // namespace
} // namespace plimsoll::testing
