#include "compare/line_parts.hpp"

#include <algorithm>

namespace plimsoll {
namespace {

// Where the bracket that opens at `begin` is closed; the line's end where it is not.
std::size_t closing_bracket(std::string_view line, std::size_t begin) {
  std::size_t depth = 0;
  char quote = '\0';
  for (std::size_t at = begin; at < line.size(); ++at) {
    const char c = line[at];
    if (quote != '\0') {
      if (c == '\\') ++at;
      else if (c == quote) quote = '\0';
    } else if (c == '\'' || c == '"') {
      quote = c;
    } else if (c == '(' || c == '[' || c == '{') {
      ++depth;
    } else if ((c == ')' || c == ']' || c == '}') && --depth == 0) {
      return at;
    }
  }
  return line.size();
}

} // namespace

LineParts parts_of_line(std::string_view line, const std::vector<std::string>& texts) {
  LineParts out;
  std::vector<std::pair<std::size_t, std::size_t>> taken;
  for (const std::string& text : texts) {
    const std::size_t at = line.find(text);
    if (at == std::string_view::npos) continue;
    const std::size_t open = line.find_first_not_of(' ', at + text.size());
    if (open == std::string_view::npos || (line[open] != '(' && line[open] != '[' && line[open] != '{')) continue;
    const std::size_t close = closing_bracket(line, open);
    out.parts.emplace_back(text, line.substr(open + 1, close - open - 1));
    taken.emplace_back(open, close);
  }
  if (taken.empty()) return out;
  std::sort(taken.begin(), taken.end());
  std::size_t kept = 0;
  for (const auto& [open, close] : taken) {
    if (open < kept) continue; // inside another part
    out.rest.append(line.substr(kept, open - kept));
    kept = std::min(close + 1, line.size());
  }
  out.rest.append(line.substr(kept));
  return out;
}

} // namespace plimsoll
