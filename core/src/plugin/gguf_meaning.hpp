// What the architecture of a GGUF file means to the families that are installed: their gguf.json, read when such a file is opened and not
// before. No library is opened. The catalogue's file has the sets that all families share. Threads: any.
#pragma once

#include <string>

#include "checkpoint/gguf_words.hpp"
#include "plimsoll/result.hpp"
#include "plugin/registry.hpp"

namespace plimsoll {

// The first family, of the built-in plugins and then in the order in which the others are searched, that knows `name` and whose conditions
// `metadata` fulfils; an architecture that nobody knows means itself. A plugin that is preferred and replaces the built-in one speaks
// before it. A family's broken file is passed over with a warning, and is the error where nobody else knows the architecture.
// `common_path`: the catalogue's gguf.json.
Result<GgufArchitecture> gguf_meaning(const Registry& registry, const std::string& common_path, const std::string& name,
                                      const GgufMetadata& metadata);

// The first meaning, of any architecture, whose class that is: how a GGUF file of such a model names its tensors. A class that nobody
// has words for has the names that are usual.
Result<GgufArchitecture> gguf_meaning_of_class(const Registry& registry, const std::string& common_path, const std::string& class_name);

// Whether all gguf.json of one plugin can be read; kPluginFailed names file and key.
Result<void> check_gguf_words(const Manifest& manifest, const std::string& common_path);

} // namespace plimsoll
