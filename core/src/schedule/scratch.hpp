// What an op needs beside its inputs and outputs: the memory in which the reference executor keeps intermediate results, in the worst case
// of a pass. Called by the plan for every op of a program (ProgramOp::scratch_bytes); the executor takes that much and no more, and no heap
// memory in a pass. Threads: pure functions.
#pragma once

#include <cstdint>

#include "plimsoll/program.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

// Bytes that one op needs for so many rows at an address that is a multiple of 64, for compute elements of float32. Reads of `op` its kind,
// operands and weights (`weights.tensors` gives their types); values and offsets need not be set. Worst of both ways to attend to latents.
// kBadConfig where the sizes do not fit 64 bits, kInternal where the op names a weight that is not there.
Result<std::uint64_t> scratch_bytes(const ProgramOp& op, const WeightSources& weights, const AdapterSlots& adapters, std::uint64_t rows);

} // namespace plimsoll
