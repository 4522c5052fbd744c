// Checked 64-bit arithmetic for bytes and counts. Overflow is sticky: compute freely, ask once at the end.
// Never wraps, never throws. Threads: plain values.
#pragma once

#include <cstdint>
#include <string>

#include "plimsoll/result.hpp"

namespace plimsoll {

class Checked {
public:
  constexpr Checked() = default;
  constexpr Checked(std::uint64_t value) : value_(value) {} // NOLINT: a number is a checked number

  constexpr bool overflowed() const { return overflowed_; }
  // The value; meaningless once overflowed.
  constexpr std::uint64_t value() const { return value_; }
  // The value, or the largest one where the arithmetic overflowed.
  constexpr std::uint64_t saturated() const { return overflowed_ ? UINT64_MAX : value_; }

  friend constexpr Checked operator+(Checked a, Checked b) {
    Checked r;
    r.overflowed_ = __builtin_add_overflow(a.value_, b.value_, &r.value_) || a.overflowed_ || b.overflowed_;
    return r;
  }
  friend constexpr Checked operator*(Checked a, Checked b) {
    Checked r;
    r.overflowed_ = __builtin_mul_overflow(a.value_, b.value_, &r.value_) || a.overflowed_ || b.overflowed_;
    return r;
  }
  constexpr Checked& operator+=(Checked b) { return *this = *this + b; }
  constexpr Checked& operator*=(Checked b) { return *this = *this * b; }

  // The value, or an error that says what overflowed.
  Result<std::uint64_t> get(const std::string& what) const {
    if (overflowed_) return fail(ErrorCode::kBadConfig, what + " does not fit 64 bits; check the sizes in the configuration");
    return value_;
  }

private:
  std::uint64_t value_ = 0;
  bool overflowed_ = false;
};

// a / b rounded up; b > 0.
constexpr std::uint64_t ceil_div(std::uint64_t a, std::uint64_t b) { return a / b + (a % b != 0 ? 1 : 0); }

// a * b / c with a 128-bit product, rounded down; saturates at UINT64_MAX. c > 0.
constexpr std::uint64_t mul_div(std::uint64_t a, std::uint64_t b, std::uint64_t c) {
  __extension__ typedef unsigned __int128 Wide;
  const Wide q = static_cast<Wide>(a) * b / c;
  return q > UINT64_MAX ? UINT64_MAX : static_cast<std::uint64_t>(q);
}

// The same, rounded up.
constexpr std::uint64_t mul_div_up(std::uint64_t a, std::uint64_t b, std::uint64_t c) {
  __extension__ typedef unsigned __int128 Wide;
  const Wide product = static_cast<Wide>(a) * b;
  const Wide q = product / c + (product % c != 0 ? 1 : 0);
  return q > UINT64_MAX ? UINT64_MAX : static_cast<std::uint64_t>(q);
}

} // namespace plimsoll
