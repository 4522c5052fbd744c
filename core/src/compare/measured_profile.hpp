// An engine profile out of what one start measured. Reads the shipped profile (or the one that --engine names) and replaces items by
// constants; judges nothing. Threads: pure functions.
#pragma once

#include <string>

#include "compare/comparison.hpp"
#include "plimsoll/compare.hpp"

namespace plimsoll {

// `planned`: the plan of that start with the profile as it was. JSON.
Result<std::string> profile_of(const EngineStart& start, const Comparer::Planned& planned, const std::string& catalogue_path);

} // namespace plimsoll
