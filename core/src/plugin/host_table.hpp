// The functions that a plugin may call: config lookups, subviews and delegation.
// Never throws, never allocates for the plugin. Threads: lookups any; subview and planner_for inside create.
#pragma once

#include "plimsoll/abi.h"

namespace plimsoll {

plimsoll_host make_host_table();

} // namespace plimsoll
