// What a digit is: one of ten letters, whatever the locale says. Called by whoever reads names and numbers letter by letter.
#pragma once

namespace plimsoll {

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }

} // namespace plimsoll
