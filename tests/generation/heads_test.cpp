// Heads of models' own that draft, executed: what they say, by a witness (tests/data/tiny/heads.py); the same tokens as without them, on
// one rank and several, within the plan to the byte; and what is refused.
#include <cmath>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "generation/tiny_models.hpp"
#include "plimsoll/kv_cache_model.hpp"
#include "plimsoll/verify_run.hpp"
#include "support/sparse_checkpoint.hpp"
#include "support/tiny_heads.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kLength = 96;

PlanRequest headed_request(std::uint32_t drafted, std::uint32_t tp = 1, std::uint32_t dp = 1, std::uint32_t ep = 1) {
  PlanRequest request = request_of(kLength);
  request.devices = std::to_string(tp * dp) + "x256MiB";
  request.tp = tp;
  request.dp = dp;
  if (ep > 1) request.ep = ep;
  request.num_draft_tokens = drafted;
  return request;
}

std::vector<Token> drawn_prompt(std::size_t tokens, std::uint64_t seed) {
  std::vector<Token> out{1};
  for (std::uint64_t i = 1; i < tokens; ++i) out.push_back(static_cast<Token>((seed * 131 + 37 * i + 11 * i * i) % 300 + 3));
  return out;
}

// Prompts of several lengths, one of them twice; greedy and drawn.
std::vector<TextGenerationRequest> some_requests() {
  std::vector<TextGenerationRequest> out;
  for (const std::size_t length : {1U, 7U, 18U, 41U, 18U}) {
    for (const bool drawn : {false, true}) {
      TextGenerationRequest& request = out.emplace_back();
      request.prompt_tokens = drawn_prompt(length, length);
      request.max_new_tokens = 24;
      request.ignore_end = true;
      if (drawn) request.sampling = {.temperature = 0.7, .top_k = 12, .top_p = 0.95, .seed = length};
    }
  }
  return out;
}

std::vector<TextGenerationOutput> outputs_of(const std::string& folder, const PlanRequest& request,
                                             const std::vector<TextGenerationRequest>& requests) {
  auto pipeline = pipeline_of(folder, request);
  if (!pipeline) {
    ADD_FAILURE() << pipeline.error().where << ": " << pipeline.error().message;
    return {};
  }
  std::vector<TextGenerationOutput> out;
  for (int round = 0; round < 2; ++round) { // the second finds the first's pages
    auto outputs = pipeline->generate(requests);
    if (!outputs) {
      ADD_FAILURE() << outputs.error().message;
      return {};
    }
    out.insert(out.end(), outputs->begin(), outputs->end());
  }
  for (std::uint32_t replica = 0; replica < pipeline->n_replicas(); ++replica)
    for (const Arena& arena : pipeline->model(replica).arenas())
      for (const Usage& usage : arena.usage())
        EXPECT_EQ(usage.peak_bytes, usage.planned_bytes) << "rank " << arena.rank() << ", " << usage.label;
  return out;
}

struct HeadCase {
  const char* model;
  std::uint32_t tokens = 3;
  std::uint32_t tp = 1, dp = 1, ep = 1;
  test::TinyHead head = {};
  bool accepts = false, rejects = true;
};
void PrintTo(const HeadCase& of, std::ostream* out) {
  *out << of.model << ", " << of.tokens << " tokens, tp " << of.tp << ", dp " << of.dp << ", ep " << of.ep
       << (of.head.knows ? ", knows" : "");
}

class Heads : public ::testing::TestWithParam<HeadCase> {};

