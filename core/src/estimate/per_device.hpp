// The estimator that counts every device for itself; see per_device.cpp. Threads: pure.
#pragma once

#include "plimsoll/estimator.hpp"

namespace plimsoll {

EstimateResult estimate_per_device(const EstimateRequest& request);

} // namespace plimsoll
