// The frontier: for every length the largest batch of requests of that length that a plan holds at once. Each point is one
// that planning with that length and that batch confirms. Threads: pure.
#pragma once

#include "plan/settled.hpp"

namespace plimsoll {

// The curve of the request's own KV type, for lengths up to what `plan` promises, or what it asked for where it does not fit.
// Nothing for models without a KV cache and for pooled accounting.
Result<std::optional<FrontierCurve>> find_frontier(const PlanInput& input, const Plan& plan);

} // namespace plimsoll
