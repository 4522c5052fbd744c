#include "search/layouts.hpp"

#include <algorithm>

#include "base/wide.hpp"

namespace plimsoll {

namespace {

std::vector<std::uint32_t> divisors_of(std::uint32_t n) {
  std::vector<std::uint32_t> out;
  for (std::uint32_t divisor = 1; divisor <= n; ++divisor)
    if (n % divisor == 0) out.push_back(divisor);
  return out;
}

// For the experts of a stage with so many ranks.
std::vector<std::uint32_t> expert_degrees(std::uint32_t ranks, const LayoutRules& rules) {
  if (rules.ep) return ranks % *rules.ep == 0 ? std::vector<std::uint32_t>{*rules.ep} : std::vector<std::uint32_t>{};
  if (!rules.experts || ranks == 1) return {1};
  return rules.any_expert_degree ? divisors_of(ranks) : std::vector<std::uint32_t>{1, ranks};
}

// A context is shared by ranks that would hold the same heads, and their queries are dealt to them.
std::vector<std::uint32_t> context_degrees(std::uint32_t tp, const LayoutRules& rules) {
  if (rules.context_parallel)
    return tp % *rules.context_parallel == 0 ? std::vector{*rules.context_parallel} : std::vector<std::uint32_t>{};
  std::vector<std::uint32_t> out{1};
  if (!rules.shares_context) return out;
  for (const std::uint32_t degree : divisors_of(tp))
    if (degree > 1 && degree <= tp / rules.kv_heads && rules.queries_of_head % degree == 0) out.push_back(degree);
  return out;
}

} // namespace

std::vector<FitLayout> layouts_of(std::uint32_t n, const LayoutRules& rules) {
  std::vector<FitLayout> out;
  for (const std::uint32_t dp : rules.dp.empty() ? divisors_of(n) : rules.dp) {
    if (dp == 0 || n % dp != 0) continue;
    const std::uint32_t replica = n / dp;
    for (const std::uint32_t pp : divisors_of(replica)) {
      const std::uint32_t tp = replica / pp;
      if ((rules.tp && tp != *rules.tp) || (rules.pp && pp != *rules.pp) || (pp > 1 && pp > rules.n_layers)) continue;
      for (const std::uint32_t ep : expert_degrees(tp * dp, rules))
        for (const std::uint32_t context : context_degrees(tp, rules))
          out.push_back({.tp = tp, .pp = pp, .dp = dp, .ep = ep, .context_parallel = context, .stage_layers = {}});
    }
  }
  return out;
}

// Each layer in turn goes where the share of a layer would still be the largest: the greedy rule of D'Hondt, which no other
// distribution beats in its smallest share. Rooms of 60 and 30 and 4 layers: one each, then 60/2
// against 30/2, then 60/3 against 30/2: 3 and 1.
std::vector<std::uint32_t> layers_by_room(const std::vector<StageRoom>& stages, std::uint32_t n_layers) {
  if (stages.empty() || stages.size() > n_layers) return {};
  std::vector<std::uint64_t> room;
  for (const StageRoom& stage : stages) room.push_back(stage.room_bytes - std::min(stage.room_bytes, stage.beside_layers_bytes));
  std::vector<std::uint32_t> layers(stages.size(), 1);
  for (std::uint32_t dealt = static_cast<std::uint32_t>(stages.size()); dealt < n_layers; ++dealt) {
    std::size_t best = 0;
    for (std::size_t at = 1; at < room.size(); ++at)
      if (static_cast<Wide>(room[at]) * (layers[best] + 1) > static_cast<Wide>(room[best]) * (layers[at] + 1)) best = at;
    ++layers[best];
  }
  return layers;
}

} // namespace plimsoll
