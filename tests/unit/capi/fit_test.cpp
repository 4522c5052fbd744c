// Which cards and layouts serve a model, through the C API: every row is what planning with its command's options says.
#include <cstdint>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <string>

#include "plimsoll/host.h"

namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using Json = nlohmann::json;

class FitC : public ::testing::Test {
protected:
  void SetUp() override {
    const char* options = R"({"catalogue_path": ")" PLIMSOLL_SOURCE_DIR R"(/core/catalogue", "plugin_paths": [")" PLIMSOLL_BUILD_DIR
                          R"(/lib/plimsoll/plugins"], "trust": "open"})";
    ASSERT_EQ(plimsoll_context_create(options, nullptr, nullptr, &context_, nullptr), PLIMSOLL_HOST_OK);
  }
  void TearDown() override { plimsoll_free(context_); }

  Json ask(int (*function)(const plimsoll_context*, const char*, char**), const Json& request) {
    char* text = nullptr;
    code_ = function(context_, request.dump().c_str(), &text);
    Json out = Json::parse(text);
    plimsoll_free(text);
    return out;
  }

  plimsoll_context* context_ = nullptr;
  int code_ = -1;
};

TEST_F(FitC, RowsArePlans) {
  const Json asked{{"model", "Qwen/Qwen3-32B"}, {"max_length", 32768}, {"max_batch_size", 16}};
  Json request = asked;
  request["on"] = {"H100", "T4", "H200", "48GiB"};
  const Json fit = ask(plimsoll_fit_json, request);
  ASSERT_EQ(code_, PLIMSOLL_HOST_OK) << fit;
  EXPECT_EQ(fit["schema"], "plimsoll.fit/1");
  EXPECT_EQ(fit["error"], nullptr);
  ASSERT_GE(fit["rows"].size(), 2U);
  std::uint64_t before = 0;
  for (const Json& row : fit["rows"]) {
    const Json& layout = row["layout"];
    const std::uint64_t n = layout["tp"].get<std::uint64_t>() * layout["pp"].get<std::uint64_t>();
    EXPECT_EQ(row["devices"].get<std::string>().substr(0, 1), std::to_string(n));
    EXPECT_GE(n, before);
    before = n;
    Json same = asked;
    same["devices"] = row["devices"];
    for (const char* degree : {"tp", "pp", "ep"}) same[degree] = layout[degree];
    const Json plan = ask(plimsoll_plan_json, same);
    EXPECT_EQ(plan["verdict"], row["verdict"]);
    EXPECT_EQ(plan["kv_cache"]["capacity_requests"], row["capacity_requests"]);
    EXPECT_GE(plan["limits"]["max_batch_at_max_length"], 16);
    EXPECT_THAT(row["plan_command"].get<std::string>(),
                StartsWith("plimsoll plan Qwen/Qwen3-32B --devices " + row["devices"].get<std::string>() + " --tp " + layout["tp"].dump() +
                           " --pp " + layout["pp"].dump() + " --dp 1 --ep " + layout["ep"].dump() +
                           " --max-length 32768 --max-batch-size 16 --plugin-path "));
  }
  // The next smaller number of the first row's card is short of something.
  EXPECT_NE(fit["first_failure"]["devices"], fit["rows"][0]["devices"]);
  EXPECT_FALSE(fit["first_failure"]["error"]["message"].get<std::string>().empty());
}

TEST_F(FitC, NothingServesWhatIsTooLarge) {
  const Json fit = ask(plimsoll_fit_json, {{"model", "deepseek-ai/DeepSeek-V3"}, {"on", {"T4", "L4"}}});
  EXPECT_EQ(code_, PLIMSOLL_HOST_OK);
  EXPECT_EQ(fit["rows"].size(), 0U);
  EXPECT_EQ(fit["first_failure"]["devices"], "8xL4"); // short by less than T4s are
  EXPECT_EQ(fit["first_failure"]["error"]["code"], "model_too_large");
}

TEST_F(FitC, TheWholeCatalogueIsTried) {
  const Json fit = ask(plimsoll_fit_json, {{"model", "Qwen/Qwen3-0.6B"}, {"max_devices", 1}, {"kv_dtype", "it's none"}});
  EXPECT_EQ(code_, PLIMSOLL_HOST_BAD_REQUEST); // in no layout
  EXPECT_THAT(fit["error"]["message"].get<std::string>(), HasSubstr("it's none"));
  EXPECT_GT(ask(plimsoll_fit_json, {{"model", "Qwen/Qwen3-0.6B"}, {"max_devices", 1}})["rows"].size(), 40U);
}

TEST_F(FitC, CommandsAreQuotedForAShell) {
  const Json fit = ask(plimsoll_fit_json, {{"model", PLIMSOLL_SOURCE_DIR "/tests/data/cli/llama"},
                                           {"on", "80GiB"},
                                           {"set", {{"engine.prefix_caching", false}}},
                                           {"max_length", "auto:4096"}});
  ASSERT_EQ(code_, PLIMSOLL_HOST_OK) << fit;
  EXPECT_THAT(fit["rows"][0]["plan_command"].get<std::string>(), HasSubstr(" --set engine.prefix_caching=false --max-length auto:4096 "));
}

} // namespace
