// What the program plimsoll-worker does: it is started by a process::ChildProcess of this library, and runs what the library does not want
// to run in its host's process. Threads: the process's only one.
#pragma once

namespace plimsoll {

// By its third argument: "plan" serves the planners of a model, "case" asks a plugin one rule. Never returns where it was started as it
// should be; otherwise says what it is and returns 2.
int worker_main(int argc, const char* const* argv);

} // namespace plimsoll
