// Products of few rows with a weight, as generation makes them: every weight is read once and used at once, so memory's speed is the
// limit. OpenBLAS packs what it multiplies, which pays from more rows on. Called by cpu_multiply.cpp. Threads: [serial].
#pragma once

#include "backend/cpu_multiply.hpp"

namespace plimsoll::cpu {

// Rows up to which this is faster than a product of blocks (tests/bench/forward_bench.cpp).
inline constexpr std::uint64_t kFewRows = 8, kFewConvertedRows = 16;

// out = alpha * x w^T + beta * out, for a weight that is not in_major, of any stored type.
void multiply_few_rows(Strided<const float> x, const Matrix& w, Strided<float> out, float alpha, float beta);

} // namespace plimsoll::cpu
