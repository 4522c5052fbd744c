// A draft model beside a model, executed: the same tokens as without it, in one plan and one cache, within both; and what is refused.
#include <filesystem>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "generation/tiny_models.hpp"
#include "plimsoll/verify_run.hpp"
#include "support/sparse_checkpoint.hpp"
#include "support/tiny_model.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::HasSubstr;

constexpr std::int64_t kNewTokens = 12; // of each prompt

// The first layers of a stored model: it says something of what the whole says.
std::string first_layers(const std::string& model, std::uint64_t layers, const std::string& folder) {
  test::TinyModel whole = test::read_tiny_folder(folder_of(model));
  nlohmann::json config = nlohmann::json::parse(whole.config);
  config["num_hidden_layers"] = layers;
  whole.config = config.dump();
  std::erase_if(whole.tensors, [&](const test::TinyTensor& tensor) {
    constexpr std::string_view kLayers = "model.layers.";
    return tensor.name.starts_with(kLayers) && std::stoull(tensor.name.substr(kLayers.size())) >= layers;
  });
  test::write_tiny_folder(whole, folder);
  return folder;
}

struct DraftCase {
  const char* model;
  const char* draft; // "" is the first layers of the model itself
  std::uint32_t tokens = 3;
  std::uint32_t tp = 1, dp = 1;
  bool accepts = false; // some of it
  std::uint32_t pp = 1;
};
void PrintTo(const DraftCase& of, std::ostream* out) {
  *out << of.model << " by " << (*of.draft == 0 ? "its first layers" : of.draft) << ", " << of.tokens << " tokens, tp " << of.tp << ", dp "
       << of.dp << ", pp " << of.pp;
}

PlanRequest drafted_request(const DraftCase& of, const std::string& draft, std::uint64_t max_length) {
  PlanRequest request = request_of(max_length);
  request.devices = std::to_string(of.tp * of.dp * of.pp) + "x256MiB";
  request.tp = of.tp;
  request.dp = of.dp;
  request.pp = of.pp;
  request.draft = context().load(draft).value();
  request.num_draft_tokens = of.tokens;
  return request;
}

class Drafts : public ::testing::TestWithParam<DraftCase> {};

TEST_P(Drafts, GiveWhatIsGivenWithoutThem) {
  const DraftCase& of = GetParam();
  const std::vector<GoldenCase> all = golden_cases(of.model);
  const test::TemporaryDirectory scratch;
  const std::string draft = *of.draft == 0 ? first_layers(of.model, 3, scratch / "draft") : folder_of(of.draft);
  auto pipeline = pipeline_of(folder_of(of.model), drafted_request(of, draft, all.front().max_length));
  ASSERT_TRUE(pipeline) << pipeline.error().message;
  std::vector<TextGenerationRequest> requests;
  for (const GoldenCase& golden : all)
    if (golden.max_length == all.front().max_length) {
      requests.push_back(greedy(golden));
      requests.back().log_probabilities = 0;
      requests.back().max_new_tokens = kNewTokens;
    }
  const std::size_t golden_requests = requests.size();
  requests.push_back(requests.front()); // its prefix is cached, of both
  for (int round = 0; round < 2; ++round) {
    const auto outputs = pipeline->generate(requests);
    ASSERT_TRUE(outputs) << outputs.error().message;
    std::uint64_t drafted = 0, accepted = 0;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      ASSERT_FALSE((*outputs)[i].error) << (*outputs)[i].error->message;
      const std::vector<Token>& golden = all[i == golden_requests ? 0 : i].tokens;
      EXPECT_EQ((*outputs)[i].tokens, std::vector<Token>(golden.begin(), golden.begin() + kNewTokens));
      drafted += (*outputs)[i].drafted_tokens;
      accepted += (*outputs)[i].accepted_tokens;
    }
    EXPECT_GT(drafted, 0U);
    EXPECT_LE(accepted, drafted);
    if (of.accepts) {
      EXPECT_GT(accepted, 0U);
    }
    if (std::string_view(of.model) == of.draft) {
      EXPECT_EQ(accepted, drafted) << "it is the model itself";
    }
  }
  for (std::uint32_t replica = 0; replica < pipeline->n_replicas(); ++replica)
    for (const Arena& arena : pipeline->model(replica).arenas())
      for (const Usage& usage : arena.usage())
        EXPECT_EQ(usage.peak_bytes, usage.planned_bytes) << "rank " << arena.rank() << ", " << usage.label;
}

