// Ranks that are processes: `mpirun -np N plimsoll run MODEL` and `plimsoll verify MODEL --run` alike. Rank 0 alone prints; a rank that
// ends before its time ends all others with exit code 6, whose message names it. Threads: one; what happens on another is said there.
#pragma once

#include <functional>
#include <memory>

#include "plimsoll/command.hpp"
#include "plimsoll/processes.hpp"

namespace plimsoll::cli {

constexpr int kExitRankLost = 6;

// `command` as one of the processes that this one was started with; with none where it was started alone. The exit code.
int run_as_rank(const std::function<int(const std::shared_ptr<Processes>&)>& command, const Output& output, std::string_view schema);

// Of all ranks the first alone writes the file that was asked for.
void print_on_first_rank(CommandLine& line, const std::shared_ptr<Processes>& processes);

} // namespace plimsoll::cli
