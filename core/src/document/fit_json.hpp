// The document `plimsoll.fit/1` as ordered JSON; fit_to_json of plimsoll/fit.hpp prints it. Ranks nothing: rows come in their order; key
// order is fixed in the .cpp. Threads: pure functions.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "plimsoll/fit.hpp"

namespace plimsoll {

nlohmann::ordered_json fit_document(const FitReport& report);

} // namespace plimsoll
