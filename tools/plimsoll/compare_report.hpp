// Comparisons as text: a table for people, the accuracy record in Markdown. Judges nothing: lines come judged.
// Threads: pure functions.
#pragma once

#include <string>
#include <vector>

#include "plimsoll/compare.hpp"
#include "terminal.hpp"

namespace plimsoll::cli {

std::string compare_report(const std::vector<Comparison>& starts, const Style& style, bool quiet);
std::string compare_markdown(const std::vector<Comparison>& starts);

} // namespace plimsoll::cli
