// The frontier of a plan: the largest batch for every length, by the KV memory alone. Called by plan_kv and, for other KV
// types, by Context. Never changes the plan. Threads: one plan, one thread.
#include "plan/kv_stages.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kShortest = 256, kPointsPerDoubling = 4;

// 256, 320, 384, 448, 512, 640, ... up to `longest`, which is always the last.
std::vector<std::uint64_t> lengths(std::uint64_t longest) {
  std::vector<std::uint64_t> out;
  for (std::uint64_t octave = kShortest; octave < longest; octave *= 2)
    for (std::uint64_t i = 0; i < kPointsPerDoubling; ++i)
      if (const std::uint64_t length = octave + octave / kPointsPerDoubling * i; length < longest) out.push_back(length);
  out.push_back(longest);
  return out;
}

} // namespace

void fill_frontier(PlanState& s, const std::vector<KvStage>& stages) {
  if (!s.request().frontier || s.plan.kv_cache.groups.empty()) return;
  const std::vector<Wide> budgets = kv_budgets(s);
  FrontierCurve curve;
  curve.kv_dtype = s.kv_types.name;
  for (const std::uint64_t length : lengths(s.max_length)) {
    const KvRequestCount count = requests_that_fit(s, stages, budgets, length);
    curve.points.push_back({length, count.unlimited ? s.max_batch_size : count.whole()});
  }
  s.plan.frontier.push_back(std::move(curve));
}

} // namespace plimsoll
