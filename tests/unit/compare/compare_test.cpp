// What hosts see of a comparison: logs to starts, what judged lines add up to, and the document. Plans are made in tests/cli.
#include "plimsoll/compare.hpp"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace plimsoll {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

Context context() {
  ContextOptions options;
  options.catalogue_path = PLIMSOLL_SOURCE_DIR "/core/catalogue";
  return Context::create(options).value();
}

ComparedLine judged(Judge judge, double printed, double predicted, CompareStatus status, bool outlier = false) {
  ComparedLine out;
  out.figure = judge == Judge::kWeights ? "weights_bytes" : "available_kv_bytes";
  out.judge = judge;
  out.printed = {printed, 0, "log:1"};
  out.predicted = predicted;
  out.status = status;
  out.outlier = outlier;
  return out;
}

Comparison comparison(CompareVerdict verdict, std::vector<ComparedLine> lines) {
  Comparison out;
  out.id = "a";
  out.engine = "vllm";
  out.verdict = verdict;
  out.lines = std::move(lines);
  return out;
}

TEST(Compare, ReadsOneStartOfATextAndOneALineOfRecords) {
  const Context here = context();
  const auto text = read_starts(here, {"server.log", "noise\nAvailable KV cache memory: 2.50 GiB\n"});
  ASSERT_TRUE(text) << text.error().message;
  ASSERT_EQ(text->size(), 1U);
  EXPECT_EQ((*text)[0].engine, "vllm");
  EXPECT_EQ((*text)[0].printed.at("available_kv_bytes").place, "server.log:2");
  const auto records =
      read_starts(here, {"starts.jsonl", "\n{\"engine\": \"sglang\", \"not_compared\": \"x\"}\n \r\n{\"engine\": \"vllm\"}", true});
  ASSERT_TRUE(records) << records.error().message;
  ASSERT_EQ(records->size(), 2U);
  EXPECT_EQ((*records)[0].place, "starts.jsonl:2");
  EXPECT_EQ((*records)[1].place, "starts.jsonl:4");
  EXPECT_EQ(read_starts(here, {"starts.jsonl", "{}", true}).error().where, "starts.jsonl:1");
  // What stands beyond the limit is not read.
  EXPECT_FALSE(read_starts(here, {"long.log", std::string(kMaxLogBytes, '#') + "\nAvailable KV cache memory: 2.50 GiB\n"}));
}

TEST(Compare, WhatCannotBePlannedIsItsOwnError) {
  const Context here = context();
  EngineStart start;
  start.place = "a.log";
  start.engine = "vllm";
  EngineStart listed = start;
  listed.not_compared = "why";
  const auto both = compare_starts(here, {start, listed}, {});
  ASSERT_TRUE(both) << both.error().message;
  EXPECT_EQ((*both)[0].verdict, CompareVerdict::kError);
  EXPECT_THAT((*both)[0].error->message, HasSubstr("the model is not printed"));
  EXPECT_EQ((*both)[1].verdict, CompareVerdict::kNothingJudged);
  EXPECT_EQ((*both)[1].note, "why");
  CompareRequest request;
  request.tolerance = 1.5;
  EXPECT_EQ(compare_starts(here, {start}, request).error().where, "--tolerance");
}

// Many plans are made of one start, and advice, which is many more, is sought once.
TEST(Compare, SeeksNoAdviceForPlansOfItsOwn) {
  const Context here = context();
  const auto model = here.load(PLIMSOLL_SOURCE_DIR "/core/catalogue/models/Qwen__Qwen3-8B.json");
  ASSERT_TRUE(model) << model.error().message;
  PlanRequest request;
  request.engine = "vllm";
  request.devices = "H100";
  request.max_length = 40'960;
  request.kv_cache_bytes = 1U << 30;
  const auto advised = here.plan(*model, request);
  ASSERT_TRUE(advised && advised->error);
  EXPECT_FALSE(advised->advice.empty());
  request.advise = false;
  const auto plain = here.plan(*model, request);
  ASSERT_TRUE(plain && plain->error);
  EXPECT_TRUE(plain->advice.empty());
}

TEST(Compare, TheWorstVerdictCounts) {
  using V = CompareVerdict;
  const auto worst = [](const std::vector<V>& verdicts) {
    std::vector<Comparison> all;
    for (const V verdict : verdicts) all.push_back(comparison(verdict, {}));
    return compare_verdict(all);
  };
  EXPECT_EQ(worst({}), V::kNothingJudged);
  EXPECT_EQ(worst({V::kNothingJudged, V::kWithin}), V::kWithin);
  EXPECT_EQ(worst({V::kBeyond, V::kWithin}), V::kBeyond);
  EXPECT_EQ(worst({V::kWithin, V::kError, V::kBeyond}), V::kError);
}

