#include "document/plan_json.hpp"

#include <gmock/gmock.h>
#include <string>
#include <vector>
#include <yaml-cpp/yaml.h>

namespace plimsoll {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

DevicePlan device(std::uint32_t rank, std::int64_t unused) {
  DevicePlan out;
  out.rank = rank;
  out.name = "H200";
  out.total_bytes = 1000;
  out.free_bytes = 990;
  out.budget_bytes = 900;
  out.weights_bytes = 500;
  out.activation_bytes = 60;
  out.kv_cache_bytes = 300;
  out.unused_bytes = unused;
  return out;
}

Plan sample() {
  Plan plan;
  plan.model = {"/m", "LlamaForCausalLM",    "llama", "dense", {{"dense", "1.0.0", {"embedding", "head"}, {}, {}, {}}},
                8,    WeightsSource::kConfig};
  plan.engine = {"max", "25.1"};
  plan.request.tp = 2;
  plan.request.device_memory_utilization = 0.9;
  plan.request.engine_overrides = {{"b", "2"}, {"a", "1"}};
  plan.devices = {device(0, 40), device(1, -7)};
  plan.kv_cache.groups = {{"main", CacheKind::kFull, 32, 128, std::nullopt, 0, Basis::kExact},
                          {"swa", CacheKind::kWindow, 4, 64, 4096, 0, Basis::kExact}};
  plan.items = {{Category::kWeights, "mlp", Basis::kExact, "dense", "", true, MemoryKind::kDevice, {500, 500}},
                {Category::kActivation, "attention", Basis::kBound, "dense", "2 x 30", true, MemoryKind::kDevice, {60, 0}},
                {Category::kActivation, "covered", Basis::kBound, "dense", "", false, MemoryKind::kDevice, {10, 10}}};
  plan.advice = {{"--max-length", "65536", "m"}, {"--kv-dtype", "float8_e4m3fn", "m"}, {"--device-memory-utilization", "0.95", "m"}};
  return plan;
}

std::vector<std::string> keys(const Json& object) {
  std::vector<std::string> out;
  for (const auto& entry : object.items()) out.push_back(entry.key());
  return out;
}

// Keys of what only some plugins' plans have.
TEST(Document, ShowsWorkspacesHostMemoryAndDialectsWhereTheyAre) {
  Plan plan = sample();
  for (const char* key : {"workspace_bytes", "host_memory", "modalities", "\"as\"", "aliased_by"})
    EXPECT_EQ(plan_to_json(plan).find(key), std::string::npos) << key;
  plan.devices[1].workspace_bytes = 7;
  plan.host_memory_bytes = 12;
  plan.items.push_back({Category::kWeights, "tables", Basis::kExact, "dense", "", true, MemoryKind::kHost, {12, 0}});
  plan.entries = {{"sound", Modality::kAudio, 10, 640, 3, 0}, {"picture", Modality::kImage, 20, 1280, 1, 8}};
  plan.model.planners[0].as = "qwen3";
  plan.model.planners[0].aliased_by = "com.acme";
  const Json d = Json::parse(plan_to_json(plan));
  EXPECT_EQ(d["devices"][0]["workspace_bytes"], 0);
  EXPECT_EQ(d["totals"]["workspace_bytes"], 7);
  EXPECT_EQ(d["host_memory"]["bytes"], 12);
  EXPECT_EQ(d["host_memory"]["items"][0]["label"], "tables");
  EXPECT_EQ(d["items"].size(), 3U); // none of the host's
  EXPECT_EQ(d["vision_cache"]["modalities"][0]["modality"], "audio");
  EXPECT_EQ(d["vision_cache"]["modalities"][0]["most_per_request"], nullptr);
  EXPECT_EQ(d["vision_cache"]["modalities"][1]["most_per_request"], 8);
  EXPECT_EQ(d["model"]["planners"][0]["as"], "qwen3");
  EXPECT_EQ(d["model"]["planners"][0]["aliased_by"], "com.acme");
}

TEST(Document, KeysStandInTheOrderOfTheContract) {
  const Json document = Json::parse(plan_to_json(sample()));
  EXPECT_THAT(keys(document), ElementsAre("schema", "verdict", "model", "engine", "request", "devices", "totals", "kv_cache", "limits",
                                          "vision_cache", "items", "covered_items", "warnings", "advice", "error"));
  EXPECT_THAT(keys(document["model"]),
              ElementsAre("path", "architecture", "model_type", "family", "planners", "parameters", "weights_source"));
  EXPECT_THAT(keys(document["devices"][0]),
              ElementsAre("rank", "name", "kind", "total_bytes", "free_bytes", "budget_bytes", "weights_bytes", "activation_bytes",
                          "signal_buffer_bytes", "vision_cache_bytes", "overhead_bytes", "kv_cache_bytes", "unused_bytes"));
  EXPECT_THAT(keys(document["kv_cache"]), ElementsAre("dtype", "page_tokens", "pages", "capacity_tokens", "capacity_requests",
                                                      "engine_reported_tokens", "bytes_per_token_per_device", "state_slots", "groups"));
  EXPECT_THAT(keys(document["items"][0]), ElementsAre("rank", "category", "label", "bytes", "basis", "planner"));
  EXPECT_EQ(document["request"]["accounting"], "per_device");
  EXPECT_TRUE(document["kv_cache"]["groups"][0]["window_tokens"].is_null());
  EXPECT_EQ(document["kv_cache"]["groups"][1]["window_tokens"], 4096);
  EXPECT_TRUE(document["error"].is_null());
}

TEST(Document, TotalsAreSumsAndSaturate) {
  Plan plan = sample();
  Json totals = Json::parse(plan_to_json(plan))["totals"];
  EXPECT_EQ(totals["weights_bytes"], 1000);
  EXPECT_EQ(totals["unused_bytes"], 33);
  plan.devices[0].free_bytes = UINT64_MAX;
  totals = Json::parse(plan_to_json(plan))["totals"];
  EXPECT_EQ(totals["free_bytes"].get<std::uint64_t>(), UINT64_MAX);
}

TEST(Document, ItemsAreOneEntryPerRankThatHoldsThem) {
  const Json document = Json::parse(plan_to_json(sample()));
  ASSERT_EQ(document["items"].size(), 3U);
  EXPECT_EQ(document["items"][1]["label"], "attention");
  EXPECT_EQ(document["items"][1]["formula"], "2 x 30");
  EXPECT_EQ(document["items"][2]["rank"], 1);
  EXPECT_EQ(document["covered_items"].size(), 2U);
}

TEST(Document, AdviceIsTypedAsTheOptionTakesIt) {
  Plan plan = sample();
  plan.advice.push_back({"--kv-dtype", "007", "m"});
  plan.advice.push_back({"--stage-layers", "54,26", "m", "plimsoll plan m --tp 2", {{"tp", "2"}, {"stage_layers", "54,26"}, {"ep", {}}}});
  plan.advice.push_back({"--max-length", "auto:4096", "m", "", {{"frontier", "true"}, {"devices", "2xH100"}}});
  const Json advice = Json::parse(plan_to_json(plan))["advice"];
  EXPECT_EQ(advice[0]["value"], 65536);
  EXPECT_EQ(advice[0]["options"], Json::object());
  EXPECT_EQ(advice[1]["value"], "float8_e4m3fn");
  EXPECT_EQ(advice[2]["value"], 0.95);
  EXPECT_EQ(advice[3]["value"], "007");
  EXPECT_EQ(advice[4]["value"], Json::parse("[54, 26]"));
  EXPECT_EQ(advice[4]["command"], "plimsoll plan m --tp 2");
  EXPECT_EQ(advice[4]["options"], Json::parse(R"({"tp": 2, "stage_layers": [54, 26], "ep": null})"));
  EXPECT_EQ(advice[5]["value"], "auto:4096");
  EXPECT_EQ(advice[5]["options"], Json::parse(R"({"frontier": true, "devices": "2xH100"})"));
}

TEST(Document, EqualPlansGiveIdenticalBytes) {
  EXPECT_EQ(plan_to_json(sample()), plan_to_json(sample()));
  EXPECT_EQ(plan_to_yaml(sample()), plan_to_yaml(sample()));
  EXPECT_EQ(plan_to_json(sample(), -1).find('\n'), std::string::npos);
}

TEST(Document, AnErrorIsADocumentOfTheSameKeys) {
  const Json document = Json::parse(error_to_json({ErrorCode::kBadConfig, "found x", "config.json#/a"}));
  EXPECT_EQ(keys(document), keys(Json::parse(plan_to_json(sample()))));
  EXPECT_EQ(document["verdict"], "error");
  EXPECT_THAT(keys(document["error"]), ElementsAre("code", "message", "where"));
  EXPECT_EQ(document["error"]["code"], "bad_config");
  const Json failure = Json::parse(failure_to_json("plimsoll.weights/1", {ErrorCode::kInternal, "m", ""}));
  EXPECT_THAT(keys(failure), ElementsAre("schema", "error"));
}

TEST(Document, BytesThatAreNotUtf8DoNotBreakTheDocument) {
  Plan plan = sample();
  plan.model.path = "/models/\xff\xfe\x01";
  EXPECT_FALSE(Json::parse(plan_to_json(plan), nullptr, false).is_discarded());
  EXPECT_NO_THROW(YAML::Load(plan_to_yaml(plan)));
}

TEST(Document, YamlSaysTheSame) {
  const YAML::Node yaml = YAML::Load(plan_to_yaml(sample()));
  EXPECT_EQ(yaml["devices"][1]["unused_bytes"].as<std::int64_t>(), -7);
  EXPECT_EQ(yaml["request"]["engine_overrides"]["a"].as<std::string>(), "1");
  EXPECT_TRUE(yaml["error"].IsNull());
  EXPECT_THAT(plan_to_yaml(sample()), HasSubstr("verdict: \"fits\"\n"));
  EXPECT_FALSE(document_to_yaml("{").has_value());
  EXPECT_FALSE(document_to_yaml(std::string(100'000, '[') + std::string(100'000, ']')).has_value());
  EXPECT_EQ(document_to_yaml(R"({"a": [], "b": {}, "c": "1"})").value(), "a: []\nb: {}\nc: \"1\"");
}

TEST(Document, TheFrontierStandsBetweenLimitsAndVisionCacheWhereItWasAskedFor) {
  Plan plan = sample();
  EXPECT_FALSE(Json::parse(plan_to_json(plan)).contains("frontier"));
  plan.frontier = {{"bfloat16", {{256, 10}, {512, 5}}}};
  const Json document = Json::parse(plan_to_json(plan));
  EXPECT_EQ(document["frontier"][0]["kv_dtype"], "bfloat16");
  EXPECT_EQ(document["frontier"][0]["points"][1], (Json{{"max_length", 512}, {"max_batch_size", 5}}));
  const std::vector<std::string> names = keys(document);
  const auto at = [&](const char* name) { return std::find(names.begin(), names.end(), name) - names.begin(); };
  EXPECT_LT(at("limits"), at("frontier"));
  EXPECT_LT(at("frontier"), at("vision_cache"));
}

TEST(Document, VerifyHasAPartForEachCacheWithItsDifference) {
  VerifyReport report;
  report.backend = "CUDA runtime 13.0";
  report.plan = sample();
  report.granularity_bytes = 2097152;
  report.devices = {{1, "H100", 1000, 1000, {{Category::kKvCache, 300, 320}, {Category::kSignalBuffer, 50, 40}}, {}}};
  const Json document = Json::parse(verify_to_json(report));
  EXPECT_THAT(keys(document), ElementsAre("schema", "holds", "backend", "granularity_bytes", "devices", "plan", "error"));
  EXPECT_EQ(document["devices"][0]["parts"][0]["difference_bytes"], 20);
  EXPECT_EQ(document["devices"][0]["parts"][1]["difference_bytes"], -10);
  EXPECT_EQ(document["plan"]["schema"], "plimsoll.plan/1");
  report.error = Error{ErrorCode::kOutOfMemory, "refused", "device 1"};
  EXPECT_EQ(Json::parse(verify_to_json(report))["error"]["code"], "out_of_memory");
}

TEST(Document, WeightsPluginsModelsAndDevices) {
  WeightsReport report;
  report.source = WeightsSource::kConfig;
  report.classes = {{"mlp", "mlp.{layer}", "bfloat16", "tp", "model", "dense", 2, {4, 8}, 128, 64, std::nullopt}};
  report.rank_bytes = {64, 64};
  const Json weights = Json::parse(weights_to_json(report));
  EXPECT_THAT(keys(weights), ElementsAre("schema", "source", "parameters", "declared_bytes", "stored_bytes", "classes", "unclaimed",
                                         "missing", "mismatched", "not_loaded", "ranks", "notes"));
  EXPECT_TRUE(weights["stored_bytes"].is_null());
  EXPECT_EQ(weights["ranks"][1]["rank"], 1);
  EXPECT_EQ(Json::parse(plugins_to_json({}))["plugins"].size(), 0U);
  EXPECT_EQ(Json::parse(models_to_json({{"a", "b", "c", 1, 2, 3}}))["models"][0]["kv_bytes_per_token"], 3);
  const Json devices = Json::parse(devices_to_json({}, fail(ErrorCode::kBadRequest, "no driver")));
  EXPECT_EQ(devices["no_devices_because"]["message"], "no driver");
  const Json real =
      Json::parse(devices_to_json({}, std::vector<RealDevice>{{0, "NVIDIA H100", "H100", "gpu", "hopper", 90, 80, 70, {1, 2}}}));
  EXPECT_THAT(keys(real["devices"][0]),
              ElementsAre("index", "name", "card", "kind", "arch", "compute_capability", "total_bytes", "free_bytes", "peers"));
  EXPECT_EQ(real["devices"][0]["peers"], Json({1, 2}));
}

} // namespace
} // namespace plimsoll
