// A plan as a command for a shell: comments first, one for each value, then the command, ready to paste. Called by host/emit.cpp. Threads:
// pure function.
#pragma once

#include <string>

#include "emit/deployment.hpp"

namespace plimsoll {

// A file of settings that are no flags is written by the command, too.
std::string write_shell_command(const Deployment& deployment);

} // namespace plimsoll
