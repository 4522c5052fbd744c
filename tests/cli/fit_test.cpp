// plimsoll fit and plan --layout auto as a user types them: documents, tables, exit codes, and rows whose command says the same again.
#include <algorithm>
#include <gmock/gmock.h>
#include <map>
#include <nlohmann/json.hpp>

#include "cli/program.hpp"

namespace plimsoll::cli_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using Json = nlohmann::ordered_json;

std::vector<std::string> words_of(const std::string& command) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < command.size();) {
    const std::size_t blank = std::min(command.find(' ', at), command.size());
    out.push_back(command.substr(at, blank - at));
    at = blank + 1;
  }
  return out;
}

std::vector<std::string> keys_of(const Json& object) {
  std::vector<std::string> out;
  for (const auto& [key, value] : object.items()) out.push_back(key);
  return out;
}

TEST(CliFit, TheDocumentIsTheContracts) {
  const std::string prices = write_scratch("prices.yaml", "H100: 2.5\nL40S: 0.9\n");
  const Outcome outcome = run({"fit", "Qwen/Qwen3-32B", "--length", "16384", "--concurrency", "8", "--engine", "vllm", "--on",
                               "H100,L40S,T4", "--prices", prices, "--format", "json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, IsEmpty()); // no progress where nobody looks
  const Json fit = Json::parse(outcome.out);
  EXPECT_THAT(keys_of(fit), ElementsAre("schema", "rows", "first_failure", "error", "folded_rows", "plans"));
  EXPECT_EQ(fit["schema"], "plimsoll.fit/1");
  ASSERT_FALSE(fit["rows"].empty());
  for (const Json& row : fit["rows"]) {
    EXPECT_THAT(keys_of(row), ElementsAre("devices", "layout", "verdict", "capacity_requests", "headroom_bytes", "price", "plan_command",
                                          "total_requests", "max_length", "quantize"));
    EXPECT_THAT(keys_of(row["layout"]), ElementsAre("tp", "pp", "dp", "ep", "stage_layers", "context_parallel"));
    std::vector<std::string> again = words_of(row["plan_command"]);
    ASSERT_EQ(again.front(), "plimsoll");
    again.erase(again.begin());
    again.insert(again.end(), {"--format", "json"});
    const Outcome planned = run(again);
    EXPECT_EQ(planned.code, 0) << row;
    const Json plan = Json::parse(planned.out);
    EXPECT_EQ(plan["verdict"], row["verdict"]);
    EXPECT_EQ(plan["kv_cache"]["capacity_requests"], row["capacity_requests"]);
  }
  EXPECT_THAT(keys_of(fit["first_failure"]), ElementsAre("devices", "layout", "error"));
}

// Every method has rows of its own among the others', each with the command that plans it; fewer bits never need more cards.
TEST(CliFit, MethodsOfQuantisationAreRankedTogether) {
  const Outcome served = run({"fit", "meta-llama/Llama-3.1-70B", "--length", "8192", "--concurrency", "4", "--engine", "vllm", "--on",
                              "L40S", "--quantize", "none,fp8,awq", "--format", "json"});
  EXPECT_EQ(served.code, 0) << served.err;
  const Json fit = Json::parse(served.out);
  std::map<std::string, std::string> devices;
  for (const Json& row : fit["rows"]) {
    const std::string method = row["quantize"];
    devices.emplace(method, row["devices"]);
    EXPECT_THAT(std::string(row["plan_command"]), HasSubstr("--quantize " + method));
  }
  EXPECT_EQ(devices, (std::map<std::string, std::string>{{"none", "4xL40S"}, {"fp8", "2xL40S"}, {"awq", "2xL40S"}}));
}

TEST(CliFit, TheTableSaysWhatServesAndWhatDoesNot) {
  const Outcome served = run({"fit", "meta-llama/Llama-3.1-70B", "--for", "16x8K,1x128K", "--engine", "vllm", "--on", "H100,H200"});
  EXPECT_EQ(served.code, 0) << served.err;
  EXPECT_THAT(served.out, StartsWith("fits: "));
  EXPECT_THAT(served.out, HasSubstr("requests of 131,072"));
  EXPECT_THAT(served.out, HasSubstr("What does not"));
  EXPECT_THAT(served.out, HasSubstr("plimsoll plan meta-llama/Llama-3.1-70B --devices "));
  const Outcome quiet = run({"fit", "Qwen/Qwen3-8B", "--on", "H100", "--length", "8192", "--quiet"});
  EXPECT_EQ(std::count(quiet.out.begin(), quiet.out.end(), '\n'), 1);
  const Outcome none = run({"fit", "deepseek-ai/DeepSeek-V3", "--on", "T4,L4", "--max-devices", "4"});
  EXPECT_EQ(none.code, 1);
  EXPECT_THAT(none.out, StartsWith("does not fit"));
  EXPECT_THAT(none.out, HasSubstr("4xL4"));
}

TEST(CliFit, WhatIsWrongIsRefused) {
  const std::string prices = write_scratch("bad_prices.yaml", "H100: 2.5\nL40S: free\n");
  struct Case {
    std::vector<std::string> arguments;
    std::string message;
  };
  for (const Case& c : {Case{{"--prices", prices}, "bad_prices.yaml:2"},
                        {{"--prices", "/nonexistent.yaml"}, "/nonexistent.yaml"},
                        {{"--for", "8y"}, "--for"},
                        {{"--for", "4x8k", "--length", "8192"}, "--for"},
                        {{"--on", "H10"}, "H100"},
                        {{"--on", "H100,,L4"}, "--on"},
                        {{"--max-devices", "0"}, "--max-devices"},
                        {{"--max-devices", "eight"}, "--max-devices"},
                        {{"--concurrency", "0"}, "--max-batch-size"},
                        {{"--length", "8192", "--max-length", "4096"}, "--max-length"},
                        {{"--devices", "8xH100"}, "--devices"},
                        {{"--tp", "7", "--max-devices", "6"}, "--max-devices"},
                        {{"--kv-dtype", "none"}, "none"}}) {
    std::vector<std::string> arguments{"fit", "Qwen/Qwen3-8B"};
    arguments.insert(arguments.end(), c.arguments.begin(), c.arguments.end());
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, 2) << c.message << outcome.out;
    EXPECT_THAT(outcome.err, HasSubstr(c.message));
    arguments.insert(arguments.end(), {"--format", "json"});
    const Outcome document = run(arguments);
    EXPECT_EQ(document.code, 2);
    EXPECT_EQ(Json::parse(document.out)["schema"], "plimsoll.fit/1");
    EXPECT_EQ(Json::parse(document.out)["error"]["code"], "bad_request");
  }
}

TEST(CliFit, TheLayoutOfAPlanIsFound) {
  const std::vector<std::string> asked{
      "plan", "meta-llama/Llama-3.1-70B", "--devices", "2xH100,2xA100-40GB", "--engine", "vllm", "--max-length", "8192"};
  EXPECT_EQ(run(asked).code, 1);
  std::vector<std::string> found = asked;
  found.insert(found.end(), {"--layout", "auto", "--format", "json"});
  const Outcome outcome = run(found);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  const Json request = Json::parse(outcome.out)["request"];
  EXPECT_EQ(request["tp"], 2);
  EXPECT_EQ(request["pp"], 2);
  EXPECT_EQ(request["stage_layers"], (Json{54, 26}));
  found = asked;
  found.insert(found.end(), {"--layout", "best"});
  const Outcome refused = run(found);
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("give auto"));
}

} // namespace
} // namespace plimsoll::cli_test
