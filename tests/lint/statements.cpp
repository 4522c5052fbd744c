#include "lint/statements.hpp"

#include <algorithm>
#include <regex>

#include "lint/source_text.hpp"

namespace plimsoll::lint {
namespace {

// A statement at one level of brackets: what stands in deeper ones is left out.
struct Level {
  char open = '{';
  std::size_t line = 0; // where the statement begins
  std::string text;
};

// What stands before the expression: labels, conditions (their brackets are empty here), `else`.
std::string without_prefix(std::string text) {
  static const std::regex prefix(
      R"(^\s*(case [^:]*(::[^:]*)*:(?!:)|default\s*:|if (constexpr )?\(\)|else|for \(\)|while \(\)|do|return)(?![A-Za-z0-9_]))");
  for (std::smatch match; std::regex_search(text, match, prefix);) text = match.suffix();
  return text;
}

bool chains(const std::string& statement) {
  static const std::regex assignment(
      R"(^\s*[*(]*[A-Za-z_][A-Za-z0-9_]*(::[A-Za-z_][A-Za-z0-9_]*|\.[A-Za-z_][A-Za-z0-9_]*|->[A-Za-z_][A-Za-z0-9_]*|\[\]|\(\)|\))*\s*([-+*/%&|^]|<<|>>)?=(?!=))");
  static const std::regex step(R"(^\s*(\+\+|--)|(\+\+|--)\s*$)");
  const std::string text = without_prefix(statement);
  const auto does = [](const std::string& part) { return std::regex_search(part, assignment) || std::regex_search(part, step); };
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  // What begins with a type declares; "return a = b, c" does one thing and gives another.
  if (parts.size() < 2 || !does(parts.front())) return false;
  return statement.find("return") != std::string::npos || std::any_of(parts.begin() + 1, parts.end(), does);
}

} // namespace

std::vector<std::string> check_statements(const std::string& path, std::string_view text) {
  std::vector<std::string> found;
  if (!is_c_source(path)) return found;
  std::vector<Level> levels(1);
  std::size_t line = 1;
  for (const char c : code_of(text)) {
    Level& top = levels.back();
    const bool blank = c == ' ' || c == '\n' || c == '\t';
    if (top.text.empty() && !blank) top.line = line;
    if (c == '\n') ++line;
    if (c == '(' || c == '[' || c == '{') {
      top.text += c;
      levels.push_back({c, line, {}});
    } else if (c == ')' || c == ']' || c == '}') {
      if (levels.size() > 1) levels.pop_back();
      levels.back().text += c;
      if (c == '}') levels.back().text.clear(); // the end of a block; what a list in braces stood in is judged no further
    } else if (c == ';') {
      if (top.open == '{' && chains(top.text)) found.push_back(path + ":" + std::to_string(top.line) + ": a comma chains two assignments");
      top.text.clear();
    } else if (!top.text.empty() || !blank) {
      top.text += blank ? ' ' : c;
    }
  }
  return found;
}

} // namespace plimsoll::lint
