// The host as a device of its own: what a plan leaves in its memory, held against what the request says it has. Called once the items
// are priced and again with the KV cache. Never counts it as a rank. Threads: one plan, one thread.
#pragma once

#include "plan/findings.hpp"
#include "plan/ledger.hpp"
#include "plan/settled.hpp"

namespace plimsoll {

// What is on the host so far must fit there, where the request says how much there is.
void check_host_memory(const Settled& settled, const Ledger& ledger, Findings& findings);

// The plan's figures of the host; a warning where there are some and nothing to hold them against.
void fill_host_memory(const Settled& settled, const Ledger& ledger, Findings& findings, Plan& plan);

} // namespace plimsoll
