// What a request becomes before anything is priced: drafts, limits, defaults of model and engine, budgets of devices.
#include "plan/settled.hpp"

#include <gmock/gmock.h>

#include "plimsoll/limits.hpp"
#include "unit/plan/hand_made.hpp"

namespace plimsoll {
namespace {

using ::testing::HasSubstr;

bool warns(const Settled& settled, WarningCode code) {
  for (const Warning& warning : settled.warnings)
    if (warning.code == code) return true;
  return false;
}

TEST(SettledDraft, ComesFromNowhereTheModelOrASecondOne) {
  HandMadeInput made;
  EXPECT_EQ(made.must_settle().draft, DraftSource::kNone);
  made.request.num_draft_tokens = 2;
  const Error none = made.refused();
  EXPECT_EQ(none.code, ErrorCode::kBadRequest);
  EXPECT_EQ(none.where, "--num-draft-tokens");
  EXPECT_THAT(none.message, HasSubstr("--draft"));
  made.model.declared.facts.draft_layers = 1;
  EXPECT_EQ(made.must_settle().draft, DraftSource::kOwnHead);
  made.drafts = true; // goes before the model's own head
  EXPECT_EQ(made.must_settle().draft, DraftSource::kModel);
  made.request.num_draft_tokens = 0;
  EXPECT_EQ(made.must_settle().draft, DraftSource::kModel);
}

// All of a draft model stands on the last stage.
TEST(SettledDraft, ASecondModelStandsOnTheLastStage) {
  HandMadeInput made;
  made.drafts = true;
  made.request.pp = 2;
  made.more_devices(2);
  const Settled settled = made.must_settle();
  const std::vector<std::uint32_t> layers{0, 1, 2};
  EXPECT_EQ(settled.draft_layout.layers_on_stage(layers, 0), 0U);
  EXPECT_EQ(settled.draft_layout.layers_on_stage(layers, 1), 3U);
  EXPECT_EQ(settled.layout.layers_on_stage(layers, 0), 3U);
}

struct Limit {
  const char* where;
  std::uint64_t most;
  void (*set)(PlanRequest&, std::uint64_t);
};

TEST(SettledLimits, AreThoseOfOneHeader) {
  for (const Limit& c : {Limit{"--max-length", kMaxTokens, [](PlanRequest&r, std::uint64_t n) { r.max_length = n; }},
                         {"--max-batch-size", kMaxSequences, [](PlanRequest&r, std::uint64_t n) { r.max_batch_size = n; }},
                         {"--max-batch-input-tokens", kMaxTokens, [](PlanRequest&r, std::uint64_t n) { r.max_batch_input_tokens = n; }},
                         {"--max-batch-total-tokens", kMaxTokens, [](PlanRequest&r, std::uint64_t n) { r.max_batch_total_tokens = n; }},
                         {"--page-tokens", kMaxPageTokens, [](PlanRequest&r, std::uint64_t n) { r.page_tokens = n; }},
                         {"--weights-bytes", kMaxBytes, [](PlanRequest&r, std::uint64_t n) { r.weights_bytes = n; }},
                         {"--kv-cache-bytes", kMaxBytes, [](PlanRequest&r, std::uint64_t n) { r.kv_cache_bytes = n; }}}) {
    for (const Accounting accounting : {Accounting::kPerDevice, Accounting::kPooled}) {
      HandMadeInput made;
      made.request.accounting = accounting;
      for (const std::uint64_t allowed : {std::uint64_t{1}, c.most}) {
        c.set(made.request, allowed);
        EXPECT_TRUE(made.settled()) << c.where << " " << allowed;
      }
      for (const std::uint64_t beyond : {std::uint64_t{0}, c.most + 1}) {
        c.set(made.request, beyond);
        EXPECT_EQ(made.refused().where, c.where) << beyond;
      }
    }
  }
  HandMadeInput made;
  for (const std::uint64_t allowed : {std::uint64_t{0}, kMaxSequences}) {
    made.request.images_per_request = allowed; // none at all, too
    EXPECT_TRUE(made.settled()) << allowed;
  }
  made.request.images_per_request = kMaxSequences + 1;
  EXPECT_EQ(made.refused().where, "--images-per-request");
  made.request.images_per_request.reset();
  made.model.declared.facts.draft_layers = 1;
  made.request.num_draft_tokens = kMaxDraftTokens;
  EXPECT_TRUE(made.settled());
  made.request.num_draft_tokens = kMaxDraftTokens + 1;
  EXPECT_EQ(made.refused().where, "--num-draft-tokens");
}

TEST(SettledDegrees, RanksThatShareARequestDivideTp) {
  struct Row {
    std::uint32_t tp;
    const char* ranks;
    bool accepted;
  };
  for (const Row& row :
       {Row{1, "1", true}, {1, "1000", false}, {8, "1000", false}, {8, "8", true}, {8, "4", true}, {8, "3", false}, {8, "16", false}}) {
    HandMadeInput made;
    made.more_devices(row.tp);
    made.request.engine_overrides["decode_context_parallel"] = row.ranks;
    EXPECT_EQ(made.settled().has_value(), row.accepted) << row.tp << " " << row.ranks;
    if (!row.accepted) {
      EXPECT_EQ(made.refused().code, ErrorCode::kBadRequest);
      EXPECT_EQ(made.refused().where, "--set engine.decode_context_parallel");
      EXPECT_THAT(made.refused().message, HasSubstr(std::to_string(row.tp)));
    }
  }
}

TEST(SettledDegrees, ExpertParallelismNeedsExperts) {
  HandMadeInput made;
  made.more_devices(2);
  made.request.ep = 2;
  EXPECT_EQ(made.refused().where, "--ep");
  made.model.declared.facts.experts = 8;
  EXPECT_TRUE(made.settled());
}

TEST(SettledLength, IsTheModelsOrTheUsersOrAGuess) {
  struct Row {
    std::uint64_t own;
    std::optional<std::uint64_t> asked;
    bool automatic;
    std::uint64_t expected;
    bool given;
    std::optional<WarningCode> warning;
  };
  for (const Row& row : {Row{4096, {}, false, 4096, false, {}},
                         {4096, 1000, false, 1000, true, {}},
                         {4096, 5000, false, 5000, true, WarningCode::kMaxLengthBeyondModel},
                         {4096, {}, true, 4096, false, {}},
                         {4096, 1000, true, 1000, false, {}},
                         {4096, 5000, true, 4096, false, {}}, // auto never goes beyond the model
                         {0, {}, false, 131'072, false, WarningCode::kMaxLengthUnknown},
                         {0, 5000, false, 5000, true, {}}}) {
    HandMadeInput made;
    made.model.declared.facts.max_length = row.own;
    made.request.max_length = row.asked;
    made.request.max_length_auto = row.automatic;
    const Settled settled = made.must_settle();
    const std::string title = std::to_string(row.own) + " " + std::to_string(row.asked.value_or(0)) + (row.automatic ? " auto" : "");
    EXPECT_EQ(settled.max_length, row.expected) << title;
    EXPECT_EQ(settled.max_length_given, row.given) << title;
    for (const WarningCode code : {WarningCode::kMaxLengthBeyondModel, WarningCode::kMaxLengthUnknown})
      EXPECT_EQ(warns(settled, code), row.warning == code) << title;
  }
}

TEST(SettledLength, MayBeShortenedWhereNobodyGaveIt) {
  struct Row {
    const char* profile;
    bool given, automatic, may;
  };
  for (const Row& row : {Row{"batch: {default_length: clamp}\n", false, false, true},
                         {"batch: {default_length: clamp}\n", true, false, false},
                         {"batch: {default_length: refuse}\n", false, false, false},
                         {"batch: {default_length: refuse}\n", false, true, true},
                         {"batch: {default_length: refuse}\n", true, true, true}}) {
    HandMadeInput made;
    made.profile = row.profile;
    if (row.given) made.request.max_length = 100;
    made.request.max_length_auto = row.automatic;
    EXPECT_EQ(made.must_settle().may_shorten(), row.may) << row.profile << row.given << row.automatic;
  }
}

TEST(SettledBatch, HasNoMoreRequestsThanAPassHasTokens) {
  HandMadeInput made;
  EXPECT_EQ(made.must_settle().batch, std::nullopt);
  made.request.max_batch_size = 8193;
  EXPECT_EQ(made.must_settle().batch, 8192U);
  EXPECT_TRUE(warns(made.must_settle(), WarningCode::kBatchCapped));
  made.request.max_batch_input_tokens = 10'000;
  EXPECT_EQ(made.must_settle().batch, 8193U);
  EXPECT_FALSE(warns(made.must_settle(), WarningCode::kBatchCapped));
}

// An engine that runs a prompt in one pass gives it as many tokens.
TEST(SettledBatch, APassMayHoldAWholePrompt) {
  HandMadeInput made;
  made.model.declared.kv.emplace_back();
  made.profile = "batch: {whole_prompts: true, max_batch_input_tokens: 512}\n";
  EXPECT_EQ(made.must_settle().max_batch_input_tokens, 4096U);
  made.request.max_length = 100;
  EXPECT_EQ(made.must_settle().max_batch_input_tokens, 512U);
  made.request.max_batch_input_tokens = 64;
  EXPECT_EQ(made.must_settle().max_batch_input_tokens, 64U);
}

// What is kept of a request lets it take several passes.
TEST(SettledBatch, APassHoldsAWholeRequestWhereNothingIsKept) {
  HandMadeInput made;
  made.profile = "batch: {max_batch_input_tokens: 512}\n";
  EXPECT_EQ(made.must_settle().max_batch_input_tokens, 4096U);
  EXPECT_EQ(made.must_settle().max_length, 4096U);
  const auto is_cut = [&] {
    const Settled settled = made.must_settle();
    EXPECT_EQ(settled.max_batch_input_tokens, 512U);
    EXPECT_EQ(settled.max_length, 512U);
    EXPECT_TRUE(warns(settled, WarningCode::kCapacityClamped));
  };
  made.request.max_batch_input_tokens = 512;
  is_cut();
  made.request = {};
  made.profile = "batch: {max_batch_input_tokens: 512, pass_limits_length: true}\n";
  is_cut();
  made.model.declared.kv.emplace_back();
  EXPECT_EQ(made.must_settle().max_batch_input_tokens, 512U);
  EXPECT_EQ(made.must_settle().max_length, 4096U);
}

// Of 80 GiB, 79 free, of which 1 GiB is never free.
TEST(SettledBudget, IsOfWhatTheEngineTakesItsFractionOf) {
  struct Row {
    const char* profile;
    std::uint64_t free_gib, memory_bytes, budget_bytes;
  };
  for (const Row& row : {Row{"budget: {of: free, utilization: 0.5}\n", 79, 79 * kGiB, 79 * kGiB / 2},
                         {"budget: {of: total, utilization: 0.5}\n", 79, 80 * kGiB, 40 * kGiB},
                         {"budget: {of: total, utilization: 0.5}\n", 60, 80 * kGiB, 40 * kGiB},
                         {"budget: {of: total, in_use: refused, utilization: 0.5}\n", 60, 80 * kGiB, 40 * kGiB},
                         {"budget: {of: total, in_use: subtracted, utilization: 0.5}\n", 79, 80 * kGiB, 40 * kGiB},
                         {"budget: {of: total, in_use: subtracted, utilization: 0.5}\n", 60, 61 * kGiB, 61 * kGiB / 2},
                         {"budget: {of: free, utilization: 0.5, margin_bytes: 1073741824}\n", 79, 79 * kGiB, 39 * kGiB},
                         {"budget: {of: free, utilization: 0.5, utilization_factor: 0.5}\n", 80, 80 * kGiB, 20 * kGiB},
                         {"budget: {of: free, utilization: 0.5, covers: kv}\n", 79, 79 * kGiB, 79 * kGiB},
                         {"budget: {of: free, utilization: 0.5, covers: weights_and_kv}\n", 79, 79 * kGiB, 79 * kGiB}}) {
    HandMadeInput made;
    made.profile = row.profile;
    made.devices.front().reserved_bytes = kGiB;
    made.devices.front().free_bytes = row.free_gib * kGiB;
    const Settled settled = made.must_settle();
    EXPECT_EQ(settled.memory_bytes.at(0), row.memory_bytes) << row.profile << row.free_gib;
    EXPECT_EQ(settled.budget_bytes.at(0), row.budget_bytes) << row.profile << row.free_gib;
    made.request.kv_cache_bytes = kGiB; // a figure for the KV cache: the whole device is the budget
    EXPECT_GE(made.must_settle().budget_bytes.at(0), row.budget_bytes) << row.profile;
  }
}

TEST(SettledUtilization, IsAboveZeroAndAtMostOne) {
  HandMadeInput made;
  for (const double wrong : {0.0, -0.1, 1.0001}) {
    made.request.device_memory_utilization = wrong;
    EXPECT_EQ(made.refused().where, "--device-memory-utilization") << wrong;
  }
  made.request.device_memory_utilization = 1;
  EXPECT_EQ(made.must_settle().utilization, 1);
  made.request.vision_cache_utilization = 0;
  EXPECT_EQ(made.must_settle().vision_utilization, 0);
  made.request.vision_cache_utilization = 1.1;
  EXPECT_EQ(made.refused().where, "--vision-cache-utilization");
}

TEST(SettledTypes, AreTheRequestsTheEnginesOrTheModels) {
  struct Row {
    const char* profile;
    const char* asked;
    const char* model;
    const char* expected;
  };
  for (const Row& row : {Row{"{}", nullptr, "bfloat16", "bfloat16"},
                         {"{}", nullptr, "float16", "float16"},
                         {"{}", nullptr, "float8_e4m3fn", "bfloat16"}, // weights of such a type compute in 16 bits
                         {"kv: {dtype: float16}\n", nullptr, "bfloat16", "float16"},
                         {"kv: {dtype: float16}\n", "fp8", "bfloat16", "float8_e4m3fn"}}) {
    HandMadeInput made;
    made.profile = row.profile;
    made.model.dtype = *find_dtype(row.model);
    if (row.asked != nullptr) made.request.kv_dtype = row.asked;
    EXPECT_EQ(made.must_settle().kv_types.name, row.expected) << row.profile << row.model;
  }
  HandMadeInput made;
  made.request.dtype = "float16"; // what the weights are cast to is the type that the model computes in
  EXPECT_EQ(made.must_settle().kv_types.name, "float16");
  made.profile = "kv: {state_dtype: nonsense}\n";
  EXPECT_THAT(made.refused().where, HasSubstr("/kv/state_dtype"));
}

TEST(SettledTypes, WeightsHaveARunTimeType) {
  for (const char* type : {"bfloat16", "float16", "float32"}) {
    PlanRequest r;
    r.dtype = type;
    EXPECT_EQ(settle_cast(r).value()->name, type);
  }
  for (const char* type : {"q8_0", "q4_K", "nothing", ""}) {
    PlanRequest r;
    r.dtype = type;
    const auto refused = settle_cast(r);
    ASSERT_FALSE(refused) << type;
    EXPECT_EQ(refused.error().where, "--dtype");
  }
  EXPECT_EQ(settle_cast({}).value(), std::nullopt);
}

} // namespace
} // namespace plimsoll
