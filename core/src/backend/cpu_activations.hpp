// What activations do to elements (PLIMSOLL_ACT_* in plimsoll/pipeline.h). Called by GATE, SCALE_ROWS, EXPERTS. Threads: pure functions.
#pragma once

#include <cstdint>

namespace plimsoll::cpu {

struct ActLimits {
  double limit = 0, alpha = 0; // the op's reals: a cap or a limit, and alpha
};

// out[i] = act(x[i]); not for activations of pairs. `out` may be x.
template <class Real>
void activate(std::uint64_t act, const ActLimits& limits, const Real* x, std::uint64_t n, Real* out);

// out[i] = act(gate[i]) * up[i], or the activation of the pair; act(gate[i]) where there is no `up`. `out` may be either.
template <class Real>
void activate_pairs(std::uint64_t act, const ActLimits& limits, const Real* gate, const Real* up, std::uint64_t n, Real* out);

} // namespace plimsoll::cpu
