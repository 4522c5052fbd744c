// A check from its start to its report: which cases, in which order, each in a process of its own, two at a time. Threads: any; each check
// has threads of its own.
#pragma once

#include <string>

#include "plimsoll/check.hpp"

namespace plimsoll::check {

// `program`: of the processes, see case_program.hpp. `catalogue`: the catalogue's folder.
Result<CheckReport> run_check(const std::string& directory, const CheckOptions& options, const std::string& program,
                              const std::string& catalogue);

} // namespace plimsoll::check
