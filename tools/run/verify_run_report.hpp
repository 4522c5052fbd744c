// What `plimsoll verify --run` says to people. Threads: a pure function.
#pragma once

#include <string>

#include "plimsoll/terminal.hpp"
#include "plimsoll/verify_run.hpp"

namespace plimsoll::cli {

// The verdict; then, unless `quiet`, what each category took and what was checked.
std::string verify_run_report(const VerifyRunReport& report, const Style& style, bool quiet);

} // namespace plimsoll::cli
