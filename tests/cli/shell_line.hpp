// A command as pages show it, run without a shell. Called by tests of pages and of tables of commands. Threads: one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/program.hpp"

namespace plimsoll::cli_test {

// The folder of the whole tree, against which pages name files.
inline std::string source_root() { return PLIMSOLL_SOURCE_DIR; }

// The words of a line that begins with "plimsoll": blanks part them, quotes of both kinds hold them together. Nothing else of a shell.
inline std::vector<std::string> words_of(std::string_view line) {
  std::vector<std::string> words;
  bool open = false;
  char quote = 0;
  for (const char c : line) {
    if (quote == 0 && c == ' ') {
      open = false;
      continue;
    }
    if (!open) words.emplace_back();
    open = true;
    if (quote == 0 && (c == '\'' || c == '"')) quote = c;
    else if (c == quote) quote = 0;
    else words.back() += c;
  }
  return words;
}

// The program with these words; the first, its name, is left out.
inline Outcome run_line(std::string_view line, std::vector<std::string> environment = {}) {
  Invocation invocation;
  invocation.arguments = words_of(line);
  invocation.arguments.erase(invocation.arguments.begin());
  invocation.environment = std::move(environment);
  return run(invocation);
}

} // namespace plimsoll::cli_test
