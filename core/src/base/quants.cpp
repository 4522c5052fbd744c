#include "base/quants.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/checked.hpp"
#include "base/half.hpp"

namespace plimsoll {
namespace {

using Element = Unpacking::Element;
using Order = Unpacking::Order;

// Of eight outputs in a word of AWQ's the place where each lies: its order 0, 2, 4, 6, 1, 3, 5, 7, turned round.
constexpr std::array<std::uint8_t, 8> kAwqPlaces{0, 4, 1, 5, 2, 6, 3, 7};

std::uint64_t blocks_of(std::uint64_t elements, std::uint32_t block) { return block == 0 ? 1 : ceil_div(elements, block); }
// The block of an output or an input.
std::uint64_t block_at(std::uint64_t at, std::uint32_t block) { return block == 0 ? 0 : at / block; }

std::uint32_t word_at(std::span<const std::byte> bytes, std::uint64_t i) {
  std::uint32_t word = 0;
  std::memcpy(&word, bytes.data() + i * sizeof word, sizeof word);
  return word;
}
std::uint8_t byte_at(std::span<const std::byte> bytes, std::uint64_t i) { return static_cast<std::uint8_t>(bytes[i]); }

// `exponent_bits` and `mantissa_bits` beside a sign; numbers with all bits of the exponent set are ordinary, as fn formats have them.
float small_float(std::uint32_t bits, int exponent_bits, int mantissa_bits) {
  const std::uint32_t mantissa = bits & ((1U << mantissa_bits) - 1), exponent = bits >> mantissa_bits & ((1U << exponent_bits) - 1);
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const float magnitude =
      exponent == 0 ? std::ldexp(static_cast<float>(mantissa), 1 - bias - mantissa_bits)
                    : std::ldexp(static_cast<float>(mantissa | 1U << mantissa_bits), static_cast<int>(exponent) - bias - mantissa_bits);
  return (bits >> (exponent_bits + mantissa_bits) & 1U) != 0 ? -magnitude : magnitude;
}

using Table = std::array<float, 256>;
template <class Make>
Table table_of(Make make) {
  Table out{};
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = make(static_cast<std::uint8_t>(i));
  return out;
}
const Table& e4m3() {
  static const Table table =
      table_of([](std::uint8_t bits) { return (bits & 0x7F) == 0x7F ? std::numeric_limits<float>::quiet_NaN() : small_float(bits, 4, 3); });
  return table;
}
const Table& e5m2() {
  static const Table table = table_of([](std::uint8_t bits) {
    if ((bits & 0x7C) != 0x7C) return small_float(bits, 5, 2);
    if ((bits & 3) != 0) return std::numeric_limits<float>::quiet_NaN();
    return (bits & 0x80) != 0 ? -std::numeric_limits<float>::infinity() : std::numeric_limits<float>::infinity();
  });
  return table;
}
const Table& e8m0() {
  static const Table table = table_of([](std::uint8_t bits) {
    return bits == 0xFF ? std::numeric_limits<float>::quiet_NaN() : std::ldexp(1.0F, static_cast<int>(bits) - 127);
  });
  return table;
}

// The quant that stands at `place` of a word.
float word_quant(std::uint32_t word, std::uint64_t place, std::uint32_t bits) {
  return static_cast<float>(word >> (place * bits) & ((1U << bits) - 1));
}
// Of output `at`, counted from a word's first, and what words of outputs there are.
std::uint64_t place_of_output(const Unpacking& how, std::uint64_t at) { return how.order == Order::kByInputOutputs ? kAwqPlaces[at] : at; }

float float8_at(std::string_view dtype, std::uint8_t bits) { return dtype == "float8_e5m2" ? e5m2()[bits] : e4m3()[bits]; }

} // namespace

float from_float8_e4m3(std::uint8_t bits) { return e4m3()[bits]; }
float from_float8_e5m2(std::uint8_t bits) { return e5m2()[bits]; }
float from_float8_e8m0(std::uint8_t bits) { return e8m0()[bits]; }
float from_float4(std::uint8_t bits) {
  constexpr std::array<float, 16> kValues{0, 0.5F, 1, 1.5F, 2, 3, 4, 6, -0.0F, -0.5F, -1, -1.5F, -2, -3, -4, -6};
  return kValues[bits & 15U];
}

std::uint64_t quant_words(std::uint64_t elements, std::uint32_t bits) { return ceil_div(elements, 32 / bits); }

ArrayShape quants_shape(const Unpacking& how, bool words, std::uint64_t rows, std::uint64_t columns) {
  if (how.element == Element::kFloat4) return {rows, ceil_div(columns, 2)};
  if (how.element == Element::kFloat8 || !words) return {rows, columns};
  switch (how.order) {
  case Order::kByInput: return {quant_words(columns, how.bits), rows};
  case Order::kByInputOutputs: return {columns, quant_words(rows, how.bits)};
  case Order::kByOutput: break;
  }
  return {rows, quant_words(columns, how.bits)};
}

ArrayShape scales_shape(const Unpacking& how, std::uint64_t rows, std::uint64_t columns) {
  const std::uint64_t outs = blocks_of(rows, how.block_out), ins = blocks_of(columns, how.block_in);
  return how.scales_by_input() ? ArrayShape{ins, outs} : ArrayShape{outs, ins};
}

ArrayShape zeros_shape(const Unpacking& how, bool words, std::uint64_t rows, std::uint64_t columns) {
  ArrayShape out = scales_shape(how, rows, columns);
  std::uint64_t& outs = how.scales_by_input() ? out.columns : out.rows;
  if (words) outs = quant_words(outs, how.bits);
  return out;
}

std::uint64_t rows_of_quants(const Unpacking& how, bool words, std::uint64_t elements, std::uint64_t columns) {
  const ArrayShape one = quants_shape(how, words, 1, columns);
  const std::uint64_t of_row = one.rows * one.columns; // AWQ's one word for each input is a row of eight
  if (of_row == 0 || elements % of_row != 0) return 0;
  const std::uint64_t rows = elements / of_row;
  if (!words || how.order != Order::kByInputOutputs) return rows;
  return (Checked(rows) * (32 / how.bits)).saturated();
}

bool is_quant_type(const Unpacking& how, std::string_view dtype) {
  switch (how.element) {
  case Element::kFloat8: return dtype == "float8_e4m3fn" || dtype == "float8_e5m2";
  case Element::kFloat4: return dtype == "uint8" || dtype == "int8";
  case Element::kInteger: break;
  }
  return dtype == "int32" || (dtype == "int8" && how.bits == 8 && how.order == Order::kByOutput);
}

bool is_scale_type(const Unpacking& how, std::string_view dtype) {
  if (how.exponents) return dtype == "uint8" || dtype == "float8_e8m0fnu";
  return dtype == "float32" || dtype == "bfloat16" || dtype == "float16" || dtype == "float8_e4m3fn" || dtype == "float8_e8m0fnu";
}

void read_floats(std::string_view dtype, std::span<const std::byte> bytes, float* out) {
  if (dtype == "float32") {
    std::memcpy(out, bytes.data(), bytes.size());
    return;
  }
  if (dtype == "bfloat16" || dtype == "float16") {
    for (std::size_t at = 0; at + 2 <= bytes.size(); at += 2) {
      std::uint16_t bits = 0;
      std::memcpy(&bits, bytes.data() + at, sizeof bits);
      *out++ = dtype == "bfloat16" ? from_bfloat16(bits) : from_float16(bits);
    }
    return;
  }
  const bool exponents = dtype == "uint8" || dtype == "float8_e8m0fnu";
  for (std::size_t at = 0; at < bytes.size(); ++at)
    *out++ = exponents ? from_float8_e8m0(byte_at(bytes, at)) : float8_at(dtype, byte_at(bytes, at));
}

ArrayWindow quants_window(const Unpacking& how, bool words, std::uint64_t first, std::uint64_t n, std::uint64_t columns) {
  const ArrayShape of = quants_shape(how, words, n, columns);
  if (!words || how.order == Order::kByOutput) return {first, n, 0, of.columns};
  if (how.order == Order::kByInput) return {0, of.rows, first, n};
  const std::uint64_t in_word = 32 / how.bits, begin = first / in_word;
  return {0, of.rows, begin, ceil_div(first + n, in_word) - begin};
}

ArrayWindow scales_window(const Unpacking& how, std::uint64_t first, std::uint64_t n, std::uint64_t columns) {
  const std::uint64_t groups = blocks_of(columns, how.block_in), begin = block_at(first, how.block_out);
  const std::uint64_t blocks = block_at(first + n - 1, how.block_out) + 1 - begin;
  return how.scales_by_input() ? ArrayWindow{0, groups, begin, blocks} : ArrayWindow{begin, blocks, 0, groups};
}

ArrayWindow zeros_window(const Unpacking& how, bool words, std::uint64_t first, std::uint64_t n, std::uint64_t columns) {
  ArrayWindow out = scales_window(how, first, n, columns);
  if (!words) return out;
  std::uint64_t& begin = how.scales_by_input() ? out.first_column : out.first_row;
  std::uint64_t& blocks = how.scales_by_input() ? out.columns : out.rows;
  const std::uint64_t in_word = 32 / how.bits, end = begin + blocks;
  begin /= in_word;
  blocks = ceil_div(end, in_word) - begin;
  return out;
}

void band_scales(const Unpacking& how, std::span<const float> window, std::uint64_t blocks, std::uint64_t groups, float second,
                 float* out) {
  for (std::uint64_t block = 0; block < blocks; ++block)
    for (std::uint64_t group = 0; group < groups; ++group) {
      const float scale = window[how.scales_by_input() ? group * blocks + block : block * groups + group];
      *out++ = how.second == Unpacking::Second::kTimes     ? scale * second
               : how.second == Unpacking::Second::kDivides ? scale / second
                                                           : scale;
    }
}

void band_zeros(const Unpacking& how, std::string_view dtype, std::span<const std::byte> window, std::uint64_t first_row, std::uint64_t n,
                std::uint64_t groups, float* out) {
  const std::uint64_t begin = block_at(first_row, how.block_out), end = block_at(first_row + n - 1, how.block_out) + 1;
  if (dtype != "int32") { // a byte each, as the scales lie
    for (std::uint64_t i = 0; i < (end - begin) * groups; ++i) *out++ = static_cast<float>(static_cast<std::int8_t>(byte_at(window, i)));
    return;
  }
  const std::uint64_t in_word = 32 / how.bits, words = ceil_div(end, in_word) - begin / in_word;
  for (std::uint64_t block = begin; block < end; ++block)
    for (std::uint64_t group = 0; group < groups; ++group) {
      const std::uint64_t word = block / in_word - begin / in_word;
      const std::uint32_t bits = word_at(window, how.scales_by_input() ? group * words + word : word * groups + group);
      const float zero = word_quant(bits, place_of_output(how, block % in_word), how.bits);
      const bool wraps = zero + 1 == static_cast<float>(1U << how.bits);
      *out++ = how.zero != Unpacking::Zero::kStoredLess ? zero : wraps ? 0 : zero + 1;
    }
}

void unpack_row(const QuantBand& band, std::uint64_t row, std::span<float> out) {
  const Unpacking& how = *band.how;
  const std::uint64_t local = row - band.first, columns = band.columns;
  const bool words = band.dtype == "int32";
  const std::uint64_t in_word = 32 / how.bits;
  switch (how.element) {
  case Element::kFloat8: {
    const Table& values = band.dtype == "float8_e5m2" ? e5m2() : e4m3();
    for (std::uint64_t i = 0; i < columns; ++i) out[i] = values[byte_at(band.quants, local * columns + i)];
    break;
  }
  case Element::kFloat4: {
    const std::uint64_t start = local * ceil_div(columns, 2);
    for (std::uint64_t i = 0; i < columns; ++i) {
      const std::uint8_t both = byte_at(band.quants, start + i / 2);
      out[i] = from_float4(i % 2 == 0 ? both : static_cast<std::uint8_t>(both >> 4));
    }
    break;
  }
  case Element::kInteger:
    if (!words) {
      for (std::uint64_t i = 0; i < columns; ++i)
        out[i] = static_cast<float>(static_cast<std::int8_t>(byte_at(band.quants, local * columns + i)));
    } else if (how.order != Order::kByInputOutputs) {
      const bool by_output = how.order == Order::kByOutput;
      const std::uint64_t start = by_output ? local * quant_words(columns, how.bits) : local, step = by_output ? 1 : band.n;
      for (std::uint64_t i = 0, at = start; i < columns; i += in_word, at += step) {
        const std::uint32_t word = word_at(band.quants, at);
        for (std::uint64_t k = 0; k < std::min(in_word, columns - i); ++k) out[i + k] = word_quant(word, k, how.bits);
      }
    } else {
      const std::uint64_t begin = band.first / in_word, width = ceil_div(band.first + band.n, in_word) - begin;
      const std::uint64_t place = place_of_output(how, row % in_word);
      for (std::uint64_t i = 0, at = row / in_word - begin; i < columns; ++i, at += width)
        out[i] = word_quant(word_at(band.quants, at), place, how.bits);
    }
    break;
  }
  const std::uint64_t block = block_at(row, how.block_out) - block_at(band.first, how.block_out);
  const float* const scales = band.scales.data() + block * band.groups;
  const float* const zeros = band.zeros.empty() ? nullptr : band.zeros.data() + block * band.groups;
  const float middle = words ? static_cast<float>(1U << (how.bits - 1)) : 0;
  const auto scale = [&](std::uint64_t i, std::uint64_t group) {
    out[i] = (out[i] - (zeros == nullptr ? middle : zeros[group])) * scales[group];
  };
  for (std::uint64_t i = 0; i < band.index.size(); ++i) scale(i, band.index[i]);
  if (!band.index.empty()) return;
  const std::uint64_t block_in = how.block_in == 0 ? columns : how.block_in;
  for (std::uint64_t group = 0, i = 0; i < columns; ++group)
    for (const std::uint64_t end = std::min(columns, i + block_in); i < end; ++i) scale(i, group);
}

} // namespace plimsoll
