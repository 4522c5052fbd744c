// Who may include whom, which third-party library may stand where, what may lie at the top level, and words that
// must not be in the tree: the rules of the house as one table and one check.
// Called by layering_test.cpp. It only reads; it knows includes, not meanings. Threads: pure functions.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace plimsoll::lint {

// Files of the project below `root`: what git tracks, or every file outside build folders where there is no git.
std::vector<std::string> project_files(const std::filesystem::path& root);

// One line per violation, "path:line: what, and the rule"; empty where the tree is sound.
std::vector<std::string> check_tree(const std::filesystem::path& root, const std::vector<std::string>& files);

} // namespace plimsoll::lint
