// plimsoll verify --run: plans for this machine's memory, executes the plan's worst case, and says what each category took. Threads: one.
#pragma once

#include "plimsoll/command.hpp"

namespace plimsoll::cli {

// Exit 0 within the plan, 1 not, or where the plan does not fit.
int verify_by_running(const Arguments& arguments);

} // namespace plimsoll::cli
