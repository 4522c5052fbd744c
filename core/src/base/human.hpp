// Byte counts as people read and write them. Called by messages, the report and the option readers.
// Never used for a value that is computed with. Threads: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "plimsoll/result.hpp"

namespace plimsoll {

// "56.02 GiB": two decimals, binary prefixes from KiB to TiB; below 1 MiB everything is in KiB.
std::string human_bytes(std::uint64_t bytes);
// The same with a sign in front of negative values.
std::string human_signed_bytes(std::int64_t bytes);
// "1,234,567".
std::string human_count(std::uint64_t count);

// Reads "80GiB", "79.19GiB", "80 GB", "1024": decimals are exact, the result is rounded down to a byte.
// kBadRequest with `where` for anything else, zero included only as "0".
Result<std::uint64_t> parse_bytes(std::string_view text, const std::string& where);

} // namespace plimsoll
