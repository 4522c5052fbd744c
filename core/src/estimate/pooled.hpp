// The documented estimator, bit for bit; see pooled.cpp. Threads: pure.
#pragma once

#include <span>

#include "base/wide.hpp"
#include "plimsoll/estimator.hpp"

namespace plimsoll {

EstimateResult estimate_pooled(const EstimateRequest& request);

// Free bytes of all devices; their total where that is 0.
Wide pooled_free(std::span<const EstimateDevice> devices);

// free x utilization - static, product and difference in double.
double pooled_budget(Wide free_bytes, double utilization, Wide static_bytes);

} // namespace plimsoll
