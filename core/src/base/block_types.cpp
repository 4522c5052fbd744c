#include "base/block_types.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/half.hpp"

namespace plimsoll {
namespace {

using Byte = unsigned char;

std::uint16_t bits_at(const Byte* at) { return static_cast<std::uint16_t>(at[0] | at[1] << 8); }
float half_at(const Byte* at) { return from_float16(bits_at(at)); }
float to_float(int value) { return static_cast<float>(value); }
int low(Byte byte) { return byte & 15; }
int high(Byte byte) { return byte >> 4; }

void unpack_float16(const Byte* block, float* out) noexcept { *out = half_at(block); }
void unpack_bfloat16(const Byte* block, float* out) noexcept { *out = from_bfloat16(bits_at(block)); }

// 32 elements: a scale, then element i in the low and element i + 16 in the high half of byte i.
void unpack_q4_0(const Byte* block, float* out) noexcept {
  const float d = half_at(block);
  for (std::size_t i = 0; i < 16; ++i) {
    out[i] = to_float(low(block[2 + i]) - 8) * d;
    out[i + 16] = to_float(high(block[2 + i]) - 8) * d;
  }
}

// The same with a minimum in place of the 8.
void unpack_q4_1(const Byte* block, float* out) noexcept {
  const float d = half_at(block), m = half_at(block + 2);
  for (std::size_t i = 0; i < 16; ++i) {
    out[i] = to_float(low(block[4 + i])) * d + m;
    out[i + 16] = to_float(high(block[4 + i])) * d + m;
  }
}

// Bit 4 of element i is bit i of 32 bits before the halves.
int fifth(const Byte* bits, std::size_t i) { return (bits[i / 8] >> (i % 8) & 1) << 4; }

void unpack_q5_0(const Byte* block, float* out) noexcept {
  const float d = half_at(block);
  const Byte *bits = block + 2, *halves = block + 6;
  for (std::size_t i = 0; i < 16; ++i) {
    out[i] = to_float((low(halves[i]) | fifth(bits, i)) - 16) * d;
    out[i + 16] = to_float((high(halves[i]) | fifth(bits, i + 16)) - 16) * d;
  }
}

void unpack_q5_1(const Byte* block, float* out) noexcept {
  const float d = half_at(block), m = half_at(block + 2);
  const Byte *bits = block + 4, *halves = block + 8;
  for (std::size_t i = 0; i < 16; ++i) {
    out[i] = to_float(low(halves[i]) | fifth(bits, i)) * d + m;
    out[i + 16] = to_float(high(halves[i]) | fifth(bits, i + 16)) * d + m;
  }
}

void unpack_q8_0(const Byte* block, float* out) noexcept {
  const float d = half_at(block);
  for (std::size_t i = 0; i < 32; ++i) out[i] = to_float(static_cast<std::int8_t>(block[2 + i])) * d;
}

// 256 elements in 16 groups, each with a scale and a minimum of 4 bits; 2 bits an element, four elements that are 32 apart in a byte.
void unpack_q2_k(const Byte* block, float* out) noexcept {
  const Byte *scales = block, *quants = block + 16;
  const float d = half_at(block + 80), m = half_at(block + 82);
  for (std::size_t i = 0; i < 256; ++i) {
    const std::size_t half = i / 128, quarter = i % 128 / 32, at = i % 32;
    const Byte scale = scales[i / 16];
    const int q = quants[half * 32 + at] >> (2 * quarter) & 3;
    out[i] = d * to_float(low(scale)) * to_float(q) - m * to_float(high(scale));
  }
}

// 2 bits as above and a third one in a mask (0: 4 less); 16 scales of 6 bits, 32 more than they are.
void unpack_q3_k(const Byte* block, float* out) noexcept {
  const Byte *mask = block, *quants = block + 32, *packed = block + 96;
  const float d = half_at(block + 108);
  std::array<int, 16> scales{};
  for (std::size_t i = 0; i < 16; ++i) {
    const int four = i < 8 ? low(packed[i]) : high(packed[i - 8]);
    scales[i] = (four | (packed[8 + i % 4] >> (2 * (i / 4)) & 3) << 4) - 32;
  }
  for (std::size_t i = 0; i < 256; ++i) {
    const std::size_t half = i / 128, quarter = i % 128 / 32, at = i % 32;
    const int q = (quants[half * 32 + at] >> (2 * quarter) & 3) - ((mask[at] >> (half * 4 + quarter) & 1) != 0 ? 0 : 4);
    out[i] = d * to_float(scales[i / 16]) * to_float(q);
  }
}

// Scale and minimum of one of eight groups, 6 bits each, in 12 bytes: four as they are, four whose upper bits stand above those.
struct ScaleAndMinimum {
  float scale, minimum;
};
ScaleAndMinimum scale_and_minimum(const Byte* packed, std::size_t group) {
  if (group < 4) return {to_float(packed[group] & 63), to_float(packed[group + 4] & 63)};
  const Byte both = packed[group + 4];
  return {to_float(low(both) | (packed[group - 4] >> 6) << 4), to_float(high(both) | (packed[group] >> 6) << 4)};
}

// 256 elements in 8 groups of 32; a byte holds elements of two groups that follow one another.
void unpack_q4_k(const Byte* block, float* out) noexcept {
  const float d = half_at(block), m = half_at(block + 2);
  for (std::size_t group = 0; group < 8; ++group) {
    const ScaleAndMinimum of = scale_and_minimum(block + 4, group);
    for (std::size_t i = 0; i < 32; ++i) {
      const Byte both = block[16 + group / 2 * 32 + i];
      *out++ = d * of.scale * to_float(group % 2 == 0 ? low(both) : high(both)) - m * of.minimum;
    }
  }
}

void unpack_q5_k(const Byte* block, float* out) noexcept {
  const float d = half_at(block), m = half_at(block + 2);
  for (std::size_t group = 0; group < 8; ++group) {
    const ScaleAndMinimum of = scale_and_minimum(block + 4, group);
    for (std::size_t i = 0; i < 32; ++i) {
      const Byte both = block[48 + group / 2 * 32 + i];
      const int bit = (block[16 + i] >> group & 1) << 4;
      *out++ = d * of.scale * to_float((group % 2 == 0 ? low(both) : high(both)) | bit) - m * of.minimum;
    }
  }
}

// 256 elements in 16 groups with scales of 8 bits; 4 bits in one place and 2 in another.
void unpack_q6_k(const Byte* block, float* out) noexcept {
  const Byte *fours = block, *twos = block + 128, *scales = block + 192;
  const float d = half_at(block + 208);
  for (std::size_t i = 0; i < 256; ++i) {
    const std::size_t half = i / 128, quarter = i % 128 / 32, at = i % 32;
    const Byte both = fours[half * 64 + quarter % 2 * 32 + at];
    const int q = (quarter < 2 ? low(both) : high(both)) | (twos[half * 32 + at] >> (2 * quarter) & 3) << 4;
    out[i] = d * to_float(static_cast<std::int8_t>(scales[i / 16])) * to_float(q - 32);
  }
}

// OCP MX: a power of two, then 32 floats of 4 bits in the order of q4_0.
void unpack_mxfp4(const Byte* block, float* out) noexcept {
  constexpr std::array<float, 16> kValues{0, 0.5F, 1, 1.5F, 2, 3, 4, 6, -0.0F, -0.5F, -1, -1.5F, -2, -3, -4, -6};
  const float d = block[0] == 0xFF ? std::nanf("") : std::ldexp(1.0F, block[0] - 127);
  for (std::size_t i = 0; i < 16; ++i) {
    out[i] = kValues[static_cast<std::size_t>(low(block[1 + i]))] * d;
    out[i + 16] = kValues[static_cast<std::size_t>(high(block[1 + i]))] * d;
  }
}

constexpr std::array kBlockTypes{
    BlockType{"float16", 1, 2, unpack_float16}, BlockType{"bfloat16", 1, 2, unpack_bfloat16}, BlockType{"q4_0", 32, 18, unpack_q4_0},
    BlockType{"q4_1", 32, 20, unpack_q4_1},     BlockType{"q5_0", 32, 22, unpack_q5_0},       BlockType{"q5_1", 32, 24, unpack_q5_1},
    BlockType{"q8_0", 32, 34, unpack_q8_0},     BlockType{"q2_k", 256, 84, unpack_q2_k},      BlockType{"q3_k", 256, 110, unpack_q3_k},
    BlockType{"q4_k", 256, 144, unpack_q4_k},   BlockType{"q5_k", 256, 176, unpack_q5_k},     BlockType{"q6_k", 256, 210, unpack_q6_k},
    BlockType{"mxfp4", 32, 17, unpack_mxfp4}};

} // namespace

const BlockType* find_block_type(std::string_view name) {
  const auto found = std::find_if(kBlockTypes.begin(), kBlockTypes.end(), [&](const BlockType& type) { return type.name == name; });
  return found == kBlockTypes.end() ? nullptr : &*found;
}

} // namespace plimsoll
