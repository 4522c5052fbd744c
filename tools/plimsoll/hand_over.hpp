// Commands that execute a plan are another program's, which brings the runtime library: plimsoll-run, beside this one. That with a web
// server is plimsoll-watch. Threads: one.
#pragma once

#include <string_view>

#include "command.hpp"

namespace plimsoll::cli {

// Goes on as `PROGRAM COMMAND arguments...`; comes back with an exit code only where that cannot be started.
int hand_over(std::string_view command, const Arguments& arguments, std::string_view schema, std::string_view program = "plimsoll-run");

} // namespace plimsoll::cli
