// Quantised matrices as plimsoll/unpacking.hpp describes them: which arrays there are of a shape, and what a row of one is in float32.
// Called by whoever lists and whoever loads weights. Knows no files and no names. Threads: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "plimsoll/unpacking.hpp"

namespace plimsoll {

inline constexpr std::uint64_t kMostQuantizedColumns = 1U << 22; // a row of float32 is memory of its own; the widest seen has 53,248

// Elements of one array of one matrix, as its type counts them.
struct ArrayShape {
  std::uint64_t rows = 0, columns = 0;
};
// Words that `elements` of `bits` need, the last one filled up.
std::uint64_t quant_words(std::uint64_t elements, std::uint32_t bits);
// `words`: integers lie in int32, not in a byte each. Rows and columns are those of the matrix, none of them 0.
ArrayShape quants_shape(const Unpacking& how, bool words, std::uint64_t rows, std::uint64_t columns);
ArrayShape scales_shape(const Unpacking& how, std::uint64_t rows, std::uint64_t columns);
ArrayShape zeros_shape(const Unpacking& how, bool words, std::uint64_t rows, std::uint64_t columns);
// Rows that the matrix has whose quants are so many elements; 0: no whole ones.
std::uint64_t rows_of_quants(const Unpacking& how, bool words, std::uint64_t elements, std::uint64_t columns);

// Whether an array may have that type: "int32", "float8_e4m3fn".
bool is_quant_type(const Unpacking& how, std::string_view dtype);
bool is_scale_type(const Unpacking& how, std::string_view dtype);
// The numbers of bytes of such a type; `dtype` is one of is_scale_type() or of 8-bit floats.
void read_floats(std::string_view dtype, std::span<const std::byte> bytes, float* out);

float from_float8_e4m3(std::uint8_t bits); // 448 is the largest, 0x7F and 0xFF are no numbers
float from_float8_e5m2(std::uint8_t bits);
float from_float8_e8m0(std::uint8_t bits); // 2^(bits - 127)
float from_float4(std::uint8_t bits);      // the lower four

// A window of one array: some rows, some columns, row after row.
struct ArrayWindow {
  std::uint64_t first_row = 0, rows = 0, first_column = 0, columns = 0;
};
// What of the arrays rows [first, first + n) of a matrix of `columns` need.
ArrayWindow quants_window(const Unpacking& how, bool words, std::uint64_t first, std::uint64_t n, std::uint64_t columns);
ArrayWindow scales_window(const Unpacking& how, std::uint64_t first, std::uint64_t n, std::uint64_t columns);
ArrayWindow zeros_window(const Unpacking& how, bool words, std::uint64_t first, std::uint64_t n, std::uint64_t columns);

// Rows that follow one another, ready to be unpacked.
struct QuantBand {
  const Unpacking* how = nullptr;
  std::string_view dtype;                // of the quants
  std::uint64_t first = 0, n = 0;        // rows
  std::uint64_t columns = 0, groups = 1; // groups: blocks of inputs
  std::span<const std::byte> quants;     // of quants_window()
  std::span<const float> scales, zeros;  // [blocks of outputs of the band][groups]; zeros may be empty: how->zero says what they are
  std::span<const std::uint32_t> index;  // of each input, below `groups`; empty: inputs are in order
};
// The scales of scales_window() as a band has them, changed by the second scale (1 where there is none).
void band_scales(const Unpacking& how, std::span<const float> window, std::uint64_t blocks, std::uint64_t groups, float second, float* out);
// Likewise the zeros of zeros_window(), as type `dtype` has them.
void band_zeros(const Unpacking& how, std::string_view dtype, std::span<const std::byte> window, std::uint64_t first_row, std::uint64_t n,
                std::uint64_t groups, float* out);
// `row` of the band's [first, first + n); `out` has as many as the matrix has columns.
void unpack_row(const QuantBand& band, std::uint64_t row, std::span<float> out);

} // namespace plimsoll
