#include "backend/cpu_softmax.hpp"

#include <array>
#include <cmath>
#include <limits>

#include "backend/cpu_multiply.hpp"
#include "backend/simd.hpp"

namespace plimsoll::cpu {
namespace {

constexpr std::uint64_t kSoftmaxLanes = 16;
template <class Real>
constexpr Real kNothing = -std::numeric_limits<Real>::infinity();

template <class Real>
PLIMSOLL_VECTORS Real largest(const Real* x, std::uint64_t n, Real start) {
  std::array<Real, kSoftmaxLanes> lanes;
  lanes.fill(start);
  const std::uint64_t whole = n / kSoftmaxLanes * kSoftmaxLanes;
  for (std::uint64_t i = 0; i < whole; i += kSoftmaxLanes)
    for (std::uint64_t lane = 0; lane < kSoftmaxLanes; ++lane) lanes[lane] = lanes[lane] < x[i + lane] ? x[i + lane] : lanes[lane];
  Real most = start;
  for (const Real lane : lanes) most = most < lane ? lane : most;
  for (std::uint64_t i = whole; i < n; ++i) most = most < x[i] ? x[i] : most;
  return most;
}

// x = e^(x - most); their sum.
template <class Real>
PLIMSOLL_VECTORS Real exponentials(Real* x, std::uint64_t n, Real most) {
  std::array<Real, kSoftmaxLanes> lanes{};
  const std::uint64_t whole = n / kSoftmaxLanes * kSoftmaxLanes;
  for (std::uint64_t i = 0; i < whole; i += kSoftmaxLanes)
    for (std::uint64_t lane = 0; lane < kSoftmaxLanes; ++lane) {
      x[i + lane] = fast_exp(x[i + lane] - most);
      lanes[lane] += x[i + lane];
    }
  Real sum = 0;
  for (std::uint64_t i = whole; i < n; ++i) {
    x[i] = fast_exp(x[i] - most);
    sum += x[i];
  }
  for (const Real lane : lanes) sum += lane;
  return sum;
}

// x = cap tanh(x / cap).
template <class Real>
PLIMSOLL_VECTORS void cap_scores(Real* x, std::uint64_t n, Real cap) {
  for (std::uint64_t i = 0; i < n; ++i) {
    const Real magnitude = x[i] < 0 ? -x[i] : x[i];
    const Real e = fast_exp(magnitude * (Real{-2} / cap));
    const Real capped = cap * (Real{1} - e) / (Real{1} + e);
    x[i] = x[i] < 0 ? -capped : capped;
  }
}

template <class Real>
PLIMSOLL_VECTORS void scale(Real* x, std::uint64_t n, Real by) {
  for (std::uint64_t i = 0; i < n; ++i) x[i] *= by;
}

} // namespace

template <class Real>
void RunningSoftmax<Real>::start(const Real* sinks) const {
  const std::uint64_t rows = block.rows();
  std::fill_n(sums, rows * width, Real{0});
  for (std::uint64_t row = 0; row < rows; ++row) {
    maxima[row] = sinks == nullptr ? kNothing<Real> : sinks[row / block.tokens];
    weights[row] = sinks == nullptr ? Real{0} : Real{1};
  }
}

template <class Real>
void RunningSoftmax<Real>::add(std::uint64_t begin, std::uint64_t end, double soft_cap, const Real* values, std::uint64_t stride) const {
  const std::uint64_t rows = block.rows(), keys = end - begin;
  for (std::uint64_t row = 0; row < rows; ++row) {
    const std::uint64_t position = first_position + row % block.tokens;
    const std::uint64_t from = std::clamp(visible.first(position), begin, end) - begin;
    const std::uint64_t to = std::clamp(visible.end(position), begin + from, end) - begin;
    Real* score = scores + row * kKeyBlockTokens;
    if (soft_cap != 0) cap_scores(score + from, to - from, static_cast<Real>(soft_cap));
    std::fill(score, score + from, Real{0});
    std::fill(score + to, score + keys, Real{0});
    if (from == to) continue;
    const Real most = largest(score + from, to - from, maxima[row]);
    if (most > maxima[row]) {
      const Real by = maxima[row] == kNothing<Real> ? Real{0} : std::exp(maxima[row] - most);
      weights[row] *= by;
      scale(sums + row * width, width, by);
      maxima[row] = most;
    }
    weights[row] += exponentials(score + from, to - from, maxima[row]);
  }
  gemm(false, rows, width, keys, 1, scores, kKeyBlockTokens, values, stride, 1, sums, width);
}

template <class Real>
void RunningSoftmax<Real>::finish() const {
  for (std::uint64_t row = 0; row < block.rows(); ++row) scale(sums + row * width, width, Real{1} / weights[row]);
}

template struct RunningSoftmax<float>;
template struct RunningSoftmax<double>;

} // namespace plimsoll::cpu
