// What LoRA adapters add to the linear layers of a pass: scale * B (A x) for the rows of each sequence that has one. Called by the executor
// after each LINEAR that adapters may change. Takes no memory but the op's scratch. Threads: pure functions.
#pragma once

#include <string>

#include "runtime/executor.hpp"

namespace plimsoll {

// What is wrong with the slots of a program and the memory that it was given for them; empty: nothing.
std::string wrong_adapters(const Program& program, const ExecutorAdapters& memory);

// The rows of one op.
template <class Real>
struct AdapterRows {
  Rows<const Real> x;
  Rows<Real> out;
  std::uint64_t part = 0;                 // of the target, or kAllParts
  double scale = 1;                       // of the op
  std::span<const std::int32_t> slots;    // [B], -1: none
  std::span<const std::uint32_t> offsets; // [B + 1]: rows of each sequence
  Scratch scratch;
};
template <class Real>
void add_adapters(Ops<Real>& ops, const AdapterSlots& slots, const ExecutorAdapters& memory, const AdapterTarget& target,
                  const AdapterRows<Real>& rows);

extern template void add_adapters(Ops<float>&, const AdapterSlots&, const ExecutorAdapters&, const AdapterTarget&,
                                  const AdapterRows<float>&);
extern template void add_adapters(Ops<double>&, const AdapterSlots&, const ExecutorAdapters&, const AdapterTarget&,
                                  const AdapterRows<double>&);

} // namespace plimsoll
