#include "backend/elements.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <vector>

namespace plimsoll {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

float load(std::uint16_t bits, ElementType type) {
  float value = 0;
  load_elements(&bits, type, 0, 1, &value);
  return value;
}
std::uint16_t store(double value, ElementType type) {
  std::uint16_t bits = 0;
  const auto narrow = static_cast<float>(value);
  store_elements(&narrow, 1, &bits, type, 0);
  return bits;
}

// Sign, 5 bits of exponent, 10 of fraction, as IEEE 754 has them.
double float16_by_the_book(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 31, fraction = bits & 1023;
  const double magnitude = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

TEST(ElementsTest, EveryFloat16IsRead) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const float value = load(static_cast<std::uint16_t>(bits), ElementType::kFloat16);
    if ((bits & 0x7C00) == 0x7C00) {
      if ((bits & 0x3FF) != 0) EXPECT_TRUE(std::isnan(value)) << bits;
      else EXPECT_EQ(value, (bits & 0x8000) != 0 ? -kInfinity : kInfinity);
    } else {
      ASSERT_EQ(value, float16_by_the_book(static_cast<std::uint16_t>(bits))) << bits;
      ASSERT_EQ(std::signbit(value), (bits & 0x8000) != 0);
    }
  }
}

TEST(ElementsTest, EveryNumberOfSixteenBitsComesBack) {
  for (const ElementType type : {ElementType::kFloat16, ElementType::kBfloat16})
    for (std::uint32_t bits = 0; bits < 65536; ++bits) {
      const float value = load(static_cast<std::uint16_t>(bits), type);
      if (std::isnan(value)) ASSERT_TRUE(std::isnan(load(store(value, type), type))) << bits;
      else ASSERT_EQ(store(value, type), bits) << element_type_name(type);
    }
}

TEST(ElementsTest, RoundsToTheNearestAndTiesToEven) {
  struct Case {
    ElementType type;
    double value, stored;
  };
  const Case cases[] = {{ElementType::kBfloat16, 1 + 0x1p-8, 1},
                        {ElementType::kBfloat16, 1 + 0x1.8p-7, 1 + 0x1p-6},
                        {ElementType::kBfloat16, 1 + 0x1.01p-8, 1 + 0x1p-7},
                        {ElementType::kBfloat16, 3.4e38, kInfinity},
                        {ElementType::kBfloat16, 1e-45, 0},
                        {ElementType::kFloat16, 1 + 0x1p-11, 1},
                        {ElementType::kFloat16, 1 + 0x1.8p-10, 1 + 0x1p-9},
                        {ElementType::kFloat16, 1 + 0x1.01p-11, 1 + 0x1p-10},
                        {ElementType::kFloat16, 65519, 65504},
                        {ElementType::kFloat16, 65520, kInfinity},
                        {ElementType::kFloat16, -1e9, -kInfinity},
                        {ElementType::kFloat16, 0x1p-25, 0},
                        {ElementType::kFloat16, 0x1.8p-24, 0x1p-23},
                        {ElementType::kFloat16, 0x1.01p-25, 0x1p-24},
                        {ElementType::kFloat16, 0x1.FFFp-15, 0x1p-14}};
  for (const Case& c : cases) EXPECT_EQ(load(store(c.value, c.type), c.type), static_cast<float>(c.stored)) << c.value;
}

TEST(ElementsTest, ReadsAndWritesFromAnyElementOn) {
  const std::vector<double> values{1, -2, 0.5, 3, 4, 0.25, -0.125};
  for (const ElementType type : {ElementType::kFloat32, ElementType::kFloat16, ElementType::kBfloat16}) {
    std::array<float, 16> memory{};
    store_elements(values.data(), values.size(), memory.data(), type, 3);
    std::vector<double> back(values.size());
    load_elements(memory.data(), type, 3, values.size(), back.data());
    EXPECT_EQ(back, values);
    std::vector<float> part(2);
    load_elements(memory.data(), type, 5, 2, part.data());
    EXPECT_EQ(part, (std::vector<float>{0.5F, 3}));
  }
}

} // namespace
} // namespace plimsoll
