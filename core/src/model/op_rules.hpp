// What the operands of each op must be: how many, how wide, which numbers. The table in plimsoll/pipeline.h, as checks. Threads: pure
// functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "model/described.hpp"

namespace plimsoll {

// Nothing where the host knows no such op.
std::optional<OpKind> op_kind(std::uint32_t number);
// "linear".
std::string_view op_name(OpKind kind);

// What is wrong with an op whose values, weights and groups are those of `described` and `declared`; empty: nothing.
std::string wrong_op(const DescribedOp& op, const Described& described, const Declared& declared);

// Elements of a row that a linear layer of this class reads, and gives: of all its output, or of one part (PLIMSOLL_ALL_PARTS: all).
struct LinearWidths {
  std::uint64_t in = 0, out = 0;
};
std::optional<LinearWidths> linear_widths(const WeightClass& c, std::uint64_t part);

} // namespace plimsoll
