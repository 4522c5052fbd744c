// What --help says, as a document: `plimsoll COMMAND --help --format json`. Man pages and completions are made of it. Threads: pure
// functions.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::cli {

struct CommandSummary {
  std::string_view name, summary;
};

// plimsoll.help/1 of the program: its commands.
std::string program_help_json(const std::vector<CommandSummary>& commands);
// plimsoll.help/1 of one command: its arguments and options, in the order of the help text.
std::string command_help_json(const CLI::App& command);

} // namespace plimsoll::cli
