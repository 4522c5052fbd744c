// A utilisation as an exact fraction of 10^9, so that budgets are integers all the way. Called wherever a fraction of
// memory becomes bytes. Never multiplies bytes in floating point. Threads: pure functions.
// Example: 0.9 of 85,899,345,923 bytes: floor(85,899,345,923 x 900,000,000 / 10^9) = 77,309,411,330.
#pragma once

#include <cmath>
#include <cstdint>

#include "base/wide.hpp"

namespace plimsoll {

inline constexpr std::int64_t kFractionUnit = 1'000'000'000;

// The nearest multiple of 10^-9; `fraction` is at least 0 and far below 10^9.
inline std::int64_t exact_fraction(double fraction) { return std::llround(fraction * static_cast<double>(kFractionUnit)); }

// floor(bytes x fraction); bytes >= 0.
constexpr Wide share_of(Wide bytes, std::int64_t fraction) { return wide_div(bytes * fraction, kFractionUnit); }

} // namespace plimsoll
