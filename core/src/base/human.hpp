// Byte counts as people read and write them.
// Never used for a value that is computed with. Threads: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "plimsoll/human.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

// Reads "80GiB", "79.19GiB", "80 GB", "1024": decimals are exact, the result is rounded down to a byte.
// kBadRequest with `where` for anything else, zero included only as "0".
Result<std::uint64_t> parse_bytes(std::string_view text, const std::string& where);

// Reads a number of tokens as vLLM does: 8192, 8k (8,000), 8K (8,192), 1m, 1M, 1g, 1G; decimals for the small letters alone, 25.6k.
// Nothing for anything else, for what is no whole number and for what does not fit 63 bits.
std::optional<std::uint64_t> parse_tokens(std::string_view text);

} // namespace plimsoll
