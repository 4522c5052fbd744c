// Loops that the compiler turns into vectors, once for each width: a binary runs on any x86-64 and chooses when it is loaded. The
// exponential is written out because a library's is not a loop that vectors can take. Threads: pure functions.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

// Marks a function whose loops are worth it. Sanitizers run before the choice is made, so they get one version.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define PLIMSOLL_VECTORS __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define PLIMSOLL_VECTORS
#endif

namespace plimsoll {

// e^x to 2 units in the last place: x = n ln 2 + r, |r| <= ln 2 / 2, a polynomial for e^r (the minimax one of Cephes' expf), 2^n as bits.
// Below -87.3 it is 0 or the smallest normal number, above 88 it stays there.
[[gnu::always_inline]] inline float fast_exp(float x) {
  const float bounded = x < -87.336F ? -87.336F : (x > 88.0F ? 88.0F : x);
  constexpr float kRound = 12582912.0F; // 1.5 * 2^23: adding it rounds to an integer, which stands in the low bits
  const float shifted = bounded * 1.44269504F + kRound;
  const float n = shifted - kRound;
  const float r = (bounded - n * 0.693359375F) + n * 2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * r * r + r + 1.0F;
  const std::uint32_t exponent = (std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(kRound)) << 23;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(p) + exponent);
}
[[gnu::always_inline]] inline double fast_exp(double x) { return std::exp(x); }

} // namespace plimsoll