TEST_P(Heads, GiveWhatIsGivenWithoutThem) {
  const HeadCase& of = GetParam();
  const test::TemporaryDirectory scratch;
  test::write_tiny_folder(test::tiny_head(of.model, of.head), scratch / "model");
  const std::vector<TextGenerationRequest> requests = some_requests();
  const auto expected = outputs_of(scratch / "model", headed_request(0, of.tp, of.dp, of.ep), requests);
  const auto found = outputs_of(scratch / "model", headed_request(of.tokens, of.tp, of.dp, of.ep), requests);
  ASSERT_EQ(found.size(), expected.size());
  ASSERT_FALSE(found.empty());
  std::uint64_t drafted = 0, accepted = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const std::size_t prompt_tokens = requests[i % requests.size()].prompt_tokens.size();
    if (!of.rejects && prompt_tokens > 1) { // the first token's row knows nothing
      EXPECT_EQ(found[i].accepted_tokens, found[i].drafted_tokens) << "request " << i;
    }
    EXPECT_EQ(found[i].tokens, expected[i].tokens) << "request " << i;
    EXPECT_EQ(found[i].status, expected[i].status);
    EXPECT_EQ(expected[i].drafted_tokens, 0U);
    drafted += found[i].drafted_tokens;
    accepted += found[i].accepted_tokens;
  }
  EXPECT_GT(drafted, requests.size() * 10);
  if (of.accepts) {
    EXPECT_GT(accepted, drafted / 10);
  }
  if (of.rejects) {
    EXPECT_LT(accepted, drafted);
  }
}

constexpr test::TinyHead kDrawn{}, kKnows{.knows = true, .of_layers = 0}, kNearly{.knows = true, .of_layers = 0.25F};
INSTANTIATE_TEST_SUITE_P(
    Models, Heads,
    ::testing::Values(HeadCase{"head_deepseek_v3", 3, 1, 1, 1, kDrawn}, HeadCase{"head_deepseek_v3", 1, 1, 1, 1, kKnows, true, false},
                      HeadCase{"head_deepseek_v3", 4, 1, 1, 1, kKnows, true, false},
                      HeadCase{"head_deepseek_v3", 3, 1, 1, 1, kNearly, true}, HeadCase{"head_deepseek_v3", 2, 2, 1, 2, kNearly, true},
                      HeadCase{"head_deepseek_v3", 2, 4, 1, 1, kNearly, true}, HeadCase{"head_deepseek_v3", 3, 1, 2, 1, kNearly, true},
                      HeadCase{"head_glm4_moe", 2, 1, 1, 1, kDrawn}, HeadCase{"head_glm4_moe", 5, 1, 1, 1, kNearly, true},
                      HeadCase{"head_glm4_moe", 2, 2, 1, 1, kKnows, true, false}, HeadCase{"head_mimo", 3, 1, 1, 1, kDrawn},
                      HeadCase{"head_mimo", 3, 2, 1, 1, kNearly, true}, HeadCase{"head_qwen3_next", 3, 1, 1, 1, kDrawn},
                      HeadCase{"head_qwen3_next", 4, 1, 1, 1, kKnows, true, false}, HeadCase{"head_qwen3_next", 3, 1, 1, 1, kNearly, true},
                      HeadCase{"head_qwen3_next", 2, 2, 2, 1, kNearly, true}),
    [](const auto& info) { return "case" + std::to_string(info.index); });

// A token that ends a request, and its length, in the middle of what was accepted.
TEST(HeadEnds, AreWhereTheyAreWithoutAHead) {
  const test::TemporaryDirectory scratch;
  test::write_tiny_folder(test::tiny_head("head_deepseek_v3", kNearly), scratch / "model");
  auto plain = pipeline_of(scratch / "model", headed_request(0)), headed = pipeline_of(scratch / "model", headed_request(4));
  ASSERT_TRUE(plain && headed);
  TextGenerationRequest request;
  request.prompt_tokens = drawn_prompt(9, 2);
  request.max_new_tokens = 20;
  request.ignore_end = true;
  const auto all = plain->generate(request);
  ASSERT_TRUE(all);
  for (std::size_t end = 1; end < 12; ++end) {
    TextGenerationRequest cut = request;
    cut.max_new_tokens = end;
    TextGenerationRequest stopped = request;
    stopped.ignore_end = false;
    stopped.stop_tokens = {all->tokens[end]};
    for (const TextGenerationRequest& one : {cut, stopped}) {
      const auto expected = plain->generate(one), found = headed->generate(one);
      ASSERT_TRUE(expected && found);
      EXPECT_EQ(found->tokens, expected->tokens) << end;
      EXPECT_EQ(found->status, expected->status) << end;
    }
  }
  EXPECT_EQ(headed->kv_managers().front()->metrics().used_pages, 0U);
}

// ---- The witness

