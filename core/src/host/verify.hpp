// Whether a plan for this machine's devices can be had: what it says is allocated there and given back. What to allocate is
// a function of the plan alone. Never plans. Threads: any, though the driver takes turns.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plimsoll/host.hpp"

namespace plimsoll {

struct PlannedAllocation {
  Category category = Category::kKvCache;
  std::string label; // as VerifiedAllocation's
  std::uint64_t bytes = 0;
};

// What a rank allocates: its KV cache group by group as the plan's geometry cuts it, or one pool of blocks where groups share
// them, then signal buffers and vision cache. One allocation of all KV memory where the plan has no geometry: pooled
// accounting, and plans that do not fit.
std::vector<PlannedAllocation> allocations_of(const Plan& plan, std::uint32_t rank);

// Allocates all that on the devices of this machine, in the order of the ranks.
Result<VerifyReport> verify_plan(Plan plan);

} // namespace plimsoll
