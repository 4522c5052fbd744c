// Models of every described family cut among ranks: each rank loads and takes what the plan counts for it, to the byte, and all of them
// together generate what one does.
#include <array>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "generation/tiny_models.hpp"
#include "plimsoll/kv_cache_model.hpp"
#include "support/sparse_checkpoint.hpp"
#include "support/tiny_blocks.hpp"
#include "support/tiny_model.hpp"

namespace plimsoll::testing {
namespace {

constexpr std::uint64_t kTokens = 8; // of each prompt
constexpr double kOtherOrder = 2e-4; // of log-probabilities whose sums are added up rank by rank

// What a layout does not divide is refused with the option; everything else runs.
struct Refused {
  const char* model;
  std::uint32_t tp, pp; // 0: any
  const char *where, *message;
};
constexpr Refused kRefused[]{{"deepseek_v2", 4, 0, "--tp", "does not divide the 2 heads of attention.q_proj"},
                             {"nemotron_h", 4, 0, "--tp", "which 4 ranks share; only fewer ranks can"}, // two groups, normed apart
                             {"gemma4_inputs", 0, 2, "--pp", "looks into the cache of layer 0, which is on another stage"}};

PlanRequest ranks_request(std::uint64_t max_length, std::uint32_t tp, std::uint32_t pp = 1) {
  PlanRequest request = request_of(max_length);
  request.devices = std::to_string(tp * pp) + "x256MiB";
  request.tp = tp;
  request.pp = pp;
  return request;
}

// Tensor-parallel ranks on each of so many stages; the tiny models have two layers or more.
struct Layout {
  std::uint32_t tp, pp;
};
constexpr Layout kLayouts[]{{2, 1}, {4, 1}, {1, 2}, {2, 2}};

class Ranks : public ::testing::TestWithParam<std::string> {
protected:
  static const Refused* refused(std::uint32_t tp, std::uint32_t pp) {
    const auto* const at = std::find_if(std::begin(kRefused), std::end(kRefused), [&](const Refused& row) {
      return row.model == GetParam() && (row.tp == 0 || row.tp == tp) && (row.pp == 0 || row.pp == pp);
    });
    return at == std::end(kRefused) ? nullptr : at;
  }
  // Line by line of every rank: what was taken at most is what was planned.
  static void expect_as_planned(PipelineModel& model) {
    for (const Arena& arena : model.arenas())
      for (const Usage& usage : arena.usage())
        EXPECT_EQ(usage.peak_bytes, usage.planned_bytes) << "rank " << arena.rank() << ", " << usage.label;
  }
  // Steps add up in another order than the golden's, so the tokens are its tokens and the probabilities near.
  static void expect_golden(const TextGenerationOutput& output, const GoldenCase& golden) {
    ASSERT_FALSE(output.error) << output.error->message;
    EXPECT_EQ(output.tokens, std::vector<Token>(golden.tokens.begin(), golden.tokens.begin() + kTokens));
    ASSERT_TRUE(output.log_probabilities);
    for (const TopRow& row : golden.top) {
      if (row.step >= kTokens) continue;
      const float found = output.log_probabilities->top.at(row.step).front().second;
      EXPECT_NEAR(found, row.log_probabilities.front(), golden.tolerance + kOtherOrder);
    }
  }
};

TEST_P(Ranks, TogetherTheyGenerateWhatOneDoes) {
  const std::vector<GoldenCase> all = golden_cases(GetParam());
  for (const auto [tp, pp] : kLayouts) {
    SCOPED_TRACE(std::to_string(tp) + " x " + std::to_string(pp));
    auto pipeline = pipeline_of(folder_of(GetParam()), ranks_request(all.front().max_length, tp, pp));
    if (const Refused* const row = refused(tp, pp)) {
      ASSERT_FALSE(pipeline);
      EXPECT_EQ(pipeline.error().where, row->where);
      EXPECT_THAT(pipeline.error().message, ::testing::HasSubstr(row->message));
      continue;
    }
    ASSERT_TRUE(pipeline) << pipeline.error().message;
    std::vector<TextGenerationRequest> requests;
    for (const GoldenCase& golden : all)
      if (golden.max_length == all.front().max_length) {
        requests.push_back(greedy(golden));
        requests.back().max_new_tokens = kTokens;
      }
    const auto outputs = pipeline->generate(requests);
    ASSERT_TRUE(outputs) << outputs.error().message;
    for (std::size_t i = 0; i < requests.size(); ++i) expect_golden((*outputs)[i], all[i]);
    expect_as_planned(pipeline->model());
  }
}

TEST_P(Ranks, EachLoadsTheBytesThatItsPlanCounts) {
  const Model model = context().load(folder_of(GetParam())).value();
  for (const auto [tp, pp] : kLayouts) {
    if (refused(tp, pp) != nullptr) continue;
    const PlanRequest request = ranks_request(golden_cases(GetParam()).front().max_length, tp, pp);
    const Plan plan = context().plan(model, request).value();
    for (std::uint32_t rank = 0; rank < tp * pp; ++rank) {
      const auto program = context().program(model, request, rank);
      ASSERT_TRUE(program) << program.error().message;
      EXPECT_EQ(program->weights.bytes(), plan.devices[rank].weights_bytes) << "rank " << rank << " of " << tp << " x " << pp;
    }
  }
}

// As many layers on each stage as the operator says.
TEST(RankStages, UnevenOnesGenerateWhatOneDoes) {
  const std::vector<GoldenCase> all = golden_cases("gemma3");
  const std::size_t layers = nlohmann::json::parse(test::tiny_model("gemma3").config)["num_hidden_layers"];
  for (const std::uint32_t first : {1U, static_cast<std::uint32_t>(layers) - 1}) {
    SCOPED_TRACE(first);
    PlanRequest request = ranks_request(all.front().max_length, 1, 2);
    request.stage_layers = {first, static_cast<std::uint32_t>(layers) - first};
    auto pipeline = pipeline_of(folder_of("gemma3"), request);
    ASSERT_TRUE(pipeline) << pipeline.error().message;
    const auto output = pipeline->generate(greedy(all.front()));
    ASSERT_TRUE(output) << output.error().message;
    EXPECT_EQ(output->tokens, std::vector<Token>(all.front().tokens.begin(), all.front().tokens.end()));
    for (const Arena& arena : pipeline->model().arenas())
      for (const Usage& usage : arena.usage()) EXPECT_EQ(usage.peak_bytes, usage.planned_bytes) << arena.rank() << usage.label;
  }
}

// Experts dealt out among ranks, the remainder to the first ones; cut where there are more ranks than groups.
struct ExpertRanks {
  std::uint32_t tp, ep;
};
void PrintTo(const ExpertRanks& of, std::ostream* out) { *out << "tp " << of.tp << ", ep " << of.ep; }
class ExpertParallel : public Ranks {};

TEST_P(ExpertParallel, TokensAndBytesAreThePlans) {
  const std::vector<GoldenCase> all = golden_cases(GetParam());
  const Model model = context().load(folder_of(GetParam())).value();
  for (const ExpertRanks of : {ExpertRanks{2, 2}, {4, 2}, {4, 4}}) {
    SCOPED_TRACE(::testing::PrintToString(of));
    PlanRequest request = ranks_request(all.front().max_length, of.tp);
    request.ep = of.ep;
    auto pipeline = pipeline_of(folder_of(GetParam()), request);
    ASSERT_TRUE(pipeline) << pipeline.error().message;
    TextGenerationRequest prompt = greedy(all.front());
    prompt.max_new_tokens = kTokens;
    const auto output = pipeline->generate(prompt);
    ASSERT_TRUE(output) << output.error().message;
    expect_golden(*output, all.front());
    expect_as_planned(pipeline->model());
  }
}

INSTANTIATE_TEST_SUITE_P(Models, ExpertParallel, ::testing::Values("mla", "gpt_oss", "qwen3_moe", "llama4", "gemma4_moe"),
                         [](const auto& info) { return info.param; });

// Six experts on four ranks: two, two, one and one.
TEST(ExpertRemainders, GenerateWhatOneRankDoes) {
  const test::TemporaryDirectory folder;
  const std::string path = folder / "model";
  write_mixtral(6, path);
  TextGenerationRequest prompt;
  prompt.prompt_tokens = {1, 9, 30, 41};
  prompt.max_new_tokens = kTokens;
  prompt.ignore_end = true;
  std::vector<std::vector<Token>> tokens;
  for (const ExpertRanks of : {ExpertRanks{1, 1}, {4, 4}, {4, 2}}) {
    PlanRequest request = ranks_request(96, of.tp);
    request.ep = of.ep;
    auto pipeline = pipeline_of(path, request);
    ASSERT_TRUE(pipeline) << pipeline.error().message;
    tokens.push_back(pipeline->generate(prompt).value().tokens);
    for (const Arena& arena : pipeline->model().arenas())
      for (const Usage& usage : arena.usage()) EXPECT_EQ(usage.peak_bytes, usage.planned_bytes) << usage.label;
  }
  EXPECT_EQ(tokens[1], tokens[0]);
  EXPECT_EQ(tokens[2], tokens[0]);
}

// Blocks that a rank has a part of: 32 or 256 elements with one scale, cut in the middle along columns.
TEST(RankBlocks, ArePartsOfTheSameWeights) {
  for (const char* type : {"q8_0", "q4_k"}) {
    SCOPED_TRACE(type);
    const test::TemporaryDirectory folder;
    const std::string path = folder / "model.gguf";
    test::write_block_gguf(type, path);
    TextGenerationRequest prompt;
    prompt.prompt_tokens = {1, 9, 30, 41};
    prompt.max_new_tokens = 1;
    prompt.log_probabilities = 5;
    std::vector<std::vector<std::pair<Token, float>>> best;
    for (const std::uint32_t tp : {1U, 2U, 4U}) {
      auto pipeline = pipeline_of(path, ranks_request(64, tp));
      ASSERT_TRUE(pipeline) << pipeline.error().message;
      best.push_back(pipeline->generate(prompt).value().log_probabilities->top.at(0));
      for (const Arena& arena : pipeline->model().arenas())
        for (const Usage& usage : arena.usage()) EXPECT_EQ(usage.peak_bytes, usage.planned_bytes) << usage.label;
      for (std::size_t i = 0; i < best.front().size(); ++i) {
        EXPECT_EQ(best.back()[i].first, best.front()[i].first) << tp;
        EXPECT_NEAR(best.back()[i].second, best.front()[i].second, kOtherOrder) << tp;
      }
    }
  }
}

// A pass that one rank refuses is refused by all, with its error, and the next one is computed.
TEST(RankErrors, AStepThatIsRefusedEndsForAllAndHarmsNone) {
  const Model loaded = context().load(folder_of("llama")).value();
  const PlanRequest request = ranks_request(96, 2);
  PipelineModelOptions options;
  options.plan = context().plan(loaded, request).value();
  for (std::uint32_t rank = 0; rank < 2; ++rank) options.arenas.push_back(Arena::create(options.plan, rank).value());
  const std::unique_ptr<PipelineModel> model = PipelineModel::load(context(), loaded, request, std::move(options)).value();
  KvCache cache = dynamic_cast<KvCacheModel&>(*model).load_kv_manager(model->plan(), model->arenas()).value();
  TextContextOptions of_context;
  of_context.id = 7;
  of_context.prompt = {1, 9, 30, 41};
  of_context.max_length = 50;
  TextContext tokens = TextContext::create(std::move(of_context)).value();
  ASSERT_TRUE(cache.manager().claim(7));
  ASSERT_TRUE(cache.manager().alloc(tokens));
  const std::array<const TextContext*, 1> batch{&tokens};
  for (const int spoilt : {1, -1, 0, -1}) { // the rank whose pages are none
    KvCacheInputs kv = cache.runtime_inputs(batch).value();
    if (spoilt >= 0) {
      const Tensor& table = kv.devices[static_cast<std::size_t>(spoilt)].groups[0].lookup_table;
      const std::span<std::uint32_t> pages = table.values<std::uint32_t>().value();
      std::fill(pages.begin(), pages.end(), UINT32_MAX);
    }
    const auto inputs = model->prepare_initial_token_inputs(batch, std::move(kv)).value();
    const auto outputs = model->execute(*inputs);
    ASSERT_EQ(outputs.has_value(), spoilt < 0);
    if (outputs) continue;
    EXPECT_THAT(outputs.error().message, ::testing::HasSubstr("alloc comes first"));
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Ranks, ::testing::ValuesIn(golden_models()), [](const auto& info) { return info.param; });

} // namespace
} // namespace plimsoll::testing
