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

ComparedLine judged(Judge judge, double printed, double predicted, bool within, bool outlier = false) {
  ComparedLine out;
  out.figure = judge == Judge::kWeights ? "weights_bytes" : "available_kv_bytes";
  out.judge = judge;
  out.printed = {printed, 0, "log:1"};
  out.predicted = predicted;
  out.within = within;
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
  EXPECT_EQ((*both)[1].verdict, CompareVerdict::kSkipped);
  EXPECT_EQ((*both)[1].note, "why");
  CompareRequest request;
  request.tolerance = 1.5;
  EXPECT_EQ(compare_starts(here, {start}, request).error().where, "--tolerance");
}

TEST(Compare, TheWorstVerdictCounts) {
  using V = CompareVerdict;
  const auto worst = [](const std::vector<V>& verdicts) {
    std::vector<Comparison> all;
    for (const V verdict : verdicts) all.push_back(comparison(verdict, {}));
    return compare_verdict(all);
  };
  EXPECT_EQ(worst({}), V::kSkipped);
  EXPECT_EQ(worst({V::kSkipped, V::kWithin}), V::kWithin);
  EXPECT_EQ(worst({V::kBeyond, V::kWithin}), V::kBeyond);
  EXPECT_EQ(worst({V::kWithin, V::kError, V::kBeyond}), V::kError);
}

TEST(Compare, SumsLeaveKnownOutliersOutOfTheDeviations) {
  const std::vector<Comparison> all{
      comparison(CompareVerdict::kWithin, {judged(Judge::kWeights, 100, 101, true), judged(Judge::kMemory, 100, 96, true)}),
      comparison(CompareVerdict::kBeyond, {judged(Judge::kWeights, 100, 110, false), judged(Judge::kWeights, 100, 300, false, true)})};
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

} // namespace
} // namespace plimsoll
