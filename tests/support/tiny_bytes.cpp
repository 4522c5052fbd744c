#include "support/tiny_bytes.hpp"

#include <bit>
#include <cstdint>

#include "support/sparse_checkpoint.hpp"

namespace plimsoll::test {
namespace {

// `bits` without its `dropped` lowest bits, to nearest, ties to even.
std::uint32_t rounded(std::uint32_t bits, std::uint32_t dropped) {
  const std::uint32_t half = (1U << (dropped - 1)) - 1 + ((bits >> dropped) & 1);
  return (bits + half) >> dropped;
}

// Weights are finite, so that infinities and NaN need no rule; what is too large becomes an infinity by the carry.
std::uint32_t half_bits(std::uint32_t bits) {
  const std::uint32_t sign = (bits >> 16) & 0x8000, magnitude = bits & 0x7fffffff;
  const std::uint32_t exponent = magnitude >> 23;
  constexpr std::uint32_t kBias = 112; // 127 - 15
  if (exponent > kBias) return sign | rounded(magnitude - (kBias << 23), 13);
  if (exponent < kBias - 11) return sign; // below half of the smallest subnormal
  return sign | rounded((magnitude & 0x7fffff) | 0x800000, 14 + kBias - exponent);
}

} // namespace

std::string tiny_bytes(std::span<const float> values, TinyFormat format) {
  std::string out;
  out.reserve(values.size() * sizeof(float));
  for (const float value : values) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    switch (format) {
    case TinyFormat::kF32: out += little_endian(bits, 4); break;
    case TinyFormat::kF16: out += little_endian(half_bits(bits), 2); break;
    case TinyFormat::kBF16: out += little_endian(rounded(bits, 16), 2); break;
    }
  }
  return out;
}

} // namespace plimsoll::test
