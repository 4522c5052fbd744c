// 128-bit signed integers for sums and products of byte counts. For where
// the documented arithmetic knows no overflow. Overflow is sticky: compute freely, ask once. Never wraps.
// Threads: plain values.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>

namespace plimsoll {

__extension__ typedef __int128 Wide;
__extension__ typedef unsigned __int128 UnsignedWide;

inline constexpr Wide kWideMax = static_cast<Wide>(~static_cast<UnsignedWide>(0) >> 1);

class CheckedWide {
public:
  constexpr CheckedWide() = default;
  constexpr CheckedWide(Wide value) : value_(value) {} // NOLINT: a number is a checked number

  constexpr bool overflowed() const { return overflowed_; }
  // Meaningless once overflowed.
  constexpr Wide value() const { return value_; }
  // The value, or the largest one after an overflow.
  constexpr Wide saturated() const { return overflowed_ ? kWideMax : value_; }

  friend constexpr CheckedWide operator+(CheckedWide a, CheckedWide b) {
    CheckedWide r;
    r.overflowed_ = __builtin_add_overflow(a.value_, b.value_, &r.value_) || a.overflowed_ || b.overflowed_;
    return r;
  }
  friend constexpr CheckedWide operator-(CheckedWide a, CheckedWide b) {
    CheckedWide r;
    r.overflowed_ = __builtin_sub_overflow(a.value_, b.value_, &r.value_) || a.overflowed_ || b.overflowed_;
    return r;
  }
  friend constexpr CheckedWide operator*(CheckedWide a, CheckedWide b) {
    CheckedWide r;
    r.overflowed_ = __builtin_mul_overflow(a.value_, b.value_, &r.value_) || a.overflowed_ || b.overflowed_;
    return r;
  }
  constexpr CheckedWide& operator+=(CheckedWide b) { return *this = *this + b; }
  constexpr CheckedWide& operator*=(CheckedWide b) { return *this = *this * b; }

private:
  Wide value_ = 0;
  bool overflowed_ = false;
};

// a / b rounded up; a >= 0, b > 0.
constexpr Wide wide_ceil_div(Wide a, Wide b) { return a / b + (a % b != 0 ? 1 : 0); }

// a / b; 64-bit where both fit, which is several times faster. a >= 0, b > 0.
constexpr Wide wide_div(Wide a, Wide b) {
  if (a <= INT64_MAX && b <= INT64_MAX) return static_cast<std::int64_t>(a) / static_cast<std::int64_t>(b);
  return a / b;
}

// The value as 64 bits, or nothing.
constexpr std::optional<std::int64_t> narrow(Wide value) {
  if (value < std::numeric_limits<std::int64_t>::min() || value > std::numeric_limits<std::int64_t>::max()) return std::nullopt;
  return static_cast<std::int64_t>(value);
}

// The value as a count: 0 where it is negative, the largest one that any figure shows where it does not fit.
constexpr std::uint64_t bounded_count(Wide value) {
  return value < 0 ? 0 : static_cast<std::uint64_t>(value > INT64_MAX ? static_cast<Wide>(INT64_MAX) : value);
}

// Rounds toward zero; beyond 2^120 the nearest bound. `value` must not be NaN.
inline Wide truncate(double value) {
  constexpr double kBound = 1.329227995784916e36; // 2^120
  if (value >= kBound) return static_cast<Wide>(1) << 120;
  if (value <= -kBound) return -(static_cast<Wide>(1) << 120);
  return static_cast<Wide>(value);
}

} // namespace plimsoll
