// Every source file of the core has a header of its name, in its own folder or among the public ones. Threads: pure functions.
#pragma once

#include <string>
#include <vector>

namespace plimsoll::lint {

// One line per .cpp below core/src that has none, and one per exception that is none.
std::vector<std::string> check_headers(const std::vector<std::string>& project);

} // namespace plimsoll::lint
