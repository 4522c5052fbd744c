// What `plimsoll run` says of a run to people. Threads: pure functions.
#pragma once

#include <span>
#include <string>

#include "plimsoll/generation_json.hpp"
#include "plimsoll/terminal.hpp"

namespace plimsoll::cli {

// What was taken of what was planned, a line for each category of a rank.
std::string usage_lines(std::span<const UsageRow> usage, const Style& style);
// "64 tokens, 4,100 tokens/s; ..." and those lines.
std::string run_summary(const RunResult& result, const Style& style);

} // namespace plimsoll::cli
