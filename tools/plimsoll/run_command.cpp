// plimsoll run: what plimsoll-run does.
#include "command.hpp"
#include "hand_over.hpp"

namespace plimsoll::cli {

int run_run(const Arguments& arguments) { return hand_over("run", arguments, "plimsoll.run/1"); }

} // namespace plimsoll::cli
