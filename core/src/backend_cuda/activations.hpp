// What activations do to one element or one pair (PLIMSOLL_ACT_* in plimsoll/pipeline.h). Header only. Threads: pure functions.
#pragma once

#include "backend_cuda/lanes.hpp"
#include "plimsoll/pipeline.h"

namespace plimsoll::gpu {

template <class Real>
PLIMSOLL_DEVICE Real sigmoid(Real x) {
  return Real{1} / (Real{1} + std::exp(-x));
}

// log(1 + e^x), without overflow and exact where x is very negative.
template <class Real>
PLIMSOLL_DEVICE Real softplus(Real x) {
  return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x));
}

// Not for activations of pairs. `limit`: the cap of PLIMSOLL_ACT_SOFT_CAP.
template <class Real>
PLIMSOLL_DEVICE Real activated(std::uint64_t act, Real limit, Real x) {
  switch (act) {
  case PLIMSOLL_ACT_SILU: return x * sigmoid(x);
  case PLIMSOLL_ACT_SIGMOID: return sigmoid(x);
  case PLIMSOLL_ACT_GELU_TANH: {                                   // (1 + tanh z) / 2 is the sigmoid of 2z
    const Real twice_root = static_cast<Real>(1.5957691216057308); // 2 sqrt(2 / pi)
    return x * sigmoid(twice_root * (x + static_cast<Real>(0.044715) * x * x * x));
  }
  case PLIMSOLL_ACT_GELU: return x / 2 * (1 + std::erf(x * static_cast<Real>(0.70710678118654752)));
  case PLIMSOLL_ACT_RELU: return x < 0 ? Real{0} : x;
  case PLIMSOLL_ACT_GELU_QUICK: return x * sigmoid(static_cast<Real>(1.702) * x);
  case PLIMSOLL_ACT_RELU_SQUARED: return x < 0 ? Real{0} : x * x;
  case PLIMSOLL_ACT_SOFT_CAP: return limit * std::tanh(x / limit);
  default: return x;
  }
}

template <class Real>
PLIMSOLL_DEVICE Real activated_pair(std::uint64_t act, Real limit, Real alpha, Real gate, Real up) {
  if (act != PLIMSOLL_ACT_SWIGLU_OAI) return activated(act, limit, gate) * up;
  const Real g = gate > limit ? limit : gate;
  const Real low = up < -limit ? -limit : up;
  const Real u = low > limit ? limit : low;
  return (u + Real{1}) * g * sigmoid(alpha * g);
}

} // namespace plimsoll::gpu
