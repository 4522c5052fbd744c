// What --help says, as a document: `plimsoll COMMAND --help --format json`. Man pages and completions are made of it. Threads: pure
// functions.
#pragma once

#include <CLI/CLI.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "help_topics.hpp"

namespace plimsoll::cli {

struct CommandSummary {
  std::string_view name, summary;
};

// plimsoll.help/1 of the program: its commands, and what else help is about.
std::string program_help_json(const std::vector<CommandSummary>& commands, std::span<const HelpTopic> topics);
// plimsoll.help/1 of a topic that is no command.
std::string topic_help_json(const HelpTopic& topic);
// plimsoll.help/1 of one command: its arguments and options, in the order of the help text.
std::string command_help_json(const CLI::App& command);

} // namespace plimsoll::cli
