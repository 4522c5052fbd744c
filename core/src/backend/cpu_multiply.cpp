#include "backend/cpu_multiply.hpp"

#include <algorithm>
#include <array>
#include <type_traits>

#include "backend/cpu_few_rows.hpp"
#include "backend/cpu_ops.hpp"
#include "backend/elements.hpp"
#include "schedule/scratch_layout.hpp"

namespace plimsoll::cpu {
namespace {

void gemv(bool transposed, std::uint64_t rows, std::uint64_t columns, double alpha, const float* a, std::uint64_t stride, const float* x,
          double beta, float* y) {
  cblas_sgemv(CblasRowMajor, transposed ? CblasTrans : CblasNoTrans, static_cast<int>(rows), static_cast<int>(columns),
              static_cast<float>(alpha), a, static_cast<int>(stride), x, 1, static_cast<float>(beta), y, 1);
}
void gemv(bool transposed, std::uint64_t rows, std::uint64_t columns, double alpha, const double* a, std::uint64_t stride, const double* x,
          double beta, double* y) {
  cblas_dgemv(CblasRowMajor, transposed ? CblasTrans : CblasNoTrans, static_cast<int>(rows), static_cast<int>(columns), alpha, a,
              static_cast<int>(stride), x, 1, beta, y, 1);
}

// The same for a weight of the compute type, `w` its elements.
template <class Real>
void multiply_plain(Strided<const Real> x, const Matrix& shape, const Real* w, Strided<Real> out, double alpha, double beta) {
  if (x.rows > 1)
    return gemm(!shape.in_major, x.rows, shape.out, shape.in, alpha, x.data, x.stride, w, shape.stride, beta, out.data, out.stride);
  if (beta == 0) std::fill_n(out.data, shape.out, Real{0}); // a product with 0 would keep what is no number
  const std::uint64_t rows = shape.in_major ? shape.in : shape.out, columns = shape.in_major ? shape.out : shape.in;
  gemv(shape.in_major, rows, columns, alpha, w, shape.stride, x.data, beta == 0 ? 1 : beta, out.data);
}

// More threads than one are OpenBLAS's.
bool are_few(std::uint64_t rows, const Matrix& w) {
  return rows <= (w.type == ElementType::kFloat32 ? kFewRows : kFewConvertedRows) && !w.in_major && openblas_get_num_threads() == 1;
}

} // namespace

template <class Real>
void multiply(Strided<const Real> x, const Matrix& w, Strided<Real> out, double alpha, double beta, Real* tile) {
  if (x.rows == 0) return;
  if constexpr (std::is_same_v<Real, float>)
    if (are_few(x.rows, w)) return multiply_few_rows(x, w, out, static_cast<float>(alpha), static_cast<float>(beta));
  if (w.type == (std::is_same_v<Real, float> ? ElementType::kFloat32 : ElementType::kFloat64))
    return multiply_plain(x, w, static_cast<const Real*>(w.data), out, alpha, beta);
  for (std::uint64_t first_out = 0; first_out < w.out; first_out += kTileRows)
    for (std::uint64_t first_in = 0; first_in < w.in; first_in += kTileColumns) {
      Matrix part = w;
      part.out = std::min(kTileRows, w.out - first_out);
      part.in = std::min(kTileColumns, w.in - first_in);
      const std::uint64_t lines = w.in_major ? part.in : part.out, first_line = w.in_major ? first_in : first_out;
      part.stride = w.in_major ? part.out : part.in;
      for (std::uint64_t line = 0; line < lines; ++line)
        load_elements(w.data, w.type, (first_line + line) * w.stride + (w.in_major ? first_out : first_in), part.stride,
                      tile + line * part.stride);
      multiply_plain<Real>({x.data + first_in, x.rows, x.stride}, part, tile, {out.data + first_out, out.rows, out.stride}, alpha,
                           first_in == 0 ? beta : 1);
    }
}

template <class Real>
void add_vector(const Vector& vector, std::uint64_t first, std::uint64_t n, double scale, Strided<Real> out) {
  std::array<Real, 256> part;
  for (std::uint64_t at = 0; at < n; at += part.size()) {
    const std::uint64_t length = std::min<std::uint64_t>(part.size(), n - at);
    load_elements(vector.data, vector.type, first + at, length, part.data());
    for (std::uint64_t row = 0; row < out.rows; ++row)
      for (std::uint64_t i = 0; i < length; ++i) out.data[row * out.stride + at + i] += static_cast<Real>(scale) * part[i];
  }
}

template <class Real>
void linear(const LinearArgs<Real>& args) {
  const Strided<Real> out{args.out.data, args.out.rows, args.out.width};
  multiply<Real>({args.x.data, args.x.rows, args.x.width}, args.weight, out, args.scale, args.accumulate ? 1 : 0,
                 static_cast<Real*>(args.scratch.tile));
  if (args.bias.data != nullptr) add_vector(args.bias, 0, args.out.width, args.scale, out);
}

template void multiply(Strided<const float>, const Matrix&, Strided<float>, double, double, float*);
template void multiply(Strided<const double>, const Matrix&, Strided<double>, double, double, double*);
template void add_vector(const Vector&, std::uint64_t, std::uint64_t, double, Strided<float>);
template void add_vector(const Vector&, std::uint64_t, std::uint64_t, double, Strided<double>);
template void linear(const LinearArgs<float>&);
template void linear(const LinearArgs<double>&);

} // namespace plimsoll::cpu
