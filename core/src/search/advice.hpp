// Advice for a plan that does not fit: changes to the request that were tried and do make it fit. What costs nothing comes first, then two
// such changes together, then the fewest more devices (layers and experts in host memory cost only time, so they count as nothing). Never
// suggests what it has not planned, nor what asks for more than another advice does. Threads: pure.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "plan/settled.hpp"
#include "search/more_devices.hpp"

namespace plimsoll {

struct AdviceTools {
  DeviceReader devices;                                   // what --devices means
  std::function<std::string(const PlanRequest&)> command; // the whole line that plans that request
};

std::vector<Advice> find_advice(const PlanInput& input, const Plan& plan, const AdviceTools& tools);

} // namespace plimsoll
