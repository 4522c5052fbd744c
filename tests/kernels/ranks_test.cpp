// Several ranks of one model, a device each: what they generate is what one rank does, and what they take what their plan says. On played
// devices a played NCCL joins them; on GPUs the real one does, where there are as many. Ranks that are processes show their logits.
#include <array>
#include <cstdio>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "backend/device_backend.hpp"
#include "generation/tiny_models.hpp"
#include "plimsoll/kv_cache_model.hpp"
#include "plimsoll/verify_run.hpp"
#include "support/emulated_device.hpp"
#include "support/forked_ranks.hpp"
#include "support/played_nccl.hpp"
#include "support/test_backend.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct DeviceLayout {
  const char* model;
  std::uint32_t tp = 1, pp = 1, ep = 1;
  std::uint32_t ranks() const { return tp * pp; }
};
void PrintTo(const DeviceLayout& of, std::ostream* out) { *out << of.model << ", tp " << of.tp << ", pp " << of.pp << ", ep " << of.ep; }

PlanRequest layout_request(const DeviceLayout& of, std::uint64_t max_length) {
  PlanRequest request = request_of(max_length);
  request.devices = std::to_string(of.ranks()) + "xH200";
  request.tp = of.tp;
  request.pp = of.pp;
  request.ep = of.ep;
  return request;
}

class DeviceRanksTest : public ::testing::TestWithParam<DeviceLayout> {
protected:
  bool on_gpus() const { return test::chosen_backend()->name() == "cuda"; }
  // Whether there are as many devices.
  bool has(std::uint32_t ranks) const { return !on_gpus() || open_gpu(ranks - 1).has_value(); }
  Result<std::shared_ptr<Backend>> open(std::uint32_t rank) const {
    if (on_gpus()) return open_gpu(rank);
    return test::emulated_backend(false, nccl_.functions());
  }
  OpenBackend opener() const {
    return [this](std::uint32_t rank) { return open(rank); };
  }
  void TearDown() override {
    EXPECT_THAT(nccl_.wrongs(), IsEmpty());
    EXPECT_EQ(nccl_.live(), 0U);
  }
  static void expect_planned(PipelineModel& model) {
    for (const Arena& arena : model.arenas())
      for (const Usage& usage : arena.usage())
        if (usage.category == Category::kOverhead) {
          EXPECT_LE(usage.peak_bytes, usage.planned_bytes) << usage.label;
        } else {
          EXPECT_EQ(usage.peak_bytes, usage.planned_bytes) << "rank " << arena.rank() << ", " << usage.label;
        }
  }
  test::PlayedNccl nccl_;
};

TEST_P(DeviceRanksTest, GenerateWhatOneDoes) {
  const DeviceLayout of = GetParam();
  if (!has(of.ranks())) GTEST_SKIP() << "this machine has fewer than " << of.ranks() << " GPUs";
  const GoldenCase golden = golden_cases(of.model).front();
  PipelineOptions options;
  options.backend = opener();
  auto pipeline = pipeline_of(folder_of(of.model), layout_request(of, golden.max_length), options);
  ASSERT_TRUE(pipeline) << pipeline.error().message;
  TextGenerationRequest request = greedy(golden);
  request.max_new_tokens = 6;
  const auto output = pipeline->generate(request);
  ASSERT_TRUE(output) << output.error().message;
  ASSERT_FALSE(output->error) << output->error->message;
  EXPECT_EQ(output->tokens, std::vector<Token>(golden.tokens.begin(), golden.tokens.begin() + 6));
  for (const TopRow& row : golden.top) {
    if (row.step >= 6) continue;
    EXPECT_NEAR(output->log_probabilities->top.at(row.step).front().second, row.log_probabilities.front(), golden.tolerance + 2e-4);
  }
  expect_planned(pipeline->model());
  if (on_gpus()) return;
  EXPECT_GT(nccl_.count(of.tp > 1 ? "ncclAllReduce" : "ncclSend"), 0U);
  EXPECT_EQ(nccl_.count("ncclSend"), nccl_.count("ncclRecv"));
}

