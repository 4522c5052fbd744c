// Elements of stored types as numbers to compute with, and back. Called by the CPU's kernels. float32 is copied, float16 and bfloat16 are
// exact one way and rounded to the nearest, ties to even, the other. Threads: pure functions.
#pragma once

#include <cstdint>

#include "plimsoll/element_type.hpp"

namespace plimsoll {

// `n` elements from the element number `first` on. `type`: float32, bfloat16 or float16.
template <class Real>
void load_elements(const void* data, ElementType type, std::uint64_t first, std::uint64_t n, Real* out);
template <class Real>
void store_elements(const Real* x, std::uint64_t n, void* data, ElementType type, std::uint64_t first);

extern template void load_elements(const void*, ElementType, std::uint64_t, std::uint64_t, float*);
extern template void load_elements(const void*, ElementType, std::uint64_t, std::uint64_t, double*);
extern template void store_elements(const float*, std::uint64_t, void*, ElementType, std::uint64_t);
extern template void store_elements(const double*, std::uint64_t, void*, ElementType, std::uint64_t);

} // namespace plimsoll
