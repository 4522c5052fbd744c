// Numbers of a few bits and how they lie: values worked out by hand from the definitions of OCP's formats and from the exporters' packing.
#include "base/quants.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>

#include "base/dtype.hpp"

namespace plimsoll::quants_test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsNan;

TEST(Float8, E4m3HasNoInfinityAndEndsAt448) {
  struct Row {
    std::uint8_t bits;
    float value;
  };
  for (const Row& row : {Row{0x00, 0.0F}, Row{0x01, 0.001953125F}, Row{0x07, 0.013671875F}, Row{0x08, 0.015625F}, Row{0x09, 0.017578125F},
                         Row{0x38, 1.0F}, Row{0x39, 1.125F}, Row{0x3C, 1.5F}, Row{0x40, 2.0F}, Row{0x77, 240.0F}, Row{0x78, 256.0F},
                         Row{0x7E, 448.0F}, Row{0x81, -0.001953125F}, Row{0xB8, -1.0F}, Row{0xFE, -448.0F}})
    EXPECT_EQ(from_float8_e4m3(row.bits), row.value) << int{row.bits};
  EXPECT_TRUE(std::signbit(from_float8_e4m3(0x80)));
  EXPECT_EQ(from_float8_e4m3(0x80), 0);
  for (const std::uint8_t nan : {std::uint8_t{0x7F}, std::uint8_t{0xFF}}) EXPECT_THAT(from_float8_e4m3(nan), IsNan());
}

TEST(Float8, E5m2IsTheUpperHalfOfFloat16) {
  EXPECT_EQ(from_float8_e5m2(0x01), std::ldexp(1.0F, -16));
  EXPECT_EQ(from_float8_e5m2(0x03), std::ldexp(3.0F, -16));
  EXPECT_EQ(from_float8_e5m2(0x04), std::ldexp(1.0F, -14));
  EXPECT_EQ(from_float8_e5m2(0x3C), 1.0F);
  EXPECT_EQ(from_float8_e5m2(0x3E), 1.5F);
  EXPECT_EQ(from_float8_e5m2(0xC1), -2.5F);
  EXPECT_EQ(from_float8_e5m2(0x7B), 57344.0F);
  EXPECT_EQ(from_float8_e5m2(0x7C), std::numeric_limits<float>::infinity());
  EXPECT_EQ(from_float8_e5m2(0xFC), -std::numeric_limits<float>::infinity());
  for (const std::uint8_t nan : {std::uint8_t{0x7D}, std::uint8_t{0x7E}, std::uint8_t{0x7F}, std::uint8_t{0xFD}})
    EXPECT_THAT(from_float8_e5m2(nan), IsNan());
}

TEST(Float8, E8m0IsAPowerOfTwo) {
  EXPECT_EQ(from_float8_e8m0(0), std::ldexp(1.0F, -127)); // denormal in float32
  EXPECT_EQ(from_float8_e8m0(1), std::numeric_limits<float>::min());
  EXPECT_EQ(from_float8_e8m0(126), 0.5F);
  EXPECT_EQ(from_float8_e8m0(127), 1.0F);
  EXPECT_EQ(from_float8_e8m0(130), 8.0F);
  EXPECT_EQ(from_float8_e8m0(254), std::ldexp(1.0F, 127));
  EXPECT_THAT(from_float8_e8m0(255), IsNan());
}

TEST(Float4, HasSixteenValues) {
  const std::array<float, 16> values{0, 0.5F, 1, 1.5F, 2, 3, 4, 6, 0, -0.5F, -1, -1.5F, -2, -3, -4, -6};
  for (std::uint8_t bits = 0; bits < 16; ++bits) EXPECT_EQ(from_float4(bits), values[bits]) << int{bits};
  EXPECT_TRUE(std::signbit(from_float4(8)));
  EXPECT_EQ(from_float4(0x35), 3.0F); // only the lower half counts
}

