// How long random tests run, and from which seed: PLIMSOLL_KV_OPERATIONS and PLIMSOLL_KV_SEED, less by default where every operation
// is dear. One thread.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace plimsoll::testing {

#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
inline constexpr bool kOptimised = true;
#else
inline constexpr bool kOptimised = false;
#endif

inline std::uint64_t environment_number(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr && *text != '\0' ? std::strtoull(text, nullptr, 10) : otherwise;
}

} // namespace plimsoll::testing
