// A tiny Qwen2-VL and a tiny Qwen2.5-VL against forward passes in NumPy (tests/data/tiny/vlm.py), and against themselves: in batches, in
// chunks, from the cache of prefixes and from that of images, on several ranks. All of it inside the plan, to the byte.
#include <cmath>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <nlohmann/json.hpp>

#include "generation/tiny_models.hpp"
#include "plimsoll/image.hpp"
#include "plimsoll/runtime.h"
#include "plimsoll/verify_run.hpp"
#include "support/tiny_vlm.hpp"

namespace plimsoll::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// The models: without windows in their encoder, and with.
constexpr const char *kPlain = "qwen2_vl", *kWindows = "qwen2_5_vl";

std::string vlm_folder(const std::string& model = kPlain) {
  static const fs::path root = [] {
    const fs::path made = fs::temp_directory_path() / ("plimsoll-vlm-" + std::to_string(::getpid()));
    for (const char* const name : {kPlain, kWindows}) {
      fs::create_directories(made / name);
      test::write_tiny_folder(name == std::string(kPlain) ? test::tiny_vlm() : test::tiny_window_vlm(), (made / name).string());
      std::ofstream(made / name / "preprocessor_config.json") << test::tiny_preprocessor_config();
    }
    std::atexit([] {
      std::error_code failed;
      fs::remove_all(fs::temp_directory_path() / ("plimsoll-vlm-" + std::to_string(::getpid())), failed);
    });
    return made;
  }();
  return (root / model).string();
}

std::shared_ptr<const Image> tiny_image(std::uint32_t height, std::uint32_t width, std::uint64_t seed) {
  static const ImageNormalisation by = read_image_normalisation(vlm_folder()).value();
  return image_of_rgb(test::tiny_picture(height, width, seed), height, width, by).value();
}

struct VlmCase {
  std::string name;
  std::vector<Token> prompt, tokens;
  std::vector<std::shared_ptr<const Image>> images;
  std::vector<double> last_row;
};

const std::vector<VlmCase>& vlm_cases(const std::string& model = kPlain) {
  static std::map<std::string, std::vector<VlmCase>> all;
  const auto known = all.find(model);
  if (known != all.end()) return known->second;
  std::vector<VlmCase>& out = all[model];
  const std::string file = model == kPlain ? "vlm.json" : "windows.json";
  const auto golden = nlohmann::json::parse(std::ifstream(PLIMSOLL_TEST_DATA "/tiny/" + file));
  for (const auto& c : golden.at("cases")) {
    VlmCase& made = out.emplace_back();
    made.name = c.at("name");
    made.prompt = c.at("prompt").get<std::vector<Token>>();
    made.tokens = c.at("tokens").get<std::vector<Token>>();
    made.last_row = c.at("last_row").get<std::vector<double>>();
    for (const auto& image : c.at("images")) made.images.push_back(tiny_image(image.at("height"), image.at("width"), image.at("seed")));
  }
  return out;
}

PlanRequest vlm_request(double share = 0.01) {
  PlanRequest request = request_of(256);
  request.vision_cache_utilization = share;
  return request;
}

TextGenerationRequest request_for(const VlmCase& golden) {
  TextGenerationRequest request;
  request.prompt_tokens = golden.prompt;
  request.images = golden.images;
  request.max_new_tokens = golden.tokens.size();
  request.ignore_end = true;
  request.log_probabilities = 320;
  return request;
}

// Log-probabilities of the first generated token against the witness's row of logits.
void expect_row(const VlmCase& golden, const TextGenerationOutput& output, double tolerance) {
  ASSERT_TRUE(output.log_probabilities) << golden.name;
  double most = golden.last_row[0], sum = 0;
  for (const double logit : golden.last_row) most = std::max(most, logit);
  for (const double logit : golden.last_row) sum += std::exp(logit - most);
  for (const auto& [token, value] : output.log_probabilities->top.front())
    EXPECT_NEAR(value, golden.last_row[static_cast<std::size_t>(token)] - most - std::log(sum), tolerance) << golden.name << ", " << token;
}

void expect_same(const VlmCase& golden, const TextGenerationOutput& output) {
  EXPECT_FALSE(output.error) << golden.name << ": " << output.error->message;
  EXPECT_EQ(output.tokens, golden.tokens) << golden.name;
  if (!output.error) expect_row(golden, output, 1e-4);
}

void expect_within_plan(const TextGenerationPipeline& pipeline) {
  for (const Usage& usage : pipeline.usage())
    if (usage.category != Category::kOverhead) {
      EXPECT_EQ(usage.peak_bytes, usage.planned_bytes) << category_name(usage.category);
    }
}