TEST(Scales, AreReadInEveryTypeThatTheyMayHave) {
  const auto read = [](std::string_view dtype, std::initializer_list<int> bytes, std::size_t n) {
    std::vector<std::byte> raw;
    for (const int byte : bytes) raw.push_back(static_cast<std::byte>(byte));
    std::vector<float> out(n);
    read_floats(dtype, raw, out.data());
    return out;
  };
  EXPECT_THAT(read("float32", {0, 0, 0x80, 0x3F}, 1), ElementsAre(1.0F));
  EXPECT_THAT(read("bfloat16", {0x80, 0x3F, 0x40, 0xC0}, 2), ElementsAre(1.0F, -3.0F));
  EXPECT_THAT(read("float16", {0x00, 0x3C, 0x01, 0x00}, 2), ElementsAre(1.0F, std::ldexp(1.0F, -24)));
  EXPECT_THAT(read("float8_e4m3fn", {0x38, 0x7E}, 2), ElementsAre(1.0F, 448.0F));
  EXPECT_THAT(read("float8_e8m0fnu", {127, 129}, 2), ElementsAre(1.0F, 4.0F));
  EXPECT_THAT(read("uint8", {126}, 1), ElementsAre(0.5F));
  Unpacking how;
  EXPECT_TRUE(is_scale_type(how, "bfloat16"));
  EXPECT_FALSE(is_scale_type(how, "uint8")); // a number, or an exponent: nobody said which
  EXPECT_FALSE(is_scale_type(how, "int32"));
  how.exponents = true;
  EXPECT_TRUE(is_scale_type(how, "uint8"));
  EXPECT_FALSE(is_scale_type(how, "float32"));
}

// ---- rows ----

Unpacking integers(std::uint8_t bits, Unpacking::Order order, Unpacking::Zero zero, std::uint32_t group) {
  Unpacking how;
  how.element = Unpacking::Element::kInteger;
  how.bits = bits;
  how.order = order;
  how.zero = zero;
  how.block_out = 1;
  how.block_in = group;
  return how;
}

template <class T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

// The rows of a band that is all of a small matrix, scales 1 and the zeros of `zeros`.
std::vector<float> rows_of(const Unpacking& how, std::string_view dtype, std::span<const std::byte> quants, std::uint64_t rows,
                           std::uint64_t columns, const std::vector<float>& scales, const std::vector<float>& zeros = {},
                           const std::vector<std::uint32_t>& index = {}) {
  QuantBand band;
  band.how = &how;
  band.dtype = dtype;
  band.n = rows;
  band.columns = columns;
  band.groups = how.block_in == 0 ? 1 : (columns + how.block_in - 1) / how.block_in;
  band.quants = quants;
  band.scales = scales;
  band.zeros = zeros;
  band.index = index;
  std::vector<float> out(rows * columns);
  for (std::uint64_t row = 0; row < rows; ++row) unpack_row(band, row, std::span(out).subspan(row * columns, columns));
  return out;
}

TEST(Rows, OfCompressedTensorsBeginInTheLowestBits) {
  // 0x76543210: inputs 0 to 7 of row 0, then one of the next word; 8 is the middle.
  const std::vector<std::uint32_t> words{0x76543210, 0x0000000F, 0xFEDCBA98, 0x00000008};
  const Unpacking how = integers(4, Unpacking::Order::kByOutput, Unpacking::Zero::kNone, 0);
  EXPECT_THAT(rows_of(how, "int32", bytes_of(words), 2, 9, {1, 0.5F}),
              ElementsAre(-8, -7, -6, -5, -4, -3, -2, -1, 7, 0, 0.5F, 1, 1.5F, 2, 2.5F, 3, 3.5F, 0));
  const Unpacking eight = integers(8, Unpacking::Order::kByOutput, Unpacking::Zero::kNone, 0);
  EXPECT_THAT(rows_of(eight, "int32", bytes_of(std::vector<std::uint32_t>{0xFF800100}), 1, 4, {1}), ElementsAre(-128, -127, 0, 127));
  const Unpacking two = integers(2, Unpacking::Order::kByOutput, Unpacking::Zero::kNone, 0);
  EXPECT_THAT(rows_of(two, "int32", bytes_of(std::vector<std::uint32_t>{0xE4}), 1, 4, {1}), ElementsAre(-2, -1, 0, 1));
  EXPECT_THAT(rows_of(eight, "int8", bytes_of(std::vector<std::int8_t>{-128, 0, 127}), 1, 3, {2}), ElementsAre(-256, 0, 254));
}

