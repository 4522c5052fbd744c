// What an op needs beside its inputs and outputs: the memory in which the reference executor keeps intermediate results, in the worst case
// of a pass. Called by the plan for every op of a program (ProgramOp::scratch_bytes); the executor takes that much and no more, and no heap
// memory in a pass. Threads: pure functions.
#pragma once

#include <cstdint>
#include <span>

#include "plimsoll/program.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

// The most that one forward pass gets.
struct PassShape {
  std::uint64_t tokens = 0;         // of all sequences
  std::uint64_t outputs = 0;        // rows that want logits
  std::uint64_t sequences = 0;      // requests
  std::uint64_t context_tokens = 0; // of the longest request, those of the pass included
};

// Bytes that one op needs at an address that is a multiple of 64, for compute elements of float32. Reads of `op` its kind, operands and
// weights (`weights.tensors` gives their types); values and offsets need not be set. Worst of both ways to attend to latents. kBadConfig
// where the sizes do not fit 64 bits, kInternal where the op names a weight that is not there.
Result<std::uint64_t> scratch_bytes(const ProgramOp& op, const WeightSources& weights, const PassShape& shape);

// A page table of one KV group: pages of so many tokens, in so many blocks each (more than one only where groups share blocks).
struct KvTableShape {
  std::uint64_t page_tokens = 0, lanes = 1;
};

// Bytes of what the host hands over with every pass, of 4 bytes each: tokens [T], row offsets [B + 1], cache lengths [B], rows that want
// logits [R], and for each group that attends a table [lanes, B, ceil(context / page)]. Every piece is rounded up to 64 bytes.
// kBadConfig where they do not fit 64 bits or a page has no tokens.
Result<std::uint64_t> pass_table_bytes(const PassShape& shape, std::span<const KvTableShape> tables);

} // namespace plimsoll
