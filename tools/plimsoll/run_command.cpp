// plimsoll run: what plimsoll-run does.
#include "command.hpp"
#include "hand_over.hpp"
#include "run_line.hpp"

namespace plimsoll::cli {

int run_run(const Arguments& arguments) { return hand_over("run", arguments, run_schema(arguments)); }

} // namespace plimsoll::cli
