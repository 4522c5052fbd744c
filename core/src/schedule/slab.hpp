// Places buffers that live for a while in one slab, so that those that live at the same time do not overlap. What the plan counts
// and what the executor takes are both this answer. Threads: pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "plimsoll/result.hpp"

namespace plimsoll {

inline constexpr std::uint64_t kSlabAlignmentBytes = 64; // of every buffer: a cache line, the widest vector

// Lives from step `first` to step `last`, both included.
struct Lifetime {
  std::uint32_t first = 0, last = 0;
  std::uint64_t bytes = 0;
};

struct Slab {
  std::vector<std::uint64_t> offset_bytes; // of each buffer
  std::uint64_t bytes = 0;                 // of the slab: the end of the buffer that reaches farthest
};

// The largest buffers first, each at the lowest offset that is free while it lives. kBadConfig where a sum does not fit 63 bits.
Result<Slab> place_buffers(std::span<const Lifetime> buffers);

// The most bytes that live at one step: what no placement can do without.
std::uint64_t live_bytes(std::span<const Lifetime> buffers);

} // namespace plimsoll