struct Witnessed {
  std::string model;
  std::vector<Token> prompt, next;
  std::vector<std::vector<double>> rows;
};
std::vector<Witnessed> witnessed() {
  std::vector<Witnessed> out;
  const auto golden = nlohmann::json::parse(std::ifstream(PLIMSOLL_TEST_DATA "/tiny/heads.json"));
  for (const auto& c : golden.at("cases"))
    out.push_back({c.at("model"), c.at("prompt").get<std::vector<Token>>(), c.at("next").get<std::vector<Token>>(),
                   c.at("rows").get<std::vector<std::vector<double>>>()});
  return out;
}

void expect_row(const Result<ModelOutputs>& outputs, const std::vector<double>& expected) {
  ASSERT_TRUE(outputs) << outputs.error().message;
  const auto row = outputs->next_token_row(0);
  ASSERT_TRUE(row) << row.error().message;
  ASSERT_EQ(row->size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR((*row)[i], expected[i], 2e-4) << i;
}

// The head behind a pass over a prompt, and three times behind itself; in one pass or in chunks of five tokens.
void expect_as_witnessed(const Witnessed& of, std::uint64_t chunk) {
  SCOPED_TRACE(of.model + ", " + std::to_string(of.prompt.size()) + " tokens in chunks of " + std::to_string(chunk));
  const test::TemporaryDirectory scratch;
  test::write_tiny_folder(test::tiny_head(of.model), scratch / "model");
  const Model loaded = context().load(scratch / "model").value();
  const PlanRequest request = headed_request(4);
  const Plan plan = context().plan(loaded, request).value();
  auto made = PipelineModel::load(context(), loaded, request, {plan, {Arena::create(plan, 0).value()}});
  ASSERT_TRUE(made) << made.error().message;
  PipelineModel& model = **made;
  DraftHead* const head = model.draft_head();
  ASSERT_NE(head, nullptr);
  auto cache = dynamic_cast<KvCacheModel&>(model).load_kv_manager(model.plan(), model.arenas(), {});
  ASSERT_TRUE(cache) << cache.error().message;
  TextContextOptions options;
  options.prompt = of.prompt;
  options.max_length = kLength;
  TextContext tokens = TextContext::create(options).value();
  const std::vector<const TextContext*> batch{&tokens};
  ASSERT_TRUE(cache->manager().claim(tokens.id()));
  std::optional<Result<ModelOutputs>> outputs;
  while (true) {
    tokens.set_chunk_limit(chunk);
    ASSERT_TRUE(cache->manager().alloc(tokens));
    const auto inputs = model.prepare_initial_token_inputs(batch, cache->runtime_inputs(batch).value(), 1);
    ASSERT_TRUE(inputs) << inputs.error().message;
    ASSERT_TRUE(model.execute(**inputs));
    const std::span<const Token> active = tokens.active_tokens();
    std::vector<std::vector<Token>> next(1, std::vector<Token>(active.begin() + 1, active.end()));
    const bool ends = tokens.reaches_end();
    next[0].push_back(ends ? of.next[0] : tokens.tokens()[tokens.current_position()]);
    outputs = head->follow(**inputs, next);
    ASSERT_TRUE(*outputs) << outputs->error().message;
    if (ends) break;
    ASSERT_TRUE(tokens.advance_chunk());
  }
  expect_row(*outputs, of.rows[0]);
  tokens.set_chunk_limit(0);
  const std::array<std::uint32_t, 1> before{0};
  for (std::size_t n = 1; n < of.next.size(); ++n) {
    ASSERT_TRUE(tokens.update(of.next[n - 1]));
    ASSERT_TRUE(cache->manager().alloc(tokens));
    const std::array<Token, 1> behind{of.next[n]};
    expect_row(head->go_on(before, behind, cache->runtime_inputs(batch).value()), of.rows[n]);
  }
}

TEST(HeadWitness, SaysTheSameRowsOfLogits) {
  const std::vector<Witnessed> all = witnessed();
  EXPECT_GE(all.size(), 12U);
  for (const Witnessed& of : all) {
    expect_as_witnessed(of, 0);
    if (of.prompt.size() > 10) expect_as_witnessed(of, 5);
  }
}

// ---- The plan

TEST(HeadVerification, HoldsForAHead) {
  for (const auto& [name, tp] : {std::pair("head_deepseek_v3", 1U), std::pair("head_deepseek_v3", 2U), std::pair("head_qwen3_next", 1U)}) {
    SCOPED_TRACE(name);
    const test::TemporaryDirectory scratch;
    test::write_tiny_folder(test::tiny_head(name), scratch / "model");
    PlanRequest request = headed_request(3, tp);
    request.max_batch_size = 2;
    request.max_batch_input_tokens = 48;
    request.devices = std::to_string(tp) + "x8MiB";
    const Model model = context().load(scratch / "model").value();
    const Plan plan = context().plan(model, request).value();
    std::set<std::string> labels;
    for (const Item& item : plan.items)
      if (item.bytes.front() > 0) labels.insert(item.label);
    const char* const joins = std::string_view(name) == "head_qwen3_next" ? "draft.fc" : "draft.join_proj";
    for (const char* label : {"draft.activation.slab", "draft.activation.tables", joins, "draft.attention.o_proj"})
      EXPECT_TRUE(labels.contains(label)) << label;
    EXPECT_FALSE(labels.contains("draft.embedding")) << "it reads the model's";
    const auto report = verify_run(context(), model, request, {});
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(report->verdict, RunVerdict::kWithinPlan) << verify_run_to_json(*report);
  }
}

// ---- What is refused

Error error_of(const test::TinyModel& made, const PlanRequest& request) {
  const test::TemporaryDirectory scratch;
  test::write_tiny_folder(made, scratch / "model");
  const auto model = context().load(scratch / "model");
  if (!model) return model.error();
  auto plan = context().plan(*model, request);
  if (!plan) return plan.error();
  const auto pipeline = pipeline_of(scratch / "model", request);
  return pipeline ? Error{} : pipeline.error();
}

TEST(HeadRefusals, NameWhatTheCheckpointLacks) {
  const test::TinyModel good = test::tiny_head("head_deepseek_v3");
  for (const std::string lost : {"model.layers.3.eh_proj.weight", "model.layers.3.hnorm.weight", "model.layers.3.self_attn.o_proj.weight",
                                 "model.layers.3.mlp.experts.5.down_proj.weight"}) {
    test::TinyModel bad = good;
    ASSERT_EQ(std::erase_if(bad.tensors, [&](const test::TinyTensor& tensor) { return tensor.name == lost; }), 1U) << lost;
    const Error error = error_of(bad, headed_request(2));
    EXPECT_EQ(error.code, ErrorCode::kBadCheckpoint) << lost;
    EXPECT_THAT(error.message, HasSubstr(lost));
    EXPECT_EQ(error_of(bad, headed_request(0)).message, "") << "the model itself is whole";
  }
  test::TinyModel bad = good;
  for (test::TinyTensor& tensor : bad.tensors)
    if (tensor.name == "model.layers.3.eh_proj.weight") {
      tensor.shape = {64, 64};
      tensor.values.resize(64 * 64);
    }
  const Error error = error_of(bad, headed_request(2));
  EXPECT_EQ(error.code, ErrorCode::kBadCheckpoint) << error.message;
  EXPECT_THAT(error.message, HasSubstr("eh_proj"));
}

TEST(HeadRefusals, NameWhatIsNotExecuted) {
  const test::TinyModel good = test::tiny_head("head_deepseek_v3");
  PlanRequest request = headed_request(2);
  request.pp = 2;
  request.devices = "2x256MiB";
  EXPECT_EQ(error_of(good, request).where, "--pp");

  test::TinyModel several = good;
  nlohmann::json config = nlohmann::json::parse(good.config);
  config["num_nextn_predict_layers"] = 2;
  several.config = config.dump();
  EXPECT_THAT(error_of(several, headed_request(2)).message, HasSubstr("2 layers"));
  config["num_nextn_predict_layers"] = 0;
  several.config = config.dump();
  EXPECT_EQ(error_of(several, headed_request(2)).where, "--num-draft-tokens");
}

} // namespace
} // namespace plimsoll::testing
