// See markdown.hpp.
#include "markdown.hpp"

#include <algorithm>

namespace plimsoll::cli {

std::string markdown_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '<') {
      out += "&lt;";
      continue;
    }
    if (c == '|') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

std::string markdown_code(std::string_view text) {
  std::size_t longest = 0, here = 0;
  std::string inside;
  for (const char c : text) {
    here = c == '`' ? here + 1 : 0;
    longest = std::max(longest, here);
    inside += c == '\n' ? ' ' : c;
  }
  const std::string quotes(longest + 1, '`'), margin(longest > 0 ? 1 : 0, ' ');
  return quotes + margin + inside + margin + quotes;
}

std::string markdown_heading(const std::vector<Column>& columns) {
  std::vector<std::string> titles;
  std::string rule = "|";
  for (const Column& column : columns) {
    titles.push_back(column.title);
    rule += column.align == Align::kRight ? "---:|" : "---|";
  }
  return markdown_row(titles) + rule + "\n";
}

std::string markdown_row(const std::vector<std::string>& cells) {
  std::string out = "|";
  for (const std::string& cell : cells) out += " " + markdown_text(cell) + " |";
  return out + "\n";
}

} // namespace plimsoll::cli
