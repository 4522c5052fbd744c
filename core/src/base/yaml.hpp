// YAML documents that people write, as JSON: one reader for estimator requests, profiles and manifests.
// Never trusts the text: bounded size, depth and expansion of aliases; never throws. Threads: pure functions.
//
// Plain scalars follow YAML 1.2's core schema: null, true/false, integers, decimals; anything else and everything in
// quotes is a string ("yes", "1_000"). Leading zeros ("0123"), .inf and .nan are refused: readers disagree about the
// first and JSON has none of the others. Repeated keys stay repeated, so that the JSON reader refuses them.
#pragma once

#include <string>
#include <string_view>

#include "base/json.hpp"

namespace plimsoll {

// At most 1 MiB of YAML becomes at most 4 MiB of JSON, 64 levels deep. kBadRequest with line and column in the message.
Result<std::string> yaml_to_json(std::string_view yaml);

// The same as values; errors are of `code` and name `where`. JSON is YAML and read tens of times faster: a text that
// begins with '{' is tried as strict JSON first, and only what that refuses goes to yaml-cpp, whose error then counts.
Result<Json> parse_yaml(std::string_view yaml, const std::string& where, ErrorCode code);

} // namespace plimsoll
