// A model, devices and a request become a plan. Pure: the same input gives the same plan anywhere. The request is settled
// first and does not change then; the steps that price it each get what they need and return or add what they find: weights,
// batch, items of a step, vision cache, KV cache, and the gate at the end. Threads: any number of plans at once.
#pragma once

#include "plan/settled.hpp"

namespace plimsoll {

// A plan that does not fit is a plan with an error inside; an error is a request or a model that cannot be planned.
Result<Plan> make_plan(const PlanInput& input);

} // namespace plimsoll
