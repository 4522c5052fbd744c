// How long whole processes take, from start to end: the command line on real inputs beside the least that could be done.
// PLIMSOLL_BENCH_MODELS names the folder that bench_make_checkpoints filled; tests/bench/run sets it.
#include <benchmark/benchmark.h>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <spawn.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace {

std::string in_models(const std::string& name) {
  const char* const folder = std::getenv("PLIMSOLL_BENCH_MODELS");
  return std::string(folder == nullptr ? "." : folder) + "/" + name;
}

// Runs a program with its output thrown away; its exit status.
int run(const std::vector<std::string>& words) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t child = 0;
  int status = -1;
  if (posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environ) == 0) waitpid(child, &status, 0);
  posix_spawn_file_actions_destroy(&actions);
  return status;
}

void process(benchmark::State& state, const std::vector<std::string>& words) {
  for (auto _ : state)
    if (run(words) != 0) return state.SkipWithError((words[0] + " failed").c_str());
}

void plan(benchmark::State& state, const char* model, const char* devices) {
  process(state, {PLIMSOLL_BENCH_BIN "/plimsoll", "plan", in_models(model), "--devices", devices, "--format", "json"});
}

void weights(benchmark::State& state, const char* model) {
  process(state, {PLIMSOLL_BENCH_BIN "/plimsoll", "weights", in_models(model), "--format", "json"});
}

void helper(benchmark::State& state, const char* name, const char* argument) {
  std::vector<std::string> words{std::string(PLIMSOLL_BENCH_BIN "/") + name};
  if (argument != nullptr) words.push_back(in_models(argument));
  process(state, words);
}

void read_gguf_header(benchmark::State& state) {
  std::string bytes;
  std::ifstream(in_models("llama.gguf.header_bytes")) >> bytes;
  process(state, {PLIMSOLL_BENCH_BIN "/bench_read_header", in_models("llama.gguf"), bytes});
}

void json_loads(benchmark::State& state) {
  process(state, {"python3", PLIMSOLL_BENCH_SOURCE "/helpers/json_loads.py", in_models("deepseek")});
}

void estimate(benchmark::State& state) {
  process(state, {PLIMSOLL_BENCH_BIN "/plimsoll", "estimate", "--format", "jsonl", in_models("requests.jsonl")});
  state.SetItemsProcessed(state.iterations() * 100'000);
}

#define PLIMSOLL_PROCESS(...) __VA_ARGS__->UseRealTime()->Unit(benchmark::kMicrosecond)
PLIMSOLL_PROCESS(BENCHMARK_CAPTURE(helper, minimal, "bench_minimal", nullptr));
PLIMSOLL_PROCESS(BENCHMARK_CAPTURE(plan, config, "config.json", "8xH200"));
PLIMSOLL_PROCESS(BENCHMARK_CAPTURE(plan, llama_directory, "llama", "1xH100"));
PLIMSOLL_PROCESS(BENCHMARK(read_gguf_header));
PLIMSOLL_PROCESS(BENCHMARK_CAPTURE(plan, llama_gguf, "llama.gguf", "1xH100"));
PLIMSOLL_PROCESS(BENCHMARK_CAPTURE(helper, scan_headers, "bench_scan_headers", "deepseek"));
PLIMSOLL_PROCESS(BENCHMARK_CAPTURE(plan, deepseek_directory, "deepseek", "8xH200"));
PLIMSOLL_PROCESS(BENCHMARK_CAPTURE(weights, deepseek, "deepseek"));
PLIMSOLL_PROCESS(BENCHMARK_CAPTURE(weights, million, "million"));
PLIMSOLL_PROCESS(BENCHMARK(json_loads));
PLIMSOLL_PROCESS(BENCHMARK(estimate));

} // namespace
