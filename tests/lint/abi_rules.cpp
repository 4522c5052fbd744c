#include "lint/abi_rules.hpp"

#include <algorithm>
#include <cctype>
#include <set>
#include <utility>

namespace plimsoll::lint {
namespace {

constexpr std::string_view kEnforcers[] = {"[host]", "[sdk]", "[nobody]"};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-'; }

std::string rule_name(int number) { return (number < 10 ? "R-0" : "R-") + std::to_string(number); }

// The number of a rule that begins at `at`, "R-07"; 0 where none does.
int number_at(std::string_view text, std::size_t at) {
  if (text.substr(at, 2) != "R-" || at + 4 > text.size() || !is_digit(text[at + 2]) || !is_digit(text[at + 3])) return 0;
  if ((at > 0 && is_word(text[at - 1])) || (at + 4 < text.size() && is_word(text[at + 4]))) return 0;
  return (text[at + 2] - '0') * 10 + (text[at + 3] - '0');
}

// What is cited, with the lines.
std::vector<std::pair<int, std::size_t>> citations_of(std::string_view text) {
  std::vector<std::pair<int, std::size_t>> out;
  std::size_t line = 1, counted = 0;
  for (std::size_t at = text.find("R-"); at != std::string_view::npos; at = text.find("R-", at + 1)) {
    const int number = number_at(text, at);
    if (number == 0) continue;
    line += static_cast<std::size_t>(
        std::count(text.begin() + static_cast<std::ptrdiff_t>(counted), text.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
    counted = at;
    out.emplace_back(number, line);
  }
  return out;
}

// The text of a line of the comment, behind its star; the indentation is left.
std::string_view behind_star(std::string_view line) { return line.substr(0, 2) == " *" ? line.substr(2) : std::string_view(); }

void close(AbiRule& rule) {
  for (const std::string_view enforcer : kEnforcers)
    for (std::size_t at = rule.text.find(enforcer); at != std::string::npos; at = rule.text.find(enforcer, at + 1))
      rule.enforcers += enforcer;
}

} // namespace

std::vector<AbiRule> rules_of(std::string_view header) {
  std::vector<AbiRule> out;
  bool inside = false;
  std::size_t number = 0;
  for (std::size_t begin = 0; begin < header.size();) {
    const std::size_t end = std::min(header.find('\n', begin), header.size());
    const std::string_view line = header.substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.find("*/") != std::string_view::npos) break; // rules stand in the first comment
    const std::string_view text = behind_star(line);
    const std::size_t indent = std::min(text.find_first_not_of(' '), text.size());
    if (const int rule = number_at(text, indent); rule != 0 && indent == 2) {
      out.push_back({rule, number, std::string(text.substr(indent + 4)), {}});
      inside = true;
    } else if (inside && indent > 2) {
      out.back().text += std::string(" ").append(text.substr(indent));
    } else {
      inside = false;
    }
  }
  for (AbiRule& rule : out) close(rule);
  return out;
}

bool proves_rules(std::string_view path) {
  if (path.substr(0, 6) != "tests/" || path.substr(0, 11) == "tests/lint/") return false;
  for (const std::string_view ending : {"_test.cpp", "_test.c", "_test.bash", "_test.py"})
    if (path.ends_with(ending)) return true;
  return false;
}

std::vector<std::string> check_abi_rules(const NamedText& header, std::string_view changes, const std::vector<NamedText>& sources) {
  std::vector<std::string> found;
  const auto report = [&](const std::string& path, std::size_t line, const std::string& what) {
    found.push_back(path + ":" + std::to_string(line) + ": " + what);
  };
  const std::vector<AbiRule> rules = rules_of(header.text);
  if (rules.empty()) report(header.path, 1, "has no rules; they begin with \" *  R-01 [\"");

  std::set<int> known, proven;
  int last = 0;
  for (const AbiRule& rule : rules) {
    const std::string name = rule_name(rule.number);
    if (!known.insert(rule.number).second) report(header.path, rule.line, name + " is there twice");
    else if (rule.number < last) report(header.path, rule.line, name + " comes after " + rule_name(last));
    for (int gap = last + 1; gap < rule.number; ++gap)
      if (changes.find(rule_name(gap) + " is retired") == std::string_view::npos)
        report(header.path, rule.line, rule_name(gap) + " is missing before it; a rule that goes is named as retired in the change log");
    last = std::max(last, rule.number);
    if (changes.find(name + " is retired") != std::string_view::npos)
      report(header.path, rule.line, name + " is retired; a new rule has a new number");
    const bool one = std::count(rule.enforcers.begin(), rule.enforcers.end(), '[') == 1;
    if (!one || rule.text.substr(1, rule.enforcers.size()) != rule.enforcers)
      report(header.path, rule.line, name + " begins with one of [host], [sdk] and [nobody], and names no other");
  }
  for (const NamedText& source : sources)
    for (const auto& [number, line] : citations_of(source.text)) {
      if (!known.contains(number)) report(source.path, line, "cites " + rule_name(number) + ", which is no rule of the ABI");
      if (proves_rules(source.path)) proven.insert(number);
    }
  for (const AbiRule& rule : rules)
    if (rule.enforcers != "[nobody]" && !proven.contains(rule.number))
      report(header.path, rule.line,
             "no test names " + rule_name(rule.number) + ", which is enforced; one that proves it says so in a comment");
  return found;
}

} // namespace plimsoll::lint
