// What people type, mistakes and all, and what they are told: a row each. Words that a message must have stand in the row.
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "cli/program.hpp"

namespace plimsoll::cli_test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::ordered_json;

struct Typed {
  std::vector<std::string> arguments;
  int code;
  std::string says; // on standard output of what is taken, on standard error of what is not
};

TEST(CliNames, WhatPeopleType) {
  const std::string llama = "meta-llama/Llama-3.1-8B";
  const std::vector<Typed> rows{
      // names of models
      {{"plan", "llama-3.1-8b", "--devices", "H100"}, 0, "\nmeta-llama/Llama-3.1-8B\n"},
      {{"plan", "Meta-Llama-3.1-70B-Instruct", "--devices", "4xH100"}, 0, "\nmeta-llama/Llama-3.1-70B-Instruct\n"},
      {{"plan", "https://huggingface.co/Qwen/Qwen3-8B/tree/main", "--devices", "H100"}, 0, "\nQwen/Qwen3-8B\n"},
      {{"plan", "meta-llama/Llama-3.1-9B", "--devices", "H100"}, 2, "did you mean meta-llama/Llama-3.1-8B"},
      {{"plan", "hf.co/unsloth/Qwen3-8B-GGUF:Q4_K_M", "--devices", "H100"}, 2, "did you mean Qwen/Qwen3-8B; nothing is downloaded"},
      {{"plan", "llama3.1:8b", "--devices", "H100"}, 2, "did you mean "},
      {{"models", "Qwen/Qwen3-?B"}, 0, "Qwen/Qwen3-8B "},
      {{"models", "no such model"}, 0, "no model of the catalogue matches"},
      {{"models", "qwen3", "--sort", "size"}, 2, "'size' is no order; give name, parameters, weights or kv"},
      {{"models", "--max-weights", "big"}, 2, "--max-weights"},
      // devices
      {{"plan", llama, "--devices", "H100:8"}, 2, "did you mean 8xH100?"},
      {{"plan", llama, "--devices", "H100x8"}, 0, "8 devices, tp 8"},
      {{"plan", llama, "--devices", "8*H100"}, 0, "8 devices, tp 8"},
      {{"plan", llama, "--devices", "2 x RTX 3090"}, 0, "2 devices, tp 2"},
      {{"plan", llama, "--devices", "p5.48xlarge"}, 0, "8 devices, tp 8"},
      {{"plan", llama, "--devices", "g5.huge"}, 2, "did you mean g5."},
      {{"devices"}, 0, "p5.48xlarge (8)"},
      {{"plan", llama, "--devices", "3xH100"}, 2, "1, 2, 4, 8, 16, 32 do (--tp)"},
      {{"plan", llama, "--devices", "4xH100", "--tp", "2"}, 2, "--dp 2, --pp 2 or --tp 4 would use all"},
      {{"plan", "deepseek-ai/DeepSeek-V3", "--devices", "p5.48xlarge", "--engine", "vllm", "--max-length", "8K"},
       1,
       "--devices 2xp5.48xlarge"},
      {{"plan", "deepseek-ai/DeepSeek-V3", "--devices", "H100x8", "--engine", "vllm", "--max-length", "8K"}, 1, "--devices 10xH100"},
      // numbers
      {{"plan", llama, "--devices", "H100", "--max-length", "8k"}, 0, "longest request   8,000 tokens"},
      {{"plan", llama, "--devices", "H100", "--max-length", "32K"}, 0, "longest request   32,768 tokens"},
      {{"plan", llama, "--devices", "H100", "--max-length", "auto:16K"}, 0, "longest request   16,384 tokens"},
      {{"plan", llama, "--devices", "H100", "--max-length", "8kk"}, 2, "such as 32768 or 32K, auto, or auto:CAP"},
      {{"plan", llama, "--devices", "H100", "--max-batch-input-tokens", "1.5K"}, 2, "8K (1,024 each) or 8k (1,000 each)"},
      {{"plan", llama, "--devices", "RTX-4090", "--max-length", "auto", "--quiet"}, 0, "\nlongest request: 50688 tokens\n"},
      // plugins
      {{"plugins", "inspect", "dense"}, 0, "LlamaForCausalLM"},
      {{"plan", llama, "--devices", "H100", "--engine", "vllm"}, 0, "are rules of thumb: "}};
  std::size_t row = 0;
  for (const Typed& typed : rows) {
    if (!is_tried(row++)) continue;
    const Outcome outcome = run(typed.arguments);
    const std::string line = ::testing::PrintToString(typed.arguments);
    EXPECT_EQ(outcome.code, typed.code) << line << outcome.err;
    EXPECT_THAT(typed.code < 2 ? outcome.out : outcome.err, HasSubstr(typed.says)) << line;
  }
}

TEST(CliNames, ModelsAreSortedAndChosen) {
  const auto listed = [](std::vector<std::string> more) {
    std::vector<std::string> arguments{"models", "--format", "json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Json::parse(run(arguments).out)["models"];
  };
  const Json small = listed({"--family", "moe", "--max-weights", "60GiB", "--min-weights", "10GiB", "--sort", "weights"});
  ASSERT_GE(small.size(), 4U);
  std::uint64_t last = 10ULL << 30;
  for (const Json& model : small) {
    EXPECT_EQ(model["family"], "moe");
    EXPECT_GE(model["weights_bytes"].get<std::uint64_t>(), last) << model;
    last = model["weights_bytes"];
  }
  EXPECT_LE(last, 60ULL << 30);
}

// A column is whole or not there: at a hundred columns names of classes are left out, at two hundred they stand.
TEST(CliNames, NoColumnIsCutToNothing) {
  Invocation wide;
  wide.arguments = {"models", "Qwen3-VL"};
  wide.environment = {"COLUMNS=200"};
  EXPECT_THAT(run(wide).out, HasSubstr("Qwen3VLMoeForConditionalGeneration"));
  wide.environment = {"COLUMNS=80"};
  EXPECT_THAT(run(wide).out, Not(HasSubstr("Qwen3VL..")));
  EXPECT_THAT(run(wide).out, HasSubstr("Qwen/Qwen3-VL-30B-A3B-Instruct"));
}

// Everywhere that a file is read.
TEST(CliNames, PointersOfGitLfsAreToldApart) {
  const std::string pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4976698672\n";
  write_scratch("lfs/config.json", read_text(data_path("llama") + "/config.json"));
  for (const auto& [file, asked] : std::vector<std::pair<std::string, std::string>>{
           {"lfs/model.safetensors", "lfs"}, {"lfs_gguf/model.gguf", "lfs_gguf/model.gguf"}, {"lfs_config/config.json", "lfs_config"}}) {
    write_scratch(file, pointer);
    const Outcome outcome = run({"plan", scratch_folder() + "/" + asked, "--devices", "80GiB"});
    EXPECT_EQ(outcome.code, 2) << file;
    EXPECT_THAT(outcome.err, HasSubstr("git lfs pull")) << file;
    EXPECT_THAT(outcome.err, HasSubstr(file)) << file;
  }
}

TEST(CliNames, AMissingKeyIsTheOneThatConfigsHave) {
  const Outcome outcome =
      run({"plan", write_scratch("bare.json", R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096})"),
           "--devices", "80GiB"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("/vocab_size"));
  EXPECT_THAT(outcome.err, Not(HasSubstr("padded")));
}

} // namespace
} // namespace plimsoll::cli_test
