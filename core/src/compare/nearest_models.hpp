// The names of the catalogue that are nearest to what somebody called a model: a folder, a file, a name with the words of a quantisation.
// Reads the names of the catalogue's files, never what stands in them. Threads: pure function.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace plimsoll {

// At most three, best first; none where nothing shares a word that tells models apart.
std::vector<std::string> nearest_models(const std::string& catalogue_path, std::string_view called);

} // namespace plimsoll
