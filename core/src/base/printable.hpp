// Texts of strangers, for people. Threads: pure functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace plimsoll {

// At most so many bytes of it, and nothing but text: control characters, and what is no UTF-8, become question marks.
std::string printable_text(std::string_view text, std::size_t most);

} // namespace plimsoll
