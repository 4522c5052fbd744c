// What the ranks of a program hand one another: the memory that a rank's parts of sums and rows lie in while others read them. The plan
// counts it, the runtime takes it, both from here. Header only: both libraries have it. Threads: pure functions.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/checked.hpp"
#include "plimsoll/program.hpp"

namespace plimsoll {

inline constexpr std::uint64_t kExchangeAlignBytes = 64;
inline constexpr std::uint64_t kMostExchangeHalfBytes = 1U << 20; // larger values go in several rounds

// Of the largest value that ranks join; 0 where they join none.
constexpr std::uint64_t largest_exchange_bytes(const Program& program) {
  std::uint64_t most = 0;
  for (const ProgramOp& op : program.ops) {
    if (!is_collective(op.kind) || op.in[0] >= program.values.size()) continue;
    const ProgramValue& part = program.values[op.in[0]];
    const Checked bytes = Checked(program.most_rows(part)) * part.width * sizeof(float);
    most = std::max(most, bytes.saturated());
  }
  return most;
}

// Two halves: while one is read the next round is written into the other.
constexpr std::uint64_t exchange_bytes(const Program& program) {
  const std::uint64_t half = std::min(largest_exchange_bytes(program), kMostExchangeHalfBytes);
  return 2 * ceil_div(half, kExchangeAlignBytes) * kExchangeAlignBytes;
}

// Of a program and the head that drafts for it, which compute one after the other.
inline std::uint64_t program_exchange_bytes(const Program& program) {
  return std::max(exchange_bytes(program), program.head ? exchange_bytes(*program.head) : 0);
}

} // namespace plimsoll
