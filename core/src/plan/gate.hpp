// The gates of a plan: what stands on a device is held against the device, first before there is a KV cache, and in the end
// whatever the steps did. Per-device accounting only. Threads: pure but for what they add to the findings.
#pragma once

#include "base/wide.hpp"
#include "plan/ledger.hpp"
#include "plan/settled.hpp"

namespace plimsoll {

// The rank that has least room left of its budget, and how much: negative where too much stands on it. Of equal ones the first.
struct RankRoom {
  std::uint32_t rank = 0;
  Wide room = kWideMax;
};
RankRoom poorest_rank(const Settled& settled, const Ledger& ledger);

// Whether weights, activations, buffers and overheads alone exceed a budget.
void check_static(const Settled& settled, const Ledger& ledger, Findings& findings);

// Whether the engine starts at all on what is free.
bool starts(const Settled& settled);

// Whether all parts together exceed a device's budget or its free bytes, or the engine would refuse to start on what is free.
// Returns what each rank may use: its budget, and less where something else is what does not suffice: what is free, or the
// room that the engine's rule leaves for the KV cache.
std::vector<std::uint64_t> check_devices(const Settled& settled, const Ledger& ledger, const std::vector<Wide>& kv_rooms,
                                         Findings& findings);

} // namespace plimsoll
