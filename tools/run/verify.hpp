// plimsoll verify --run: plans for this machine's memory, executes the plan's worst case, and says what each category took. Threads: one.
#pragma once

#include "plimsoll/command.hpp"
#include "plimsoll/processes.hpp"

namespace plimsoll::cli {

// Exit 0 within the plan, 1 not, or where the plan does not fit. `processes` may be null.
int verify_by_running(const Arguments& arguments, const std::shared_ptr<Processes>& processes);

} // namespace plimsoll::cli
