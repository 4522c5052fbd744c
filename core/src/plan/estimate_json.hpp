// The estimator's documents: a request read from JSON, a result written as JSON in a fixed key order.
// Called by `plimsoll estimate` and by the C interface. Never accepts an unknown or repeated key, a wrong type or a
// number beyond 63 bits; never throws. Threads: each thread keeps its own parser, so any number of threads may call.
#pragma once

#include <string>
#include <string_view>

#include "plimsoll/estimator.hpp"

namespace plimsoll {

// kBadRequest with the JSON pointer in `where`. Absent keys and null take the default. At most 1 MiB of text.
Result<EstimateRequest> parse_estimate_request(std::string_view json);

// One line without a line end; "devices" and "max_batch_at_max_length" in per-device accounting only.
std::string estimate_result_json(const EstimateResult& result, Accounting accounting);

// A request in, a result out, errors included: always exactly one JSON document.
std::string estimate_line(std::string_view json_line);

} // namespace plimsoll