INSTANTIATE_TEST_SUITE_P(Layouts, DeviceRanksTest,
                         ::testing::Values(DeviceLayout{"llama", 2}, DeviceLayout{"llama", 4}, DeviceLayout{"llama", 1, 2},
                                           DeviceLayout{"llama", 2, 2}, DeviceLayout{"mla", 2, 1, 2}, DeviceLayout{"gpt_oss", 2},
                                           DeviceLayout{"granite_hybrid", 2}));

class DeviceRankCases : public DeviceRanksTest {
protected:
  // What a process does that is a rank; 0, or where it failed.
  int generate_forked(Processes& joined, const PlanRequest& request) const {
    const GoldenCase golden = golden_cases("llama").front();
    PipelineOptions options;
    options.processes = std::shared_ptr<Processes>(&joined, [](Processes*) {});
    options.backend = opener();
    auto pipeline = pipeline_of(folder_of("llama"), request, options);
    if (!pipeline) return std::fprintf(stderr, "%s\n", pipeline.error().message.c_str()), 1;
    TextGenerationRequest asked = greedy(golden);
    asked.max_new_tokens = 6;
    const auto outputs = pipeline->generate(std::vector<TextGenerationRequest>{asked, asked});
    if (!outputs) return std::fprintf(stderr, "%s\n", outputs.error().message.c_str()), 2;
    for (const TextGenerationOutput& output : *outputs)
      if (output.tokens != std::vector<Token>(golden.tokens.begin(), golden.tokens.begin() + 6)) return 3;
    for (const std::string& wrong : nccl_.wrongs()) return std::fprintf(stderr, "%s\n", wrong.c_str()), 4;
    return 0;
  }
};
INSTANTIATE_TEST_SUITE_P(Of, DeviceRankCases, ::testing::Values(DeviceLayout{"llama", 2}));

// One step, as the model itself is asked for it.
std::vector<float> first_logits(const DeviceLayout& of, const OpenBackend& open) {
  const Model model = context().load(folder_of(of.model)).value();
  const PlanRequest request = layout_request(of, 64);
  PipelineModelOptions options;
  options.plan = context().plan(model, request).value();
  for (std::uint32_t rank = 0; rank < of.ranks(); ++rank) {
    std::shared_ptr<Backend> backend = open(rank).value();
    options.arenas.push_back(Arena::create(options.plan, rank, backend).value());
    options.backends.push_back(std::move(backend));
  }
  const std::unique_ptr<PipelineModel> made = PipelineModel::load(context(), model, request, std::move(options)).value();
  KvCache cache = dynamic_cast<KvCacheModel&>(*made).load_kv_manager(made->plan(), made->arenas()).value();
  TextContextOptions of_context;
  of_context.id = 7;
  of_context.prompt = {1, 9, 30, 41, 5, 17};
  of_context.max_length = 32;
  TextContext text = TextContext::create(std::move(of_context)).value();
  EXPECT_TRUE(cache.manager().claim(7));
  EXPECT_TRUE(cache.manager().alloc(text));
  const std::array<const TextContext*, 1> batch{&text};
  auto inputs = made->prepare_initial_token_inputs(batch, cache.runtime_inputs(batch).value(), 1).value();
  const auto outputs = made->execute(*inputs);
  EXPECT_TRUE(outputs) << outputs.error().message;
  const std::span<float> logits = outputs->logits().values<float>().value();
  return {logits.begin(), logits.end()};
}

