// A document as YAML: the same keys in the same order, strings quoted so that no reader takes one for a number, numbers as
// in the JSON text. Never reads YAML. Threads: pure functions.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace plimsoll {

std::string emit_yaml(const nlohmann::ordered_json& document);

} // namespace plimsoll
