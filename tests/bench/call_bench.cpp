// What a call across the ABI costs: the function of a plugin, in plain C and through the SDK's class, beside a virtual call
// into a shared library that does the same. Goal: at most 1.5 times the virtual call.
#include <benchmark/benchmark.h>
#include <dlfcn.h>

#include "helpers/callee.hpp"
#include "plimsoll/abi.h"
#include "plugin/host_table.hpp"

namespace plimsoll {
namespace {

template <class T>
T* symbol(const char* library, const char* name) {
  void* const handle = ::dlopen(library, RTLD_NOW | RTLD_LOCAL);
  return handle == nullptr ? nullptr : reinterpret_cast<T*>(::dlsym(handle, name));
}

plimsoll_request some_request() {
  plimsoll_request request{};
  request.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_request, engine);
  request.max_batch_input_tokens = 8192;
  request.max_batch_size = 256;
  return request;
}

void virtual_call(benchmark::State& state) {
  auto* const make = symbol<bench::Callee*()>(PLIMSOLL_BENCH_CALLEE, "make_callee");
  if (make == nullptr) return state.SkipWithError(::dlerror());
  bench::Callee* const callee = make();
  const plimsoll_request request = some_request();
  for (auto _ : state) {
    std::uint64_t out = 0;
    benchmark::DoNotOptimize(callee->max_batch(request, out));
    benchmark::DoNotOptimize(out);
  }
  callee->destroy();
}

void plugin_call(benchmark::State& state, const char* library) {
  const auto* const plugin = symbol<const plimsoll_plugin>(library, "plimsoll_plugin_v1");
  if (plugin == nullptr) return state.SkipWithError(::dlerror());
  const plimsoll_planner_api& api = *plugin->families[0]->api;
  const plimsoll_host host = make_host_table();
  plimsoll_planner* planner = nullptr;
  plimsoll_error err{};
  err.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_error, message);
  if (api.create(&host, nullptr, &planner, &err) != PLIMSOLL_OK) return state.SkipWithError(err.message);
  const plimsoll_request request = some_request();
  for (auto _ : state) {
    std::uint64_t out = 0;
    benchmark::DoNotOptimize(api.max_batch(planner, &request, &out, &err));
    benchmark::DoNotOptimize(out);
  }
  api.destroy(planner);
}

BENCHMARK(virtual_call);
BENCHMARK_CAPTURE(plugin_call, c, PLIMSOLL_BENCH_PLUGIN_C);
BENCHMARK_CAPTURE(plugin_call, sdk, PLIMSOLL_BENCH_PLUGIN_SDK);

} // namespace
} // namespace plimsoll
