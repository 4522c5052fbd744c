#include "backend/elements.hpp"

#include "backend/simd.hpp"
#include "base/half.hpp"

namespace plimsoll {
namespace {

template <class Real>
PLIMSOLL_VECTORS void load_float32(const float* from, std::uint64_t n, Real* out) {
  for (std::uint64_t i = 0; i < n; ++i) out[i] = static_cast<Real>(from[i]);
}
template <class Real>
PLIMSOLL_VECTORS void load_bfloat16(const std::uint16_t* from, std::uint64_t n, Real* out) {
  for (std::uint64_t i = 0; i < n; ++i) out[i] = static_cast<Real>(from_bfloat16(from[i]));
}
template <class Real>
PLIMSOLL_VECTORS void load_float16(const std::uint16_t* from, std::uint64_t n, Real* out) {
  for (std::uint64_t i = 0; i < n; ++i) out[i] = static_cast<Real>(from_float16(from[i]));
}
template <class Real>
PLIMSOLL_VECTORS void store_bfloat16(const Real* from, std::uint64_t n, std::uint16_t* out) {
  for (std::uint64_t i = 0; i < n; ++i) out[i] = to_bfloat16(static_cast<float>(from[i]));
}
template <class Real>
PLIMSOLL_VECTORS void store_float16(const Real* from, std::uint64_t n, std::uint16_t* out) {
  for (std::uint64_t i = 0; i < n; ++i) out[i] = to_float16(static_cast<float>(from[i]));
}

} // namespace

template <class Real>
void load_elements(const void* data, ElementType type, std::uint64_t first, std::uint64_t n, Real* out) {
  switch (type) {
  case ElementType::kBfloat16: return load_bfloat16(static_cast<const std::uint16_t*>(data) + first, n, out);
  case ElementType::kFloat16: return load_float16(static_cast<const std::uint16_t*>(data) + first, n, out);
  default: return load_float32(static_cast<const float*>(data) + first, n, out);
  }
}

template <class Real>
void store_elements(const Real* x, std::uint64_t n, void* data, ElementType type, std::uint64_t first) {
  switch (type) {
  case ElementType::kBfloat16: return store_bfloat16(x, n, static_cast<std::uint16_t*>(data) + first);
  case ElementType::kFloat16: return store_float16(x, n, static_cast<std::uint16_t*>(data) + first);
  default: break;
  }
  float* out = static_cast<float*>(data) + first;
  for (std::uint64_t i = 0; i < n; ++i) out[i] = static_cast<float>(x[i]);
}

template void load_elements(const void*, ElementType, std::uint64_t, std::uint64_t, float*);
template void load_elements(const void*, ElementType, std::uint64_t, std::uint64_t, double*);
template void store_elements(const float*, std::uint64_t, void*, ElementType, std::uint64_t);
template void store_elements(const double*, std::uint64_t, void*, ElementType, std::uint64_t);

} // namespace plimsoll
