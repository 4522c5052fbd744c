// The document `plimsoll.diff/1`: what changed between two plans, for scripts. Called through plimsoll/diff.hpp. Compares nothing: the rows
// come made. Threads: pure functions.
#pragma once

#include <nlohmann/json.hpp>

#include "plimsoll/diff.hpp"

namespace plimsoll {

nlohmann::ordered_json diff_document(const PlanDiff& diff);

} // namespace plimsoll
