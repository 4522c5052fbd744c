// Weights in host memory that a device must hold while it multiplies with them: copied when they are due, a matrix at a time. Called by
// the profile's items, which have room for them. Threads: pure functions.
#pragma once

#include <cstdint>

#include "plan/settled.hpp"

namespace plimsoll {

struct CopiedWeights {
  std::uint64_t layer_bytes = 0;  // the two largest matrices of a layer on the host: one in use, one on its way
  std::uint64_t output_bytes = 0; // the output layer, where it lies there
};

CopiedWeights copied_weights(const Settled& settled);

} // namespace plimsoll
