// How long a plan of a loaded model takes, through the plugins as they are installed, and how it grows with the ranks.
// Goals: DeepSeek-V3 on 8 ranks in 20 us, Llama-3.1-70B in 8 us, linear cost from 8 to 1,024 ranks, and a
// frontier of 60 lengths and four KV types in 2 ms.
#include <benchmark/benchmark.h>
#include <string>

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
void frontier(benchmark::State& state, const std::string& engine) {
  const auto model = context().load("meta-llama/Llama-4-Scout-17B-16E-Instruct");
  if (!model) return state.SkipWithError(model.error().message.c_str());
  PlanRequest request;
  request.devices = "8xH200";
  request.engine = engine;
  request.frontier = true, request.frontier_kv_dtypes = {"float8_e4m3fn", "nvfp4", "q8_0/q4_0"};
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

BENCHMARK_CAPTURE(plan, deepseek_v3, std::string("deepseek-ai/DeepSeek-V3"), std::string("H200"))->RangeMultiplier(2)->Range(8, 1024);
BENCHMARK_CAPTURE(plan, llama_70b, std::string("meta-llama/Llama-3.1-70B"), std::string("H100"))->RangeMultiplier(2)->Range(8, 1024);
BENCHMARK_CAPTURE(frontier, grouped, std::string("max"));
BENCHMARK_CAPTURE(frontier, unified, std::string("vllm"));
BENCHMARK_CAPTURE(as_json, deepseek_v3, std::string("deepseek-ai/DeepSeek-V3"), std::string("8xH200"));
BENCHMARK_CAPTURE(load, deepseek_v3, std::string("deepseek-ai/DeepSeek-V3"));

} // namespace
} // namespace plimsoll
