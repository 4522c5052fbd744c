// An engine's own command line, or its file of settings, as what a plan is asked for. Reads the files that the line names, loads no model.
// Says of every word what became of it: planned, or a warning. Threads: pure functions over values.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "flags/command_words.hpp"
#include "flags/flag_table.hpp"
#include "plimsoll/engine_command.hpp"

namespace plimsoll {

// `started` by the words, `table` the whole one of its engine. `release`: of the engine, where it is known otherwise; what an image's tag
// says is used where it is not.
Result<EngineCommand> read_command(const StartedEngine& started, const FlagTable& table, const std::string& release);

// Nothing where the file is none of an engine's. `ours`: whether a key is an option of ours; `engine`: which one it is, where that is
// known.
Result<std::optional<EngineCommand>> read_file(const std::vector<FlagTable>& tables, const std::string& path, const std::string& engine,
                                               const std::string& release, bool (*ours)(std::string_view key));

} // namespace plimsoll
