// Products with weights, the one way in which the CPU's ops multiply; OpenBLAS does the work. A weight of another type than the compute
// type goes through a tile of fixed size, so that no copy of it is ever made. Called by the ops. Threads: [serial].
#pragma once

#include <cblas.h>

#include "backend/backend.hpp"

namespace plimsoll::cpu {

// [rows, columns] elements whose rows are `stride` apart.
template <class Real>
struct Strided {
  Real* data = nullptr;
  std::uint64_t rows = 0, stride = 0;
};

// out = alpha * x w^T + beta * out. beta 0: what stands in out does not matter. `tile`: kTileElements, where w is of another type.
template <class Real>
void multiply(Strided<const Real> x, const Matrix& w, Strided<Real> out, double alpha, double beta, Real* tile);

// out[row] += scale * elements of the vector from `first` on, for each row.
template <class Real>
void add_vector(const Vector& vector, std::uint64_t first, std::uint64_t n, double scale, Strided<Real> out);

// c [m, n] = alpha * a [m, k] b + beta * c, b [k, n], or [n, k] where `b_transposed`; all row by row.
inline void gemm(bool b_transposed, std::uint64_t m, std::uint64_t n, std::uint64_t k, double alpha, const float* a, std::uint64_t a_stride,
                 const float* b, std::uint64_t b_stride, double beta, float* c, std::uint64_t c_stride) {
  cblas_sgemm(CblasRowMajor, CblasNoTrans, b_transposed ? CblasTrans : CblasNoTrans, static_cast<int>(m), static_cast<int>(n),
              static_cast<int>(k), static_cast<float>(alpha), a, static_cast<int>(a_stride), b, static_cast<int>(b_stride),
              static_cast<float>(beta), c, static_cast<int>(c_stride));
}
inline void gemm(bool b_transposed, std::uint64_t m, std::uint64_t n, std::uint64_t k, double alpha, const double* a,
                 std::uint64_t a_stride, const double* b, std::uint64_t b_stride, double beta, double* c, std::uint64_t c_stride) {
  cblas_dgemm(CblasRowMajor, CblasNoTrans, b_transposed ? CblasTrans : CblasNoTrans, static_cast<int>(m), static_cast<int>(n),
              static_cast<int>(k), alpha, a, static_cast<int>(a_stride), b, static_cast<int>(b_stride), beta, c,
              static_cast<int>(c_stride));
}

} // namespace plimsoll::cpu
