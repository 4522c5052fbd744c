// Files that comments and READMEs name: each must be one of the project's, by its path from the root or from the file's own
// folder, or by the last parts of its path. `*` and `<name>` stand for anything. Threads: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::lint {

// One line per name that is no file, "path:line: names X, which is no file of the project".
std::vector<std::string> check_named_files(const std::string& path, std::string_view text, const std::vector<std::string>& project);

} // namespace plimsoll::lint
