// Who may hand us code: owner and permissions of a plugin file and of every folder above it.
// Called before a library is opened. Never follows a library out of its folder. Threads: any.
#pragma once

#include <string>

#include "plimsoll/result.hpp"

namespace plimsoll {

// An error (kPluginFailed) that names the file or folder at fault, unless `library` is a regular file inside
// `directory` and it, the manifest and every parent belong to root or this user and nobody else may write them.
// A world-writable parent with the sticky bit (a temporary folder) is allowed: others cannot rename in it.
Result<void> check_plugin_files(const std::string& directory, const std::string& library);

} // namespace plimsoll
