// plimsoll/limits.hpp holds wherever a request comes from: the command line, a pipeline file, the C API, a host's own values
// and, for what it has too, the estimator. At the limit a plan is made; one beyond is refused by the option's name.
#include "plimsoll/limits.hpp"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "cli/program.hpp"
#include "plimsoll/host.h"
#include "plimsoll/host.hpp"

namespace plimsoll::cli_test {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

struct Limit {
  std::string option; // with underscores
  std::uint64_t most;
  Json beside;                     // the request's other options
  void (*beyond)(PlanRequest&);    // as a host's own value; nullptr: the type holds no more
  std::vector<std::string> places; // of the same figure in an estimate
  std::string refused_for = {};    // at the limit: why this model is not planned so; empty: it is
};

const Json kOne{{"devices", "80GiB"}}, kMany{{"devices", "65536x80GiB"}}, kAdapters{{"devices", "80GiB"}, {"engine", "reference"}},
    kDealt{{"devices", "80GiB"}, {"engine", "llama.cpp"}};

Json many(const char* option) {
  Json out = kMany;
  out["tp"] = 1;
  if (option != nullptr) out[option] = kMaxRanks;
  return out;
}

std::vector<Limit> limits() {
  return {
      {"tp", kMaxRanks, kMany, [](PlanRequest& r) { r.tp = kMaxRanks + 1; }, {}, "does not divide the 32 heads"},
      {"pp", kMaxRanks, many(nullptr), [](PlanRequest& r) { r.pp = kMaxRanks + 1; }, {}, "more than the model's 32 layers"},
      {"dp", kMaxRanks, many(nullptr), [](PlanRequest& r) { r.dp = kMaxRanks + 1; }, {}},
      {"ep", kMaxRanks, many("dp"), [](PlanRequest& r) { r.ep = kMaxRanks + 1; }, {}, "has no experts"},
      {"nodes", kMaxRanks, many("dp"), [](PlanRequest& r) { r.nodes = kMaxRanks + 1; }, {}},
      {"redundant_experts", kMaxRanks, kOne, nullptr, {}},
      {"max_length", kMaxTokens, kOne, [](PlanRequest& r) { r.max_length = kMaxTokens + 1; }, {"/max_length", "/draft/max_length"}},
      {"max_batch_size", kMaxSequences, kOne, [](PlanRequest& r) { r.max_batch_size = kMaxSequences + 1; }, {"/max_batch_size"}},
      {"sequences", kMaxSequences, kOne, nullptr, {}},
      {"max_batch_input_tokens",
       kMaxTokens,
       kOne,
       [](PlanRequest& r) { r.max_batch_input_tokens = kMaxTokens + 1; },
       {"/max_batch_input_tokens"}},
      {"ubatch", kMaxTokens, kOne, nullptr, {}},
      {"max_batch_total_tokens", kMaxTokens, kOne, [](PlanRequest& r) { r.max_batch_total_tokens = kMaxTokens + 1; }, {}},
      {"images_per_request", kMaxSequences, kOne, [](PlanRequest& r) { r.images_per_request = kMaxSequences + 1; }, {}},
      {"page_tokens", kMaxPageTokens, kOne, [](PlanRequest& r) { r.page_tokens = kMaxPageTokens + 1; }, {"/kv_cache/page_tokens"}},
      {"num_draft_tokens",
       kMaxDraftTokens,
       Json{{"devices", "80GiB"}, {"draft", data_path("llama")}},
       [](PlanRequest& r) { r.num_draft_tokens = kMaxDraftTokens + 1; },
       {"/draft/num_draft_tokens"}},
      {"max_loras", kMaxLoras, kAdapters, [](PlanRequest& r) { r.max_loras = kMaxLoras + 1; }, {}},
      {"max_lora_rank", kMaxLoraRank, kAdapters, [](PlanRequest& r) { r.max_lora_rank = kMaxLoraRank + 1; }, {}, "give --max-loras"},
      {"host", kMaxBytes, kOne, [](PlanRequest& r) { r.host_bytes = kMaxBytes + 1; }, {}},
      {"gpu_layers", kMaxRanks, kDealt, nullptr, {}},
      {"n_cpu_moe", kMaxRanks, kDealt, nullptr, {}},
      {"weights_bytes", kMaxBytes, kOne, [](PlanRequest& r) { r.weights_bytes = kMaxBytes + 1; }, {"/sizes/weights_bytes"}},
      {"kv_cache_bytes", kMaxBytes, kOne, [](PlanRequest& r) { r.kv_cache_bytes = kMaxBytes + 1; }, {}},
  };
}

std::string flag(const std::string& named) {
  std::string option = named;
  std::replace(option.begin(), option.end(), '_', '-');
  return "--" + option;
}

std::string text(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

// Whether there is a plan, or what was said instead. The document of 65,536 ranks is not asked for: it is large.
struct Answer {
  bool made = false, refused = false;
  std::string said;
};

Answer answer(const Outcome& outcome) { return {outcome.code == 0 || outcome.code == 1, outcome.code == 2, outcome.err}; }

Answer by_command(const Limit& limit, std::uint64_t value) {
  std::vector<std::string> arguments{"plan", data_path("llama"), "--quiet", flag(limit.option), std::to_string(value)};
  for (const auto& [name, other] : limit.beside.items()) {
    arguments.push_back(flag(name));
    arguments.push_back(text(other));
  }
  return answer(run(arguments));
}

Answer by_pipeline(const Limit& limit, std::uint64_t value) {
  std::string file = "model: " + data_path("llama") + "\n" + limit.option + ": " + std::to_string(value) + "\n";
  for (const auto& [name, other] : limit.beside.items()) file += name + ": " + text(other) + "\n";
  return answer(run({"plan", "--quiet", "--pipeline", write_scratch("limits.yaml", file)}));
}

Answer by_c(const Limit& limit, std::uint64_t value) {
  Json request = limit.beside;
  request["model"] = data_path("llama");
  request[limit.option] = value;
  plimsoll_context* context = nullptr;
  plimsoll_plan* plan = nullptr;
  char* error = nullptr;
  EXPECT_EQ(plimsoll_context_create(nullptr, nullptr, nullptr, &context, nullptr), PLIMSOLL_HOST_OK);
  const int code = plimsoll_plan_create(context, request.dump().c_str(), &plan, &error);
  const Answer out{code == PLIMSOLL_HOST_OK, code == PLIMSOLL_HOST_BAD_REQUEST, error == nullptr ? "" : error};
  for (void* object : {static_cast<void*>(error), static_cast<void*>(plan), static_cast<void*>(context)}) plimsoll_free(object);
  return out;
}

TEST(Limits, HoldForEveryOptionWhereverItComesFrom) {
  struct Way {
    const char* name;
    Answer (*ask)(const Limit&, std::uint64_t);
    std::string (*where)(const std::string&);
  };
  std::size_t row = 0;
  for (const Way& way : {Way{"command line", by_command, flag},
                         Way{"pipeline file", by_pipeline, [](const std::string& option) { return "limits.yaml:2, " + option; }},
                         Way{"C API", by_c, [](const std::string& option) { return "/" + option; }}})
    for (const Limit& limit : limits()) {
      if (way.ask != by_c && !is_tried(row++)) continue;
      const std::string name = std::string(way.name) + ", " + limit.option;
      const Answer at = way.ask(limit, limit.most);
      EXPECT_EQ(at.made, limit.refused_for.empty()) << name << ": " << at.said;
      EXPECT_THAT(at.said, HasSubstr(limit.refused_for)) << name;
      const Answer beyond = way.ask(limit, limit.most + 1);
      EXPECT_TRUE(beyond.refused) << name;
      EXPECT_THAT(beyond.said, HasSubstr(way.where(limit.option))) << name;
      EXPECT_THAT(beyond.said, HasSubstr(std::to_string(limit.most))) << name;
    }
}

TEST(Limits, HoldForAHostsOwnValues) {
  const auto context = Context::create({});
  ASSERT_TRUE(context) << context.error().message;
  const auto model = context->load(data_path("llama"));
  ASSERT_TRUE(model) << model.error().message;
  for (const Limit& limit : limits()) {
    if (limit.beyond == nullptr) continue;
    PlanRequest request;
    request.devices = "80GiB";
    limit.beyond(request);
    const auto plan = context->plan(*model, request);
    ASSERT_FALSE(plan) << limit.option;
    EXPECT_EQ(plan.error().code, ErrorCode::kBadRequest) << limit.option;
    EXPECT_EQ(plan.error().where, flag(limit.option)) << plan.error().message;
    EXPECT_THAT(plan.error().message, HasSubstr(std::to_string(limit.most)));
  }
}

// Of the C API; the command says the same, with the name of its input before the place.
Json estimate_of(const Json& request) {
  char* document = nullptr;
  plimsoll_estimate_json(request.dump().c_str(), &document);
  Json answer = Json::parse(document == nullptr ? "" : document, nullptr, false);
  plimsoll_free(document);
  Invocation piped;
  piped.arguments = {"estimate", "-", "--format", "json"};
  piped.input = request.dump();
  Json command = Json::parse(run(piped).out, nullptr, false);
  if (command["error"].is_object()) command["error"]["where"] = answer["error"]["where"];
  EXPECT_EQ(command, answer);
  return answer;
}

TEST(Limits, HoldForEstimates) {
  const Json usual = Json::parse(R"({"devices": [{"free_bytes": 85899345920}], "max_length": 4096,
    "kv_cache": {"caches": [{"layers": 32, "kv_heads": 8, "head_dim": 128}]}})");
  for (const Limit& limit : limits())
    for (const std::string& place : limit.places) {
      Json request = usual;
      request[Json::json_pointer(place)] = limit.most;
      const Json at = estimate_of(request);
      EXPECT_TRUE(at["error"].is_null() || at["error"]["code"] != "bad_request") << place << ": " << at;
      request[Json::json_pointer(place)] = limit.most + 1;
      const Json beyond = estimate_of(request);
      EXPECT_EQ(beyond["error"]["code"], "bad_request") << place;
      EXPECT_EQ(beyond["error"]["where"], place);
      EXPECT_THAT(text(beyond["error"]["message"]), HasSubstr(std::to_string(limit.most))) << place;
    }
}

TEST(Limits, HoldForTheNumberOfDevices) {
  for (const std::uint64_t count : {kMaxRanks, kMaxRanks + 1}) {
    const bool fine = count == kMaxRanks;
    const Outcome plan = run({"plan", data_path("llama"), "--devices", std::to_string(count) + "x80GiB", "--tp", "1", "--dp",
                              std::to_string(kMaxRanks), "--quiet"});
    EXPECT_EQ(plan.code, fine ? 0 : 2) << plan.err;
    EXPECT_THAT(plan.err, HasSubstr(fine ? "" : "--devices"));
    Json request{{"max_length", 4096}, {"devices", Json::array()}};
    for (std::uint64_t i = 0; i < count; ++i) request["devices"].push_back({{"free_bytes", 85899345920}});
    const Json estimate = estimate_of(request);
    EXPECT_EQ(estimate["fits"], fine) << estimate["error"];
    EXPECT_THAT(estimate["error"].dump(), HasSubstr(fine ? "null" : "\"/devices\""));
  }
}

} // namespace
} // namespace plimsoll::cli_test
