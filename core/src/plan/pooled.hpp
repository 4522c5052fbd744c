// A plan under pooled accounting: the model's sizes summed over all devices and handed to the documented estimator. What it
// answers is shared out evenly over the devices, as that estimator assumes. Threads: one plan, one thread.
#pragma once

#include <vector>

#include "plan/ledger.hpp"
#include "plan/settled.hpp"

namespace plimsoll {

// Fills the plan's kv_cache and limits; returns each rank's part of the one budget.
Result<std::vector<std::uint64_t>> plan_pooled(const Settled& settled, std::optional<std::uint64_t> batch, std::uint64_t requests,
                                               Ledger& ledger, Findings& findings, Plan& plan);

} // namespace plimsoll
