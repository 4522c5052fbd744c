// The vision cache of a plan: blocks of finished image rows, out of what the KV cache could have. Threads: one plan, one thread.
#pragma once

#include "plan/ledger.hpp"
#include "plan/settled.hpp"

namespace plimsoll {

struct VisionCachePlan {
  std::uint64_t entry_bytes = 0, entries = 0;
};

// Adds its bytes to the ledger, which holds everything but the KV cache.
Result<VisionCachePlan> plan_vision_cache(const Settled& settled, Ledger& ledger, Findings& findings);

// Bytes of a row as the model or the request types it; 0 for models without images.
Result<std::uint64_t> vision_row_bytes(const Settled& settled);

} // namespace plimsoll
