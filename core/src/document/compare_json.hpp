// The document `plimsoll.compare/1` as ordered JSON; compare_to_json of plimsoll/compare.hpp prints it. Judges nothing: lines
// come judged; key order is fixed in the .cpp. Threads: pure functions.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "plimsoll/compare.hpp"

namespace plimsoll {

// One comparison alone, or `many`: a list with a summary.
nlohmann::ordered_json compare_document(const std::vector<Comparison>& comparisons, bool many);

} // namespace plimsoll