TEST_P(DeviceRankCases, LogitsOfOneTwoAndFourAreTheSame) {
  if (!has(4)) GTEST_SKIP() << "this machine has fewer than 4 GPUs";
  const std::vector<float> one = first_logits({"llama"}, opener());
  ASSERT_FALSE(one.empty());
  for (const DeviceLayout& of : {DeviceLayout{"llama", 2}, DeviceLayout{"llama", 4}, DeviceLayout{"llama", 2, 2}}) {
    SCOPED_TRACE(::testing::PrintToString(of));
    const std::vector<float> several = first_logits(of, opener());
    ASSERT_EQ(several.size(), one.size());
    for (std::size_t i = 0; i < one.size(); ++i) ASSERT_NEAR(several[i], one[i], test::test_tolerance(1e-4)) << i;
  }
}

TEST_P(DeviceRankCases, AreVerifiedTogether) {
  for (const DeviceLayout& of : {DeviceLayout{"llama", 2}, DeviceLayout{"llama", 1, 2}}) {
    SCOPED_TRACE(::testing::PrintToString(of));
    if (!has(of.ranks())) GTEST_SKIP() << "this machine has fewer than " << of.ranks() << " GPUs";
    PlanRequest request = layout_request(of, 20);
    request.max_batch_size = 2;
    request.max_batch_input_tokens = 20;
    VerifyRunOptions options;
    options.backend = opener();
    const auto report = verify_run(context(), context().load(folder_of(of.model)).value(), request, options);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(report->verdict, RunVerdict::kWithinPlan) << verify_run_to_json(*report);
    ASSERT_EQ(report->ranks.size(), of.ranks());
    for (const RankVerdict& rank : report->ranks) {
      const CategoryVerdict& overhead = rank.categories.at(static_cast<std::size_t>(Category::kOverhead));
      EXPECT_TRUE(std::any_of(overhead.lines.begin(), overhead.lines.end(),
                              [](const LineVerdict& line) { return line.label == "overhead.collectives" && line.planned_bytes > 0; }));
    }
    options.inject = Fault::kOversize;
    const auto over = verify_run(context(), context().load(folder_of(of.model)).value(), request, options);
    ASSERT_TRUE(over) << over.error().message;
    EXPECT_EQ(over->verdict, RunVerdict::kOverPlan);
  }
}

TEST_P(DeviceRankCases, AnAdapterIsAppliedOnEach) {
  if (!has(2)) GTEST_SKIP() << "this machine has fewer than 2 GPUs";
  const GoldenCase golden = golden_cases("llama", true).front();
  PlanRequest planned = layout_request({"llama", 2}, golden.max_length);
  planned.max_loras = 1;
  planned.max_lora_rank = 8;
  PipelineOptions options;
  options.backend = opener();
  options.loras = {"golden=" + adapter_of("llama", golden.adapter)};
  auto pipeline = pipeline_of(folder_of("llama"), planned, options);
  ASSERT_TRUE(pipeline) << pipeline.error().message;
  TextGenerationRequest request = greedy(golden);
  request.adapter = "golden";
  request.max_new_tokens = 6;
  const auto output = pipeline->generate(request);
  ASSERT_TRUE(output) << output.error().message;
  ASSERT_FALSE(output->error) << output->error->message;
  EXPECT_EQ(output->tokens, std::vector<Token>(golden.tokens.begin(), golden.tokens.begin() + 6));
}

TEST_P(DeviceRankCases, ADraftIsJoinedByTheSameCommunicators) {
  if (!has(2)) GTEST_SKIP() << "this machine has fewer than 2 GPUs";
  const GoldenCase golden = golden_cases("llama").front();
  PlanRequest planned = layout_request({"llama", 2}, golden.max_length);
  planned.max_batch_size = 2;
  planned.draft = context().load(folder_of("llama")).value();
  planned.num_draft_tokens = 2;
  PipelineOptions options;
  options.backend = opener();
  auto pipeline = pipeline_of(folder_of("llama"), planned, options);
  ASSERT_TRUE(pipeline) << pipeline.error().message;
  TextGenerationRequest request = greedy(golden);
  request.log_probabilities = 0;
  request.max_new_tokens = 6;
  const auto output = pipeline->generate(request);
  ASSERT_TRUE(output) << output.error().message;
  ASSERT_FALSE(output->error) << output->error->message;
  EXPECT_EQ(output->tokens, std::vector<Token>(golden.tokens.begin(), golden.tokens.begin() + 6));
  EXPECT_EQ(output->accepted_tokens, output->drafted_tokens);
  if (!on_gpus()) {
    EXPECT_EQ(nccl_.count("ncclCommInitRankConfig"), 2U);
  }
}

