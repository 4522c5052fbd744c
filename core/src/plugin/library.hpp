// Opens plugin libraries; the one file of the project that knows Boost.DLL. Never hands out code of another file than the one that was
// checked. Never unmaps: code of a plugin may still be on some stack or behind some pointer. Threads: any.
#pragma once

#include <string>

#include "plimsoll/abi.h"
#include "plimsoll/result.hpp"
#include "plugin/trust.hpp"

namespace plimsoll {

// Loads the library and returns its descriptor, checked against this host's ABI: both numbers are in the
// message where they do not meet. kPluginFailed names the file. `checked`: what was found at `path` when it was found right; a file that
// took its place since is refused. A new file under a path that was opened before is opened afresh; one that was written over in place
// cannot be, and is refused.
Result<const plimsoll_plugin*> open_plugin_library(const std::string& path, const FileIdentity& checked);

} // namespace plimsoll
