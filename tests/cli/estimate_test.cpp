// The estimator on the command line: JSON, YAML, and a stream of requests.
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <spawn.h>
#include <sstream>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/program.hpp"

namespace plimsoll::cli_test {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

// Llama-3.1-8B on one device of 80 GiB.
Json request() {
  return Json::parse(R"({
    "accounting": "pooled", "devices": [{"free_bytes": 85899345920}],
    "sizes": {"weights_bytes": 16060522496},
    "kv_cache": {"page_tokens": 128, "caches": [
      {"label": "main", "kind": "mha", "dtype": "bfloat16", "layers": 32, "kv_heads": 8, "head_dim": 128}]},
    "max_length": 131072, "max_batch_input_tokens": 8192})");
}

Outcome estimate(const std::string& input, std::vector<std::string> more = {}) {
  Invocation run_of;
  run_of.arguments = {"estimate", "--format", "json", "-"};
  run_of.arguments.insert(run_of.arguments.end(), more.begin(), more.end());
  run_of.input = input;
  return run(run_of);
}

TEST(CliEstimate, JsonAndYamlGiveTheSame) {
  const Outcome json = estimate(request().dump());
  ASSERT_EQ(json.code, 0) << json.out << json.err;
  EXPECT_EQ(Json::parse(json.out)["fits"], true);
  const Outcome yaml = estimate("accounting: pooled\n"
                                "devices: [{free_bytes: 85899345920}]\n"
                                "sizes: {weights_bytes: 16060522496}\n"
                                "kv_cache:\n"
                                "  page_tokens: 128\n"
                                "  caches:\n"
                                "    - {label: main, kind: mha, dtype: bfloat16, layers: 32, kv_heads: 8, head_dim: 128}\n"
                                "max_length: 131072\nmax_batch_input_tokens: 8192\n");
  EXPECT_EQ(yaml.out, json.out) << yaml.err;
  const std::string file = write_scratch("request.json", request().dump(2));
  EXPECT_EQ(run({"estimate", file, "--format", "json"}).out, json.out);
  EXPECT_THAT(run({"estimate", file}).out, HasSubstr("fits"));
}

TEST(CliEstimate, WrongRequestsNameThePlace) {
  Json wrong = request();
  wrong["devices"][0]["free_bytes"] = -1;
  const Outcome outcome = estimate(wrong.dump());
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(Json::parse(outcome.out)["error"]["where"].get<std::string>(), HasSubstr("/devices/0/free_bytes"));
  for (const std::string text : {"", "{", "[]", "{\"a\": 1}", "a: [", "1e400", "{\"max_length\": 1e400}"}) {
    const Outcome bad = estimate(text);
    EXPECT_EQ(bad.code, 2) << text;
    EXPECT_FALSE(Json::parse(bad.out, nullptr, false).is_discarded()) << text;
  }
  EXPECT_EQ(estimate(std::string((1U << 20) + 2, ' ')).code, 2);
  EXPECT_EQ(run({"estimate", "/nonexistent.json"}).code, 2);
  EXPECT_EQ(run({"estimate", "/"}).code, 2);
}

TEST(CliEstimate, TooLargeIsExitCodeOne) {
  Json large = request();
  large["devices"][0]["free_bytes"] = 1U << 30;
  const Outcome outcome = estimate(large.dump());
  EXPECT_EQ(outcome.code, 1) << outcome.out;
  EXPECT_EQ(Json::parse(outcome.out)["fits"], false);
}

TEST(CliEstimate, AStreamAnswersEveryLine) {
  const std::string line = request().dump();
  std::string input;
  for (int at = 0; at < 5'000; ++at) input += line + (at % 2 == 0 ? "\n" : "\r\n");
  input += "\n{wrong\n" + std::string(2U << 20, 'x') + "\n" + line; // a blank line, wrong ones, and no line end at the last
  Invocation stream;
  stream.arguments = {"estimate", "--format", "jsonl", "-"};
  stream.input = input;
  const Outcome outcome = run(stream);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  std::istringstream answers(outcome.out);
  std::string answer, first;
  std::size_t count = 0, wrong = 0;
  while (std::getline(answers, answer)) {
    if (count++ == 0) first = answer;
    if (answer == first) continue;
    ++wrong;
    EXPECT_EQ(Json::parse(answer)["error"]["code"], "bad_request");
  }
  EXPECT_EQ(count, 5'003U);
  EXPECT_EQ(wrong, 2U);
  EXPECT_EQ(Json::parse(first)["fits"], true);
}

TEST(CliEstimate, AStreamAnswersBeforeItsInputEnds) {
  int to[2], from[2];
  ASSERT_EQ(pipe(to), 0);
  ASSERT_EQ(pipe(from), 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, to[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, from[1], STDOUT_FILENO);
  for (const int end : {to[0], to[1], from[0], from[1]}) posix_spawn_file_actions_addclose(&actions, end);
  std::string program = PLIMSOLL_PROGRAM, command = "estimate", option = "--format", format = "jsonl", file = "-";
  char* arguments[] = {program.data(), command.data(), option.data(), format.data(), file.data(), nullptr};
  char* environment[] = {nullptr};
  pid_t child = 0;
  ASSERT_EQ(posix_spawn(&child, PLIMSOLL_PROGRAM, &actions, nullptr, arguments, environment), 0);
  posix_spawn_file_actions_destroy(&actions);
  close(to[0]);
  close(from[1]);
  const std::string line = request().dump() + "\n";
  for (int round = 0; round < 3; ++round) {
    ASSERT_EQ(write(to[1], line.data(), line.size()), static_cast<ssize_t>(line.size()));
    std::string answer;
    char byte = 0;
    while (read(from[0], &byte, 1) == 1 && byte != '\n') answer += byte;
    EXPECT_EQ(Json::parse(answer)["fits"], true);
  }
  close(to[1]);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  close(from[0]);
}

} // namespace
} // namespace plimsoll::cli_test
