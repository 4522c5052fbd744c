// Opens plugin libraries; the one file of the project that knows Boost.DLL.
// Never unmaps: code of a plugin may still be on some stack or behind some pointer. Threads: any.
#pragma once

#include <string>

#include "plimsoll/abi.h"
#include "plimsoll/result.hpp"

namespace plimsoll {

// Loads the library and returns its descriptor, checked against this host's ABI: both numbers are in the
// message where they do not meet. kPluginFailed names the file.
Result<const plimsoll_plugin*> open_plugin_library(const std::string& path);

} // namespace plimsoll
