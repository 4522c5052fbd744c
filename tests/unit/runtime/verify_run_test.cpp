// verify_model finds what is wrong with a model: one that a host derives, and flaws of its own for each check.
#include "plimsoll/verify_run.hpp"

#include <gmock/gmock.h>

#include "unit/runtime/fake_model.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::HasSubstr;

enum class Flaw { kNone, kWritesNullPage, kAllocatesEachStep, kKeepsMemory };

class FlawedModel : public FakeModel {
public:
  FlawedModel(PipelineModelOptions options, Flaw flaw, std::vector<Buffer>& kept)
      : FakeModel(std::move(options)), flaw_(flaw), kept_(kept) {
    output_rows = this->plan().request.max_batch_size;
  }
  Result<ModelOutputs> execute(const ModelInputs& inputs) override {
    const std::array<std::uint64_t, 1> bytes{16};
    if (flaw_ == Flaw::kWritesNullPage) {
      const Tensor blocks = inputs.find("kv.blocks");
      blocks.data()[blocks.bytes() - 1] = std::byte{1};
    }
    if (flaw_ == Flaw::kAllocatesEachStep || (flaw_ == Flaw::kKeepsMemory && kept_.empty())) {
      PLIMSOLL_ASSIGN(Buffer buffer, arenas().front().allocate(Category::kWorkspace, "workspace", ElementType::kUint8, bytes));
      if (flaw_ == Flaw::kKeepsMemory) kept_.push_back(std::move(buffer));
    }
    return FakeModel::execute(inputs);
  }

private:
  Flaw flaw_;
  std::vector<Buffer>& kept_;
};

Plan plan_of_fake(const FakePlanOptions& options = {}) {
  Plan plan = fake_plan(options);
  plan.devices[0].name = "fake";
  plan.items[1].bytes[0] -= 16 * 8 + 5 * 4 + 8; // tokens, offsets and rows are the fake's own
  plan.request.max_batch_input_tokens = options.batch_tokens;
  Item workspace;
  workspace.category = Category::kWorkspace;
  workspace.label = "workspace";
  workspace.bytes = {0};
  plan.items.push_back(workspace);
  return plan;
}

Result<VerifyRunReport> verified(const Plan& plan, Flaw flaw = Flaw::kNone, const VerifyRunOptions& options = {}) {
  std::vector<Buffer> kept;
  return verify_model(
      plan,
      [&](PipelineModelOptions made, const LoadProgress&) -> Result<std::unique_ptr<PipelineModel>> {
        kept.clear();
        return std::unique_ptr<PipelineModel>(new FlawedModel(std::move(made), flaw, kept));
      },
      options);
}

const VerifyCheck& check_of(const VerifyRunReport& report, std::string_view name) {
  for (const VerifyCheck& check : report.checks)
    if (check.name == name) return check;
  throw std::runtime_error("no such check");
}

TEST(VerifyModel, ASoundModelIsWithinItsPlan) {
  const auto report = verified(plan_of_fake({.pages = 100, .batch = 4, .batch_tokens = 16, .max_length = 100}));
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->verdict, RunVerdict::kWithinPlan) << verify_run_to_json(*report);
  EXPECT_EQ(report->checks.size(), 12U);
  for (std::size_t i = 0; i < report->checks.size(); ++i) EXPECT_EQ(report->checks[i].number, i + 1);
  EXPECT_EQ(check_of(*report, "worst_case").result, CheckResult::kPass) << check_of(*report, "worst_case").message;
  EXPECT_EQ(check_of(*report, "pool").result, CheckResult::kPass);
  EXPECT_EQ(check_of(*report, "one_page_more").result, CheckResult::kPass);
}

// A pool that does not hold the batch at its full length is no flaw: requests wait for each other.
TEST(VerifyModel, APoolMayBeSmallerThanTheBatch) {
  const auto report = verified(plan_of_fake({.pages = 30, .batch = 4, .batch_tokens = 16, .max_length = 100}));
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(check_of(*report, "pool").result, CheckResult::kPass);
}

