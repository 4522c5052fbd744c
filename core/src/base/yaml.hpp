// YAML that people write, as JSON values: one reader for profiles, pipelines and manifests' free parts.
// Bounded in size, depth and aliases; numbers, true, false and null by the YAML core schema, quoted text stays
// text. Never executes tags. Threads: pure functions.
#pragma once

#include <string>

#include "base/json.hpp"

namespace YAML {
class Node;
}

namespace plimsoll {

// One document; `where` names it, the line follows it in errors. Duplicate keys are an error.
Result<Json> parse_yaml(const std::string& text, const std::string& where, ErrorCode code);

// A node that yaml-cpp has read, at most `depth_left` levels deep; deeper ones become null.
Json yaml_to_json(const YAML::Node& node, int depth_left = 32);

} // namespace plimsoll
