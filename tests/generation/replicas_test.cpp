// Data-parallel plans: replicas that are threads generate what one does, each in pages of its own and within its plan, whatever requests
// it gets; and replicas that share experts, which lie on the ranks of all of them.
#include <array>
#include <gmock/gmock.h>
#include <thread>

#include "generation/tiny_models.hpp"
#include "plimsoll/kv_cache_model.hpp"
#include "support/sparse_checkpoint.hpp"

namespace plimsoll::testing {
namespace {

constexpr std::uint64_t kReplicaTokens = 8; // of each prompt

PlanRequest replicas_request(std::uint64_t max_length, std::uint32_t dp, std::uint32_t tp = 1, std::uint32_t pp = 1) {
  PlanRequest request = request_of(max_length);
  request.devices = std::to_string(dp * tp * pp) + "x256MiB";
  request.dp = dp;
  request.tp = tp;
  request.pp = pp;
  return request;
}

// More prompts than replicas, of several lengths.
std::vector<TextGenerationRequest> prompts_of(const std::vector<GoldenCase>& cases) {
  std::vector<TextGenerationRequest> requests;
  for (std::size_t i = 0; i < 7; ++i) {
    const GoldenCase& golden = cases[i % cases.size()];
    TextGenerationRequest request = greedy(golden);
    request.prompt_tokens.resize(std::max<std::size_t>(2, request.prompt_tokens.size() - i % 3));
    request.max_new_tokens = kReplicaTokens;
    requests.push_back(std::move(request));
  }
  return requests;
}

void expect_peaks_of_plans(const TextGenerationPipeline& pipeline) {
  for (std::uint32_t replica = 0; replica < pipeline.n_replicas(); ++replica)
    for (const Arena& arena : pipeline.model(replica).arenas())
      for (const Usage& usage : arena.usage())
        EXPECT_EQ(usage.peak_bytes, usage.planned_bytes) << "replica " << replica << ", rank " << arena.rank() << ", " << usage.label;
}

class Replicas : public ::testing::TestWithParam<std::string> {};

TEST_P(Replicas, GenerateWhatOneDoes) {
  const std::vector<GoldenCase> all = golden_cases(GetParam());
  const std::vector<TextGenerationRequest> requests = prompts_of(all);
  std::vector<TextGenerationOutput> expected;
  for (const std::uint32_t dp : {1U, 2U, 4U}) {
    SCOPED_TRACE(dp);
    auto pipeline = pipeline_of(folder_of(GetParam()), replicas_request(all.front().max_length, dp));
    ASSERT_TRUE(pipeline) << pipeline.error().message;
    ASSERT_EQ(pipeline->n_replicas(), dp);
    EXPECT_EQ(pipeline->plan().devices.size(), dp);
    const auto outputs = pipeline->generate(requests);
    ASSERT_TRUE(outputs) << outputs.error().message;
    if (dp == 1) expected = *outputs;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      ASSERT_FALSE((*outputs)[i].error) << (*outputs)[i].error->message;
      EXPECT_EQ((*outputs)[i].tokens, expected[i].tokens);
      for (std::size_t n = 0; n < kReplicaTokens; ++n) // whoever else is in the batch, sums of which are rounded otherwise
        EXPECT_NEAR((*outputs)[i].log_probabilities->token.at(n), expected[i].log_probabilities->token.at(n), 1e-4);
    }
    expect_peaks_of_plans(*pipeline);
    ASSERT_EQ(pipeline->kv_managers().size(), dp);
    for (PagedKvManager* const manager : pipeline->kv_managers()) {
      EXPECT_GT(manager->metrics().queried_tokens + manager->metrics().total_pages, 0U);
      EXPECT_EQ(manager->metrics().requests, 0U);
      EXPECT_TRUE(manager->audit());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Replicas, ::testing::Values("llama", "gemma3", "mla", "qwen3_moe"),
                         [](const auto& info) { return info.param; });

// Replicas of several ranks; each has its own group, signal buffers and pages.
TEST(ReplicaRanks, GenerateWhatOneDoes) {
  const std::vector<GoldenCase> all = golden_cases("llama");
  const std::vector<TextGenerationRequest> requests = prompts_of(all);
  auto one = pipeline_of(folder_of("llama"), replicas_request(all.front().max_length, 1));
  ASSERT_TRUE(one) << one.error().message;
  const auto expected = one->generate(requests).value();
  for (const auto& [tp, pp] : {std::pair{2U, 1U}, {1U, 2U}}) {
    auto pipeline = pipeline_of(folder_of("llama"), replicas_request(all.front().max_length, 2, tp, pp));
    ASSERT_TRUE(pipeline) << pipeline.error().message;
    const auto outputs = pipeline->generate(requests);
    ASSERT_TRUE(outputs) << outputs.error().message;
    for (std::size_t i = 0; i < requests.size(); ++i) EXPECT_EQ((*outputs)[i].tokens, expected[i].tokens);
    expect_peaks_of_plans(*pipeline);
  }
}

TEST(ReplicaPlans, AreTheirRanksOfThePlan) {
  const Model model = context().load(folder_of("llama")).value();
  const Plan plan = context().plan(model, replicas_request(96, 3, 2)).value();
  ASSERT_EQ(plan.devices.size(), 6U);
  for (std::uint32_t replica = 0; replica < 3; ++replica) {
    const Plan of = replica_plan(plan, replica).value();
    ASSERT_EQ(of.devices.size(), 2U);
    for (std::uint32_t rank = 0; rank < 2; ++rank) {
      EXPECT_EQ(of.devices[rank].rank, rank);
      EXPECT_EQ(of.devices[rank].weights_bytes, plan.devices[replica * 2 + rank].weights_bytes);
      EXPECT_EQ(of.kv_geometry.bytes(rank), plan.kv_geometry.bytes(replica * 2 + rank));
    }
    EXPECT_EQ(of.kv_geometry.n_ranks(), 2U);
    for (const Item& item : of.items) EXPECT_EQ(item.bytes.size(), 2U) << item.label;
  }
  EXPECT_FALSE(replica_plan(plan, 3));
  EXPECT_EQ(replica_plan(context().plan(model, replicas_request(96, 1)).value(), 0).value().devices.size(), 1U);
}

// By hand: each replica's manager has its requests.
TEST(ReplicaSteps, AreThoseOfWhoClaimed) {
  const std::vector<GoldenCase> all = golden_cases("llama");
  auto pipeline = pipeline_of(folder_of("llama"), replicas_request(all.front().max_length, 2));
  ASSERT_TRUE(pipeline) << pipeline.error().message;
  std::vector<TextGenerationContext> contexts;
  for (RequestId id = 0; id < 2; ++id) {
    contexts.push_back(pipeline->new_context(greedy(all.front()), id).value());
    PagedKvManager& manager = *pipeline->kv_managers()[id];
    ASSERT_TRUE(manager.claim(id));
    ASSERT_TRUE(manager.alloc(contexts.back().tokens()));
  }
  const auto outputs = pipeline->execute({{&contexts[0], &contexts[1]}});
  ASSERT_TRUE(outputs) << outputs.error().message;
  EXPECT_EQ(outputs->at(0).tokens, outputs->at(1).tokens);
  EXPECT_EQ(outputs->at(0).tokens.front(), all.front().tokens.front());
  for (RequestId id = 0; id < 2; ++id) pipeline->release(id);
  for (PagedKvManager* const manager : pipeline->kv_managers()) EXPECT_EQ(manager->metrics().requests, 0U);
}

// ---- experts of all replicas

struct SharedExperts {
  std::uint32_t dp, tp, pp, ep;
};
void PrintTo(const SharedExperts& of, std::ostream* out) {
  *out << "dp " << of.dp << ", tp " << of.tp << ", pp " << of.pp << ", ep " << of.ep;
}
PlanRequest shared_request(std::uint64_t max_length, const SharedExperts& of) {
  PlanRequest request = replicas_request(max_length, of.dp, of.tp, of.pp);
  request.ep = of.ep;
  return request;
}
constexpr SharedExperts kSharedExperts[]{{2, 1, 1, 2}, {4, 1, 1, 4}, {4, 1, 1, 2}, {2, 2, 1, 4}, {2, 2, 1, 2}, {2, 1, 2, 2}};

class ReplicaExperts : public ::testing::TestWithParam<std::string> {};

// As many requests as keep all busy, and one alone, beside which the other replicas have nothing to compute.
TEST_P(ReplicaExperts, GenerateWhatOneRankDoes) {
  const std::vector<GoldenCase> all = golden_cases(GetParam());
  const std::vector<TextGenerationRequest> requests = prompts_of(all);
  auto one = pipeline_of(folder_of(GetParam()), replicas_request(all.front().max_length, 1));
  ASSERT_TRUE(one) << one.error().message;
  const std::vector<TextGenerationOutput> expected = one->generate(requests).value();
  for (const SharedExperts& of : kSharedExperts) {
    SCOPED_TRACE(::testing::PrintToString(of));
    auto pipeline = pipeline_of(folder_of(GetParam()), shared_request(all.front().max_length, of));
    ASSERT_TRUE(pipeline) << pipeline.error().message;
    ASSERT_EQ(pipeline->n_replicas(), of.dp);
    EXPECT_TRUE(pipeline->model().shares_experts());
    for (const std::size_t count : {requests.size(), std::size_t{1}}) {
      const auto outputs = pipeline->generate(std::span(requests).first(count));
      ASSERT_TRUE(outputs) << outputs.error().message;
      for (std::size_t i = 0; i < count; ++i) {
        ASSERT_FALSE((*outputs)[i].error) << (*outputs)[i].error->message;
        EXPECT_EQ((*outputs)[i].tokens, expected[i].tokens);
        for (std::size_t n = 0; n < kReplicaTokens; ++n) // sums are added up rank by rank
          EXPECT_NEAR((*outputs)[i].log_probabilities->token.at(n), expected[i].log_probabilities->token.at(n), 2e-4);
      }
    }
    expect_peaks_of_plans(*pipeline);
    for (PagedKvManager* const manager : pipeline->kv_managers()) {
      EXPECT_EQ(manager->metrics().requests, 0U);
      EXPECT_TRUE(manager->audit());
    }
  }
}

TEST_P(ReplicaExperts, EachRankLoadsTheBytesThatThePlanCounts) {
  const Model model = context().load(folder_of(GetParam())).value();
  for (const SharedExperts& of : kSharedExperts) {
    SCOPED_TRACE(::testing::PrintToString(of));
    const PlanRequest request = shared_request(golden_cases(GetParam()).front().max_length, of);
    const Plan plan = context().plan(model, request).value();
    for (std::uint32_t rank = 0; rank < plan.devices.size(); ++rank) {
      const auto program = context().program(model, request, rank);
      ASSERT_TRUE(program) << program.error().message;
      EXPECT_EQ(program->weights.bytes(), plan.devices[rank].weights_bytes) << rank;
      EXPECT_EQ(program->replicas, of.dp);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, ReplicaExperts, ::testing::Values("mla", "gpt_oss", "qwen3_moe"),
                         [](const auto& info) { return info.param; });

// Every described model with experts, those that keep states and those of several kinds of layers too.
TEST(ReplicaExpertModels, AllGenerateWhatOneRankDoes) {
  std::size_t routed = 0;
  for (const std::string& name : golden_models()) {
    SCOPED_TRACE(name);
    const GoldenCase golden = golden_cases(name).front();
    const PlanRequest request = shared_request(golden.max_length, {2, 1, 1, 2});
    const auto plan = context().plan(context().load(folder_of(name)).value(), request);
    if (!plan && plan.error().message.find("has no experts") != std::string::npos) continue;
    auto pipeline = pipeline_of(folder_of(name), request);
    ASSERT_TRUE(pipeline) << pipeline.error().message;
    ++routed;
    const std::vector<TextGenerationRequest> requests = prompts_of({golden});
    const auto outputs = pipeline->generate(std::span(requests).first(3));
    ASSERT_TRUE(outputs) << outputs.error().message;
    EXPECT_EQ((*outputs)[0].tokens, std::vector<Token>(golden.tokens.begin(), golden.tokens.begin() + kReplicaTokens));
    for (const TextGenerationOutput& output : *outputs) EXPECT_FALSE(output.error) << output.error->message;
    expect_peaks_of_plans(*pipeline);
  }
  EXPECT_GE(routed, 10U);
}

// Six experts on four ranks of two replicas: two, two, one and one; the bytes that a rank takes are its own.
TEST(ReplicaExpertRemainders, GenerateWhatOneRankDoes) {
  const test::TemporaryDirectory folder;
  const std::string path = folder / "model";
  write_mixtral(6, path);
  TextGenerationRequest prompt;
  prompt.prompt_tokens = {1, 9, 30, 41};
  prompt.max_new_tokens = kReplicaTokens;
  prompt.ignore_end = true;
  std::vector<std::vector<Token>> tokens;
  for (const SharedExperts& of : {SharedExperts{1, 1, 1, 1}, {2, 2, 1, 4}, {4, 1, 1, 4}, {2, 2, 1, 2}}) {
    auto pipeline = pipeline_of(path, shared_request(96, of));
    ASSERT_TRUE(pipeline) << pipeline.error().message;
    tokens.push_back(pipeline->generate(prompt).value().tokens);
    EXPECT_EQ(tokens.back(), tokens.front()) << ::testing::PrintToString(of);
    expect_peaks_of_plans(*pipeline);
  }
}

TEST(ReplicaExpertLayouts, ThatLeaveARankWithoutExpertsAreRefused) {
  const test::TemporaryDirectory folder;
  const std::string path = folder / "model";
  write_mixtral(3, path);
  const auto fewer = pipeline_of(path, shared_request(96, {4, 1, 1, 4}));
  ASSERT_FALSE(fewer);
  EXPECT_EQ(fewer.error().where, "--ep");
  EXPECT_THAT(fewer.error().message, ::testing::HasSubstr("ep 4 leaves some ranks without any of the 3 experts"));
  const auto of_one = pipeline_of(path, shared_request(96, {1, 4, 1, 4}));
  ASSERT_FALSE(of_one);
  EXPECT_EQ(of_one.error().where, "--ep");
  const auto odd = pipeline_of(path, shared_request(96, {2, 1, 1, 3}));
  ASSERT_FALSE(odd);
  EXPECT_EQ(odd.error().where, "--ep");
  EXPECT_THAT(odd.error().message, ::testing::HasSubstr("ep 3 does not divide the 2 ranks of a stage"));
}

// By hand: models in a group of their own. A pass that one refuses is refused by all, and the next one is whole.
class ReplicaGroups : public ::testing::Test {
protected:
  struct One {
    std::unique_ptr<PipelineModel> model;
    std::optional<KvCache> cache;
    std::optional<TextContext> tokens;
  };
  Result<One> load(std::uint32_t replica, std::shared_ptr<ReplicaGroup> group) {
    PipelineModelOptions options;
    options.plan = replica_plan(plan_, replica).value();
    options.replica = replica;
    options.group = std::move(group);
    options.arenas.push_back(Arena::create(options.plan, 0).value());
    One out;
    PLIMSOLL_ASSIGN(out.model, PipelineModel::load(context(), model_, request_, std::move(options)));
    PLIMSOLL_ASSIGN(out.cache, dynamic_cast<KvCacheModel&>(*out.model).load_kv_manager(out.model->plan(), out.model->arenas()));
    TextContextOptions of_context;
    of_context.id = 7;
    of_context.prompt = {1, 9, 30, 41};
    of_context.max_length = 50;
    PLIMSOLL_ASSIGN(out.tokens, TextContext::create(std::move(of_context)));
    PLIMSOLL_TRY(out.cache->manager().claim(7));
    PLIMSOLL_TRY(out.cache->manager().alloc(*out.tokens));
    return out;
  }
  static Result<void> pass(One& one, bool spoilt) {
    const std::array<const TextContext*, 1> batch{&*one.tokens};
    PLIMSOLL_ASSIGN(KvCacheInputs kv, one.cache->runtime_inputs(batch));
    if (spoilt) {
      PLIMSOLL_ASSIGN(const std::span<std::uint32_t> pages, kv.devices[0].groups[0].lookup_table.values<std::uint32_t>());
      std::fill(pages.begin(), pages.end(), UINT32_MAX);
    }
    PLIMSOLL_ASSIGN(const auto inputs, one.model->prepare_initial_token_inputs(batch, std::move(kv)));
    PLIMSOLL_ASSIGN(const ModelOutputs outputs, one.model->execute(*inputs));
    return {};
  }

  PlanRequest request_ = shared_request(96, {2, 1, 1, 2});
  Model model_ = context().load(folder_of("qwen3_moe")).value();
  Plan plan_ = context().plan(model_, request_).value();
};

TEST_F(ReplicaGroups, AStepThatOneRefusesEndsForAllAndHarmsNone) {
  const std::shared_ptr<ReplicaGroup> group = ReplicaGroup::of(plan_);
  std::array<One, 2> both{load(0, group).value(), load(1, group).value()};
  for (const int spoilt : {1, -1, 0, -1}) { // the replica whose pages are none
    std::array<Result<void>, 2> passed;
    std::thread other([&] { passed[1] = pass(both[1], spoilt == 1); });
    passed[0] = pass(both[0], spoilt == 0);
    other.join();
    for (const Result<void>& one : passed) {
      EXPECT_EQ(one.has_value(), spoilt < 0);
      if (!one) {
        EXPECT_THAT(one.error().message, ::testing::HasSubstr("alloc comes first"));
      }
    }
    group->reset();
  }
  std::array<std::uint64_t, 2> tokens{};
  std::thread other([&] { tokens[1] = both[1].model->execute_idle().value_or(99); });
  tokens[0] = both[0].model->execute_idle().value_or(99);
  other.join();
  EXPECT_EQ(tokens[0], 0U); // nobody has any
  EXPECT_EQ(tokens[1], 0U);
}

TEST_F(ReplicaGroups, ModelsNeedTheOneOfTheirPlan) {
  const auto alone = load(0, nullptr);
  ASSERT_FALSE(alone);
  EXPECT_THAT(alone.error().message, ::testing::HasSubstr("share experts and meet nowhere"));
  const Plan other = context().plan(model_, shared_request(96, {2, 2, 1, 4})).value();
  EXPECT_FALSE(load(0, ReplicaGroup::of(other)));
  EXPECT_EQ(ReplicaGroup::of(replica_plan(plan_, 0).value()), nullptr);
  auto apart = pipeline_of(folder_of("qwen3_moe"), replicas_request(96, 2));
  ASSERT_TRUE(apart) << apart.error().message;
  EXPECT_FALSE(apart->model().shares_experts());
  EXPECT_FALSE(apart->model().execute_idle());
}

// A draft is asked when its replica needs it, so it has experts of its own or none.
TEST(ReplicaDrafts, HaveNoExpertsOfAllReplicas) {
  PlanRequest request = shared_request(96, {2, 1, 1, 2});
  request.draft = context().load(folder_of("qwen3_moe")).value();
  request.num_draft_tokens = 2;
  const auto pipeline = pipeline_of(folder_of("qwen3_moe"), request);
  ASSERT_FALSE(pipeline);
  EXPECT_EQ(pipeline.error().where, "--draft");
  EXPECT_THAT(pipeline.error().message, ::testing::HasSubstr("which 2 replicas would share"));
}

} // namespace
} // namespace plimsoll::testing
