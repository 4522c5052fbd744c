// What this process has of the machine's memory. Threads: pure questions to the system.
#pragma once

#include <cstdint>

#include "plimsoll/result.hpp"

namespace plimsoll {

// Bytes that no file stands behind, to the page. kInternal where the system does not say.
Result<std::uint64_t> anonymous_bytes();

} // namespace plimsoll
