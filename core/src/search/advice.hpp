// Advice for a plan that does not fit: changes to the request that were tried and do make it fit, best first. Never suggests
// what it has not planned. Threads: pure.
#pragma once

#include <vector>

#include "plan/settled.hpp"

namespace plimsoll {

std::vector<Advice> find_advice(const PlanInput& input, const Plan& plan);

} // namespace plimsoll
