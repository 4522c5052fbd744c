// Reads what sentence-transformers writes beside a model: modules.json, and the configuration of the module that pools. Called with every
// configuration; a model that has none of these files is no embedder of that library. Threads: pure functions.
#pragma once

#include <optional>
#include <string>

#include "base/json.hpp"

namespace plimsoll {

// Nothing where modules.json is not there, cannot be read, or has no module that pools: then the model is whatever its class is. Else what
// model/sentence_rules.hpp reads: "pooling" and "normalised", or "unsupported", a sentence that names what is not known and its file.
std::optional<Json> read_sentence_modules(const std::string& config_path);

} // namespace plimsoll