class TinyVlms : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Models, TinyVlms, ::testing::Values(kPlain, kWindows), [](const auto& info) { return info.param; });

TEST_P(TinyVlms, GivesTheWitnessesLogitsOneByOne) {
  auto pipeline = pipeline_of(vlm_folder(GetParam()), vlm_request());
  ASSERT_TRUE(pipeline) << pipeline.error().message;
  for (const VlmCase& golden : vlm_cases(GetParam())) {
    const auto output = pipeline->generate(request_for(golden));
    ASSERT_TRUE(output) << output.error().message;
    expect_same(golden, *output);
  }
  expect_within_plan(*pipeline);
  const std::array<Usage, kCategories> usage = pipeline->usage();
  const Usage& cache = usage[static_cast<std::size_t>(Category::kVisionCache)];
  EXPECT_GE(cache.planned_bytes, test::kTinyLargestRows * test::kTinyRowElements * 4);
  EXPECT_EQ(cache.live_bytes, cache.planned_bytes);
}

TEST_P(TinyVlms, GivesTheSameInOneBatchAndFromTheCaches) {
  auto pipeline = pipeline_of(vlm_folder(GetParam()), vlm_request(0.3));
  ASSERT_TRUE(pipeline) << pipeline.error().message;
  std::vector<TextGenerationRequest> requests;
  for (const VlmCase& golden : vlm_cases(GetParam())) requests.push_back(request_for(golden));
  for (const bool again : {false, true}) { // the second time prefixes are there, and images
    const auto outputs = pipeline->generate(requests);
    ASSERT_TRUE(outputs) << outputs.error().message;
    for (std::size_t i = 0; i < outputs->size(); ++i) expect_same(vlm_cases(GetParam())[i], (*outputs)[i]);
    EXPECT_EQ(pipeline->kv_managers().front()->metrics().hit_tokens > 0, again);
  }
  for (TextGenerationRequest& request : requests) request.cache_salt = "another"; // images alone are there
  const auto outputs = pipeline->generate(requests);
  ASSERT_TRUE(outputs) << outputs.error().message;
  for (std::size_t i = 0; i < outputs->size(); ++i) expect_same(vlm_cases(GetParam())[i], (*outputs)[i]);
  expect_within_plan(*pipeline);
}

// A cache of one image, which every other one evicts: steps hold as many as fit, and all the rest waits.
TEST_P(TinyVlms, GivesTheSameWhereTheCacheHoldsOneImage) {
  PlanRequest request = vlm_request(1e-9);
  request.max_batch_input_tokens = 7; // chunks end inside images
  PipelineOptions options;
  options.prefix_caching = false;
  auto pipeline = pipeline_of(vlm_folder(GetParam()), request, options);
  ASSERT_TRUE(pipeline) << pipeline.error().message;
  EXPECT_EQ(pipeline->plan().vision_entries, 1U);
  std::vector<TextGenerationRequest> requests;
  for (const VlmCase& golden : vlm_cases(GetParam())) requests.push_back(request_for(golden));
  const auto outputs = pipeline->generate(requests);
  ASSERT_TRUE(outputs) << outputs.error().message;
  for (std::size_t i = 0; i < outputs->size(); ++i) expect_same(vlm_cases(GetParam())[i], (*outputs)[i]);
  expect_within_plan(*pipeline);
}

TEST(TinyVlm, KeepsPagesOfUnlikeImagesApart) {
  auto pipeline = pipeline_of(vlm_folder(), vlm_request());
  ASSERT_TRUE(pipeline) << pipeline.error().message;
  const VlmCase& golden = vlm_cases()[1];
  ASSERT_TRUE(pipeline->generate(request_for(golden)));
  TextGenerationRequest other = request_for(golden);
  other.images = {tiny_image(32, 48, 9)};
  const auto output = pipeline->generate(other);
  ASSERT_TRUE(output && !output->error);
  EXPECT_NE(output->tokens, golden.tokens);
  EXPECT_EQ(pipeline->kv_managers().front()->metrics().hit_tokens, 0U);
}

TEST(TinyVlm, RepeatsOnePlaceholderForEachImage) {
  auto pipeline = pipeline_of(vlm_folder(), vlm_request());
  ASSERT_TRUE(pipeline) << pipeline.error().message;
  const VlmCase& golden = vlm_cases()[2];
  TextGenerationRequest request = request_for(golden);
  const auto both = std::unique(request.prompt_tokens.begin(), request.prompt_tokens.end(),
                                [](Token a, Token b) { return a == b && a == test::kTinyImageToken; });
  request.prompt_tokens.erase(both, request.prompt_tokens.end());
  const auto output = pipeline->generate(request);
  ASSERT_TRUE(output);
  expect_same(golden, *output);
}

