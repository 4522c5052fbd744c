// How fast the estimator is: plans alone, and request lines in, result lines out, on one core.
// Goals: 300,000 plans a second alone, 60,000 lines a second with reading and writing.
#include <benchmark/benchmark.h>
#include <fstream>
#include <string>
#include <vector>

#include "plimsoll/estimate_json.hpp"

namespace plimsoll {
namespace {

// The documented plans, one request per entry; `accounting` replaces theirs.
std::vector<std::string> lines(const std::string& accounting) {
  std::ifstream file(PLIMSOLL_TEST_DATA "/estimator/pooled_plans.json");
  std::vector<std::string> out;
  for (std::string line; std::getline(file, line);) {
    const std::size_t begin = line.find("{\"accounting\": \"pooled\""), end = line.find(", \"expect\"");
    if (begin == std::string::npos || end == std::string::npos) continue;
    out.push_back("{\"accounting\": \"" + accounting + "\"" + line.substr(begin + 23, end - begin - 23));
    if (!parse_estimate_request(out.back())) out.pop_back();
  }
  return out;
}

void plans(benchmark::State& state, const std::string& accounting) {
  std::vector<EstimateRequest> requests;
  for (const std::string& line : lines(accounting)) requests.push_back(parse_estimate_request(line).value());
  for (auto _ : state)
    for (const EstimateRequest& request : requests) benchmark::DoNotOptimize(MemoryEstimator::estimate(request));
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(requests.size()));
}

void documents(benchmark::State& state, const std::string& accounting) {
  const std::vector<std::string> requests = lines(accounting);
  std::int64_t bytes = 0;
  for (auto _ : state)
    for (const std::string& line : requests) {
      benchmark::DoNotOptimize(estimate_line(line));
      bytes += static_cast<std::int64_t>(line.size());
    }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(requests.size()));
  state.SetBytesProcessed(bytes);
}

BENCHMARK_CAPTURE(plans, pooled, std::string("pooled"));
BENCHMARK_CAPTURE(plans, per_device, std::string("per_device"));
BENCHMARK_CAPTURE(documents, pooled, std::string("pooled"));
BENCHMARK_CAPTURE(documents, per_device, std::string("per_device"));

} // namespace
} // namespace plimsoll
