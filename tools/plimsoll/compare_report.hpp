// Comparisons as text: a table for people, the document plimsoll.compare/1, the accuracy record in Markdown.
// Called by compare_command.cpp. Judges nothing: lines come judged. Threads: pure functions.
#pragma once

#include <string>
#include <vector>

#include "comparison.hpp"
#include "terminal.hpp"

namespace plimsoll::cli {

std::string compare_report(const std::vector<Comparison>& starts, const Style& style, bool quiet);
// One start: its document. Several, or `many`: {"schema", "starts": [documents], "summary", "verdict", "error"}.
std::string compare_to_json(const std::vector<Comparison>& starts, bool many);
std::string compare_markdown(const std::vector<Comparison>& starts);

// The worst of all.
Outcome outcome_of(const std::vector<Comparison>& starts);

} // namespace plimsoll::cli
