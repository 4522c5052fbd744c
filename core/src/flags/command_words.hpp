// The words of a command line in front of an engine's own: variables, env and its like, docker run; and which engine it starts.
// For read_command.cpp. Threads: pure functions.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "flags/flag_table.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

struct StartedEngine {
  const FlagTable* table = nullptr;
  std::string release;                                          // as an image's tag says; empty: not said
  std::vector<std::pair<std::string, std::string>> environment; // in order
  std::vector<std::string> arguments;                           // behind the command
  Assumed assumed;                                              // of this command
};

// kBadRequest where it starts no engine that has a table.
Result<StartedEngine> started_engine(const std::vector<FlagTable>& tables, std::span<const std::string> words);

// Whether `word` is NAME=value; both parts.
bool is_assignment(const std::string& word);

} // namespace plimsoll
