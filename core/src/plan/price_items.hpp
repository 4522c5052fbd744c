// What a step of the model needs beside weights and KV cache: activations and signal buffers as planners tell them, and what
// the engine's profile says. Threads: one plan, one thread.
#pragma once

#include <cstdint>
#include <optional>

#include "plan/ledger.hpp"
#include "plan/settled.hpp"

namespace plimsoll {

// The batch that was asked for, else the planner's own; nothing where neither says. `ledger` holds the weights.
Result<std::optional<std::uint64_t>> planned_batch(const Settled& settled, const Ledger& ledger);

// Lets the planners emit what they take for so many requests at once.
Result<void> emit_items(const Settled& settled, std::uint64_t requests, const Ledger& ledger, Collector& collector);

// Adds the items of planners and profile: the planners' for so many requests, the profile's for steps of the planned batch.
Result<void> price_items(const Settled& settled, std::optional<std::uint64_t> planned, std::uint64_t requests, Ledger& ledger);

} // namespace plimsoll
