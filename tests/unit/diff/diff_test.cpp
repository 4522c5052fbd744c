// Two plans side by side: causes add up to the byte for any two plans, settings and what follows are told apart, and documents that
// were made or changed by hand are refused with their place.
#include "plimsoll/diff.hpp"

#include <gmock/gmock.h>

#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "plimsoll/device_figures.hpp"
#include "support/built_context.hpp"

namespace plimsoll {
namespace {

using ::testing::Contains;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::ordered_json;

const Context& planning() { return test::built_context(); }

PlanRequest asked(const std::string& devices, const std::string& engine = "max") {
  PlanRequest request;
  request.devices = devices;
  request.engine = engine;
  request.advise = false;
  return request;
}

Plan planned(const std::string& model, const PlanRequest& request) {
  return planning().plan(planning().load(model).value(), request).value();
}

// The sum of a figure over the devices of a plan.
std::int64_t total(const Plan& plan, const DeviceFigure& figure) {
  std::int64_t sum = 0;
  for (const DevicePlan& device : plan.devices) sum += bytes_of(device, figure);
  return sum;
}

// What is true of any two plans.
void expect_adds_up(const Plan& from, const Plan& to, const PlanDiff& diff) {
  std::map<std::string, std::int64_t> sums, last;
  for (const DiffChange& change : diff.changes) {
    if (!change.bytes) continue;
    const auto before = std::get<std::int64_t>(change.from), after = std::get<std::int64_t>(change.to);
    EXPECT_EQ(after - before, *change.bytes) << change.what << ' ' << change.cause;
    EXPECT_NE(*change.bytes, 0) << change.what << ' ' << change.cause;
    const bool is_step = change.what == "kv_cache_bytes" || change.what == "unused_bytes" || change.what == "budget_bytes";
    if (is_step && last.contains(change.what)) {
      EXPECT_EQ(before, last[change.what]) << "the steps of " << change.what;
    }
    sums[change.what] += *change.bytes;
    last[change.what] = after;
  }
  for (const DeviceFigure& figure : kDeviceFigures) {
    const std::int64_t changed = total(to, figure) - total(from, figure);
    const std::string key(figure.key);
    if (key == "total_bytes" || key == "free_bytes") continue;
    if (key == "unused_bytes" && sums.contains("kv_cache_bytes")) continue; // one step of the KV cache's
    EXPECT_EQ(sums[key], changed) << key;
    if (last.contains(key) && (key == "kv_cache_bytes" || key == "unused_bytes" || key == "budget_bytes")) {
      EXPECT_EQ(last[key], total(to, figure)) << key;
    }
  }
  EXPECT_EQ(sums["host_memory_bytes"], static_cast<std::int64_t>(to.host_memory_bytes) - static_cast<std::int64_t>(from.host_memory_bytes));
  const auto fits = [](const Plan& plan) { return plan.verdict == Verdict::kFits || plan.verdict == Verdict::kTight; };
  if (fits(from) && fits(to)) {
    EXPECT_THAT(diff.changes, Not(Contains(Field(&DiffChange::cause, "parts that are not the budget's"))));
  }
  EXPECT_THAT(diff.changes, Not(Contains(Field(&DiffChange::cause, "not in its items"))));
  EXPECT_EQ(diff.worse(), to.verdict > from.verdict);
}

// Random pairs of plans: models, engines and their releases, devices, layouts, lengths, types.
std::vector<Plan> some_plans() {
  const std::vector<std::string> models{"Qwen/Qwen3-8B",          "meta-llama/Llama-3.1-8B", "google/gemma-3-27b-it",
                                        "openai/gpt-oss-20b",     "Qwen/Qwen3-30B-A3B",      "Qwen/Qwen3-Next-80B-A3B-Instruct",
                                        "deepseek-ai/DeepSeek-V3"};
  const std::vector<std::string> devices{"H100", "2xH100", "4xA100-40GB", "2xH200,2xH100", "8xH200", "RTX-3090", "80GiB:60GiB"};
  const std::vector<std::string> engines{"max", "vllm", "vllm@0.11.0", "vllm@0.6.3", "sglang", "tensorrt-llm", "llama.cpp"};
  std::mt19937 random(20260); // NOLINT: the same pairs every time
  const auto any = [&](const auto& list) { return list[random() % list.size()]; };
  std::vector<Plan> out;
  while (out.size() < 60) {
    PlanRequest request = asked(any(devices), any(engines));
    if (random() % 2 == 0) request.max_length = 1024U << random() % 6;
    if (random() % 3 == 0) request.max_batch_size = 1U << random() % 8;
    if (random() % 3 == 0) request.device_memory_utilization = 0.5 + 0.05 * static_cast<double>(random() % 9);
    if (random() % 4 == 0) request.kv_dtype = "float8_e4m3fn";
    const auto model = planning().load(any(models));
    const auto plan = planning().plan(model.value(), request);
    if (plan) out.push_back(*plan);
  }
  return out;
}

TEST(Diff, CausesAddUpForAnyTwoPlans) {
  const std::vector<Plan> plans = some_plans();
  std::size_t changed = 0;
  for (std::size_t i = 0; i < plans.size(); ++i)
    for (const std::size_t j : {(i + 1) % plans.size(), (i * 7 + 3) % plans.size()}) {
      const auto diff = diff_plans(plans[i], plans[j]);
      ASSERT_TRUE(diff) << diff.error().message << ' ' << diff.error().where;
      SCOPED_TRACE(diff->from.model + ", " + diff->from.engine + ", " + diff->from.devices + " -> " + diff->to.model + ", " +
                   diff->to.engine + ", " + diff->to.devices);
      expect_adds_up(plans[i], plans[j], *diff);
      if (!diff->changes.empty()) ++changed;
    }
  EXPECT_GT(changed, 100U);
}

TEST(Diff, APlanAndItselfDoNotDiffer) {
  for (const char* engine : {"max", "vllm", "llama.cpp"}) {
    const Plan plan = planned("Qwen/Qwen3-8B", asked("H100", engine));
    const auto diff = diff_plans(plan, plan);
    ASSERT_TRUE(diff);
    EXPECT_TRUE(diff->changes.empty());
    EXPECT_FALSE(diff->worse());
  }
}

std::map<std::string, std::int64_t> steps(const PlanDiff& diff, const std::string& what) {
  std::map<std::string, std::int64_t> out;
  for (const DiffChange& change : diff.changes)
    if (change.what == what && change.bytes) out[change.cause] += *change.bytes;
  return out;
}

// vLLM's 0.9 became 0.92, and its sampler's peak another: both are named, with their share.
TEST(Diff, NamesWhatARelaseChanged) {
  const auto diff =
      diff_plans(planned("Qwen/Qwen3-32B", asked("2xH100", "vllm@0.11.0")), planned("Qwen/Qwen3-32B", asked("2xH100", "vllm@0.26.1")));
  ASSERT_TRUE(diff);
  const auto kv = steps(*diff, "kv_cache_bytes");
  // 0.02 of two devices of 79.19 GiB, as the engine rounds each
  EXPECT_NEAR(static_cast<double>(kv.at("budget_bytes: request.device_memory_utilization")), 0.02 * 2 * 79.19 * 1073741824.0, 1e7);
  EXPECT_EQ(kv.at("activation_bytes: sampler"), -steps(*diff, "activation_bytes").at("sampler"));
  EXPECT_EQ(diff->from.engine, "vllm 0.11.0");
  EXPECT_EQ(diff->to.devices, "2xH100");
}

TEST(Diff, TellsDevicesFromTheFractionAndTheEngine) {
  PlanRequest before = asked("2xH100", "vllm"), after = asked("2xH200", "vllm");
  const Plan first = planned("Qwen/Qwen3-8B", before);
  EXPECT_EQ(steps(*diff_plans(first, planned("Qwen/Qwen3-8B", after)), "budget_bytes").size(), 1U);
  after.device_memory_utilization = 0.5;
  const auto both = steps(*diff_plans(first, planned("Qwen/Qwen3-8B", after)), "budget_bytes");
  ASSERT_EQ(both.size(), 2U);
  EXPECT_GT(both.at("devices"), 0);
  EXPECT_LT(both.at("request.device_memory_utilization"), 0);
  const auto engines = steps(*diff_plans(first, planned("Qwen/Qwen3-8B", asked("2xH100", "sglang"))), "budget_bytes");
  ASSERT_EQ(engines.size(), 1U);
  EXPECT_TRUE(engines.contains("engine"));
}

// Where the KV cache is what was asked for, the change is in what stays unused.
TEST(Diff, AGivenCacheMovesTheUnusedMemory) {
  PlanRequest before = asked("H100"), after = asked("H100");
  before.kv_cache_bytes = after.kv_cache_bytes = 8ULL << 30;
  after.weights_bytes = 20ULL << 30;
  const auto diff = diff_plans(planned("Qwen/Qwen3-8B", before), planned("Qwen/Qwen3-8B", after));
  ASSERT_TRUE(diff);
  EXPECT_TRUE(steps(*diff, "kv_cache_bytes").empty());
  EXPECT_FALSE(steps(*diff, "unused_bytes").empty());
}

TEST(Diff, AVerdictGetsWorseInOneDirection) {
  const Plan fits = planned("Qwen/Qwen3-32B", asked("2xH100")), misfit = planned("Qwen/Qwen3-32B", asked("RTX-3090"));
  const auto worse = diff_plans(fits, misfit);
  ASSERT_TRUE(worse);
  EXPECT_TRUE(worse->worse());
  EXPECT_FALSE(diff_plans(misfit, fits)->worse());
  EXPECT_THAT(worse->changes, Contains(Field(&DiffChange::what, "error")));
  const PlanDocument failed{"failed.json", error_to_json({ErrorCode::kBadConfig, "no model", "x"})};
  const auto none = diff_documents({"misfit", plan_to_json(misfit)}, failed);
  ASSERT_TRUE(none) << none.error().message;
  EXPECT_TRUE(none->worse());
  for (const DiffChange& change : none->changes) EXPECT_EQ(change.what, "error");
  EXPECT_FALSE(diff_documents(failed, failed)->worse());
}

TEST(Diff, TheDocumentHasTheContractsKeys) {
  const auto diff = diff_plans(planned("Qwen/Qwen3-8B", asked("H100")), planned("Qwen/Qwen3-8B", asked("RTX-3090")));
  const Json document = Json::parse(diff_to_json(*diff));
  EXPECT_EQ(document["schema"], "plimsoll.diff/1");
  ASSERT_FALSE(document["changes"].empty());
  for (const Json& change : document["changes"]) {
    std::vector<std::string> keys;
    for (const auto& [key, value] : change.items()) keys.push_back(key);
    EXPECT_THAT(keys, ::testing::ElementsAre("what", "from", "to", "bytes", "cause"));
  }
  EXPECT_EQ(document["verdict"]["from"], "fits");
}

// YAML says the same as JSON.
TEST(Diff, ReadsBothSpellingsOfADocument) {
  const Plan plan = planned("google/gemma-3-27b-it", asked("2xH100", "vllm"));
  const auto diff = diff_documents({"a.json", plan_to_json(plan)}, {"b.yaml", plan_to_yaml(plan)});
  ASSERT_TRUE(diff) << diff.error().message << ' ' << diff.error().where;
  EXPECT_TRUE(diff->changes.empty());
  EXPECT_EQ(*document_schema({"", plan_to_yaml(plan)}), "plimsoll.plan/1");
  EXPECT_EQ(*document_schema({"", R"({"model": "x"})"}), "");
  EXPECT_EQ(*document_schema({"", R"({"schema": [1]})"}), "[1]");
  EXPECT_FALSE(document_schema({"", "{"}));
}

struct Spoiled {
  const char* pointer;
  const char* value; // JSON; empty: the key is taken out
  const char* where; // in the error
};
void PrintTo(const Spoiled& spoiled, std::ostream* out) { *out << spoiled.pointer << " = " << spoiled.value; }

class SpoiledDocument : public ::testing::TestWithParam<Spoiled> {};

TEST_P(SpoiledDocument, IsRefusedWithItsPlace) {
  const std::string sound = plan_to_json(planned("Qwen/Qwen3-8B", asked("2xH100", "vllm")));
  Json document = Json::parse(sound);
  const Json::json_pointer at(GetParam().pointer);
  if (*GetParam().value != '\0') document[at] = Json::parse(GetParam().value);
  else document[at.parent_pointer()].erase(at.back());
  const PlanDocument good{"good.json", sound}, bad{"bad.json", document.dump()};
  for (const auto& diff : {diff_documents(good, bad), diff_documents(bad, good)}) {
    ASSERT_FALSE(diff);
    EXPECT_EQ(diff.error().code, ErrorCode::kBadRequest);
    EXPECT_EQ(diff.error().where, std::string("bad.json#") + GetParam().where);
    EXPECT_LT(diff.error().message.size(), 400U);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Keys, SpoiledDocument,
    ::testing::Values(Spoiled{"/schema", R"("plimsoll.fit/1")", "/schema"}, Spoiled{"/schema", "7", "/schema"},
                      Spoiled{"/verdict", R"("maybe")", "/verdict"}, Spoiled{"/verdict", R"("error")", "/error"},
                      Spoiled{"/verdict", "", "/verdict"}, Spoiled{"/model", "null", "/model"}, Spoiled{"/model/path", "[]", "/model/path"},
                      Spoiled{"/engine/name", "", "/engine/name"}, Spoiled{"/request", "[]", "/request"},
                      Spoiled{"/request/device_memory_utilization", "1e300", "/request/device_memory_utilization"},
                      Spoiled{"/request/device_memory_utilization", R"("0.9")", "/request/device_memory_utilization"},
                      Spoiled{"/devices", "{}", "/devices"}, Spoiled{"/devices/1", "[]", "/devices/1"},
                      Spoiled{"/devices/1/weights_bytes", "", "/devices/1/weights_bytes"},
                      Spoiled{"/devices/1/weights_bytes", "-1", "/devices/1/weights_bytes"},
                      Spoiled{"/devices/1/weights_bytes", "1.5", "/devices/1/weights_bytes"},
                      Spoiled{"/devices/1/weights_bytes", R"("1")", "/devices/1/weights_bytes"},
                      Spoiled{"/devices/1/kv_cache_bytes", "18446744073709551615", "/devices/1/kv_cache_bytes"},
                      Spoiled{"/devices/1/budget_bytes", "288230376151711744", "/devices/1/budget_bytes"},
                      Spoiled{"/devices/0/unused_bytes", "-9223372036854775808", "/devices/0/unused_bytes"},
                      Spoiled{"/devices/0/total_bytes", "1e18", "/devices/0/total_bytes"}, Spoiled{"/items", "null", "/items"},
                      Spoiled{"/items/0/bytes", "288230376151711745", "/items/0/bytes"},
                      Spoiled{"/items/0/category", R"("magic")", "/items/0/category"}, Spoiled{"/items/2", "3", "/items/2"},
                      Spoiled{"/items/0/label", "{}", "/items/0/label"}, Spoiled{"/kv_cache", "null", "/kv_cache"},
                      Spoiled{"/kv_cache/pages", R"("many")", "/kv_cache/pages"}, Spoiled{"/limits/max_length", "", "/limits/max_length"},
                      Spoiled{"/host_memory", "{}", "/host_memory/bytes"}, Spoiled{"/error", R"({"code": 1})", "/error/code"}));

TEST(Diff, RefusesWhatIsNoDocument) {
  const PlanDocument good{"good", plan_to_json(planned("Qwen/Qwen3-8B", asked("H100")))};
  for (const char* text :
       {"", "   ", "{", "[]", "null", "[1, 2]", "tp: 8", R"({"schema": "plimsoll.plan/1"})", "\x00\x01", "{\"a\": 1, \"a\": 2}"}) {
    const auto diff = diff_documents(good, {"bad", text});
    ASSERT_FALSE(diff) << text;
    EXPECT_EQ(diff.error().code, ErrorCode::kBadRequest) << text;
    EXPECT_THAT(diff.error().where, ::testing::StartsWith("bad")) << text;
  }
  EXPECT_FALSE(diff_documents(good, {"deep", std::string(100000, '[')}));
}

// What somebody changed by hand still adds up, and says what its items do not explain.
TEST(Diff, FiguresThatItemsDoNotExplainAreARow) {
  const std::string sound = plan_to_json(planned("Qwen/Qwen3-8B", asked("H100", "vllm")));
  Json document = Json::parse(sound);
  document["devices"][0]["weights_bytes"] = document["devices"][0]["weights_bytes"].get<std::int64_t>() + 1000;
  document["devices"][0]["kv_cache_bytes"] = document["devices"][0]["kv_cache_bytes"].get<std::int64_t>() + 5;
  const auto diff = diff_documents({"a", sound}, {"b", document.dump()});
  ASSERT_TRUE(diff);
  EXPECT_EQ(steps(*diff, "weights_bytes").at("not in its items"), 1000);
  EXPECT_EQ(steps(*diff, "kv_cache_bytes").at("weights_bytes: not in its items"), -1000);
  EXPECT_EQ(steps(*diff, "kv_cache_bytes").at("parts that are not the budget's"), 1005);
}

} // namespace
} // namespace plimsoll
