// Data-parallel plans: replicas that are threads generate what one does, each in pages of its own and within its plan, whatever requests
// it gets. What replicas would have to share is refused.
#include <gmock/gmock.h>

#include "generation/tiny_models.hpp"

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

TEST(ReplicaExperts, DealtToTheRanksOfAllAreRefused) {
  PlanRequest request = replicas_request(96, 2);
  request.ep = 2;
  const auto pipeline = pipeline_of(folder_of("qwen3_moe"), request);
  ASSERT_FALSE(pipeline);
  EXPECT_EQ(pipeline.error().where, "--ep");
  EXPECT_THAT(pipeline.error().message, ::testing::HasSubstr("planned and not executed"));
}

} // namespace
} // namespace plimsoll::testing
