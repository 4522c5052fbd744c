// Every number of the command line against values that are none, and the ways to give options.
#include <array>
#include <gmock/gmock.h>
#include <map>
#include <nlohmann/json.hpp>

#include "cli/program.hpp"

namespace plimsoll::cli_test {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using Json = nlohmann::ordered_json;

const std::array kNumbers{"--tp",
                          "--pp",
                          "--dp",
                          "--ep",
                          "--max-length",
                          "--max-batch-size",
                          "--max-batch-input-tokens",
                          "--max-batch-total-tokens",
                          "--device-memory-utilization",
                          "--vision-cache-utilization",
                          "--page-tokens",
                          "--num-draft-tokens",
                          "--weights-bytes",
                          "--kv-cache-bytes",
                          "--ubatch",
                          "--sequences",
                          "--redundant-experts",
                          "--nodes",
                          "--stage-layers"};

TEST(CliOptions, WhatIsNoNumberIsRefusedByName) {
  std::size_t row = 0;
  for (const std::string option : kNumbers)
    for (const std::string value : {"-1", "9223372036854775808", "18446744073709551615", "1e400", "NaN", "eight"}) {
      if (!is_tried(row++)) continue;
      const Outcome outcome = run({"plan", data_path("llama"), "--devices", "80GiB", option, value});
      EXPECT_EQ(outcome.code, 2) << option << " " << value << "\n" << outcome.out << outcome.err;
      EXPECT_THAT(outcome.err, StartsWith("plimsoll: error: "));
      EXPECT_THAT(outcome.err, HasSubstr(option));
      EXPECT_EQ(outcome.out, "");
    }
}

TEST(CliOptions, ExtremesAreAnsweredAndNeverCrash) {
  std::size_t row = 0;
  for (const std::string option : kNumbers)
    for (const std::string value : {"0", "1", "2147483648", "4294967296"}) {
      const std::size_t n = row++;
      if (!is_tried(n + n / 4)) continue; // each option with another value
      const Outcome outcome = run({"plan", data_path("llama"), "--devices", "80GiB", "--format", "json", option, value});
      EXPECT_THAT(outcome.code, AnyOf(0, 1, 2)) << option << " " << value << "\n" << outcome.err;
      const Json document = Json::parse(outcome.out, nullptr, false);
      ASSERT_FALSE(document.is_discarded()) << option << " " << value << "\n" << outcome.out;
      EXPECT_EQ(document["schema"], "plimsoll.plan/1");
      EXPECT_EQ(document["verdict"] == "error", outcome.code == 2);
    }
}

TEST(CliOptions, WordsThatMeanNothingAreRefused) {
  for (const auto& [option, value] : std::vector<std::pair<std::string, std::string>>{{"--devices", "8xNothing"},
                                                                                      {"--devices", "0xH100"},
                                                                                      {"--devices", "-1xH100"},
                                                                                      {"--devices", "nan"},
                                                                                      {"--engine", "nothing"},
                                                                                      {"--engine", "vllm@"},
                                                                                      {"--accounting", "both"},
                                                                                      {"--kv-dtype", "-1"},
                                                                                      {"--dtype", "float99"},
                                                                                      {"--phase", "training"},
                                                                                      {"--set", "x=1"},
                                                                                      {"--set", "engine.no_such_key=1"},
                                                                                      {"--format", "xml"},
                                                                                      {"--color", "blue"},
                                                                                      {"--trust", "me"},
                                                                                      {"--max-length", "auto:0"},
                                                                                      {"--max-lenght", "1"}}) {
    const Outcome outcome = run({"plan", data_path("llama"), "--devices", "80GiB", option, value});
    EXPECT_EQ(outcome.code, 2) << option << " " << value << "\n" << outcome.out << outcome.err;
    EXPECT_THAT(outcome.err, StartsWith("plimsoll: error: ")) << option << " " << value;
  }
}

TEST(CliOptions, UsageErrorsAreDocumentsToo) {
  for (const auto& arguments : std::vector<std::vector<std::string>>{{"plan", "--format", "json"},
                                                                     {"plan", "--format=json", "--nothing"},
                                                                     {"plan", "a", "b", "--format", "json"},
                                                                     {"nothing", "--format", "json"},
                                                                     {"plan", "--format", "json", "--tp"},
                                                                     {"plan", "m", "--format", "json", "--tp", "1", "--tp", "2"}}) {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, 2);
    const Json document = Json::parse(outcome.out, nullptr, false);
    ASSERT_FALSE(document.is_discarded()) << outcome.out;
    EXPECT_EQ(document["verdict"], "error");
    EXPECT_EQ(document["error"]["code"], "bad_request");
  }
  EXPECT_EQ(run(std::vector<std::string>{}).code, 2);
  EXPECT_EQ(run({"check"}).code, 2);
}

