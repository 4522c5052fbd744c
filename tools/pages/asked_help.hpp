// What a program says of its commands and options when it is asked for help in JSON (plimsoll.help/1). Threads: one.
#pragma once

#include <string>
#include <vector>

namespace plimsoll::pages {

struct HelpOption {
  std::vector<std::string> names; // "-o", "--output"
  std::string argument;           // "FILE", "auto|always|never"; empty for a switch
  std::string help, group;

  // The values that there are, where the argument lists words; else nothing.
  std::vector<std::string> choices() const;
  // A path completes it.
  bool is_path() const;
};

struct HelpCommand {
  std::string name, summary;                                  // as the program lists it
  std::string description, notes;                             // as the command says
  std::vector<std::pair<std::string, std::string>> arguments; // name, help
  std::vector<HelpOption> options;
};

struct Help {
  std::string version;
  std::vector<HelpCommand> commands; // those that this build has
};

// Runs `program`. Throws std::runtime_error that says what the program said instead.
Help ask_for_help(const std::string& program);

} // namespace plimsoll::pages
