// A line of a log without what stands in brackets behind certain texts, and these apart: a name in the dictionary of one argument is no
// argument itself. Brackets need not close; quotes are respected. Threads: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace plimsoll {

struct LineParts {
  std::string rest;                                                 // the line without the brackets; empty where there are none
  std::vector<std::pair<std::string_view, std::string_view>> parts; // of the texts that have brackets: what stands in them
};

// `texts`: each is followed by an opening bracket where it has a part, blanks aside. Views into `line` and `texts`.
LineParts parts_of_line(std::string_view line, const std::vector<std::string>& texts);

} // namespace plimsoll
