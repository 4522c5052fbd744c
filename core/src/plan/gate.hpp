// The gates of a plan: what stands on a device is held against the device, first before there is a KV cache, and in the end
// whatever the steps did. Per-device accounting only. Threads: pure but for what they add to the findings.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/wide.hpp"
#include "plan/ledger.hpp"
#include "plan/settled.hpp"

namespace plimsoll {

// "weights 8.00 GiB, activation 1.00 GiB": the parts that are not nothing.
std::string parts_text(const std::function<std::uint64_t(Category)>& bytes_of);

// The rank that has least room left of its budget, and how much: negative where too much stands on it. Of equal ones the first.
struct RankRoom {
  std::uint32_t rank = 0;
  Wide room = kWideMax;
};
RankRoom poorest_rank(const Settled& settled, const Ledger& ledger);

// Whether weights, activations, buffers and overheads alone exceed a budget.
void check_static(const Settled& settled, const Ledger& ledger, Findings& findings);

// Bytes that must be free before the engine starts at all; 0 where it has no such rule.
std::uint64_t free_to_start(const Settled& settled, std::uint32_t rank);

// Whether the engine starts at all on what is free.
bool starts(const Settled& settled);

// Whether all parts together exceed a device's budget or its free bytes, or the engine would refuse to start on what is free.
// Returns what each rank may use: its budget, and less where something else is what does not suffice: what is free, or the
// room that the engine's rule leaves for the KV cache.
std::vector<std::uint64_t> check_devices(const Settled& settled, const Ledger& ledger, const std::vector<Wide>& kv_rooms,
                                         Findings& findings);

} // namespace plimsoll