struct RefusedImage {
  const char* name;
  std::vector<Token> prompt;
  std::uint32_t height, width; // 0: no image
  const char *where, *said;
};
void PrintTo(const RefusedImage& refused, std::ostream* out) { *out << refused.name; }
class RefusedImages : public ::testing::TestWithParam<RefusedImage> {};

TEST_P(RefusedImages, NamesWhatIsWrong) {
  static auto pipeline = pipeline_of(vlm_folder(), vlm_request());
  ASSERT_TRUE(pipeline) << pipeline.error().message;
  const RefusedImage& refused = GetParam();
  TextGenerationRequest request;
  request.prompt_tokens = refused.prompt;
  request.max_new_tokens = 1;
  if (refused.height > 0) request.images = {tiny_image(refused.height, refused.width, 1)};
  const auto output = pipeline->generate(request);
  ASSERT_TRUE(output && output->error);
  EXPECT_EQ(output->error->where, refused.where);
  EXPECT_THAT(output->error->message, HasSubstr(refused.said));
}

INSTANTIATE_TEST_SUITE_P(
    TinyVlm, RefusedImages,
    ::testing::Values(RefusedImage{"larger", {1, 300, 5}, 40, 48, "images/0", "30 tokens; the largest image that the plan"},
                      RefusedImage{"no_multiple", {1, 300, 5}, 20, 24, "images/0", "multiples of 8"},
                      RefusedImage{"no_place", {1, 5}, 16, 24, "images", "0 placeholders"},
                      RefusedImage{"no_image", {1, 300, 300, 5}, 0, 0, "images", "its 0 images have 0 rows"},
                      RefusedImage{"too_few", {1, 300, 300, 300, 300, 300, 5}, 16, 24, "images", "5 placeholders"},
                      RefusedImage{"torn", {1, 300, 300, 300, 5, 300, 300, 300}, 16, 24, "images/0", "other tokens between"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(TinyVlm, RefusesPixelsThatAreNone) {
  auto pipeline = pipeline_of(vlm_folder(), vlm_request());
  ASSERT_TRUE(pipeline) << pipeline.error().message;
  auto broken = std::make_shared<Image>(*tiny_image(16, 24, 1));
  TextGenerationRequest request;
  request.prompt_tokens = {1, 300, 5};
  for (const bool nan : {true, false}) {
    if (nan) broken->pixels[3] = NAN;
    else broken->pixels.pop_back();
    request.images = {broken};
    const auto output = pipeline->generate(request);
    ASSERT_TRUE(output && output->error);
    EXPECT_EQ(output->error->where, "images/0");
  }
}

TEST(TinyVlm, RefusesImagesWhereThePlanHasNoRoomForThem) {
  auto pipeline = pipeline_of(vlm_folder(), request_of(256));
  ASSERT_TRUE(pipeline) << pipeline.error().message;
  const auto output = pipeline->generate(request_for(vlm_cases()[0]));
  ASSERT_TRUE(output && output->error);
  EXPECT_THAT(output->error->message, HasSubstr("--vision-cache-utilization"));
  const auto text = pipeline->generate(request_for(vlm_cases()[3]));
  ASSERT_TRUE(text);
  expect_same(vlm_cases()[3], *text);
  expect_within_plan(*pipeline);
}

// Qwen3-VL hands features of several layers to its text.
TEST(TinyVlm, RefusesImagesOfTowersThatNobodyDescribes) {
  const auto model = context().load("Qwen/Qwen3-VL-4B-Instruct");
  ASSERT_TRUE(model) << model.error().message;
  PlanRequest request = request_of(256);
  request.devices = "64GiB";
  EXPECT_TRUE(context().plan(*model, request));
  request.vision_cache_utilization = 0.1;
  const auto plan = context().plan(*model, request);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, ErrorCode::kUnsupportedArchitecture);
  EXPECT_EQ(plan.error().where, "--vision-cache-utilization");
  EXPECT_THAT(plan.error().message, HasSubstr("images cannot be run with this model"));
}

TEST(TinyVlm, SaysWhichKeyNamesNoToken) {
  const fs::path folder = fs::path(vlm_folder()) / "no_token";
  fs::create_directories(folder);
  test::TinyModel model = test::tiny_vlm();
  nlohmann::json config = nlohmann::json::parse(model.config);
  config["image_token_id"] = 320;
  model.config = config.dump();
  test::write_tiny_folder(model, folder.string());
  const auto pipeline = pipeline_of(folder.string(), vlm_request());
  ASSERT_FALSE(pipeline);
  EXPECT_EQ(pipeline.error().code, ErrorCode::kBadConfig);
  EXPECT_THAT(pipeline.error().where, HasSubstr("/image_token_id"));
}

TEST_P(TinyVlms, GivesTheSameOnSeveralRanks) {
  for (const auto& [tp, pp] : {std::pair(2U, 1U), std::pair(4U, 1U), std::pair(1U, 2U)}) {
    PlanRequest request = vlm_request();
    request.tp = tp;
    request.pp = pp;
    request.devices = std::to_string(tp * pp) + "x256MiB";
    auto pipeline = pipeline_of(vlm_folder(GetParam()), request);
    ASSERT_TRUE(pipeline) << pipeline.error().message;
    std::vector<TextGenerationRequest> requests;
    for (const VlmCase& golden : vlm_cases(GetParam())) requests.push_back(request_for(golden));
    const auto outputs = pipeline->generate(requests);
    ASSERT_TRUE(outputs) << outputs.error().message;
    for (std::size_t i = 0; i < outputs->size(); ++i) expect_same(vlm_cases(GetParam())[i], (*outputs)[i]);
    expect_within_plan(*pipeline);
  }
}

TEST(TinyVlm, TakesImagesFromHostsInC) {
  plimsoll_context* host = nullptr;
  ASSERT_EQ(plimsoll_context_create(nullptr, nullptr, nullptr, &host, nullptr), PLIMSOLL_HOST_OK);
  const nlohmann::json request = {{"model", vlm_folder()}, {"devices", "256MiB"}, {"max_length", 256}, {"vision_cache_utilization", 0.01}};
  plimsoll_generator* generator = nullptr;
  char* said = nullptr;
  ASSERT_EQ(plimsoll_generator_create(host, request.dump().c_str(), R"({"tokenizer": false})", nullptr, nullptr, &generator, &said),
            PLIMSOLL_HOST_OK)
      << said;
  const VlmCase& golden = vlm_cases()[0];
  const std::vector<std::uint8_t> picture = test::tiny_picture(16, 24, 1);
  const auto generate = [&] {
    const nlohmann::json asked = {
        {"requests",
         {{{"prompt_ids", golden.prompt}, {"images", {"picture"}}, {"max_new_tokens", golden.tokens.size()}, {"ignore_end", true}}}}};
    char* document = nullptr;
    const int code = plimsoll_generate_json(generator, asked.dump().c_str(), nullptr, nullptr, &document);
    const auto answer = nlohmann::json::parse(document);
    plimsoll_free(document);
    return std::pair(code, answer);
  };
  EXPECT_EQ(generate().first, PLIMSOLL_HOST_BAD_REQUEST) << "no image of that name";
  ASSERT_EQ(plimsoll_generator_image(generator, "picture", 16, 24, picture.data(), &said), PLIMSOLL_HOST_OK) << said;
  const auto [code, answer] = generate();
  ASSERT_EQ(code, PLIMSOLL_HOST_OK) << answer;
  EXPECT_EQ(answer["outputs"][0]["tokens"].get<std::vector<Token>>(), golden.tokens);
  ASSERT_EQ(plimsoll_generator_image(generator, "picture", 0, 0, nullptr, &said), PLIMSOLL_HOST_OK);
  EXPECT_EQ(generate().first, PLIMSOLL_HOST_BAD_REQUEST) << "taken away";
  EXPECT_NE(plimsoll_generator_image(generator, "picture", 0, 24, picture.data(), &said), PLIMSOLL_HOST_OK);
  EXPECT_THAT(said, HasSubstr("0 bytes for an image"));
  plimsoll_free(said);
  plimsoll_free(generator);
  plimsoll_free(host);
}

TEST_P(TinyVlms, HoldsItsPlanWithTheLargestImage) {
  const auto model = context().load(vlm_folder(GetParam()));
  ASSERT_TRUE(model) << model.error().message;
  PlanRequest request = vlm_request();
  request.max_batch_size = 2;
  const auto report = verify_run(context(), *model, request, {});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->verdict, RunVerdict::kWithinPlan);
  for (const VerifyCheck& check : report->checks) {
    EXPECT_NE(check.result, CheckResult::kFail) << check.name << ": " << check.message;
    if (check.name == "vision_cache") {
      EXPECT_EQ(check.result, CheckResult::kPass) << check.message;
    }
  }
}

} // namespace
} // namespace plimsoll::testing