INSTANTIATE_TEST_SUITE_P(Models, Drafts,
                         ::testing::Values(DraftCase{"kjv", "", 3, 1, 1, true}, DraftCase{"kjv", "", 5, 1, 2, true},
                                           DraftCase{"llama", "llama", 4, 2, 1, true}, DraftCase{"llama", "mla", 2, 4},
                                           DraftCase{"gemma3", "llama", 3}, DraftCase{"mla", "kjv", 3},
                                           DraftCase{"granite_hybrid", "llama", 3}, DraftCase{"granite_hybrid", "llama", 2, 2},
                                           DraftCase{"mamba", "llama", 4}, DraftCase{"granite_hybrid", "llama", 3, 1, 1, false, 2},
                                           DraftCase{"kjv", "", 3, 1, 1, true, 2}, DraftCase{"llama", "llama", 4, 2, 1, true, 2},
                                           DraftCase{"gemma3", "llama", 3, 1, 2, false, 2}, DraftCase{"kjv", "mla", 3, 1, 1, false, 4}),
                         [](const auto& info) { return "case" + std::to_string(info.index); });

// Everything that the plan counts for both is taken, and nothing else.
TEST(DraftVerification, HoldsForBothModels) {
  for (const auto& [tp, pp] : {std::pair{1U, 1U}, {2U, 1U}, {1U, 2U}}) {
    const DraftCase of{"llama", "llama", 3, tp, 1, false, pp};
    PlanRequest request = drafted_request(of, folder_of("llama"), 64);
    request.max_batch_size = 2;
    request.max_batch_input_tokens = 48;
    request.devices = std::to_string(tp * pp) + "x8MiB";
    const Model model = context().load(folder_of("llama")).value();
    const Plan plan = context().plan(model, request).value();
    std::uint64_t of_draft = 0;
    for (const Item& item : plan.items) of_draft += item.label.starts_with("draft.") && item.bytes.back() > 0 ? 1U : 0U;
    EXPECT_GT(of_draft, 5U);
    const auto report = verify_run(context(), model, request, {});
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(report->verdict, RunVerdict::kWithinPlan) << verify_run_to_json(*report);
  }
}

TEST(DraftRefusals, SayWhatIsWrong) {
  const auto error_of = [](const std::string& model, PlanRequest request) {
    const auto pipeline = pipeline_of(folder_of(model), request);
    return pipeline ? Error{} : pipeline.error();
  };
  const PlanRequest good = drafted_request({"kjv", "llama"}, folder_of("llama"), 96);
  PlanRequest request = good;
  request.num_draft_tokens = 0;
  EXPECT_EQ(error_of("kjv", request).where, "--num-draft-tokens");
  nlohmann::json config = nlohmann::json::parse(test::tiny_model("llama").config);
  config["vocab_size"] = 256;
  const test::TemporaryDirectory scratch;
  test::write_tiny_folder(test::tiny_model_of(config.dump(), 3), scratch / "small");
  request = good;
  request.draft = context().load(scratch / "small").value();
  EXPECT_EQ(error_of("kjv", request).where, "--draft");
  EXPECT_THAT(error_of("kjv", request).message, HasSubstr("has 256 tokens"));
  request = good;
  request.draft = context().load(folder_of("granite_hybrid")).value();
  EXPECT_EQ(error_of("kjv", request).code, ErrorCode::kUnsupportedArchitecture);
  EXPECT_THAT(error_of("kjv", request).message, HasSubstr("keeps states"));
  EXPECT_EQ(error_of("granite_hybrid", good).message, "") << "what the model itself keeps goes back to where it was";
}

} // namespace
} // namespace plimsoll::testing