TEST_P(DeviceRankCases, WhereNcclFailsTheModelIsNotMade) {
  if (on_gpus()) GTEST_SKIP() << "NCCL is the real one here";
  nccl_.init_fails_on = 1;
  PipelineOptions options;
  options.backend = opener();
  const auto pipeline = pipeline_of(folder_of("llama"), layout_request({"llama", 2}, 64), options);
  ASSERT_FALSE(pipeline);
  EXPECT_THAT(pipeline.error().message, HasSubstr("rank 1: ncclCommInitRankConfig"));
}

// Ranks that are processes: NCCL's ids come through their slots, and who has no logits reads the last stage's in its window.
TEST_P(DeviceRankCases, ProcessesGenerateWhatOneDoes) {
  if (on_gpus()) GTEST_SKIP() << "a process that used a GPU cannot be forked";
  const GoldenCase golden = golden_cases("llama").front();
  for (const DeviceLayout& of : {DeviceLayout{"llama", 2}, DeviceLayout{"llama", 1, 2}, DeviceLayout{"llama", 2, 2}}) {
    SCOPED_TRACE(::testing::PrintToString(of));
    EXPECT_THAT(test::forked(of.ranks(), [&](Processes& joined) { return generate_forked(joined, layout_request(of, golden.max_length)); }),
                Each(0));
  }
}

// Each asks its own driver; the report of each is that of all.
TEST_P(DeviceRankCases, ProcessesAreVerifiedTogether) {
  if (on_gpus()) GTEST_SKIP() << "a process that used a GPU cannot be forked";
  PlanRequest request = layout_request({"llama", 2}, 20);
  request.max_batch_size = 2;
  request.max_batch_input_tokens = 20;
  for (const auto& [fault, verdict] :
       {std::pair{Fault::kNone, RunVerdict::kWithinPlan}, std::pair{Fault::kDouble, RunVerdict::kOverPlan}}) {
    SCOPED_TRACE(fault_name(fault));
    const auto verified = [&](Processes& joined) {
      VerifyRunOptions options;
      options.processes = std::shared_ptr<Processes>(&joined, [](Processes*) {});
      options.backend = opener();
      options.inject = fault;
      const auto report = verify_run(context(), context().load(folder_of("llama")).value(), request, options);
      if (!report) return std::fprintf(stderr, "%s\n", report.error().message.c_str()), 1;
      if (report->verdict != verdict) return std::fprintf(stderr, "%s\n", verify_run_to_json(*report).c_str()), 2;
      if (report->ranks.size() != 2 || report->memory != "emulated") return 3;
      for (const RankVerdict& rank : report->ranks)
        if (rank.categories.at(static_cast<std::size_t>(Category::kWeights)).driver_bytes == 0) return 4;
      return 0;
    };
    EXPECT_THAT(test::forked(2, verified), Each(0));
  }
}

// Replicas that are processes, a device each: what one computed the other reads in its window.
TEST_P(DeviceRankCases, ReplicasOfOtherProcessesShowTheirLogits) {
  if (on_gpus()) GTEST_SKIP() << "a process that used a GPU cannot be forked";
  const GoldenCase golden = golden_cases("llama").front();
  PlanRequest request = layout_request({"llama"}, golden.max_length);
  request.devices = "2xH200";
  request.dp = 2;
  EXPECT_THAT(test::forked(2, [&](Processes& joined) { return generate_forked(joined, request); }), Each(0));
}

} // namespace
} // namespace plimsoll::testing
