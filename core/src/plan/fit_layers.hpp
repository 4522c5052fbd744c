// The split between devices and host that a request leaves to be found: as many layers on devices as fit, as few experts in host memory.
// Called by make_plan() for requests that say auto; tries whole plans and knows nothing of their steps. Threads: one plan, one thread.
#pragma once

#include <functional>

#include "plan/settled.hpp"

namespace plimsoll {

// Whether something is left to be found.
inline bool leaves_split_open(const PlanRequest& request) { return request.gpu_layers_auto || request.cpu_moe_auto; }

// The first split that fits, the most on devices first: fewest layers without their experts there, then fewest whole layers in host
// memory. A plan that had to be shortened fits where it keeps the length that the engine's profile says. Where none does, the one
// with least on the devices. `plan` makes one plan.
Result<Plan> plan_fitted_split(const PlanInput& input, const std::function<Result<Plan>(const PlanInput&)>& plan);

} // namespace plimsoll
