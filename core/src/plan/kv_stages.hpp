// The KV cache of a plan, stage by stage: prices of the groups, the layout of one rank's memory, and what each rank has to
// give. Called by plan_kv and the frontier. Private to the plan room. Threads: one plan, one thread.
#pragma once

#include <memory>
#include <vector>

#include "kv/layout.hpp"
#include "plan/plan_state.hpp"

namespace plimsoll {

struct KvStage {
  std::unique_ptr<const std::vector<KvGroupPrice>> prices; // the layout points at them
  std::unique_ptr<const KvLayout> layout;
};

Result<std::vector<KvStage>> price_stages(const PlanState& state, const KvTypes& types);

// Bytes for the KV cache on each rank: what the engine's rule leaves of the budget, or the absolute figure.
std::vector<Wide> kv_budgets(const PlanState& state);

// Requests of that length on the poorest rank.
KvRequestCount requests_that_fit(const PlanState& state, const std::vector<KvStage>& stages, const std::vector<Wide>& budgets,
                                 std::uint64_t length_tokens);

// The curve of the plan's own KV type, where it was asked for; before the pools take their pages out of the budgets.
void fill_frontier(PlanState& state, const std::vector<KvStage>& stages);

// Whether a rank has the stage and the budget of the one before it.
bool same_as_before(const PlanState& state, const std::vector<Wide>& budgets, std::uint32_t rank);

} // namespace plimsoll
