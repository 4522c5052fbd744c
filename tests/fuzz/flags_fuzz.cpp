// Engines' own command lines and files: any words, a line each, are planned or refused in words, and nothing that they say is lost in
// silence. The same text as an engine's YAML file.
#include "fuzz/fuzz.hpp"
#include "fuzz/plan_rules.hpp"

#include "flags/flag_table.hpp"
#include "flags/read_command.hpp"
#include "plimsoll/options.hpp"
#include "support/built_context.hpp"
#include "support/sparse_checkpoint.hpp"

namespace plimsoll::fuzz {
namespace {

const std::vector<FlagTable>& tables() {
  static const std::vector<FlagTable> kTables = read_flag_tables(test::built_context().catalogue_path()).value();
  return kTables;
}

Result<EngineCommand> read(const std::vector<std::string>& words) {
  PLIMSOLL_ASSIGN(const StartedEngine started, started_engine(tables(), words));
  return read_command(started, *started.table, "");
}

void must_be_plannable(const EngineCommand& command) {
  static const Model model = test::built_context().load("Qwen/Qwen3-8B").value();
  PlanRequest request;
  for (const auto* const list : {&command.assumed, &command.options})
    for (const OptionValue& option : *list) {
      if (option.where.empty()) std::abort();
      if (const auto set = set_option(request, option); !set) return must_speak(set.error());
    }
  request.engine = command.engine;
  request.devices = "2xH100";
  for (const Warning& warning : command.warnings)
    if (warning.message.empty()) std::abort();
  must_plan_or_speak(test::built_context().plan(model, request));
}

} // namespace

std::vector<std::string> seeds() {
  return {"vllm\nserve\nm\n-tp\n2\n--max-model-len\n8k\n--speculative-config\n{\"method\":\"mtp\",\"num_speculative_tokens\":1}\n--limit-"
          "mm-per-prompt.image\n2",
          "VLLM_USE_V2_MODEL_RUNNER=1\npython3\n-m\nvllm.entrypoints.openai.api_server\n--model=m\n--no-enable-prefix-caching\n--kv-cache-"
          "dtype\nfp8",
          "python\n-m\nsglang.launch_server\n--model-path\nm\n--tp\n8\n--dp\n8\n--enable-dp-attention\n--mem-fraction-static\n0.8\n--lora-"
          "paths\na=b",
          "trtllm-serve\nm\n--tp_size\n2\n--max_seq_len\n4096\n--backend\npytorch",
          "llama-server\n-m\nm.gguf\n-c\n8192\n-ngl\n99\n-ctk\nq8_0\n-ot\na=CPU\n-ot\nb=CPU\n-fa\n-ts\n3,1",
          "docker\nrun\n--gpus\nall\n-e\nVLLM_USE_V1=1\nvllm/vllm-openai:v0.11.0\n--model\nm",
          "max\nserve\n--model\nm\n--devices\ngpu:0,1\n--max-length\n4096",
          "tensor-parallel-size: 2\nmax-model-len: 8k\nspeculative-config: {method: mtp, num_speculative_tokens: 1}\nenforce-eager: true\n",
          "tensor_parallel_size: 2\nkv_cache_config: {dtype: fp8, free_gpu_memory_fraction: 0.8}\nenable_attention_dp: true\n"};
}

void fuzz_one(std::string_view input) {
  std::vector<std::string> words;
  std::string_view rest = input;
  while (!rest.empty()) {
    const std::string_view word = rest.substr(0, rest.find('\n'));
    words.emplace_back(word);
    // Files of this machine are no part of the input.
    if (word.starts_with("--config") || word.starts_with("--extra") || word.starts_with("--extra_llm")) words.pop_back();
    rest.remove_prefix(std::min(rest.size(), word.size() + 1));
  }
  if (const auto command = read(words)) must_be_plannable(*command);
  else must_speak(command.error());
  static const test::TemporaryDirectory folder;
  const std::string path = folder / "serve.yaml";
  test::write_text(path, input);
  const auto file = read_file(tables(), path, "", "", [](std::string_view key) { return key == "tp"; });
  if (!file) return must_speak(file.error());
  if (*file) must_be_plannable(**file);
}

} // namespace plimsoll::fuzz
