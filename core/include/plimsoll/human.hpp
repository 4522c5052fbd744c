// Byte counts and counts as people read them: what reports and messages of hosts share with the library's own.
// Never used for a value that is computed with. Threads: pure functions.
#pragma once

#include <cstdint>
#include <string>

#include "plimsoll/export.hpp"

namespace plimsoll {

// "56.02 GiB": two decimals, binary prefixes from KiB to TiB; below 1 MiB everything is in KiB.
std::string PLIMSOLL_API human_bytes(std::uint64_t bytes);
// The same with a sign in front of negative values.
std::string PLIMSOLL_API human_signed_bytes(std::int64_t bytes);
// "1,234,567".
std::string PLIMSOLL_API human_count(std::uint64_t count);

} // namespace plimsoll
