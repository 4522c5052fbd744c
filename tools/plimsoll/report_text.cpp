// Headings and wrapped text: see report.hpp.
#include "report.hpp"

namespace plimsoll::cli {

std::string heading(std::string_view text, const Style& style) { return style.paint(Paint::kBold, text) + "\n"; }

std::string paragraph(std::string_view text, const Style& style, std::size_t indent) {
  const std::string margin(indent, ' '), hanging(indent + 2, ' ');
  std::string out, line = margin;
  std::size_t columns = indent;
  bool first = true;
  while (!text.empty()) {
    std::size_t end = text.find(' ');
    // Blanks that follow each other belong together: they align what comes next.
    std::size_t next = end == std::string_view::npos ? text.size() : text.find_first_not_of(' ', end);
    if (end == std::string_view::npos) end = text.size();
    if (next == std::string_view::npos) next = text.size();
    const std::string_view word = text.substr(0, end);
    const std::size_t word_columns = columns_of(word);
    if (!first && columns + word_columns > style.width_columns) {
      while (!line.empty() && line.back() == ' ') line.pop_back();
      out += line + "\n";
      line = hanging;
      columns = hanging.size();
    }
    line += text.substr(0, next);
    columns += word_columns + (next - end);
    text.remove_prefix(next);
    first = false;
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return out + line + "\n";
}

} // namespace plimsoll::cli