TEST(Rows, OfGptqHoldInputsInTheirWordsAndOutputsSideBySide) {
  const std::vector<std::uint32_t> words{0x76543210, 0x89ABCDEF};
  const Unpacking how = integers(4, Unpacking::Order::kByInput, Unpacking::Zero::kStoredLess, 4);
  EXPECT_THAT(rows_of(how, "int32", bytes_of(words), 2, 8, {1, 2, 1, 1}, {8, 4, 15, 0}),
              ElementsAre(-8, -7, -6, -5, 0, 2, 4, 6, 0, -1, -2, -3, 11, 10, 9, 8));
  // Inputs in another order: 0, 2, 4, 6 are in group 1.
  EXPECT_THAT(rows_of(how, "int32", bytes_of(words).first(4), 1, 8, {1, 2}, {8, 4}, {1, 0, 1, 0, 1, 0, 1, 0}),
              ElementsAre(-8, -7, -4, -5, 0, -3, 4, -1));
}

TEST(Rows, OfAwqHoldEightOutputsInTheOrder02461357) {
  // Bits 0 to 3 are output 0, 4 to 7 output 2, then 4, 6, 1, 3, 5, 7.
  const std::vector<std::uint32_t> words{0x76543210};
  const Unpacking how = integers(4, Unpacking::Order::kByInputOutputs, Unpacking::Zero::kStored, 0);
  EXPECT_THAT(rows_of(how, "int32", bytes_of(words), 8, 1, std::vector<float>(8, 1.0F), std::vector<float>(8, 0.0F)),
              ElementsAre(0, 4, 1, 5, 2, 6, 3, 7));
}

TEST(Rows, OfFourBitFloatsBeginInTheLowerHalf) {
  Unpacking how;
  how.element = Unpacking::Element::kFloat4;
  how.bits = 4;
  how.block_out = 1;
  how.block_in = 2;
  how.exponents = true;
  EXPECT_THAT(rows_of(how, "uint8", bytes_of(std::vector<std::uint8_t>{0x72, 0x0F}), 1, 4, {1, 0.5F}), ElementsAre(1, 6, -3, 0));
}

TEST(Rows, OfFloat8TakeTheScaleOfTheirBlock) {
  Unpacking how;
  how.block_out = 2;
  how.block_in = 2;
  const std::vector<std::uint8_t> ones(9, 0x38);
  EXPECT_THAT(rows_of(how, "float8_e4m3fn", bytes_of(ones), 3, 3, {1, 2, 3, 4}), ElementsAre(1, 1, 2, 1, 1, 2, 3, 3, 4));
  const std::vector<std::uint8_t> halves{0x3C, 0xC1};
  how.block_out = how.block_in = 0;
  EXPECT_THAT(rows_of(how, "float8_e5m2", bytes_of(halves), 1, 2, {2}), ElementsAre(2, -5));
}

