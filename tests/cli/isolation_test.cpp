// What a plugin does to its process, seen from the command line: exit 3 with plugin and call named, one JSON document, -o where the user
// meant it, and nothing of the plugin left when the command ends.
#include <filesystem>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include "cli/program.hpp"

namespace plimsoll::cli_test {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

const std::string kDisturber = PLIMSOLL_BUILD_DIR "/lib/plimsoll/zoo/disturber";

std::string config(const std::string& fault, const std::string& call) {
  const Json text = {{"architectures", {"disturber"}}, {"fault", fault}, {"call", call}};
  return write_scratch("disturber_" + fault + "_" + call + ".json", text.dump());
}

Outcome plan(const std::string& fault, const std::string& call, const std::vector<std::string>& more) {
  Invocation invocation;
  invocation.arguments = {"plan", config(fault, call), "--devices", "1xH100", "--plugin-path", kDisturber, "--format", "json"};
  invocation.arguments.insert(invocation.arguments.end(), more.begin(), more.end());
  return run(invocation);
}

TEST(CliIsolation, APluginThatTakesItsProcessAlongCostsOnlyItsPlan) {
  struct Row {
    const char *fault, *call;
  };
  for (const auto [fault, call] : {Row{"abort", "weights"}, Row{"exit", "create"}, Row{"_exit", "activations"}, Row{"print", "facts"},
                                   Row{"flood", "kv"}, Row{"segv", "weights"}, Row{"chdir", "weights"}, Row{"umask", "activations"},
                                   Row{"close", "entries"}, Row{"forge_kind", "weights"}}) {
    const std::string file = scratch_folder() + "/" + fault + ".out";
    const Outcome to_stdout = plan(fault, call, {});
    EXPECT_EQ(to_stdout.code, 3) << fault << "\n" << to_stdout.err;
    const Json document = Json::parse(to_stdout.out, nullptr, false);
    ASSERT_TRUE(document.is_object()) << fault << "\n" << to_stdout.out;
    EXPECT_EQ(document["error"]["code"], "plugin_failed") << fault;
    EXPECT_THAT(document["error"]["message"].get<std::string>(), HasSubstr("disturber")) << fault;
    const Outcome to_file = plan(fault, call, {"-o", file});
    EXPECT_EQ(to_file.code, 3) << fault;
    EXPECT_EQ(read_text(file), to_stdout.out) << fault;
    struct stat info {};
    ASSERT_EQ(::stat(file.c_str(), &info), 0) << fault;
    EXPECT_EQ(info.st_mode & 0002U, 0U) << fault;
  }
}

TEST(CliIsolation, WaitsAsLongAsItIsTold) {
  const Outcome outcome = plan("sleep", "activations", {"--plugin-timeout", kSanitized ? "5" : "0.5"});
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.out, HasSubstr("did not answer within"));
  for (const char* wrong : {"0", "-1", "ten", "1e9", "nan", "1s"}) {
    const Outcome refused = plan("", "", {"--plugin-timeout", wrong});
    EXPECT_EQ(refused.code, 2) << wrong;
    EXPECT_THAT(refused.out, HasSubstr("--plugin-timeout")) << wrong;
  }
}

// Also where the answer is "does not fit": nothing that a plugin leaves for the end of a process changes how ours ends.
TEST(CliIsolation, AHandlerForTheEndOfTheProcessDoesNotChangeTheExitCode) {
  EXPECT_EQ(plan("atexit", "weights", {}).code, 0);
  EXPECT_EQ(plan("atexit", "weights", {"--weights-bytes", "900GiB"}).code, 1);
}

TEST(CliIsolation, InspectingRunsNothingHere) {
  EXPECT_EQ(run({"plugins", "inspect", kDisturber}).code, 0);
  const Outcome bad = run({"plugins", "inspect", PLIMSOLL_BUILD_DIR "/lib/plimsoll/zoo/init_fails"});
  EXPECT_EQ(bad.code, 3);
  EXPECT_THAT(bad.err, HasSubstr("init failed"));
}

} // namespace
} // namespace plimsoll::cli_test
