// The estimator's documents: a request read from JSON or YAML, a result written as JSON in a fixed key order.
// Never accepts an unknown or repeated key, a wrong type or a
// number beyond 63 bits; never throws. Threads: each thread keeps its own parser, so any number of threads may call.
#pragma once

#include <string>
#include <string_view>

#include "plimsoll/estimator.hpp"
#include "plimsoll/export.hpp"

namespace plimsoll {

// kBadRequest with the JSON pointer in `where`. Absent keys and null take the default. Counts and text are at most what
// plimsoll/limits.hpp says.
PLIMSOLL_API Result<EstimateRequest> parse_estimate_request(std::string_view json);
// The same from YAML; `where` names the text in errors of its syntax.
PLIMSOLL_API Result<EstimateRequest> parse_estimate_request_yaml(std::string_view yaml, const std::string& where);

// One line without a line end; "devices" and "max_batch_at_max_length" in per-device accounting only.
PLIMSOLL_API std::string estimate_result_json(const EstimateResult& result, Accounting accounting);

// A request in, a result out, errors included: always exactly one JSON document.
PLIMSOLL_API std::string estimate_line(std::string_view json_line);

} // namespace plimsoll
