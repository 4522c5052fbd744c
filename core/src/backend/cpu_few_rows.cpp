#include "backend/cpu_few_rows.hpp"

#include <algorithm>
#include <cstring>

#include "backend/elements.hpp"
#include "backend/simd.hpp"

namespace plimsoll::cpu {
namespace {

constexpr std::uint64_t kProductLanes = 16, kTogether = 4;
constexpr std::uint64_t kBlockElements = 1U << 15; // of a weight, while all rows pass

// Vectors of the compiler's, which it cuts to what the processor has.
using Floats = float __attribute__((vector_size(64)));
using HalfFloats = float __attribute__((vector_size(32)));
using QuarterFloats = float __attribute__((vector_size(16)));
using Words = std::uint32_t __attribute__((vector_size(64)));
using Halves = std::uint16_t __attribute__((vector_size(32)));

struct Bfloat16 {
  std::uint16_t bits;
};
struct Float16 {
  std::uint16_t bits;
};

// Sixteen elements from an address; by reference, since how such vectors are passed depends on the processor.
[[gnu::always_inline]] inline void load(const float* from, Floats& to) { std::memcpy(&to, from, sizeof(to)); }
[[gnu::always_inline]] inline void load(const Bfloat16* from, Floats& to) {
  Halves halves;
  std::memcpy(&halves, from, sizeof(halves));
  const Words words = __builtin_convertvector(halves, Words) << 16;
  std::memcpy(&to, &words, sizeof(to));
}
// See elements.cpp for the arithmetic.
[[gnu::always_inline]] inline void load(const Float16* from, Floats& to) {
  Halves halves;
  std::memcpy(&halves, from, sizeof(halves));
  const Words all = __builtin_convertvector(halves, Words), magnitude = all & 0x7FFFU, shifted = magnitude << 13;
  Floats scaled;
  std::memcpy(&scaled, &shifted, sizeof(scaled));
  scaled *= 0x1p112F;
  Words words;
  std::memcpy(&words, &scaled, sizeof(words));
  words = magnitude >= 0x7C00U ? (shifted | 0x7F800000U) : words;
  words |= (all & 0x8000U) << 16;
  std::memcpy(&to, &words, sizeof(to));
}

[[gnu::always_inline]] inline float sum_of(const Floats& lanes) {
  HalfFloats halves[2];
  std::memcpy(halves, &lanes, sizeof(halves));
  halves[0] += halves[1];
  QuarterFloats quarters[2];
  std::memcpy(quarters, &halves[0], sizeof(quarters));
  quarters[0] += quarters[1];
  return (quarters[0][0] + quarters[0][1]) + (quarters[0][2] + quarters[0][3]);
}

// `rest`: of w's rows, the elements behind the last whole vector, as floats.
template <std::uint64_t kRows, class Element>
PLIMSOLL_VECTORS void dot_rows(const Element* w, std::uint64_t n, const float* rest, const float* x, std::uint64_t x_stride, float* sums) {
  const std::uint64_t whole = n / kProductLanes * kProductLanes;
  Floats lanes[kRows]{};
  for (std::uint64_t i = 0; i < whole; i += kProductLanes) {
    Floats weights, inputs;
    load(w + i, weights);
#pragma GCC unroll 4
    for (std::uint64_t row = 0; row < kRows; ++row) {
      load(x + row * x_stride + i, inputs);
      lanes[row] += weights * inputs;
    }
  }
#pragma GCC unroll 4
  for (std::uint64_t row = 0; row < kRows; ++row) {
    sums[row] = sum_of(lanes[row]);
    for (std::uint64_t i = whole; i < n; ++i) sums[row] += rest[i - whole] * x[row * x_stride + i];
  }
}

template <std::uint64_t kRows, class Element>
void multiply_rows(Strided<const float> x, const Matrix& w, Strided<float> out, float alpha, float beta) {
  const auto* elements = static_cast<const Element*>(w.data);
  const std::uint64_t whole = w.in / kProductLanes * kProductLanes;
  for (std::uint64_t o = 0; o < w.out; ++o) {
    std::array<float, kProductLanes> rest;
    std::array<float, kRows> sums;
    if (whole < w.in) load_elements(w.data, w.type, o * w.stride + whole, w.in - whole, rest.data());
    dot_rows<kRows>(elements + o * w.stride, w.in, rest.data(), x.data, x.stride, sums.data());
    for (std::uint64_t row = 0; row < kRows; ++row) {
      float& to = out.data[row * out.stride + o];
      to = alpha * sums[row] + (beta == 0 ? 0 : beta * to);
    }
  }
}

// All rows with a block of outputs that stays in a cache meanwhile, then the next block.
template <class Element>
void multiply_all(Strided<const float> x, const Matrix& w, Strided<float> out, float alpha, float beta) {
  Matrix block = w;
  const std::uint64_t most = std::max<std::uint64_t>(1, kBlockElements / w.in);
  for (std::uint64_t first = 0; first < w.out; first += most) {
    block.out = std::min(most, w.out - first);
    block.data = static_cast<const Element*>(w.data) + first * w.stride;
    for (std::uint64_t row = 0; row < x.rows; row += kTogether) {
      const std::uint64_t rows = std::min(kTogether, x.rows - row);
      const Strided<const float> from{x.data + row * x.stride, rows, x.stride};
      const Strided<float> to{out.data + row * out.stride + first, rows, out.stride};
      switch (rows) {
      case 1: multiply_rows<1, Element>(from, block, to, alpha, beta); break;
      case 2: multiply_rows<2, Element>(from, block, to, alpha, beta); break;
      case 3: multiply_rows<3, Element>(from, block, to, alpha, beta); break;
      default: multiply_rows<4, Element>(from, block, to, alpha, beta);
      }
    }
  }
}

} // namespace

void multiply_few_rows(Strided<const float> x, const Matrix& w, Strided<float> out, float alpha, float beta) {
  switch (w.type) {
  case ElementType::kBfloat16: return multiply_all<Bfloat16>(x, w, out, alpha, beta);
  case ElementType::kFloat16: return multiply_all<Float16>(x, w, out, alpha, beta);
  default: return multiply_all<float>(x, w, out, alpha, beta);
  }
}

} // namespace plimsoll::cpu
