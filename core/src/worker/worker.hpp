// The process that runs plugins: opens their libraries, makes a model's planners, and answers what the host asks, until the host is gone.
// Everything that planners hand over passes the gate here, before it is copied, and in the host again. Threads: one.
#pragma once

#include "process/child_side.hpp"

namespace plimsoll {

// Never returns.
[[noreturn]] void serve_plugins(ChildSide& side);

} // namespace plimsoll