// One that does not hold a single request breaks what the plan promises.
TEST(VerifyModel, APoolTooSmallForOneRequestIsFound) {
  const auto report = verified(plan_of_fake({.pages = 20, .batch = 4, .batch_tokens = 16, .max_length = 100}));
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->verdict, RunVerdict::kCheckFailed);
  const VerifyCheck& check = check_of(*report, "worst_case");
  EXPECT_EQ(check.result, CheckResult::kFail);
  EXPECT_THAT(check.message, HasSubstr("the pages did not do"));
}

TEST(VerifyModel, FindsAWriteToTheNullPage) {
  const auto report = verified(plan_of_fake(), Flaw::kWritesNullPage);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_NE(report->verdict, RunVerdict::kWithinPlan);
  EXPECT_EQ(check_of(*report, "null_page").result, CheckResult::kFail);
  EXPECT_EQ(check_of(*report, "null_page").category, Category::kKvCache);
}

TEST(VerifyModel, FindsAllocationsWhileTokensComeOneByOne) {
  const auto report = verified(plan_of_fake(), Flaw::kAllocatesEachStep);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->verdict, RunVerdict::kOverPlan); // nobody planned that workspace
  EXPECT_EQ(check_of(*report, "steady").result, CheckResult::kFail);
}

TEST(VerifyModel, FindsMemoryThatIsNeverGivenBack) {
  const auto report = verified(plan_of_fake(), Flaw::kKeepsMemory);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->verdict, RunVerdict::kOverPlan);
  const VerifyCheck& check = check_of(*report, "returned");
  EXPECT_EQ(check.result, CheckResult::kFail);
  EXPECT_EQ(check.category, Category::kWorkspace);
  EXPECT_EQ(check.label, "workspace");
}

TEST(VerifyModel, FindsEveryInjectedFault) {
  struct Row {
    Fault fault;
    Category category;
    const char* label;
  };
  for (const Row& row :
       {Row{Fault::kOversize, Category::kKvCache, "kv_cache.attention"}, Row{Fault::kLeak, Category::kKvCache, "kv_cache.attention"},
        Row{Fault::kDouble, Category::kActivation, "activation.tables"}}) {
    VerifyRunOptions options;
    options.inject = row.fault;
    const auto report = verified(plan_of_fake(), Flaw::kNone, options);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(report->verdict, RunVerdict::kOverPlan) << fault_name(row.fault);
    const CategoryVerdict& category = report->ranks.at(0).categories.at(static_cast<std::size_t>(row.category));
    EXPECT_EQ(category.verdict, MemoryVerdict::kOver) << fault_name(row.fault);
    EXPECT_THAT(category.reason, HasSubstr(row.label));
    EXPECT_EQ(check_of(*report, "categories").category, row.category);
    EXPECT_EQ(check_of(*report, "categories").label, row.label);
  }
}

TEST(VerifyModel, WhatDoesNotFitIsNotVerified) {
  Plan plan = plan_of_fake();
  plan.devices[0].kv_cache_bytes = 1000;
  VerifyRunOptions options;
  options.available_bytes = 999;
  const auto short_of = verified(plan, Flaw::kNone, options);
  ASSERT_TRUE(short_of) << short_of.error().message;
  EXPECT_EQ(short_of->verdict, RunVerdict::kDoesNotFit);
  EXPECT_EQ(short_of->error->code, ErrorCode::kOutOfMemory);
  EXPECT_TRUE(short_of->checks.empty());
  plan.error = Error{ErrorCode::kNoRoomForKv, "no room", ""};
  EXPECT_EQ(verified(plan)->error->code, ErrorCode::kNoRoomForKv);
  plan = plan_of_fake();
  plan.request.dp = 2;
  EXPECT_EQ(verified(plan).error().code, ErrorCode::kBadRequest);
}

TEST(VerifyModel, FaultsHaveNames) {
  for (const Fault fault : {Fault::kNone, Fault::kOversize, Fault::kLeak, Fault::kDouble}) EXPECT_EQ(find_fault(fault_name(fault)), fault);
  EXPECT_FALSE(find_fault("huge"));
}

} // namespace
} // namespace plimsoll::testing
