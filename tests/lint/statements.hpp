// One assignment a statement: commas that chain assignments or increments hide the second. Declarations, arguments, lists in braces
// and the parts of a `for` are no such chains. Reads text, not grammar. Threads: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::lint {

// One line per statement of a C or C++ text that does two things with a comma, "path:line: a comma chains ...".
std::vector<std::string> check_statements(const std::string& path, std::string_view text);

} // namespace plimsoll::lint
