// fit() and --layout auto against all layouts planned one by one; what must hold of any answer; mixes of requests, prices, what is refused.
#include "plimsoll/fit.hpp"

#include <algorithm>
#include <gmock/gmock.h>
#include <map>
#include <set>
#include <tuple>

#include "plimsoll/options.hpp"
#include "unit/plan/planned.hpp"

namespace plimsoll {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::loaded;
using testing::on;
using testing::planned;
using ::testing::SizeIs;

FitReport fitted(const std::string& model, const FitRequest& asked) {
  auto report = fit(test::built_context(), loaded(model), asked);
  if (!report) ADD_FAILURE() << model << ": " << report.error().where << ": " << report.error().message;
  return report.value_or(FitReport{});
}

Error refused(const FitRequest& asked) {
  const auto report = fit(test::built_context(), loaded("Qwen/Qwen3-0.6B"), asked);
  return report ? Error{ErrorCode::kInternal, "taken", ""} : report.error();
}

FitRequest asking(const std::string& engine, std::vector<std::string> cards, std::uint64_t length, std::uint64_t requests) {
  FitRequest out;
  out.on = std::move(cards);
  out.request.engine = engine;
  out.request.max_length = length;
  out.request.max_batch_size = requests;
  return out;
}

// The request that a row's command asks for: its options as the table of options reads them.
PlanRequest read_back(const std::string& command) {
  PlanRequest out;
  std::vector<std::string> words;
  for (std::size_t at = 0; at < command.size();) {
    const std::size_t blank = std::min(command.find(' ', at), command.size());
    words.push_back(command.substr(at, blank - at));
    at = blank + 1;
  }
  for (std::size_t at = 3; at + 1 < words.size(); at += 2) { // after plimsoll plan MODEL
    if (words[at] == "--plugin-path" || words[at] == "--trust") continue;
    const auto set = set_option(out, {words[at].substr(2), words[at + 1], words[at]});
    EXPECT_TRUE(set) << command << ": " << words[at];
  }
  return out;
}

using LayoutKey = std::tuple<std::uint32_t, std::uint32_t, std::uint32_t, std::uint32_t, std::uint32_t>; // n, tp, pp, dp, ep
LayoutKey key_of(const FitRow& row) { return {row.n_devices, row.layout.tp, row.layout.pp, row.layout.dp, row.layout.ep}; }

struct FitCase {
  const char *title, *model, *engine;
  std::vector<std::string> cards;
  std::uint32_t max_devices;
  std::uint64_t length, requests;
  bool any_expert_degree = false;
};
void PrintTo(const FitCase& c, std::ostream* out) { *out << c.title; }

const FitCase kFitCases[] = {
    {"Dense", "Qwen/Qwen3-32B", "vllm", {"L40S", "A100-40GB"}, 8, 16384, 8},
    {"DenseThatNeedsMany", "meta-llama/Llama-3.1-70B", "max", {"A100-40GB", "L4"}, 12, 8192, 4},
    {"Latents", "deepseek-ai/DeepSeek-V3", "max", {"H200", "B200"}, 8, 32768, 3},
    {"LatentsOfVllm", "deepseek-ai/DeepSeek-V3", "vllm", {"A100"}, 12, 8192, 2}, // whose cards share no context
    {"Experts", "openai/gpt-oss-120b", "sglang", {"L40S", "H100"}, 6, 65536, 5, true},
    {"ExpertsInRows", "Qwen/Qwen3-30B-A3B", "tensorrt-llm", {"24GiB"}, 8, 32768, 6, true},
    {"Windows", "google/gemma-3-27b-it", "vllm", {"32GiB"}, 6, 32768, 7},
    {"States", "Qwen/Qwen3-Next-80B-A3B-Instruct", "vllm", {"H100"}, 6, 32768, 9},
};

class AllLayouts : public ::testing::TestWithParam<FitCase> {};
INSTANTIATE_TEST_SUITE_P(Fit, AllLayouts, ::testing::ValuesIn(kFitCases), [](const auto& info) { return info.param.title; });

// Every even layout there is, planned by itself, in the plain words of what serving means.
std::map<LayoutKey, double> serving_one_by_one(const FitCase& c, const std::string& card) {
  std::map<LayoutKey, double> out;
  const Model model = loaded(c.model);
  for (std::uint32_t n = 1; n <= c.max_devices; ++n)
    for (std::uint32_t tp = 1; tp <= n; ++tp)
      for (std::uint32_t pp = 1; pp <= n; ++pp)
        for (std::uint32_t dp = 1; dp <= n; ++dp)
          for (std::uint32_t ep = 1; tp * pp * dp == n && ep <= tp * dp; ++ep) {
            if (ep != 1 && ep != tp * dp && !(c.any_expert_degree && tp * dp % ep == 0)) continue;
            PlanRequest request = on(std::to_string(n) + "x" + card);
            request.engine = c.engine;
            request.tp = tp;
            request.pp = pp;
            request.dp = dp;
            request.ep = ep;
            request.advise = false;
            request.max_length = c.length;
            request.max_batch_size = (c.requests + dp - 1) / dp;
            const auto plan = test::built_context().plan(model, request);
            if (!plan || plan->error || plan->limits.max_batch_at_max_length < *request.max_batch_size) continue;
            out[{n, tp, pp, dp, ep}] = plan->kv_cache.capacity_requests;
          }
  return out;
}

TEST_P(AllLayouts, AreFoundWhereTheyServe) {
  const FitCase& c = GetParam();
  for (const std::string& card : c.cards) {
    FitRequest asked = asking(c.engine, {card}, c.length, c.requests);
    asked.max_devices = c.max_devices;
    asked.all = true;
    std::map<LayoutKey, double> found;
    std::uint32_t fewest = 0;
    for (const FitRow& row : fitted(c.model, asked).rows) {
      if (fewest == 0) fewest = row.n_devices;
      if (row.layout.stage_layers.empty() && row.layout.context_parallel == 1) found[key_of(row)] = row.capacity_requests;
    }
    const std::map<LayoutKey, double> all = serving_one_by_one(c, card);
    EXPECT_EQ(found, all) << card;
    EXPECT_FALSE(all.empty() && fewest == 0) << card << " serves in none";
    // Without --all the same number of devices: the first that serve.
    asked.all = false;
    const FitReport folded = fitted(c.model, asked);
    ASSERT_THAT(folded.rows, SizeIs(1)) << card;
    EXPECT_EQ(folded.rows.front().n_devices, fewest) << card;
  }
}

TEST_P(AllLayouts, CommandsPlanToTheirVerdicts) {
  const FitCase& c = GetParam();
  FitRequest asked = asking(c.engine, c.cards, c.length, c.requests);
  asked.max_devices = c.max_devices;
  asked.all = true;
  std::size_t at = 0;
  for (const FitRow& row : fitted(c.model, asked).rows) {
    if (at++ % 5 != 0) continue;
    const Plan plan = planned(c.model, read_back(row.plan_command));
    EXPECT_EQ(plan.verdict, row.verdict) << row.plan_command;
    EXPECT_EQ(plan.kv_cache.capacity_requests, row.capacity_requests) << row.plan_command;
    EXPECT_EQ(plan.devices.size(), row.n_devices);
    EXPECT_GE(plan.limits.max_batch_at_max_length * row.layout.dp, c.requests) << row.plan_command;
    EXPECT_LE(row.headroom_bytes, plan.devices.front().budget_bytes);
  }
}

// No layout with even stages is better than the one that is found, by the rule's own words.
TEST_P(AllLayouts, NoneIsBetterThanTheAutomaticOne) {
  const FitCase& c = GetParam();
  const Model model = loaded(c.model);
  const std::uint32_t n = c.max_devices;
  PlanRequest request = on(std::to_string(n) + "x" + c.cards.front());
  request.engine = c.engine;
  request.advise = false;
  request.max_length = c.length;
  request.layout_auto = true;
  const Plan found = planned(c.model, request);
  request.layout_auto = false;
  double most = 0;
  std::vector<Plan> plans;
  for (std::uint32_t tp = 1; tp <= n; ++tp)
    for (std::uint32_t pp = 1; pp <= n; ++pp)
      for (std::uint32_t dp = 1; dp <= n; ++dp)
        for (const std::uint32_t ep : {1U, tp * dp}) {
          if (tp * pp * dp != n) continue;
          request.tp = tp;
          request.pp = pp;
          request.dp = dp;
          request.ep = ep;
          auto plan = test::built_context().plan(model, request);
          if (!plan || plan->error) continue;
          most = std::max(most, plan->kv_cache.capacity_requests * dp);
          plans.push_back(std::move(*plan));
        }
  ASSERT_FALSE(plans.empty());
  ASSERT_FALSE(found.error) << found.error->message;
  const double held = found.kv_cache.capacity_requests * found.request.dp;
  EXPECT_GE(held, 0.8 * most);
  for (const Plan& plan : plans) {
    const double other = plan.kv_cache.capacity_requests * plan.request.dp;
    if (other < most || plan.request.pp > found.request.pp) continue;
    EXPECT_LE(found.request.pp, plan.request.pp);
    if (plan.request.pp == found.request.pp) {
      EXPECT_GE(held, other);
    }
  }
}

TEST(FitProperty, MoreMemoryNeverRemovesARow) {
  for (const char* engine : {"max", "vllm", "sglang"}) {
    std::set<LayoutKey> before;
    for (const char* size : {"32GiB", "40GiB", "48GiB", "64GiB", "80GiB", "141GiB"}) {
      FitRequest asked = asking(engine, {size}, 16384, 8);
      asked.max_devices = 6;
      asked.all = true;
      std::set<LayoutKey> now;
      for (const FitRow& row : fitted("Qwen/Qwen3-32B", asked).rows) now.insert(key_of(row));
      EXPECT_TRUE(std::includes(now.begin(), now.end(), before.begin(), before.end())) << engine << " on " << size;
      before = std::move(now);
    }
    EXPECT_FALSE(before.empty());
  }
}

TEST(FitProperty, ALongerLengthNeverFitsOnFewerDevices) {
  for (const char* engine : {"max", "vllm", "llama.cpp"}) {
    std::uint32_t before = 1;
    for (const std::uint64_t length : {2048U, 8192U, 16384U, 32768U, 40960U}) {
      const FitReport report = fitted("Qwen/Qwen3-32B", asking(engine, {"L40S"}, length, 12));
      const std::uint32_t fewest = report.rows.empty() ? kMaxFitDevices : report.rows.front().n_devices;
      EXPECT_GE(fewest, before) << engine << " " << length;
      before = fewest;
    }
  }
}

TEST(FitProperty, MoreRequestsNeverNeedFewerDevices) {
  std::uint32_t before = 1;
  for (const std::uint64_t requests : {1U, 4U, 16U, 40U, 64U}) {
    const FitReport report = fitted("meta-llama/Llama-3.1-8B", asking("vllm", {"RTX-4090"}, 8192, requests));
    const std::uint32_t fewest = report.rows.empty() ? kMaxFitDevices : report.rows.front().n_devices;
    EXPECT_GE(fewest, before) << requests;
    before = fewest;
  }
}

// A mix lies between its largest part alone and all of it at the longest length.
TEST(FitMix, TakesNoLessThanItsPartsAndNoMoreThanTheLongestOfEach) {
  for (const char* model :
       {"meta-llama/Llama-3.1-8B", "google/gemma-3-27b-it", "Qwen/Qwen3-Next-80B-A3B-Instruct", "deepseek-ai/DeepSeek-V3"})
    for (const char* engine : {"vllm", "sglang", "max"}) {
      const auto fewest = [&](std::vector<FitDemand> demand) {
        FitRequest asked;
        asked.on = {"H100"};
        asked.max_devices = 16;
        asked.request.engine = engine;
        asked.demand = std::move(demand);
        const FitReport report = fitted(model, asked);
        return report.rows.empty() ? 17U : report.rows.front().n_devices;
      };
      const std::uint32_t mix = fewest({{40, 4096}, {4, 32768}});
      EXPECT_GE(mix, fewest({{4, 32768}})) << model << " " << engine;
      EXPECT_LE(mix, fewest({{44, 32768}})) << model << " " << engine;
      EXPECT_EQ(fewest({{3, 32768}, {4, 32768}}), fewest({{7, 32768}})) << model << " " << engine;
    }
}

TEST(FitMix, IsWhatThePagesHold) { // 16-token blocks, 128 KiB a token of Llama 3.1 8B: a request of 8,192 takes 512 of them
  FitRequest asked;
  asked.on = {"80GiB"};
  asked.max_devices = 1;
  asked.request.engine = "vllm";
  asked.request.kv_cache_bytes = 40ULL << 30; // 20,480 blocks
  const auto serves = [&](std::vector<FitDemand> demand) {
    asked.demand = std::move(demand);
    return !fitted("meta-llama/Llama-3.1-8B", asked).rows.empty();
  };
  EXPECT_TRUE(serves({{38, 8192}, {1, 16384 - 16}})); // 38 x 512 + 1,023 = 20,479
  EXPECT_FALSE(serves({{38, 8192}, {1, 16384 + 16}}));
  EXPECT_TRUE(serves({{39, 8192}, {1, 8192}})); // 40 of one kind
  EXPECT_FALSE(serves({{40, 8192}, {1, 8192}}));
  EXPECT_TRUE(serves({{30, 8192}, {2, 32768}}));
}

TEST(FitMix, SlotsOfOneContextAreAsLongAsTheLongest) {
  FitRequest asked;
  asked.on = {"RTX-4090"};
  asked.request.engine = "llama.cpp";
  asked.demand = {{3, 4000}, {1, 8192}};
  const FitReport apart = fitted("meta-llama/Llama-3.1-8B", asked);
  ASSERT_FALSE(apart.rows.empty());
  EXPECT_EQ(apart.rows.front().max_length, 4U * 8192);
  EXPECT_EQ(apart.rows.front().total_requests, 4);
  asked.request.engine_overrides["kv_unified"] = "true";
  const FitReport together = fitted("meta-llama/Llama-3.1-8B", asked);
  ASSERT_FALSE(together.rows.empty());
  EXPECT_EQ(together.rows.front().max_length, 3U * 4096 + 8192); // in whole steps of cells
}

TEST(FitLength, IsTheModelsOwnWhereNobodySaysAnother) {
  FitRequest asked;
  asked.on = {"L4", "H100"};
  asked.max_devices = 1;
  const FitReport own = fitted("meta-llama/Llama-3.1-8B", asked); // 131,072 tokens, to which MAX would cut the request
  ASSERT_THAT(own.rows, SizeIs(1));
  EXPECT_EQ(own.rows.front().devices, "1xH100");
  asked.request.max_length_auto = true;
  const FitReport any = fitted("meta-llama/Llama-3.1-8B", asked);
  ASSERT_THAT(any.rows, SizeIs(2));
  EXPECT_LT(std::min(any.rows[0].max_length, any.rows[1].max_length), 131072U);
}

TEST(FitDegrees, AreKeptWhereTheyAreGiven) {
  FitRequest asked = asking("vllm", {"H100"}, 8192, 4);
  asked.all = true;
  asked.request.tp = 2;
  const FitReport report = fitted("Qwen/Qwen3-32B", asked);
  ASSERT_FALSE(report.rows.empty());
  for (const FitRow& row : report.rows) EXPECT_EQ(row.layout.tp, 2U) << row.plan_command;
  asked.request.nodes = 2;
  for (const FitRow& row : fitted("Qwen/Qwen3-32B", asked).rows) {
    EXPECT_EQ(row.n_devices % 2, 0U);
    EXPECT_THAT(row.plan_command, HasSubstr(" --nodes 2 "));
  }
}

TEST(FitContext, IsSharedOnlyWhereNothingElseServes) {
  FitRequest asked = asking("vllm", {"H200"}, 163840, 8);
  asked.max_devices = 8;
  asked.request.tp = 8;
  const FitReport report = fitted("deepseek-ai/DeepSeek-V3", asked);
  ASSERT_THAT(report.rows, SizeIs(1));
  EXPECT_GT(report.rows.front().layout.context_parallel, 1U);
  EXPECT_THAT(report.rows.front().plan_command, HasSubstr("--set engine.decode_context_parallel="));
  asked.request.max_batch_size = 1;
  const FitReport one = fitted("deepseek-ai/DeepSeek-V3", asked);
  ASSERT_THAT(one.rows, SizeIs(1));
  EXPECT_EQ(one.rows.front().layout.context_parallel, 1U);
}

std::vector<std::string> devices_of(const FitReport& report) {
  std::vector<std::string> out;
  for (const FitRow& row : report.rows) out.push_back(row.devices);
  return out;
}

TEST(FitPrices, OrderRowsAndFoldWhatIsNeedless) {
  FitRequest asked = asking("vllm", {"L40S", "H100", "A100", "48GiB"}, 8192, 8);
  asked.max_devices = 4;
  asked.prices = {{"h100-sxm", 3.3}, {"A100-80GB", 1.1}, {"48GiB", 0.1}};
  const FitReport report = fitted("Qwen/Qwen3-8B", asked);
  // One of each is enough. The H100 costs more than the A100, has less room, and is left out; cards without a price come last.
  EXPECT_THAT(devices_of(report), ElementsAre("1x48GiB", "1xA100", "1xL40S"));
  EXPECT_EQ(report.rows[0].price, 0.1);
  EXPECT_EQ(report.rows[2].price, std::nullopt);
  EXPECT_GE(report.folded_rows, 1U);
  asked.all = true;
  const FitReport all = fitted("Qwen/Qwen3-8B", asked);
  EXPECT_GT(all.rows.size(), 8U);
  EXPECT_EQ(all.folded_rows, 0U);
  for (std::size_t at = 1; at < all.rows.size(); ++at) EXPECT_LE(all.rows[at - 1].n_devices, all.rows[at].n_devices);
  for (const FitRow& row : all.rows)
    if (row.devices == "3x48GiB") {
      EXPECT_EQ(row.price, 0.3); // and not 0.30000000000000004
    }
}

TEST(FitFailures, AreTheNextSmallerNumberOrTheNearest) {
  const FitReport served = fitted("Qwen/Qwen3-32B", asking("vllm", {"L40S"}, 16384, 4));
  ASSERT_TRUE(served.first_failure);
  EXPECT_EQ(served.first_failure->devices, std::to_string(served.rows.front().n_devices - 1) + "xL40S");
  const FitReport none = fitted("deepseek-ai/DeepSeek-V3", asking("vllm", {"T4", "H100"}, 16384, 4));
  EXPECT_THAT(none.rows, IsEmpty());
  ASSERT_TRUE(none.first_failure);
  EXPECT_EQ(none.first_failure->devices, "8xH100");
  EXPECT_FALSE(none.first_failure->error.message.empty());
}

TEST(FitProgress, GoesToTheEnd) {
  FitRequest asked = asking("max", {"L40S", "H100", "T4"}, 8192, 2);
  std::uint64_t last = 0, all = 0;
  asked.progress = [&](std::uint64_t done, std::uint64_t of) {
    EXPECT_GT(done, last);
    last = done;
    all = of;
  };
  fitted("Qwen/Qwen3-8B", asked);
  EXPECT_EQ(last, all);
  EXPECT_EQ(all, 24U);
}

TEST(FitRefuses, WhatItCannotTry) {
  FitRequest asked;
  asked.on = {"H100"};
  const auto with = [&](void (*change)(FitRequest&)) {
    FitRequest out = asked;
    change(out);
    return refused(out);
  };
  EXPECT_EQ(with([](FitRequest& r) { r.max_devices = 0; }).where, "--max-devices");
  EXPECT_EQ(with([](FitRequest& r) { r.max_devices = 65; }).where, "--max-devices");
  EXPECT_EQ(with([](FitRequest& r) { r.on = {"2xH100"}; }).where, "--on");
  EXPECT_EQ(with([](FitRequest& r) { r.on.assign(257, "H100"); }).where, "--on");
  EXPECT_EQ(with([](FitRequest& r) { r.on = {"no such card"}; }).where, "--on");
  EXPECT_EQ(with([](FitRequest& r) { r.demand = {{0, 8}}; }).where, "--for");
  EXPECT_EQ(with([](FitRequest& r) { r.demand = {{1, 0}}; }).where, "--for");
  EXPECT_EQ(with([](FitRequest& r) { r.demand.assign(17, {1, 8}); }).where, "--for");
  EXPECT_EQ(with([](FitRequest& r) { r.demand.assign(2, {1ULL << 31, 8}); }).where, "--for");
  EXPECT_EQ(with([](FitRequest& r) { r.demand = {{UINT64_MAX, UINT64_MAX}}; }).where, "--for");
  EXPECT_EQ(with([](FitRequest& r) { r.prices = {{"H100", -1}}; }).where, "--prices");
  EXPECT_EQ(with([](FitRequest& r) { r.prices = {{"H200x", 1}}; }).where, "--prices");
  EXPECT_EQ(with([](FitRequest& r) { r.request.nodes = 9; }).where, "--nodes");
  EXPECT_EQ(with([](FitRequest& r) { r.request.kv_dtype = "none"; }).where, "--kv-dtype");
  EXPECT_EQ(with([](FitRequest& r) { r.request.tp = 64; }).where, "--max-devices");
  EXPECT_EQ(with([](FitRequest& r) { r.request.ep = 2; }).code, ErrorCode::kBadRequest); // there are no experts
}

TEST(AutomaticLayout, KeepsWhatIsGivenAndShowsWhatItFound) {
  PlanRequest request = on("2xH100,2xA100-40GB");
  request.engine = "vllm";
  request.max_length = 8192;
  request.layout_auto = true;
  const Plan mixed = planned("meta-llama/Llama-3.1-70B", request);
  EXPECT_FALSE(mixed.error);
  EXPECT_EQ(mixed.request.tp, 2U);
  EXPECT_EQ(mixed.request.pp, 2U);
  EXPECT_THAT(mixed.request.stage_layers, ElementsAre(54U, 26U)); // more layers where there is more memory
  request.pp = 4;
  const Plan stages = planned("meta-llama/Llama-3.1-70B", request);
  EXPECT_FALSE(stages.error);
  EXPECT_EQ(stages.request.pp, 4U);
  EXPECT_THAT(stages.request.stage_layers, SizeIs(4));
  request.stage_layers = {20, 20, 20, 20};
  EXPECT_THAT(planned("meta-llama/Llama-3.1-70B", request).request.stage_layers, ElementsAre(20U, 20U, 20U, 20U));
  request.stage_layers.clear();
  request.pp.reset();
  request.tp = 3; // which does not divide four
  const auto none = test::built_context().plan(loaded("meta-llama/Llama-3.1-70B"), request);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().where, "--layout");
}

TEST(AutomaticLayout, StaysOnTheNodeAndIsTheNearestWhereNoneFits) {
  PlanRequest request = on("2x8xH100");
  request.engine = "vllm";
  request.max_length = 8192;
  request.layout_auto = true;
  const Plan nodes = planned("meta-llama/Llama-3.1-405B", request);
  EXPECT_FALSE(nodes.error);
  EXPECT_LE(nodes.request.tp, 8U);
  request.devices = "2xA100-40GB";
  const Plan short_of = planned("meta-llama/Llama-3.1-405B", request);
  ASSERT_TRUE(short_of.error);
  EXPECT_EQ(short_of.error->code, ErrorCode::kModelTooLarge);
  request.devices = "2xRTX-4090";
  request.engine = "llama.cpp"; // deals its layers itself
  const Plan dealt = planned("meta-llama/Llama-3.1-8B", request);
  EXPECT_FALSE(dealt.error);
  EXPECT_TRUE(dealt.dealt);
}

} // namespace
} // namespace plimsoll
