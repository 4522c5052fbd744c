// The bits of 16-bit floats as float32: exact, denormals, infinities and NaN included. Threads: pure functions.
#pragma once

#include <bit>
#include <cstdint>

namespace plimsoll {

[[gnu::always_inline]] inline float from_bfloat16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

// The 15 bits of the magnitude, moved to float32's place, are the number divided by 2^112, denormals included.
[[gnu::always_inline]] inline float from_float16(std::uint16_t half) {
  const std::uint32_t magnitude = half & 0x7FFFU;
  const float scaled = std::bit_cast<float>(magnitude << 13) * 0x1p112F;
  const std::uint32_t finite = std::bit_cast<std::uint32_t>(scaled);
  const std::uint32_t special = 0x7F800000U | ((magnitude & 0x3FFU) << 13);
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000U) << 16;
  return std::bit_cast<float>(sign | (magnitude >= 0x7C00U ? special : finite));
}

} // namespace plimsoll
