// White space and word characters at the ends of texts, as Unicode has them. For steps and tokens that take it along.
// Threads: pure functions.
#pragma once

#include <cstddef>
#include <string_view>

namespace plimsoll {

// Bytes of white space (Unicode's White_Space) at the beginning, at the end.
std::size_t white_space_at_start(std::string_view text);
std::size_t white_space_at_end(std::string_view text);

// Whether the text begins, ends with a character of a word: letters, marks, digits, connecting punctuation.
bool word_at_start(std::string_view text);
bool word_at_end(std::string_view text);

} // namespace plimsoll
