// Bodies of LINEAR beside the BLAS's products: a tile of a weight as compute elements, products of few rows with a weight as it is stored,
// and biases. Header only. Threads: see lanes.hpp.
#pragma once

#include "backend_cuda/lanes.hpp"
#include "backend_cuda/row_kernels.hpp"

namespace plimsoll::gpu {

// [rows, columns] elements whose rows are `stride` apart.
template <class Real>
struct Strided {
  Real* data = nullptr;
  std::uint64_t rows = 0, stride = 0;
};

template <class Real>
struct TileElement { // of part.out * part.in, as the lines of the weight have them
  Matrix weight;
  std::uint64_t first_out = 0, first_in = 0, line_elements = 0;
  Real* tile = nullptr;
  PLIMSOLL_DEVICE void operator()(std::uint64_t n) const {
    const std::uint64_t line = n / line_elements, i = n % line_elements;
    tile[n] =
        weight.in_major ? element<Real>(weight, first_out + i, first_in + line) : element<Real>(weight, first_out + line, first_in + i);
  }
};

template <class Real>
struct ProductElement { // of rows * weight.out: out = alpha * x w^T + beta * out
  Strided<const Real> x;
  Matrix weight;
  Strided<Real> out;
  Real alpha = 1, beta = 0;
  template <class Lanes>
  PLIMSOLL_DEVICE void operator()(std::uint64_t n, const Lanes& lanes) const {
    const std::uint64_t row = n / weight.out, o = n % weight.out;
    const Real* const from = x.data + row * x.stride;
    const Real sum = dot<Real>(
        lanes, weight.in, [=](std::uint64_t i) { return from[i]; }, [=, *this](std::uint64_t i) { return element<Real>(weight, o, i); });
    if (lanes.index() != 0) return;
    Real* const to = out.data + row * out.stride + o;
    *to = alpha * sum + (beta == 0 ? Real{0} : beta * *to); // a product with 0 would keep what is no number
  }
};

template <class Real>
struct BiasElement { // of out.rows * columns
  Vector bias;
  std::uint64_t columns = 0;
  Real scale = 1;
  Strided<Real> out;
  PLIMSOLL_DEVICE void operator()(std::uint64_t n) const {
    const std::uint64_t column = n % columns;
    out.data[n / columns * out.stride + column] += scale * element(bias, column, Real{0});
  }
};

template <class Real>
struct ZeroElement {
  Real* out;
  PLIMSOLL_DEVICE void operator()(std::uint64_t n) const { out[n] = 0; }
};

} // namespace plimsoll::gpu
