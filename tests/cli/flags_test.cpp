// Engines' own command lines behind --, their files as --pipeline, plans written as commands, and options that are none, as a user meets
// them.
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "cli/program.hpp"

namespace plimsoll::cli_test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Json = nlohmann::ordered_json;

std::vector<std::string> with(std::vector<std::string> words, const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

Json document_of(const std::vector<std::string>& arguments) {
  const Outcome outcome = run(with({"plan", "--format", "json"}, arguments));
  Json document = Json::parse(outcome.out, nullptr, false);
  EXPECT_FALSE(document.is_discarded()) << outcome.out << outcome.err;
  return document;
}

TEST(CliEngineCommand, IsPlannedAsOurOptionsAre) {
  Json theirs =
      document_of({"--devices", "2xH100", "--", "vllm", "serve", "Qwen/Qwen3-8B", "-tp", "2", "--max-model-len", "8k", "--port", "80"});
  Json ours = document_of({"Qwen/Qwen3-8B", "--devices", "2xH100", "--engine", "vllm", "--tp", "2", "--max-length", "8000"});
  ASSERT_FALSE(theirs["warnings"].empty());
  EXPECT_EQ(theirs["warnings"].back()["code"], "flag_ignored");
  EXPECT_THAT(theirs["warnings"].back()["message"].get<std::string>(), HasSubstr("--port"));
  theirs.erase("warnings");
  ours.erase("warnings");
  EXPECT_EQ(theirs.dump(2), ours.dump(2));
}

TEST(CliEngineCommand, SaysInTheTableWhatItLeavesOut) {
  const Outcome outcome =
      run({"plan", "--devices", "1xH100", "--", "vllm", "serve", "Qwen/Qwen3-8B", "--frobnicate", "3", "--hf-overrides", "{}"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("flag_unknown: --frobnicate"));
  EXPECT_THAT(outcome.out, HasSubstr("flag_not_planned: --hf-overrides"));
}

TEST(CliEngineCommand, ReadsWhatItNames) {
  const std::string file = write_scratch("trt.yml", "kv_cache_config:\n  dtype: fp8\n");
  const Json document =
      document_of({"--devices", "1xH100", "--", "trtllm-serve", data_path("llama"), "--max_seq_len", "8192", "--config", file});
  EXPECT_EQ(document["engine"]["name"], "tensorrt-llm");
  EXPECT_EQ(document["kv_cache"]["dtype"], "float8_e4m3fn");
  EXPECT_EQ(document["request"]["max_length"], 8192);
}

struct MistypedCommand {
  std::vector<std::string> arguments;
  std::string message;
};

TEST(CliEngineCommand, IsRefusedByName) {
  const std::vector<MistypedCommand> table{
      {{"--max-length", "4096", "--", "vllm", "serve", "m", "--max-model-len", "8192"},
       "--max-model-len 8192 behind -- says this too; keep one (--max-length)"},
      {{"--sequences", "4", "--", "vllm", "serve", "m", "--max-num-seqs", "8"},
       "--max-num-seqs 8 behind -- says this too; keep one (--sequences)"},
      {{"--set", "engine.eager=true", "--", "vllm", "serve", "m", "--enforce-eager"}, "says this too; keep one (--set)"},
      {{"other/model", "--", "vllm", "serve", "m"}, "the command behind -- serves m, not other/model; keep one (MODEL)"},
      {{"--engine", "sglang", "--", "vllm", "serve", "m"}, "starts vllm, not sglang"},
      {{"--", "vllm", "serve", "m", "--max-model-len", "many"}, "'many' is no number (--max-model-len)"},
      {{"--", "vllm", "serve", "m", "--gpu-memory-utilization", "90"},
       "is not a fraction above 0 and at most 1, such as 0.9 (--gpu-memory-utilization)"},
      {{"--"}, "no command"},
      {{"--", "vlm", "serve", "m"}, "did you mean vllm serve"},
      {{"--", "vllm", "serve"}, "no model"}};
  for (const MistypedCommand& wrong : table) {
    const Outcome outcome = run(with({"plan", "--devices", "1xH100"}, wrong.arguments));
    EXPECT_EQ(outcome.code, 2) << wrong.message << "\n" << outcome.out << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_THAT(outcome.err, HasSubstr(wrong.message));
  }
}

TEST(CliEngineCommand, IsNoPartOfOtherCommands) {
  EXPECT_EQ(run({"weights", data_path("llama"), "--", "vllm", "serve", "m"}).code, 2);
  EXPECT_EQ(run({"explain", "--devices", "1xH100", "--quiet", "--", "vllm", "serve", data_path("llama")}).code, 0);
}

TEST(CliEngineFiles, AreTakenAsPipelines) {
  const std::string vllm =
      write_scratch("vllm.yml", "model: " + data_path("llama") + "\ntensor-parallel-size: 2\nmax-model-len: 8k\nport: 80\n");
  const Json document = document_of({"--pipeline", vllm, "--devices", "2x80GiB"});
  EXPECT_EQ(document["engine"]["name"], "vllm");
  EXPECT_EQ(document["request"]["tp"], 2);
  EXPECT_EQ(document["request"]["max_length"], 8000);
  EXPECT_EQ(document_of({"--pipeline", vllm, "--devices", "2x80GiB", "--max-length", "4096"})["request"]["max_length"], 4096);
  const std::string wrong = write_scratch("wrong.yml", "block-size: 16\nmax-model-len: many\n");
  EXPECT_THAT(run({"plan", data_path("llama"), "--devices", "80GiB", "--pipeline", wrong}).err,
              HasSubstr("'many' is no number (" + wrong + ":2)"));
}

TEST(CliUnknownOption, IsNamedWithWhatToGive) {
  const std::vector<MistypedCommand> table{
      {{"--gpu-memory-utilization", "0.9"}, "unknown option --gpu-memory-utilization: it is --device-memory-utilization here"},
      {{"--tensor-parallel-size=2"}, "unknown option --tensor-parallel-size: it is --tp here"},
      {{"-tp", "2"}, "unknown option -tp: it is --tp here"},
      {{"-ngl", "99"}, "unknown option -ngl: it is --gpu-layers here"},
      {{"-c", "4096"}, "unknown option -c: it is --max-length here"},
      {{"--mem-fraction-static", "0.9"}, "it is --device-memory-utilization here"},
      {{"--context-length", "9"}, "it is --max-length here"},
      {{"--kv-cache-dtype", "fp8"}, "it is --kv-dtype here"},
      {{"--uvicorn-log-level", "info"}, "it is a flag of vllm; the whole command may stand behind --"},
      {{"--max-lenght", "9"}, "unknown option --max-lenght: did you mean --max-length?"},
      {{"--devcies", "H100"}, "did you mean --devices?"},
      {{"--zzzzzz"}, "unknown option --zzzzzz; see plimsoll plan --help"},
      {{"--devices", "2x", "RTX", "3090"}, "not expected: RTX 3090; a value with blanks is put in quotes"}};
  for (const MistypedCommand& wrong : table) {
    const Outcome outcome = run(with({"plan", data_path("llama")}, wrong.arguments));
    EXPECT_EQ(outcome.code, 2) << wrong.message;
    EXPECT_THAT(outcome.err, HasSubstr(wrong.message));
    EXPECT_THAT(run(with({"plan"}, wrong.arguments)).err,
                HasSubstr(wrong.arguments.size() == 4 ? "not expected: 3090" : wrong.message)); // 0.9 is no model
  }
  EXPECT_THAT(run({"plna"}).err, HasSubstr("'plna' is no command; did you mean plan?"));
}

TEST(CliEngineNames, AreThoseThatPeopleType) {
  for (const auto& [typed, name, version] :
       std::vector<std::tuple<std::string, std::string, std::string>>{{"VLLM", "vllm", ""},
                                                                      {"vLLM@0.11.0", "vllm", "0.11.0"},
                                                                      {"vllm:0.11.0", "vllm", "0.11.0"},
                                                                      {"trtllm", "tensorrt-llm", ""},
                                                                      {"TensorRT", "tensorrt-llm", ""},
                                                                      {"llamacpp", "llama.cpp", ""},
                                                                      {"llama-cpp", "llama.cpp", ""},
                                                                      {"SGLang", "sglang", ""}}) {
    const Json document = document_of({data_path("llama"), "--devices", "80GiB", "--engine", typed});
    EXPECT_EQ(document["engine"]["name"], name) << typed;
    if (!version.empty()) {
      EXPECT_EQ(document["engine"]["version"], version);
    }
  }
  EXPECT_THAT(run({"plan", data_path("llama"), "--devices", "80GiB", "--engine", "ollama"}).err, HasSubstr("ollama runs llama.cpp"));
  EXPECT_THAT(run({"plan", data_path("llama"), "--devices", "80GiB", "--engine", "vlm"}).err, HasSubstr("did you mean vllm?"));
}

TEST(CliEmit, WritesTheCommandAndNothingElse) {
  const std::vector<std::string> arguments{
      "plan", "meta-llama/Llama-3.1-8B", "--devices", "2xH100", "--engine", "vllm", "--max-length", "8192", "--emit"};
  const Outcome command = run(with(arguments, {"command"}));
  EXPECT_EQ(command.code, 0) << command.err;
  EXPECT_EQ(command.err, "");
  EXPECT_THAT(command.out, StartsWith("# meta-llama/Llama-3.1-8B by vllm"));
  EXPECT_THAT(command.out, HasSubstr("\nvllm serve \\\n  meta-llama/Llama-3.1-8B \\\n  --tensor-parallel-size 2 \\\n"));
  EXPECT_EQ(run(with(arguments, {"k8s"})).code, 0);
  EXPECT_EQ(run(with(arguments, {"ray"})).code, 0);
  EXPECT_EQ(run(with(arguments, {"compose"})).code, 0);
  const std::string file = scratch_folder() + "/start.sh";
  EXPECT_EQ(run(with(arguments, {"command", "-o", file})).out, "");
  EXPECT_EQ(read_text(file), command.out);
}

TEST(CliEmit, OfACommandIsThatCommandAgain) {
  const std::vector<std::string> theirs{
      "--",  "vllm",      "serve",  "Qwen/Qwen3-8B",  "-tp", "2",  "--max-model-len", "8192", "--enforce-eager", "--served-model-name",
      "a b", "--api-key", "secret", "--lora-modules", "x=y", "z=w"};
  const Outcome emitted = run(with({"plan", "--devices", "2xH100", "--emit", "command"}, theirs));
  ASSERT_EQ(emitted.code, 0) << emitted.err;
  EXPECT_THAT(emitted.out, HasSubstr("--enforce-eager \\\n"));
  EXPECT_THAT(emitted.out, HasSubstr("--max-model-len 8192 \\\n"));
  EXPECT_THAT(emitted.out, HasSubstr("  --served-model-name 'a b' \\\n"));
  EXPECT_THAT(emitted.out, HasSubstr("  --lora-modules \\\n  x=y \\\n  z=w"));
  EXPECT_THAT(emitted.out, Not(HasSubstr("secret")));
}

TEST(CliEmit, NothingWhereThePlanDoesNotFitOrCannotBeWritten) {
  for (const std::string target : {"command", "k8s", "ray", "compose"}) {
    const Outcome outcome = run({"plan", "meta-llama/Llama-3.1-70B", "--devices", "1xH100", "--engine", "vllm", "--emit", target});
    EXPECT_EQ(outcome.code, 1) << target;
    EXPECT_EQ(outcome.out, "") << target;
    EXPECT_THAT(outcome.err, HasSubstr("short")) << target;
  }
  const Outcome nothing = run({"plan", data_path("llama"), "--devices", "80GiB", "--emit", "helm"});
  EXPECT_EQ(nothing.code, 2);
  EXPECT_THAT(nothing.err, HasSubstr("'helm' is nothing to write; give command, k8s, ray or compose (--emit)"));
  const Outcome both = run({"plan", data_path("llama"), "--devices", "80GiB", "--emit", "command", "--format", "json"});
  EXPECT_EQ(both.code, 2);
  EXPECT_EQ(Json::parse(both.out)["error"]["where"], "--emit");
}

TEST(CliEmit, TheHelpSaysSo) {
  const std::string help = run({"plan", "--help"}).out;
  EXPECT_THAT(help, HasSubstr("--emit command|k8s|ray|compose"));
  EXPECT_THAT(help, HasSubstr("-- vllm serve"));
}

} // namespace
} // namespace plimsoll::cli_test
