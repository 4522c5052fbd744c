// How long a plan of a loaded model takes, through the plugins as they are installed, and how it grows with the ranks.
// Goals: DeepSeek-V3 on 8 ranks in 20 us, Llama-3.1-70B in 8 us, and linear cost from 8 to 1,024 ranks.
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
  request.tp = 8, request.dp = static_cast<std::uint32_t>(state.range(0) / 8);
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

void load(benchmark::State& state, const std::string& model_name) {
  for (auto _ : state) benchmark::DoNotOptimize(context().load(model_name));
}

BENCHMARK_CAPTURE(plan, deepseek_v3, std::string("deepseek-ai/DeepSeek-V3"), std::string("H200"))->RangeMultiplier(2)->Range(8, 1024);
BENCHMARK_CAPTURE(plan, llama_70b, std::string("meta-llama/Llama-3.1-70B"), std::string("H100"))->RangeMultiplier(2)->Range(8, 1024);
BENCHMARK_CAPTURE(as_json, deepseek_v3, std::string("deepseek-ai/DeepSeek-V3"), std::string("8xH200"));
BENCHMARK_CAPTURE(load, deepseek_v3, std::string("deepseek-ai/DeepSeek-V3"));

} // namespace
} // namespace plimsoll
