// Texts that cross the ABI, as views: nothing where there is no address or a length that nobody meant. Threads: pure functions.
#pragma once

#include <cstdint>
#include <string_view>

#include "plimsoll/abi.h"

namespace plimsoll {

// A text that is known to be one.
inline std::string_view view_of(plimsoll_str text) { return {text.data, static_cast<std::size_t>(text.size)}; }
// Nothing where it is longer than it may be.
inline std::string_view text_of(plimsoll_str text, std::uint64_t most = 4096) {
  if (text.data == nullptr || text.size > most) return {};
  return {text.data, static_cast<std::size_t>(text.size)};
}

} // namespace plimsoll
