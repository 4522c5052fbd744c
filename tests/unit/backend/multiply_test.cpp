#include "backend/cpu_multiply.hpp"

#include <cmath>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <limits>

#include "backend/elements.hpp"
#include "schedule/scratch_layout.hpp"
#include "support/program_builder.hpp"

namespace plimsoll {
namespace {

using test::random_values;

// A weight in memory of its own, and what it is read as.
struct Weight {
  Weight(std::uint64_t out, std::uint64_t in, bool in_major, ElementType type)
      : memory(out * in * element_bytes(type)), values(random_values(out * in, 5)) {
    store_elements(values.data(), values.size(), memory.data(), type, 0);
    load_elements(memory.data(), type, 0, values.size(), values.data());
    matrix = {memory.data(), type, out, in, in_major ? out : in, in_major};
  }
  double at(std::uint64_t o, std::uint64_t i) const { return values[matrix.in_major ? i * matrix.stride + o : o * matrix.stride + i]; }
  test::Memory memory;
  std::vector<double> values;
  Matrix matrix;
};

// Rows [row][stride] of the compute type, what lies between them spoilt.
template <class Real>
std::vector<Real> spread(const std::vector<double>& values, std::uint64_t rows, std::uint64_t width, std::uint64_t stride) {
  std::vector<Real> out(rows * stride, static_cast<Real>(77));
  for (std::uint64_t row = 0; row < rows; ++row)
    for (std::uint64_t i = 0; i < width; ++i) out[row * stride + i] = static_cast<Real>(values[row * width + i]);
  return out;
}

template <class Real>
void expect_product(std::uint64_t rows, const Weight& weight, double alpha, double beta, double tolerance) {
  const std::uint64_t in = weight.matrix.in, out = weight.matrix.out, x_stride = in + 3, y_stride = out + 5;
  const std::vector<double> x = random_values(rows * in, 6), y = random_values(rows * out, 7);
  const std::vector<Real> xs = spread<Real>(x, rows, in, x_stride);
  std::vector<Real> ys = spread<Real>(y, rows, out, y_stride);
  if (beta == 0)
    for (std::uint64_t row = 0; row < rows; ++row) std::fill_n(&ys[row * y_stride], out, std::numeric_limits<Real>::quiet_NaN());
  std::vector<Real> tile(kTileElements);
  cpu::multiply<Real>({xs.data(), rows, x_stride}, weight.matrix, {ys.data(), rows, y_stride}, alpha, beta, tile.data());
  for (std::uint64_t row = 0; row < rows; ++row) {
    for (std::uint64_t o = 0; o < out; ++o) {
      double expected = beta == 0 ? 0 : beta * y[row * out + o];
      for (std::uint64_t i = 0; i < in; ++i) expected += alpha * x[row * in + i] * weight.at(o, i);
      ASSERT_NEAR(static_cast<double>(ys[row * y_stride + o]), expected, tolerance) << "row " << row << ", output " << o;
    }
    for (std::uint64_t gap = out; gap < y_stride; ++gap) ASSERT_EQ(ys[row * y_stride + gap], 77) << "beyond row " << row;
  }
}

struct Threads {
  explicit Threads(std::uint32_t n) { cpu_backend({.threads = n}); }
  ~Threads() { cpu_backend({.threads = 1}); }
};

TEST(MultiplyTest, EqualsTheSumOfProducts) {
  // Extents on both sides of a vector and of a tile, rows on both sides of what counts as few.
  const std::pair<std::uint64_t, std::uint64_t> shapes[] = {{1, 1}, {7, 16}, {5, 33}, {130, 520}};
  for (const std::uint32_t threads : {1U, 2U}) {
    const Threads set(threads);
    for (const auto& [out, in] : shapes)
      for (const bool in_major : {false, true})
        for (const ElementType type : {ElementType::kFloat32, ElementType::kBfloat16, ElementType::kFloat16}) {
          const Weight weight(out, in, in_major, type);
          const double terms = std::sqrt(static_cast<double>(in));
          for (const std::uint64_t rows : {1U, 2U, 3U, 5U, 8U, 17U}) {
            SCOPED_TRACE(fmt::format("{} threads, {} rows by [{}, {}] {}", threads, rows, out, in, element_type_name(type)));
            expect_product<float>(rows, weight, 1, 0, 2e-6 * terms);
            expect_product<float>(rows, weight, 0.5, 1, 2e-6 * terms);
            expect_product<double>(rows, weight, -2, 0.25, 1e-13 * terms);
            expect_product<double>(rows, weight, 1, 0, 1e-13 * terms);
          }
        }
  }
}

TEST(MultiplyFewRowsTest, InfinitiesAndOddNumbersOfFloat16AreRead) {
  cpu_backend({.threads = 1});
  const std::uint16_t elements[16] = {0x7C00, 0x0001, 0x8001, 0x3C00}; // infinity, the smallest numbers, 1
  std::vector<float> x(16, 0), y(1);
  const auto product = [&](std::uint64_t first, std::uint64_t n) {
    const Matrix matrix{elements + first, ElementType::kFloat16, 1, n, n, false};
    cpu::multiply<float>({x.data(), 1, 16}, matrix, {y.data(), 1, 1}, 1, 0, nullptr);
    return y[0];
  };
  x[0] = 1;
  EXPECT_EQ(product(0, 16), std::numeric_limits<float>::infinity());
  x[0] = 2;
  x[1] = 1;
  EXPECT_EQ(product(1, 3), 0x1p-24F);
  x[0] = 0;
  x[1] = 2;
  x[2] = 1;
  x[3] = 0;
  std::array<std::uint16_t, 16> finite{};
  std::copy_n(elements + 1, 3, finite.begin() + 1);
  const Matrix whole{finite.data(), ElementType::kFloat16, 1, 16, 16, false};
  cpu::multiply<float>({x.data(), 1, 16}, whole, {y.data(), 1, 1}, 1, 0, nullptr);
  EXPECT_EQ(y[0], 0x1p-24F);
}

TEST(AddVectorTest, AddsToEveryRow) {
  for (const ElementType type : {ElementType::kFloat32, ElementType::kBfloat16, ElementType::kFloat16}) {
    const std::vector<double> values = random_values(700, 3);
    test::Memory memory(700 * element_bytes(type));
    store_elements(values.data(), values.size(), memory.data(), type, 0);
    std::vector<double> read(700);
    load_elements(memory.data(), type, 0, 700, read.data());
    std::vector<double> rows(2 * 600, 1);
    cpu::add_vector<double>({memory.data(), type, 700}, 40, 590, 2, {rows.data(), 2, 600});
    for (std::size_t i = 0; i < rows.size(); ++i) ASSERT_DOUBLE_EQ(rows[i], i % 600 < 590 ? 1 + 2 * read[40 + i % 600] : 1) << i;
  }
}

} // namespace
} // namespace plimsoll
