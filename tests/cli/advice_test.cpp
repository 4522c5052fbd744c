// Commands that advice prints: pasted into a shell they plan what fits, from the table and from the document alike.
#include <array>
#include <cstdio>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <sys/wait.h>

#include "cli/program.hpp"

namespace plimsoll::cli_test {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

// Exit code of a line as a shell runs it; `output` gets what it prints.
int paste(const std::string& command, std::string& output) {
  const std::string program = PLIMSOLL_PROGRAM, folder = program.substr(0, program.rfind('/'));
  FILE* const pipe = popen(("PATH='" + folder + "':\"$PATH\"; " + command).c_str(), "r"); // NOLINT: a shell is what this is about
  if (pipe == nullptr) return -1;
  std::array<char, 4096> part{};
  for (std::size_t read = 0; (read = std::fread(part.data(), 1, part.size(), pipe)) > 0;) output.append(part.data(), read);
  const int status = pclose(pipe);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// The commands below "What would help" in a table, as a terminal shows them.
std::vector<std::string> commands_of(const std::string& table) {
  std::vector<std::string> out;
  for (std::size_t at = table.find("\n    plimsoll plan "); at != std::string::npos; at = table.find("\n    plimsoll plan ", at)) {
    std::size_t end = table.find('\n', at + 1);
    while (end != std::string::npos && table[end - 1] == '\\') end = table.find('\n', end + 1);
    out.push_back(table.substr(at + 1, end - at - 1));
    at = end - 1;
  }
  return out;
}

const std::vector<std::vector<std::string>> kAsked{
    {"meta-llama/Llama-3.1-70B", "--devices", "2xH100,2xA100-40GB", "--engine", "vllm", "--max-length", "8192"},
    {"meta-llama/Llama-3.1-70B", "--devices", "2xA100", "--engine", "vllm"},
    {"openai/gpt-oss-120b", "--devices", "RTX 4090", "--engine", "llama.cpp", "--set", "engine.pad_cells=256"},
    {"Qwen/Qwen3.5-4B", "--devices", "RTX-4090", "--engine", "vllm", "--max-length", "8192", "--device-memory-utilization", "0.5"},
    {"meta-llama/Llama-3.1-8B", "--devices", "it's mine=80GiB:30GiB", "--engine", "vllm", "--frontier"},
    {"deepseek-ai/DeepSeek-V3", "--devices", "2x4xH100", "--ep", "8", "--nodes", "2"},
};

TEST(CliAdvice, CommandsFitWhenTheyArePasted) {
  for (std::size_t row = 0; row < kAsked.size(); ++row) {
    if (!is_tried(row)) continue;
    std::vector<std::string> arguments{"plan"};
    arguments.insert(arguments.end(), kAsked[row].begin(), kAsked[row].end());
    const Outcome table = run(arguments);
    ASSERT_EQ(table.code, 1) << table.out << table.err;
    const std::vector<std::string> commands = commands_of(table.out);
    EXPECT_FALSE(commands.empty()) << table.out;
    for (const std::string& command : commands) {
      std::string output;
      EXPECT_EQ(paste(command + " --quiet", output), 0) << command << "\n" << output;
    }
    arguments.insert(arguments.end(), {"--format", "json"});
    const Json advice = Json::parse(run(arguments).out)["advice"];
    ASSERT_EQ(advice.size(), commands.size());
    for (const Json& one : advice) {
      std::string output;
      ASSERT_EQ(paste(one["command"].get<std::string>() + " --format json", output), 0) << one;
      const Json plan = Json::parse(output);
      for (const auto& [name, value] : one["options"].items())
        if (plan["request"].contains(name) && !value.is_null()) {
          EXPECT_EQ(plan["request"][name], value) << one;
        }
    }
  }
}

// What a pipeline file says is part of the command, which stands alone.
TEST(CliAdvice, PipelineFilesAreResolved) {
  const std::string file = write_scratch("advice.yaml", "devices: 16GiB\nmax-length: 65536\nset: {engine.prefix_caching: false}\n");
  const Outcome json = run({"plan", data_path("llama"), "--pipeline", file, "--format", "json"});
  ASSERT_EQ(json.code, 1) << json.out << json.err;
  const Json advice = Json::parse(json.out)["advice"];
  ASSERT_FALSE(advice.empty());
  for (const Json& one : advice) {
    std::string output;
    EXPECT_EQ(paste(one["command"].get<std::string>() + " --quiet", output), 0) << one << output;
    EXPECT_THAT(one["command"].get<std::string>(), HasSubstr(" --set engine.prefix_caching=false"));
    EXPECT_EQ(one["command"].get<std::string>().find("pipeline"), std::string::npos);
  }
}

} // namespace
} // namespace plimsoll::cli_test
