// What help says is so: topics, defaults, the options of a command, and how little of it a command that needs less shows.
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <regex>

#include "cli/program.hpp"

namespace plimsoll::cli_test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Json = nlohmann::ordered_json;

TEST(CliHelp, VersionsHaveTheSpellingsOfOtherTools) {
  for (const std::string word : {"--version", "-V", "version"}) {
    const Outcome outcome = run({word});
    EXPECT_EQ(outcome.code, 0) << word;
    EXPECT_THAT(outcome.out, StartsWith("plimsoll ")) << word;
  }
}

TEST(CliHelp, OfACommandAndOfATopic) {
  EXPECT_EQ(run({"help", "plan"}).out, run({"plan", "--help"}).out);
  for (const std::string topic : {"devices-file", "engine-profile"}) {
    const Outcome outcome = run({"help", topic});
    EXPECT_EQ(outcome.code, 0) << topic;
    EXPECT_THAT(run({"--help"}).out, HasSubstr("  " + topic)) << topic;
    EXPECT_EQ(Json::parse(run({"help", topic, "--format", "json"}).out)["text"], outcome.out) << topic;
  }
  EXPECT_EQ(Json::parse(run({"help", "plan", "--format", "json"}).out)["command"], "plimsoll plan");
  const Outcome unknown = run({"help", "nothing"});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_THAT(unknown.err, HasSubstr("'nothing'"));
}

// The keys that the reader names are those of the page, and the page's example is a file that is taken.
TEST(CliHelp, ThePageOfDeviceFilesIsRight) {
  const std::string page = run({"help", "devices-file"}).out;
  const Outcome refused = run({"plan", data_path("llama"), "--devices", write_scratch("keys.yaml", "- {nothing: 1}\n")});
  const std::size_t known = refused.err.find("known are ");
  ASSERT_NE(known, std::string::npos) << refused.err;
  std::string keys = refused.err.substr(known + 10);
  keys = keys.substr(0, keys.find(" ("));
  std::size_t count = 0;
  for (std::size_t at = 0; at < keys.size(); ++count) {
    const std::size_t end = std::min(keys.find(", ", at), keys.size());
    const std::string key = keys.substr(at, end - at);
    EXPECT_TRUE(std::regex_search(page, std::regex("\n  ([a-z_]+, )?" + key + "[ ,]"))) << key;
    at = end + 2;
  }
  EXPECT_GE(count, 11U) << keys;
  const std::size_t begin = page.find("  devices:"), end = page.find("\n\n", begin);
  const std::string file = write_scratch("example.yaml", page.substr(begin, end - begin) + "\n");
  const Outcome planned =
      run({"plan", data_path("llama"), "--devices", file, "--pp", "9", "--stage-layers", "4,4,4,4,4,4,4,2,2", "--format", "json"});
  EXPECT_EQ(Json::parse(planned.out)["devices"].size(), 9U) << planned.out;
}

TEST(CliHelp, DeviceFilesMayBeJson) {
  const std::string file = write_scratch("devices.json", R"({"devices": [{"name": "A100-40GB", "count": 2, "free_bytes": "38GiB"}]})");
  const Json document = Json::parse(run({"plan", data_path("llama"), "--devices", file, "--format", "json"}).out);
  ASSERT_EQ(document["devices"].size(), 2U) << document;
  EXPECT_EQ(document["devices"][1]["free_bytes"], 38ULL << 30);
  EXPECT_THAT(run({"plan", data_path("llama"), "--devices", "none.json"}).err, HasSubstr("no such file"));
}

TEST(CliHelp, ThePageOfProfilesIsRight) {
  const std::string page = run({"help", "engine-profile"}).out;
  const std::size_t begin = page.find("  schema:"), end = page.find("\n\n", begin);
  std::string text;
  for (std::size_t at = begin; at < end;) { // without the page's margin
    const std::size_t line = std::min(page.find('\n', at), end);
    text += page.substr(at + 2, line - at - 2) + "\n";
    at = line + 1;
  }
  const Outcome outcome =
      run({"plan", data_path("llama"), "--devices", "80GiB", "--engine", write_scratch("mine.yaml", text), "--format", "json"});
  EXPECT_EQ(outcome.code, 0) << outcome.out << text;
  const Json document = Json::parse(outcome.out);
  EXPECT_EQ(document["engine"]["name"], "mine");
  EXPECT_EQ(document["kv_cache"]["page_tokens"], 16);
  for (const std::string key : {"budget", "batch", "kv", "activations", "overheads", "start", "choices"})
    EXPECT_TRUE(std::regex_search(page, std::regex("\n  " + key + " +[a-z]"))) << key;
}

TEST(CliHelp, DefaultsThatItNamesAreThose) {
  const std::string help = run({"plan", "--help"}).out;
  const Json request = Json::parse(run({"plan", data_path("llama"), "--devices", "80GiB", "--format", "json"}).out)["request"];
  EXPECT_THAT(help, HasSubstr("the engine's, " + request["max_batch_input_tokens"].dump() + " for max"));
  EXPECT_THAT(help, HasSubstr("the engine's, " + request["device_memory_utilization"].dump() + " for max"));
  EXPECT_THAT(help, HasSubstr("the engine's, " + request["page_tokens"].dump() + " for max"));
}

// What matters most comes first, what every command has last; nothing is said with two blank lines.
TEST(CliHelp, BeginsWithWhatMattersMost) {
  const std::string help = run({"plan", "--help"}).out;
  std::size_t last = 0;
  for (const std::string title :
       {"\nOptions:", "--devices ", "--engine ", "--max-length ", "\nRanks:", "--pp ", "\nMemory:", "\nOutput:"}) {
    const std::size_t at = help.find(title);
    ASSERT_NE(at, std::string::npos) << title;
    EXPECT_GT(at, last) << title;
    last = at;
  }
  for (const std::string command : {"plan", "weights", "models", "estimate"})
    EXPECT_THAT(run({command, "--help"}).out, Not(HasSubstr("\n\n\n"))) << command;
}

// An option that changes nothing there is not shown, and taken as before.
TEST(CliHelp, OfWeightsShowsWhatMattersThere) {
  const std::string help = run({"weights", "--help"}).out;
  for (const std::string option : {"--tp ", "--ep ", "--devices ", "--dtype ", "--draft "}) EXPECT_THAT(help, HasSubstr(option));
  for (const std::string option : {"--kv-dtype", "--frontier", "--max-length", "--gpu-layers"}) EXPECT_THAT(help, Not(HasSubstr(option)));
  const Outcome taken = run({"weights", data_path("llama"), "--kv-dtype", "float8_e4m3fn"});
  EXPECT_EQ(taken.code, 0) << taken.err;
  EXPECT_EQ(taken.out, run({"weights", data_path("llama")}).out);
}

} // namespace
} // namespace plimsoll::cli_test
