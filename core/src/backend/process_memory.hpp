// What this process has of the machine's memory. Threads: pure questions to the system.
#pragma once

#include <cstdint>

#include "plimsoll/result.hpp"

namespace plimsoll {

// Whether the process grows by what it asks for: sanitizers keep what was given back, and shadows of everything.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kGrowsByWhatItTakes = false;
#else
inline constexpr bool kGrowsByWhatItTakes = true;
#endif

// Bytes that no file stands behind, to the page. kInternal where the system does not say.
Result<std::uint64_t> anonymous_bytes();

} // namespace plimsoll
