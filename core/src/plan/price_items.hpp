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

// Adds the items for steps of that batch.
Result<void> price_items(const Settled& settled, std::optional<std::uint64_t> batch, Ledger& ledger);

} // namespace plimsoll
