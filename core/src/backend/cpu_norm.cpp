// NORM on the CPU, and its halves where ranks share the rows. Sums are double. Threads: [serial].
#include <algorithm>
#include <array>
#include <cmath>

#include "backend/cpu_ops.hpp"
#include "backend/elements.hpp"
#include "backend/simd.hpp"

namespace plimsoll::cpu {
namespace {

constexpr std::uint64_t kNormLanes = 8;

// Sum of (x - centre)^power, power 1 or 2.
template <class Real>
PLIMSOLL_VECTORS double sum_of_squares(const Real* x, std::uint64_t n, double centre) {
  std::array<double, kNormLanes> lanes{};
  const std::uint64_t whole = n / kNormLanes * kNormLanes;
  for (std::uint64_t i = 0; i < whole; i += kNormLanes)
    for (std::uint64_t lane = 0; lane < kNormLanes; ++lane) {
      const double difference = static_cast<double>(x[i + lane]) - centre;
      lanes[lane] += difference * difference;
    }
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  for (std::uint64_t i = whole; i < n; ++i) sum += (static_cast<double>(x[i]) - centre) * (static_cast<double>(x[i]) - centre);
  return sum;
}

template <class Real>
double sum_of(const Real* x, std::uint64_t n) {
  double sum = 0;
  for (std::uint64_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]);
  return sum;
}

template <class Real>
PLIMSOLL_VECTORS void scale_and_gain(const Real* x, const Real* gain, std::uint64_t n, Real centre, Real scale, Real gain_offset,
                                     Real* out) {
  for (std::uint64_t i = 0; i < n; ++i) out[i] = (x[i] - centre) * scale * (gain[i] + gain_offset);
}

// A part of the gains or biases, as numbers to compute with.
template <class Real>
using VectorPart = std::array<Real, 256>;

template <class Real>
void load_part(const Vector& vector, std::uint64_t first, std::uint64_t n, Real without, VectorPart<Real>& part) {
  if (vector.data == nullptr) std::fill_n(part.begin(), n, without);
  else load_elements(vector.data, vector.type, first, n, part.data());
}

// out = (x - centre) * scale * gain + bias, of `n` columns; gain and bias from their elements at `first` on, or all of them.
template <class Real>
void scale_columns(const NormArgs<Real>& args, std::uint64_t first, std::uint64_t n, double centre, double scale, const Real* x,
                   Real* out) {
  const auto first_of = [&](const Vector& vector) { return vector.elements > n ? first : 0; };
  VectorPart<Real> gain, bias;
  for (std::uint64_t at = 0; at < n; at += gain.size()) {
    const std::uint64_t length = std::min<std::uint64_t>(gain.size(), n - at);
    const bool plus_one = args.plus_one && args.gain.data != nullptr;
    load_part(args.gain, first_of(args.gain) + at, length, Real{1}, gain);
    scale_and_gain(x + at, gain.data(), length, static_cast<Real>(centre), static_cast<Real>(scale), plus_one ? Real{1} : Real{0},
                   out + at);
    if (args.bias.data == nullptr) continue;
    load_part(args.bias, first_of(args.bias) + at, length, Real{0}, bias);
    for (std::uint64_t i = 0; i < length; ++i) out[at + i] += bias[i];
  }
}

double norm_scale(double sum_of_squares, std::uint64_t columns, double epsilon) {
  return 1 / std::sqrt(sum_of_squares / static_cast<double>(columns) + epsilon);
}

// `head`: of the gain, where each head has its own.
template <class Real>
void norm_columns(const NormArgs<Real>& args, std::uint64_t head, const Real* x, Real* out) {
  const std::uint64_t n = args.columns;
  const double centre = args.mean ? sum_of(x, n) / static_cast<double>(n) : 0;
  scale_columns(args, head * n, n, centre, norm_scale(sum_of_squares(x, n, centre), n, args.epsilon), x, out);
}

} // namespace

template <class Real>
void norm(const NormArgs<Real>& args) {
  const bool whole = args.heads * args.columns == args.x.width;
  for (std::uint64_t row = 0; row < args.x.rows; ++row) {
    const Real* x = args.x.row(row);
    Real* out = args.out.row(row);
    if (!whole && out != x) std::copy_n(x, args.x.width, out);
    for (std::uint64_t head = 0; head < args.heads; ++head) {
      const std::uint64_t column = head * args.stride + args.first;
      norm_columns(args, head, x + column, out + column);
    }
  }
}

template <class Real>
void sum_squares(const RowsArgs<Real>& args) {
  for (std::uint64_t row = 0; row < args.x.rows; ++row)
    *args.out.row(row) = static_cast<Real>(sum_of_squares(args.x.row(row), args.x.width, 0));
}

template <class Real>
void norm_of_sums(const NormArgs<Real>& args, const Rows<const Real>& sums) {
  for (std::uint64_t row = 0; row < args.x.rows; ++row)
    scale_columns(args, args.first, args.x.width, 0, norm_scale(static_cast<double>(*sums.row(row)), args.columns, args.epsilon),
                  args.x.row(row), args.out.row(row));
}

template void norm(const NormArgs<float>&);
template void norm(const NormArgs<double>&);
template void sum_squares(const RowsArgs<float>&);
template void sum_squares(const RowsArgs<double>&);
template void norm_of_sums(const NormArgs<float>&, const Rows<const float>&);
template void norm_of_sums(const NormArgs<double>&, const Rows<const double>&);

} // namespace plimsoll::cpu
