// Names as people type them: without regard to case, as patterns. Threads: pure functions.
#pragma once

#include <string>
#include <string_view>

namespace plimsoll {

// ASCII letters as small ones, all else as it is.
std::string lower_case(std::string_view text);

// Whether `text` is what `pattern` says, without regard to case: * is any characters, ? is one; without either, a part of the text.
// Takes at most text x pattern steps.
bool matches_pattern(std::string_view text, std::string_view pattern);

} // namespace plimsoll
