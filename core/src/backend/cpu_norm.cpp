// NORM on the CPU. Sums are double. Threads: [serial].
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

// `head`: of the gain, where each head has its own.
template <class Real>
void norm_columns(const NormArgs<Real>& args, std::uint64_t head, const Real* x, Real* out) {
  const std::uint64_t n = args.columns;
  const double centre = args.mean ? sum_of(x, n) / static_cast<double>(n) : 0;
  const double scale = 1 / std::sqrt(sum_of_squares(x, n, centre) / static_cast<double>(n) + args.epsilon);
  const auto first_of = [&](const Vector& vector) { return vector.elements > n ? head * n : 0; };
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

template void norm(const NormArgs<float>&);
template void norm(const NormArgs<double>&);

} // namespace plimsoll::cpu
