// How long it takes to find what serves a model: plimsoll fit over the catalogue, and --layout auto over a thousand devices.
// Goals, on two cores: every layout of 1,024 GPUs for four KV types in a second; DeepSeek-V3 on every GPU of the catalogue with up to 64 of
// each in a second. `plans` is how many were made for an answer.
#include <benchmark/benchmark.h>
#include <string>

#include "plimsoll/fit.hpp"

namespace plimsoll {
namespace {

const Context& shared_context() {
  static const Context instance = [] {
    ContextOptions options;
    options.trust = Trust::kOpen;
    return Context::create(options).value();
  }();
  return instance;
}

void catalogue(benchmark::State& state, const std::string& model_name, const std::string& engine, bool all) {
  const auto model = shared_context().load(model_name);
  if (!model) return state.SkipWithError(model.error().message.c_str());
  FitRequest asked;
  asked.max_devices = static_cast<std::uint32_t>(state.range(0));
  asked.request.engine = engine;
  asked.demand = {{16, 32768}};
  asked.all = all;
  for (auto _ : state) {
    const auto report = fit(shared_context(), *model, asked);
    if (!report || report->rows.empty()) return state.SkipWithError("nothing serves it");
    state.counters["plans"] = static_cast<double>(report->plans);
    state.counters["rows"] = static_cast<double>(report->rows.size());
  }
}

void layouts(benchmark::State& state, const std::string& model_name, const std::string& engine) {
  const auto model = shared_context().load(model_name);
  if (!model) return state.SkipWithError(model.error().message.c_str());
  PlanRequest request;
  request.devices = std::to_string(state.range(0)) + "xH200";
  request.engine = engine;
  request.layout_auto = true;
  for (auto _ : state)
    for (const char* type : {"bfloat16", "float8_e4m3fn", "float16", "float32"}) {
      request.kv_dtype = type;
      const auto plan = shared_context().plan(*model, request);
      if (!plan) return state.SkipWithError(plan.error().message.c_str());
    }
}

BENCHMARK_CAPTURE(catalogue, deepseek_v3, "deepseek-ai/DeepSeek-V3", "max", false)->Arg(64)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK_CAPTURE(catalogue, deepseek_v3_vllm, "deepseek-ai/DeepSeek-V3", "vllm", false)
    ->Arg(64)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(catalogue, llama_70b_all, "meta-llama/Llama-3.1-70B", "vllm", true)->Arg(8)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK_CAPTURE(layouts, deepseek_v3, "deepseek-ai/DeepSeek-V3", "max")->Arg(8)->Arg(1024)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK_CAPTURE(layouts, llama_70b, "meta-llama/Llama-3.1-70B", "max")->Arg(8)->Arg(1024)->Unit(benchmark::kMillisecond)->UseRealTime();

} // namespace
} // namespace plimsoll