TEST(Compare, SumsLeaveKnownOutliersOutOfTheDeviations) {
  using S = CompareStatus;
  const std::vector<Comparison> all{
      comparison(CompareVerdict::kWithin, {judged(Judge::kWeights, 100, 101, S::kWithin), judged(Judge::kMemory, 100, 96, S::kWithin)}),
      comparison(CompareVerdict::kBeyond,
                 {judged(Judge::kWeights, 100, 110, S::kBeyond), judged(Judge::kWeights, 100, 300, S::kBeyond, true)})};
  const CompareSummary sums = compare_summary(all);
  EXPECT_EQ(sums.within, 1U);
  EXPECT_EQ(sums.beyond, 1U);
  EXPECT_EQ(sums.weights.figures, 3U);
  EXPECT_EQ(sums.weights.within, 1U);
  EXPECT_EQ(sums.weights.known_outliers, 1U);
  EXPECT_NEAR(sums.weights.median, 0.01, 1e-9);
  EXPECT_NEAR(sums.weights.worst, 0.1, 1e-9);
  EXPECT_NEAR(sums.available_kv.p95, 0.04, 1e-9);
  EXPECT_EQ(sums.kv.figures, 0U);
  const Json document = Json::parse(compare_to_json(all, false));
  EXPECT_EQ(document["verdict"], "beyond");
  EXPECT_EQ(document["summary"]["weights"]["known_outliers"], 1);
  EXPECT_EQ(document["starts"][1]["lines"][1]["known_outlier"], true);
  // One start is its own document unless it is one of many.
  EXPECT_EQ(Json::parse(compare_to_json({all[0]}, false))["engine"], "vllm");
  EXPECT_EQ(Json::parse(compare_to_json({all[0]}, true))["starts"].size(), 1U);
}

// What was derived from the print, and what was only shown, is never counted as judged.
TEST(Compare, CountsWhatWasJudgedApartFromWhatAgreesWithItself) {
  using S = CompareStatus;
  const std::vector<Comparison> all{
      comparison(CompareVerdict::kWithin, {judged(Judge::kWeights, 100, 101, S::kWithin), judged(Judge::kRounding, 7, 7, S::kConsistent),
                                           judged(Judge::kRounding, 7, 7, S::kWithin), judged(Judge::kShown, 100, 250, S::kShown)}),
      comparison(CompareVerdict::kNothingJudged, {judged(Judge::kRounding, 7, 7, S::kConsistent)})};
  const CompareTally tally = compare_tally(all[0].lines);
  EXPECT_EQ(tally.judged, 2U);
  EXPECT_EQ(tally.within, 2U);
  EXPECT_EQ(tally.beyond, 0U);
  EXPECT_EQ(tally.consistent, 1U);
  EXPECT_EQ(tally.shown, 1U);
  const CompareSummary sums = compare_summary(all);
  EXPECT_EQ(sums.nothing_judged, 1U);
  EXPECT_EQ(sums.lines.judged, 2U);
  EXPECT_EQ(sums.lines.consistent, 2U);
  EXPECT_EQ(sums.kv.within, 1U);
  EXPECT_EQ(sums.kv.consistent, 2U);
  const Json document = Json::parse(compare_to_json(all, true));
  EXPECT_EQ(document["starts"][0]["figures"]["judged"], 2);
  const Json& lines = document["starts"][0]["lines"];
  EXPECT_EQ(lines[0]["status"], "within");
  EXPECT_EQ(lines[0]["within"], true);
  EXPECT_EQ(lines[1]["status"], "consistent");
  EXPECT_TRUE(lines[1]["within"].is_null());
  EXPECT_EQ(lines[3]["status"], "shown");
  EXPECT_EQ(document["starts"][1]["verdict"], "nothing_judged");
  EXPECT_EQ(document["summary"]["figures"]["consistent"], 2);
}

TEST(Compare, SaysHowOftenFitsMeantThatItStarted) {
  const auto start = [](bool judged, bool fits, bool started) {
    Comparison out = comparison(CompareVerdict::kWithin, {});
    out.start = {judged, fits, started};
    return out;
  };
  const CompareStarts sums = compare_summary({start(true, true, true), start(true, true, true), start(true, true, false),
                                              start(true, false, false), start(true, false, true), start(false, true, false)})
                                 .starts;
  EXPECT_EQ(sums.fits_started, 2U);
  EXPECT_EQ(sums.fits_refused, 1U);
  EXPECT_EQ(sums.does_not_fit_refused, 1U);
  EXPECT_EQ(sums.does_not_fit_started, 1U);
  EXPECT_EQ(sums.not_judged, 1U);
}

} // namespace
} // namespace plimsoll
