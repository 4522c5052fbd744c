// plimsoll watch: what plimsoll-watch does.
#include "command.hpp"
#include "hand_over.hpp"

namespace plimsoll::cli {

int run_watch(const Arguments& arguments) { return hand_over("watch", arguments, "plimsoll.watch/1", "plimsoll-watch"); }

} // namespace plimsoll::cli
