// What the engine refuses to start with, as its profile's `start` section says: conditions that are no question of bytes, memory beside
// the fraction, and the engine's own sentence for each refusal. Called by the steps of a plan that find one. Never knows an engine by name.
// Threads: pure but for the findings.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plan/findings.hpp"
#include "plan/ledger.hpp"
#include "plan/settled.hpp"

namespace plimsoll {

// `; vllm says "..."`, with the figures put in for {names}; empty where the profile has no sentence of that kind.
std::string engine_says(const Settled& settled, std::string_view kind,
                        std::initializer_list<std::pair<std::string_view, std::string>> figures);

// 10.25 for 10.25 GiB, as engines print it.
std::string gib(Wide bytes);

// Whether the engine loads files of the model's quantisation: a what-if that it does not load does not fit, a checkpoint is warned of.
void check_quantization(const Settled& settled, Findings& findings);

// Whether the engine has a model of this family, class or model_type; where it has none, the plan is of an engine that had.
void check_served(const Settled& settled, Findings& findings);

// Models with recurrent state, once the blocks are known: requests beyond the blocks, blocks beyond a forward pass. Blocks that are
// missing.
std::uint64_t check_state_blocks(const Settled& settled, const KvPlan& kv, Findings& findings);

// What the engine takes on a rank beside its fraction once it runs.
std::uint64_t outside_bytes(const Settled& settled, std::uint64_t sequences, std::uint32_t rank);

// What the engine takes beside its fraction must be free too, and the plan says so. Where it is not, the budget shrinks by what is missing.
void check_outside(const Settled& settled, std::uint64_t sequences, const Ledger& ledger, std::vector<std::uint64_t>& budgets,
                   Findings& findings);

} // namespace plimsoll
