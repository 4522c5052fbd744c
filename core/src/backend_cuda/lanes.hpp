// How kernels are written, so that one text runs on a device and on a host. A body is called for each index n of a launch, in any order
// and at the same time. A flat body has one thread: body(n). A body of lanes has several threads that take the same way through it, each
// with its own index: body(n, lanes), a warp of the device. What a type of lanes has:
//   std::uint64_t index() const, count() const   which thread this is, and of how many
//   void wait() const                            until all have come; what they wrote before is seen by all afterwards
//   Real sum(Real x) const, most(Real x) const   over all lanes, given to all; waits as wait() does
//   Real from(Real x, std::uint64_t lane) const  the x of one of them, given to all; waits as wait() does
// What several lanes must not do all at once stands behind index() == 0. Header only; knows no header of CUDA. Threads: as above.
#pragma once

#include <cmath>
#include <cstdint>

#include "backend/backend.hpp"
#include "base/half.hpp"

#ifdef __CUDACC__
#define PLIMSOLL_DEVICE __host__ __device__
#else
#define PLIMSOLL_DEVICE
#endif

namespace plimsoll::gpu {

// Element n of stored elements: float32, float64, bfloat16 or float16.
template <class Real>
PLIMSOLL_DEVICE Real load(const void* data, ElementType type, std::uint64_t n) {
  switch (type) {
  case ElementType::kFloat64: return static_cast<Real>(static_cast<const double*>(data)[n]);
  case ElementType::kBfloat16: return static_cast<Real>(from_bfloat16(static_cast<const std::uint16_t*>(data)[n]));
  case ElementType::kFloat16: return static_cast<Real>(from_float16(static_cast<const std::uint16_t*>(data)[n]));
  default: return static_cast<Real>(static_cast<const float*>(data)[n]);
  }
}
template <class Real>
PLIMSOLL_DEVICE void store(Real x, void* data, ElementType type, std::uint64_t n) {
  switch (type) {
  case ElementType::kFloat64: static_cast<double*>(data)[n] = static_cast<double>(x); return;
  case ElementType::kBfloat16: static_cast<std::uint16_t*>(data)[n] = to_bfloat16(static_cast<float>(x)); return;
  case ElementType::kFloat16: static_cast<std::uint16_t*>(data)[n] = to_float16(static_cast<float>(x)); return;
  default: static_cast<float*>(data)[n] = static_cast<float>(x); return;
  }
}

// An element of a vector; `without` where there is no vector.
template <class Real>
PLIMSOLL_DEVICE Real element(const Vector& vector, std::uint64_t n, Real without) {
  return vector.data == nullptr ? without : load<Real>(vector.data, vector.type, n);
}
template <class Real>
PLIMSOLL_DEVICE Real element(const Matrix& matrix, std::uint64_t out, std::uint64_t in) {
  return load<Real>(matrix.data, matrix.type, matrix.in_major ? in * matrix.stride + out : out * matrix.stride + in);
}

// The sequence that a row of a pass belongs to.
PLIMSOLL_DEVICE inline std::uint64_t sequence_of(const PassView& pass, std::uint64_t row) {
  std::uint64_t begin = 0, end = pass.sequences;
  while (end - begin > 1) {
    const std::uint64_t middle = begin + (end - begin) / 2;
    if (pass.row_offsets[middle] <= row) begin = middle;
    else end = middle;
  }
  return begin;
}
// Where a row of sequence b stands in it.
PLIMSOLL_DEVICE inline std::uint64_t position_of(const PassView& pass, std::uint64_t b, std::uint64_t row) {
  return std::uint64_t{pass.cache_lengths[b]} + (row - pass.row_offsets[b]);
}

// The product of two rows of n elements: lanes share the elements out. `a` and `b` give element i.
template <class Real, class Lanes, class A, class B>
PLIMSOLL_DEVICE Real dot(const Lanes& lanes, std::uint64_t n, const A& a, const B& b) {
  Real part = 0;
  for (std::uint64_t i = lanes.index(); i < n; i += lanes.count()) part += a(i) * b(i);
  return lanes.sum(part);
}

} // namespace plimsoll::gpu