TEST(CliOptions, HelpAndVersion) {
  const Outcome help = run({"--help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_THAT(help.out, HasSubstr("Examples:"));
  EXPECT_THAT(run({"--version"}).out, StartsWith("plimsoll "));
  for (const std::string command : {"plan", "estimate", "explain", "weights", "plugins", "devices", "models", "new-plugin"}) {
    const Outcome outcome = run({command, "--help"});
    EXPECT_EQ(outcome.code, 0) << command;
    EXPECT_THAT(outcome.out, HasSubstr("plimsoll " + command)) << command;
    EXPECT_THAT(help.out, HasSubstr("  " + command)) << command;
  }
  const Outcome plan = run({"plan", "--help"});
  for (const std::string option : kNumbers) EXPECT_THAT(plan.out, HasSubstr(option + " "));
}

TEST(CliOptions, HelpIsADocumentToo) {
  const Json program = Json::parse(run({"--help", "--format", "json"}).out);
  EXPECT_EQ(program["schema"], "plimsoll.help/1");
  EXPECT_EQ(program["version"], run({"--version"}).out.substr(9, program["version"].get<std::string>().size()));
  ASSERT_GE(program["commands"].size(), 10U);
  for (const Json& command : program["commands"]) EXPECT_THAT(run({"--help"}).out, HasSubstr(command["summary"].get<std::string>()));
  const Outcome asked = run({"estimate", "--format", "json", "--help"});
  EXPECT_EQ(asked.code, 0);
  const Json estimate = Json::parse(asked.out);
  EXPECT_EQ(estimate["command"], "plimsoll estimate");
  EXPECT_EQ(estimate["arguments"][0]["name"], "FILE");
  std::map<std::string, Json> options;
  for (const Json& option : estimate["options"]) options[option["names"].back()] = option;
  EXPECT_EQ(options.at("--output")["names"], Json({"-o", "--output"}));
  EXPECT_EQ(options.at("--output")["argument"], "FILE");
  EXPECT_EQ(options.at("--quiet")["argument"], nullptr);
  EXPECT_EQ(options.at("--format")["argument"], "table|json|yaml|jsonl"); // what this command has
  EXPECT_THAT(run({"plan", "--help", "--format", "yaml"}).out, HasSubstr("argument: \"table|json|yaml|markdown|html\"\n"));
}

TEST(CliPipeline, GivesOptionsAndTheCommandLineWins) {
  const std::string file =
      write_scratch("pipeline.yaml", "model: " + data_path("llama") +
                                         "\ndevices: 2x80GiB\ntp: 2\nmax-length: 4096\nset:\n  engine.kv.page_tokens: 64\nformat: json\n");
  const Outcome plain = run({"plan", "--pipeline", file});
  ASSERT_EQ(plain.code, 0) << plain.out << plain.err;
  const Json document = Json::parse(plain.out);
  EXPECT_EQ(document["devices"].size(), 2U);
  EXPECT_EQ(document["request"]["max_length"], 4096);
  const Json other = Json::parse(run({"plan", "--pipeline", file, "--max-length", "8192"}).out);
  EXPECT_EQ(other["request"]["max_length"], 8192);
  EXPECT_EQ(other["request"]["tp"], 2);
}

TEST(CliPipeline, MistakesNameFileAndLine) {
  const Outcome unknown = run({"plan", "--pipeline", write_scratch("unknown.yaml", "tp: 2\nmax_lenght: 1\n")});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_THAT(unknown.err, HasSubstr("unknown.yaml:2"));
  EXPECT_THAT(unknown.err, HasSubstr("max_length"));
  const Outcome value = run({"plan", data_path("llama"), "--pipeline", write_scratch("value.yaml", "tp: 2\npp: -1\n")});
  EXPECT_EQ(value.code, 2);
  EXPECT_THAT(value.err, HasSubstr("value.yaml:2, pp"));
  EXPECT_EQ(run({"plan", "--pipeline", "/nonexistent.yaml"}).code, 2);
  EXPECT_EQ(run({"plan", "--pipeline", write_scratch("broken.yaml", "a: [")}).code, 2);
}

} // namespace
} // namespace plimsoll::cli_test
