// The difference of two plans as text: tables for people, Markdown for tickets. Decides nothing: rows come made, and are sorted and folded
// here. Never writes. Threads: pure functions.
#pragma once

#include <string>

#include "plimsoll/diff.hpp"
#include "terminal.hpp"

namespace plimsoll::cli {

// `quiet`: what became of the verdict, alone.
std::string diff_report(const PlanDiff& diff, const Style& style, bool quiet);
std::string diff_markdown(const PlanDiff& diff);

} // namespace plimsoll::cli