TEST(Zeros, AreStoredPackedAlongOutputsAndByGptqsFirstFormatWithOneTakenOff) {
  const std::vector<std::uint32_t> words{0xFEDCBA98, 0x76543210};
  const auto zeros_of = [&](Unpacking::Order order, Unpacking::Zero zero, std::uint64_t groups, std::uint64_t rows, std::uint64_t first) {
    const Unpacking how = integers(4, order, zero, 0);
    std::vector<float> out(rows * groups);
    band_zeros(how, "int32", bytes_of(words), first, rows, groups, out.data());
    return out;
  };
  EXPECT_THAT(zeros_of(Unpacking::Order::kByInput, Unpacking::Zero::kStoredLess, 1, 8, 0), ElementsAre(9, 10, 11, 12, 13, 14, 15, 0));
  EXPECT_THAT(zeros_of(Unpacking::Order::kByInput, Unpacking::Zero::kStored, 1, 8, 0), ElementsAre(8, 9, 10, 11, 12, 13, 14, 15));
  EXPECT_THAT(zeros_of(Unpacking::Order::kByInputOutputs, Unpacking::Zero::kStored, 1, 8, 0), ElementsAre(8, 12, 9, 13, 10, 14, 11, 15));
  // Two groups of compressed-tensors, [1 word of outputs][2 groups]; and a band that begins in the middle of a word.
  EXPECT_THAT(zeros_of(Unpacking::Order::kByOutput, Unpacking::Zero::kStored, 2, 2, 0), ElementsAre(8, 0, 9, 1));
  EXPECT_THAT(zeros_of(Unpacking::Order::kByInput, Unpacking::Zero::kStored, 1, 4, 6), ElementsAre(14, 15, 0, 1));
  const Unpacking bytes = integers(8, Unpacking::Order::kByOutput, Unpacking::Zero::kStored, 0);
  std::vector<float> out(2);
  band_zeros(bytes, "int8", bytes_of(std::vector<std::int8_t>{-128, 5}), 0, 2, 1, out.data());
  EXPECT_THAT(out, ElementsAre(-128, 5));
}

TEST(Scales, OfAWholeMatrixChangeTheOthersFirst) {
  Unpacking how;
  how.second = Unpacking::Second::kTimes;
  const std::vector<float> window{2, 3};
  std::vector<float> out(2);
  band_scales(how, window, 1, 2, 0.5F, out.data());
  EXPECT_THAT(out, ElementsAre(1, 1.5F));
  how.second = Unpacking::Second::kDivides;
  band_scales(how, window, 1, 2, 0.5F, out.data());
  EXPECT_THAT(out, ElementsAre(4, 6));
  how = integers(4, Unpacking::Order::kByInput, Unpacking::Zero::kStored, 4); // [groups][outputs] become [outputs][groups]
  std::vector<float> turned(6);
  band_scales(how, std::vector<float>{1, 2, 3, 4, 5, 6}, 3, 2, 1, turned.data());
  EXPECT_THAT(turned, ElementsAre(1, 4, 2, 5, 3, 6));
}

TEST(Shapes, FollowFromTheMatrix) {
  const auto expect = [](const ArrayShape& found, std::uint64_t rows, std::uint64_t columns) {
    EXPECT_EQ(found.rows, rows);
    EXPECT_EQ(found.columns, columns);
  };
  const Unpacking gptq = integers(4, Unpacking::Order::kByInput, Unpacking::Zero::kStoredLess, 128);
  expect(quants_shape(gptq, true, 256, 512), 64, 256);
  expect(scales_shape(gptq, 256, 512), 4, 256);
  expect(zeros_shape(gptq, true, 256, 512), 4, 32);
  EXPECT_EQ(rows_of_quants(gptq, true, 64 * 256, 512), 256);
  EXPECT_EQ(rows_of_quants(gptq, true, 64 * 256 + 1, 512), 0);
  const Unpacking awq = integers(4, Unpacking::Order::kByInputOutputs, Unpacking::Zero::kStored, 128);
  expect(quants_shape(awq, true, 256, 512), 512, 32);
  EXPECT_EQ(rows_of_quants(awq, true, 512 * 32, 512), 256);
  const Unpacking packed = integers(8, Unpacking::Order::kByOutput, Unpacking::Zero::kStored, 0);
  expect(quants_shape(packed, true, 3, 5), 3, 2);
  expect(scales_shape(packed, 3, 5), 3, 1);
  expect(zeros_shape(packed, true, 3, 5), 1, 1);
  expect(zeros_shape(packed, false, 3, 5), 3, 1);
  Unpacking blocks;
  blocks.block_out = blocks.block_in = 128;
  expect(scales_shape(blocks, 129, 1), 2, 1);
}

} // namespace
} // namespace plimsoll::quants_test
