// What serves a model as a table for people. Ranks nothing: rows come in their order. Never writes. Threads: pure functions.
#pragma once

#include <string>

#include "plimsoll/fit.hpp"
#include "terminal.hpp"

namespace plimsoll::cli {

// The first row as a sentence, all rows, what does not serve, and the command that plans the first. `quiet`: the sentence alone.
std::string fit_report(const FitReport& report, const Style& style, bool quiet);

} // namespace plimsoll::cli
