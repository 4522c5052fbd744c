// The C API's requests and options: what has the wrong type or is not there is refused by name, never read as something else.
#include "plimsoll/host.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <string>

namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

struct Answer {
  int code = -1;
  Json error;
};

Answer create(const std::string& options) {
  plimsoll_context* context = nullptr;
  char* error = nullptr;
  Answer out;
  out.code = plimsoll_context_create(options.c_str(), nullptr, nullptr, &context, &error);
  if (error != nullptr) out.error = Json::parse(error);
  plimsoll_free(error);
  plimsoll_free(context);
  return out;
}

TEST(HostC, OptionsOfAContextAreHeldToTheirTypes) {
  struct Case {
    const char* options;
    const char* where;
    const char* message;
  };
  for (const Case& c : {Case{R"({"catalogue_path": "/nonexistent"})", "/nonexistent", "/nonexistent is no folder"},
                        {R"({"catalogue_path": 1})", "/catalogue_path", "catalogue_path takes"},
                        {R"({"plugin_paths": "x"})", "/plugin_paths", "plugin_paths takes"},
                        {R"({"plugin_paths": [1]})", "/plugin_paths", "plugin_paths takes"},
                        {R"({"trust": true})", "/trust", "trust takes"},
                        {R"({"trusted": "open"})", "/trusted", "unknown key"},
                        {"[]", "", "object"}}) {
    const Answer answer = create(c.options);
    EXPECT_EQ(answer.code, PLIMSOLL_HOST_BAD_REQUEST) << c.options;
    EXPECT_EQ(answer.error["code"], "bad_request") << c.options;
    EXPECT_EQ(answer.error["where"], c.where) << c.options;
    EXPECT_THAT(answer.error["message"].get<std::string>(), HasSubstr(c.message));
  }
}

TEST(HostC, KeysOfARequestAreHeldToTheirTypes) {
  plimsoll_context* context = nullptr;
  ASSERT_EQ(
      plimsoll_context_create("{\"catalogue_path\": \"" PLIMSOLL_SOURCE_DIR "/core/catalogue\"}", nullptr, nullptr, &context, nullptr),
      PLIMSOLL_HOST_OK);
  struct Case {
    const char* key;
    const char* value;
  };
  for (const Case& c : {Case{"model", "1"},
                        {"model", "[\"a\"]"},
                        {"config", "\"{}\""},
                        {"draft", "{}"},
                        {"explain", "\"yes\""},
                        {"explain", "\"true\""},
                        {"explain", "1"},
                        {"devices", "8"},
                        {"tp", "\"8\""},
                        {"tp", "true"},
                        {"stage_layers", "[\"31\"]"},
                        {"max_length", "\"8192\""},
                        {"device_memory_utilization", "\"0.9\""},
                        {"frontier", "\"true\""},
                        {"phase", "0"},
                        {"set", "7"}}) {
    const std::string request = std::string("{\"") + c.key + "\": " + c.value + "}";
    for (const auto function : {plimsoll_plan_json, plimsoll_weights_json}) {
      char* document = nullptr;
      EXPECT_EQ(function(context, request.c_str(), &document), PLIMSOLL_HOST_BAD_REQUEST) << request;
      const Json error = Json::parse(document)["error"];
      plimsoll_free(document);
      EXPECT_EQ(error["where"], std::string("/") + c.key) << request;
      EXPECT_THAT(error["message"].get<std::string>(), HasSubstr(std::string(c.key) + " takes ")) << request;
    }
  }
  plimsoll_free(context);
}

// These need no planner: a log without a model, a record that is only listed, and what is no log.
TEST(HostC, ComparesLogsGivenAsText) {
  plimsoll_context* context = nullptr;
  ASSERT_EQ(
      plimsoll_context_create("{\"catalogue_path\": \"" PLIMSOLL_SOURCE_DIR "/core/catalogue\"}", nullptr, nullptr, &context, nullptr),
      PLIMSOLL_HOST_OK);
  const auto compare = [&](const std::string& request, int& code) {
    char* document = nullptr;
    code = plimsoll_compare_json(context, request.c_str(), &document);
    const Json out = Json::parse(document);
    plimsoll_free(document);
    EXPECT_EQ(out["schema"], "plimsoll.compare/1") << request;
    return out;
  };
  int code = -1;
  const Json one = compare(R"({"logs": ["Available KV cache memory: 1.00 GiB\n"]})", code);
  EXPECT_EQ(code, PLIMSOLL_HOST_OK);
  EXPECT_EQ(one["engine"], "vllm");
  EXPECT_EQ(one["verdict"], "error"); // nothing says which model it was
  EXPECT_THAT(one["error"]["message"].get<std::string>(), HasSubstr("model"));
  EXPECT_EQ(one["error"]["where"], "log 1");
  const Json many = compare(R"({"logs": ["Available KV cache memory: 1.00 GiB\n"],
    "records": "{\"id\": \"r\", \"engine\": \"sglang\", \"not_compared\": \"why\"}"})",
                            code);
  EXPECT_EQ(code, PLIMSOLL_HOST_OK);
  ASSERT_EQ(many["starts"].size(), 2U);
  EXPECT_EQ(many["starts"][1]["verdict"], "nothing_judged");
  EXPECT_EQ(many["starts"][1]["note"], "why");
  struct Case {
    const char* request;
    const char* where;
  };
  for (const Case& c : {Case{"{}", "/logs"}, Case{R"({"logs": []})", "/logs"}, Case{R"({"logs": ["no engine's"]})", "log 1"},
                        Case{R"({"logs": [1]})", "/logs"}, Case{R"({"records": "{"})", "records:1"},
                        Case{R"({"logs": ["Available KV cache memory: 1.00 GiB"], "tolerance": "5 %"})", "/tolerance"},
                        Case{R"({"logs": ["Available KV cache memory: 1.00 GiB"], "tolerance": 2})", "--tolerance"}}) {
    const Json answer = compare(c.request, code);
    EXPECT_EQ(code, PLIMSOLL_HOST_BAD_REQUEST) << c.request;
    EXPECT_EQ(answer["error"]["where"], c.where) << c.request;
  }
  plimsoll_free(context);
}

} // namespace
