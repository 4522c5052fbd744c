// The bits of 16-bit floats as float32: exact, denormals, infinities and NaN included; and back, to the nearest, even where two are.
// Threads: pure functions.
#pragma once

#include <bit>
#include <cstdint>

namespace plimsoll {

[[gnu::always_inline]] constexpr float from_bfloat16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

// The 15 bits of the magnitude, moved to float32's place, are the number divided by 2^112, denormals included.
[[gnu::always_inline]] constexpr float from_float16(std::uint16_t half) {
  const std::uint32_t magnitude = half & 0x7FFFU;
  const float scaled = std::bit_cast<float>(magnitude << 13) * 0x1p112F;
  const std::uint32_t finite = std::bit_cast<std::uint32_t>(scaled);
  const std::uint32_t special = 0x7F800000U | ((magnitude & 0x3FFU) << 13);
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000U) << 16;
  return std::bit_cast<float>(sign | (magnitude >= 0x7C00U ? special : finite));
}

[[gnu::always_inline]] constexpr std::uint16_t to_bfloat16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t rounded = (bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16;
  const std::uint32_t nan = (bits >> 16) | 0x40U; // quiet; rounding could make it infinite
  return static_cast<std::uint16_t>((bits & 0x7FFFFFFFU) > 0x7F800000U ? nan : rounded);
}

[[gnu::always_inline]] constexpr std::uint16_t to_float16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU, sign = (bits >> 16) & 0x8000U;
  // Below 2^-14 the last bit is worth 2^-24: adding 0.5, whose last bit is worth as much, rounds to it.
  const std::uint32_t small = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5F) - std::bit_cast<std::uint32_t>(0.5F);
  const std::uint32_t normal = (magnitude + 0xFFFU + ((magnitude >> 13) & 1U) - (112U << 23)) >> 13;
  std::uint32_t half = magnitude < (113U << 23) ? small : normal;
  half = magnitude >= 0x477FF000U ? 0x7C00U : half; // 65520 and more
  half = magnitude > 0x7F800000U ? 0x7E00U : half;
  return static_cast<std::uint16_t>(sign | half);
}

} // namespace plimsoll
