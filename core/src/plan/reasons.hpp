// Every limit that a device of a plan that does not fit breaks, not only the first: for schedulers, which move what is short elsewhere.
// Called once a plan is known not to fit; per-device accounting only. Threads: pure functions.
#pragma once

#include <cstdint>
#include <vector>

#include "base/wide.hpp"
#include "plan/ledger.hpp"
#include "plan/settled.hpp"

namespace plimsoll {

// Per rank. `kv_rooms`: what the engine's rule leaves for the KV cache, as the steps left it; `sequences`: requests at once.
std::vector<std::vector<BrokenLimit>> broken_limits(const Settled& settled, std::uint64_t sequences, const Ledger& ledger,
                                                    const std::vector<Wide>& kv_rooms);

// The host's own.
std::vector<BrokenLimit> broken_host_limits(std::uint64_t has_bytes, const Ledger& ledger);

} // namespace plimsoll
