// For how many requests a plan prices what its planners take: those that were asked for or that the model allows; else as many as the
// memory then still holds, where the price depends on it. Threads: one plan, one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "plan/ledger.hpp"
#include "plan/settled.hpp"

namespace plimsoll {

// What a plan whose items are priced for some requests comes to.
struct TriedBatch {
  bool fits = false;
  std::uint64_t requests = 0, max_length = 0;
};

// `planned`: what planned_batch says. `attempt` plans with items for so many requests; it is called only where they depend on that number.
// The answer is the largest number for which the plan decides at least that many, without shortening a request for it; 1 where none is.
Result<std::uint64_t> batch_of_items(const Settled& settled, std::optional<std::uint64_t> planned, const Ledger& ledger,
                                     const std::function<Result<TriedBatch>(std::uint64_t)>& attempt);

} // namespace plimsoll
