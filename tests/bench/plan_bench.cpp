// How long a plan of a loaded model takes, through the plugins as they are installed, and how it grows with the ranks.
// Goals: DeepSeek-V3 on 8 ranks in 10 us, Llama-3.1-70B in 8 us, linear cost from 8 to 1,024 ranks, a
// frontier of 60 lengths and four KV types in 2 ms, and 100 vendors' manifests found and checked in 25 ms. Through a worker, as a
// stranger's model goes, a first plan costs at most 15 ms more and a later one 100 us.
#include <benchmark/benchmark.h>
#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>

#include "plimsoll/host.hpp"

namespace plimsoll {
namespace {

const Context& context() {
  static const Context instance = [] {
    ContextOptions options;
    options.trust = Trust::kOpen;
    return Context::create(options).value();
  }();
  return instance;
}

// One plan of MODEL on `ranks` devices: tensor-parallel over eight, the rest replicas.
void plan(benchmark::State& state, const std::string& model_name, const std::string& device) {
  const auto model = context().load(model_name);
  if (!model) return state.SkipWithError(model.error().message.c_str());
  PlanRequest request;
  request.devices = std::to_string(state.range(0)) + "x" + device;
  request.tp = 8;
  request.dp = static_cast<std::uint32_t>(state.range(0) / 8);
  for (auto _ : state) {
    auto made = context().plan(*model, request);
    if (!made || made->verdict == Verdict::kDoesNotFit) return state.SkipWithError("no plan that fits");
    benchmark::DoNotOptimize(made);
  }
}

void as_json(benchmark::State& state, const std::string& model_name, const std::string& device) {
  const auto model = context().load(model_name);
  if (!model) return state.SkipWithError(model.error().message.c_str());
  PlanRequest request;
  request.devices = device;
  const auto made = context().plan(*model, request);
  if (!made) return state.SkipWithError(made.error().message.c_str());
  for (auto _ : state) benchmark::DoNotOptimize(plan_to_json(*made));
}

// 10,485,760 tokens are 62 lengths: four for each doubling from 256, and the last.
void frontier(benchmark::State& state, const std::string& engine, const std::vector<std::string>& kv_dtypes) {
  const auto model = context().load("meta-llama/Llama-4-Scout-17B-16E-Instruct");
  if (!model) return state.SkipWithError(model.error().message.c_str());
  PlanRequest request;
  request.devices = "8xH200";
  request.engine = engine;
  request.frontier = true;
  request.frontier_kv_dtypes = kv_dtypes;
  for (auto _ : state) {
    const auto made = context().plan(*model, request);
    if (!made || made->frontier.size() != 4 || made->frontier[0].points.size() < 60)
      return state.SkipWithError("no frontier of 60 lengths");
    benchmark::DoNotOptimize(made);
  }
}

void load(benchmark::State& state, const std::string& model_name) {
  for (auto _ : state) benchmark::DoNotOptimize(context().load(model_name));
}

// The same model with all of its planners in a worker.
const Context& isolated() {
  static const Context instance = [] {
    ContextOptions options;
    options.trust = Trust::kOpen;
    options.isolation = Isolation::kAll;
    return Context::create(options).value();
  }();
  return instance;
}
void first_plan(benchmark::State& state, const Context& (*made)()) {
  PlanRequest request;
  request.devices = "8xH200";
  for (auto _ : state) {
    const auto model = made().load("deepseek-ai/DeepSeek-V3");
    if (!model) return state.SkipWithError(model.error().message.c_str());
    benchmark::DoNotOptimize(made().plan(*model, request));
  }
}
void later_plan(benchmark::State& state, const Context& (*made)()) {
  PlanRequest request;
  request.devices = "8xH200";
  const auto model = made().load("deepseek-ai/DeepSeek-V3");
  if (!model) return state.SkipWithError(model.error().message.c_str());
  for (auto _ : state) benchmark::DoNotOptimize(made().plan(*model, request));
}

// 100 folders of plugins as vendors write them, in YAML, with all that a manifest may say; none of their libraries is opened.
struct VendorsFolder {
  std::string root = written();
  ~VendorsFolder() { std::filesystem::remove_all(root); }
  static std::string written();
};
std::string VendorsFolder::written() {
  const std::string root = (std::filesystem::temp_directory_path() / ("plimsoll_bench_" + std::to_string(::getpid()))).string();
  for (int i = 0; i < 100; ++i) {
    const std::string id = "com.vendor" + std::to_string(i), folder = root + "/" + id;
    std::filesystem::create_directories(folder);
    std::filesystem::permissions(root, std::filesystem::perms::owner_all);
    std::ofstream(folder + "/lib.so") << "not opened";
    std::ofstream(folder + "/plugin.yaml") << "schema: plimsoll.plugin/1\nid: " << id
                                           << "\nversion: 1.0.0\nvendor: Vendor\nabi: {major: 1, minor: 0, min_host_minor: 0}\n"
                                              "library: lib.so\naliases: {text_"
                                           << i << ": qwen3}\ntypes: {lat5: {block: 64, bytes: 42}}\n"
                                           << "formats: {q3: {bits_per_element: 3, block: 128, scales: [{type: float16, inputs: 128}]}}\n"
                                           << "families:\n  - id: " << id << "\n    aspects: [attention, ffn, vision]\n"
                                           << "    signal_buffers: always\n    signal_sites: 3\n    architectures: [Vendor" << i
                                           << "ForCausalLM, Vendor" << i << "VL]\n    model_types: [vendor" << i
                                           << "]\n    class_defaults:\n      vendor" << i
                                           << ": {hidden_size: 4096, vision_config: {patch_size: 14}}\n    never_quantized: [router]\n";
  }
  return root;
}

// Against a context without them, which finds the built-in plugins alone.
void discover(benchmark::State& state, bool vendors) {
  static const VendorsFolder folder;
  ContextOptions options;
  if (vendors) options.plugin_paths = {folder.root};
  for (auto _ : state) {
    const auto made = Context::create(options);
    if (!made || (vendors && made->plugins().size() < 100)) return state.SkipWithError("the vendors' plugins are not found");
    benchmark::DoNotOptimize(made);
  }
}

BENCHMARK_CAPTURE(discover, vendors, true)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(discover, built_in, false)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(plan, deepseek_v3, std::string("deepseek-ai/DeepSeek-V3"), std::string("H200"))->RangeMultiplier(2)->Range(8, 1024);
BENCHMARK_CAPTURE(plan, llama_70b, std::string("meta-llama/Llama-3.1-70B"), std::string("H100"))->RangeMultiplier(2)->Range(8, 1024);
BENCHMARK_CAPTURE(frontier, grouped, std::string("max"), std::vector<std::string>{"float8_e4m3fn", "float16", "float32"});
BENCHMARK_CAPTURE(frontier, unified, std::string("vllm"), std::vector<std::string>{"float8_e4m3fn", "int8_per_token_head", "nvfp4"});
BENCHMARK_CAPTURE(as_json, deepseek_v3, std::string("deepseek-ai/DeepSeek-V3"), std::string("8xH200"));
BENCHMARK_CAPTURE(first_plan, here, &context)->UseRealTime();
BENCHMARK_CAPTURE(first_plan, worker, &isolated)->UseRealTime();
BENCHMARK_CAPTURE(later_plan, here, &context)->UseRealTime();
BENCHMARK_CAPTURE(later_plan, worker, &isolated)->UseRealTime();
BENCHMARK_CAPTURE(load, deepseek_v3, std::string("deepseek-ai/DeepSeek-V3"));

} // namespace
} // namespace plimsoll
