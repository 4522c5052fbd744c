// Headings and wrapped text: see report.hpp.
#include "report.hpp"

#include <algorithm>
#include <fmt/format.h>

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

namespace {

// Where the first word of a command ends: at a blank that is not quoted.
std::size_t end_of_word(std::string_view command) {
  bool quoted = false;
  for (std::size_t at = 0; at < command.size(); ++at) {
    if (command[at] == '\\' && !quoted) ++at; // of '\''
    else if (command[at] == '\'') quoted = !quoted;
    else if (command[at] == ' ' && !quoted) return at;
  }
  return command.size();
}

// Where an option ends, with the value that follows it.
std::size_t end_of_option(std::string_view command) {
  std::size_t end = end_of_word(command);
  if (command.substr(0, 2) != "--") return end;
  const std::string_view rest = command.substr(std::min(command.size(), end + 1));
  if (!rest.empty() && rest.front() != '-') end += 1 + end_of_word(rest);
  return end;
}

} // namespace

std::string shell_lines(std::string_view command, const Style& style, std::size_t indent) {
  constexpr std::string_view kGoesOn = " \\\n";
  std::string out;
  std::size_t columns = 0;
  while (!command.empty()) {
    const std::string_view words = command.substr(0, end_of_option(command));
    command.remove_prefix(std::min(command.size(), words.size() + 1));
    const bool first = out.empty();
    const std::size_t wide = columns_of(words), needed = columns + 1 + wide + (command.empty() ? 0 : 2);
    if (first || needed > style.width_columns) {
      columns = first ? indent : indent + 2;
      out += fmt::format("{}{}", first ? "" : kGoesOn, std::string(columns, ' '));
    } else {
      out += ' ';
      ++columns;
    }
    out += words;
    columns += wide;
  }
  return out.empty() ? out : out + "\n";
}

} // namespace plimsoll::cli
