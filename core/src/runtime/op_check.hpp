// What the operands of one op of a program must be, so that it stays within its memory: values, weights and groups that are there, and as
// wide as it takes them. Called when an executor is made. Threads: pure functions.
#pragma once

#include <span>
#include <string>

#include "runtime/executor.hpp"

namespace plimsoll {

inline constexpr std::uint64_t kMostExtent = INT32_MAX; // BLAS counts rows and columns in int

// Columns [head * stride + first, + columns) of every head.
struct HeadColumns {
  std::uint64_t heads = 1, stride = 0, first = 0, columns = 0;
};
// What a NORM works on: its numbers, and what they mean where they are 0.
HeadColumns norm_columns(const ProgramOp& op, std::uint64_t width);

// Where a region lies in a layer's part of a state row, and how it is kept.
struct StateRegionPlace {
  bool known = false; // there is such a region, of elements to compute with
  std::uint64_t offset_bytes = 0, elements = 0;
  ElementType type = ElementType::kFloat32;
};
StateRegionPlace region_of_state(const KvGroupGeometry& group, std::uint64_t region);

// What is wrong with it; empty: nothing. Weights and groups have been checked by themselves.
std::string wrong_operands(const ProgramOp& op, const Program& program, std::span<const ExecutorKvGroup> groups);

} // namespace plimsoll
