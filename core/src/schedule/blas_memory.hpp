// The memory that OpenBLAS takes for itself, as a bound: the plan sets it aside as an item of its own, since no allocator of ours sees it.
// Header only: the plan and the runtime's tests have it. Threads: constants.
//
// Read in OpenBLAS 0.3.21 (its level 3 driver, its parameters for each kernel, its gemv): a thread that multiplies has one
// buffer for ever, mapped at 128 MiB, of which only what is written becomes memory. A product of [tokens, in] by [out, in] packs
//   - of the weight a panel of P x Q elements: 768 x 384 on Haswell and Zen, 448 x 448 and 640 x 320 with AVX-512, 512 x 768 on the oldest
//     cores that were found, so at most 1.5 MiB of float32;
//   - of the tokens a panel of Q x tokens: Q is 768 at most, so 3 KiB a token, rounded up to a few tokens.
// A product of one row packs in + out elements into the same buffer. What is not touched costs nothing, so `out` and `in` do not count.
#pragma once

#include <cstdint>

#include "base/checked.hpp"

namespace plimsoll {

inline constexpr std::uint64_t kBlasPanelBytes = 2U << 20;   // 1.5 MiB, and pages of 4 KiB that are touched in part
inline constexpr std::uint64_t kBlasTokenBytes = 768 * 4;    // of the longest panel
inline constexpr std::uint64_t kBlasTokenStep = 64;          // tokens are packed in groups; 64 is more than any kernel's
inline constexpr std::uint64_t kBlasLibraryBytes = 1U << 20; // tables that the library fills when it is first called

// What cuBLAS works in on a GPU: set aside by the plan and handed to it, so that it takes none by itself. 32 MiB is what its documentation
// asks for on compute capability 9.0; older ones do with 4 MiB. With memory of its caller's its results repeat on one stream, as if
// CUBLAS_WORKSPACE_CONFIG said so.
inline constexpr std::uint64_t kCublasWorkspaceBytes = 32U << 20;
// Device memory is given in granules: an allocation of 1 MiB and more in whole ones, smaller ones together in one.
inline constexpr std::uint64_t kGranuleBytes = 2U << 20;

// Bytes for passes of at most so many tokens. 512 tokens, one thread: 4.5 MiB.
constexpr Checked blas_bound_bytes(std::uint64_t most_tokens, std::uint64_t threads = 1) {
  const Checked packed = Checked(ceil_div(most_tokens, kBlasTokenStep)) * kBlasTokenStep * kBlasTokenBytes;
  return Checked(threads) * (packed + kBlasPanelBytes) + kBlasLibraryBytes;
}

} // namespace plimsoll
