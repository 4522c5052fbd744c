// The known names closest to a misspelt one, for messages. Threads: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace plimsoll {

// At most `count` of `names` by edit distance without regard to case, best first; nothing that shares less than
// half its letters. Names longer than 128 characters are cut for the comparison.
std::vector<std::string> nearest(std::string_view name, const std::vector<std::string_view>& names, std::size_t count);

// "A, B or C"; empty for none.
std::string either(const std::vector<std::string>& names);

} // namespace plimsoll
