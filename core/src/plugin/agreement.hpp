// What a plugin's manifest and its library both say must be the same: whoever reads the manifest alone (`plimsoll plugins`, the
// search for a family) must not be told something else than what the library then does. Runs no code of the plugin.
// Threads: pure functions.
#pragma once

#include <string>

#include "plimsoll/abi.h"
#include "plugin/manifest.hpp"

namespace plimsoll {

// kPluginFailed where they differ in id, version, ABI minors, families, or a family's aspects or signal buffers (policy, sites, bytes),
// with both values, or where the library's words are outside the contract. `path` names the library in errors.
Result<void> check_agreement(const Manifest& manifest, const plimsoll_plugin& descriptor, const std::string& path);

} // namespace plimsoll
