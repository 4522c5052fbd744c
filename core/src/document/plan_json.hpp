// The documents of the library as ordered JSON: what plan_to_json and its relatives print.
// Never computes a figure beyond the totals.
// Equal values give equal bytes: key order is fixed here and nowhere else. Threads: pure functions.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "plimsoll/host.hpp"

namespace plimsoll {

nlohmann::ordered_json plan_document(const Plan& plan);
nlohmann::ordered_json advice_array(const std::vector<Advice>& advice);

} // namespace plimsoll
