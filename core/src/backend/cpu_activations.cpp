#include "backend/cpu_activations.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "backend/cpu_ops.hpp"
#include "backend/simd.hpp"
#include "plimsoll/pipeline.h"

namespace plimsoll::cpu {
namespace {

template <class Real>
PLIMSOLL_VECTORS void silu(const Real* x, std::uint64_t n, Real* out) {
  for (std::uint64_t i = 0; i < n; ++i) out[i] = x[i] / (Real{1} + fast_exp(-x[i]));
}
template <class Real>
PLIMSOLL_VECTORS void sigmoid(const Real* x, std::uint64_t n, Real* out) {
  for (std::uint64_t i = 0; i < n; ++i) out[i] = Real{1} / (Real{1} + fast_exp(-x[i]));
}
// (1 + tanh z) / 2 is the sigmoid of 2z.
template <class Real>
PLIMSOLL_VECTORS void gelu_tanh(const Real* x, std::uint64_t n, Real* out) {
  constexpr Real kTwiceRoot = static_cast<Real>(1.5957691216057308); // 2 sqrt(2 / pi)
  for (std::uint64_t i = 0; i < n; ++i) {
    const Real z = kTwiceRoot * (x[i] + static_cast<Real>(0.044715) * x[i] * x[i] * x[i]);
    out[i] = x[i] / (Real{1} + fast_exp(-z));
  }
}
template <class Real>
PLIMSOLL_VECTORS void gelu_quick(const Real* x, std::uint64_t n, Real* out) {
  for (std::uint64_t i = 0; i < n; ++i) out[i] = x[i] / (Real{1} + fast_exp(static_cast<Real>(-1.702) * x[i]));
}
template <class Real>
PLIMSOLL_VECTORS void swiglu_oai(const Real* gate, const Real* up, std::uint64_t n, Real limit, Real alpha, Real* out) {
  for (std::uint64_t i = 0; i < n; ++i) {
    const Real g = gate[i] > limit ? limit : gate[i];
    const Real low = up[i] < -limit ? -limit : up[i];
    const Real u = low > limit ? limit : low;
    out[i] = (u + Real{1}) * g / (Real{1} + fast_exp(-alpha * g));
  }
}
template <class Real>
PLIMSOLL_VECTORS void times(const Real* x, std::uint64_t n, Real* out) {
  for (std::uint64_t i = 0; i < n; ++i) out[i] *= x[i];
}

constexpr std::uint64_t kBlock = 512; // elements that fit a stack and the first cache

} // namespace

template <class Real>
void activate(std::uint64_t act, const ActLimits& limits, const Real* x, std::uint64_t n, Real* out) {
  switch (act) {
  case PLIMSOLL_ACT_SILU: return silu(x, n, out);
  case PLIMSOLL_ACT_SIGMOID: return sigmoid(x, n, out);
  case PLIMSOLL_ACT_GELU_TANH: return gelu_tanh(x, n, out);
  case PLIMSOLL_ACT_GELU_QUICK: return gelu_quick(x, n, out);
  case PLIMSOLL_ACT_GELU:
    for (std::uint64_t i = 0; i < n; ++i) out[i] = x[i] / 2 * (1 + std::erf(x[i] * static_cast<Real>(0.70710678118654752)));
    return;
  case PLIMSOLL_ACT_RELU:
    for (std::uint64_t i = 0; i < n; ++i) out[i] = x[i] < 0 ? Real{0} : x[i];
    return;
  case PLIMSOLL_ACT_RELU_SQUARED:
    for (std::uint64_t i = 0; i < n; ++i) out[i] = x[i] < 0 ? Real{0} : x[i] * x[i];
    return;
  case PLIMSOLL_ACT_SOFT_CAP: {
    const auto cap = static_cast<Real>(limits.limit);
    for (std::uint64_t i = 0; i < n; ++i) out[i] = cap * std::tanh(x[i] / cap);
    return;
  }
  default: break;
  }
  if (out != x) std::copy_n(x, n, out);
}

template <class Real>
void activate_pairs(std::uint64_t act, const ActLimits& limits, const Real* gate, const Real* up, std::uint64_t n, Real* out) {
  if (act == PLIMSOLL_ACT_SWIGLU_OAI) return swiglu_oai(gate, up, n, static_cast<Real>(limits.limit), static_cast<Real>(limits.alpha), out);
  if (up == nullptr) return activate(act, limits, gate, n, out);
  std::array<Real, kBlock> block;
  for (std::uint64_t at = 0; at < n; at += kBlock) {
    const std::uint64_t length = std::min(kBlock, n - at);
    activate(act, limits, gate + at, length, block.data());
    times(up + at, length, block.data());
    std::copy_n(block.data(), length, out + at);
  }
}

template <class Real>
void gate(const GateArgs<Real>& args) {
  const ActLimits limits{args.limit, args.alpha};
  const std::uint64_t n = args.out.rows * args.out.width;
  if (!args.accumulate) return activate_pairs(args.act, limits, args.a.data, args.b.data, n, args.out.data);
  std::array<Real, kBlock> block;
  for (std::uint64_t at = 0; at < n; at += kBlock) {
    const std::uint64_t length = std::min(kBlock, n - at);
    activate_pairs(args.act, limits, args.a.data + at, args.b.data == nullptr ? nullptr : args.b.data + at, length, block.data());
    for (std::uint64_t i = 0; i < length; ++i) args.out.data[at + i] += block[i];
  }
}

template void activate(std::uint64_t, const ActLimits&, const float*, std::uint64_t, float*);
template void activate(std::uint64_t, const ActLimits&, const double*, std::uint64_t, double*);
template void activate_pairs(std::uint64_t, const ActLimits&, const float*, const float*, std::uint64_t, float*);
template void activate_pairs(std::uint64_t, const ActLimits&, const double*, const double*, std::uint64_t, double*);
template void gate(const GateArgs<float>&);
template void gate(const GateArgs<double>&);

} // namespace plimsoll::cpu
