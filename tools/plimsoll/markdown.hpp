// Tables of Markdown, for reports that go into tickets and records. Knows nothing about plans; never writes.
// Threads: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "table.hpp"

namespace plimsoll::cli {

// Text inside a line of Markdown: no line ends, no cells, no tags of HTML.
std::string markdown_text(std::string_view text);
// The same between backquotes, where what it says stands as it is.
std::string markdown_code(std::string_view text);

// "| a | b |" with its rule below.
std::string markdown_heading(const std::vector<Column>& columns);
// A row; every cell is text.
std::string markdown_row(const std::vector<std::string>& cells);

} // namespace plimsoll::cli
