// The longest length for plans that may be shortened and whose own buffers grow with it: what a pass of the whole length takes is too much
// for the shorter one that fits. Called by make_plan(); tries whole plans. Threads: one plan, one thread.
#pragma once

#include <functional>

#include "plan/settled.hpp"

namespace plimsoll {

// `plan` as it is, unless it was shortened or does not fit, may be shortened, and the engine's own items grow with the length: then the
// plan of the longest length that fits with the items of that length.
Result<Plan> plan_fitted_length(const PlanInput& input, const std::function<Result<Plan>(const PlanInput&)>& plan);

} // namespace plimsoll
