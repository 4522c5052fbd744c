// What `plimsoll run` says of a run to people. Threads: pure functions.
#pragma once

#include <string>

#include "plimsoll/generation_json.hpp"
#include "plimsoll/terminal.hpp"

namespace plimsoll::cli {

// "64 tokens, 4,100 tokens/s; ..." and what each category took.
std::string run_summary(const RunResult& result, const Style& style);

} // namespace plimsoll::cli
