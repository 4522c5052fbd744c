// What kernels keep of experts in 4-bit floats beyond what the checkpoint stores: widths that the engine's profile rounds up on every rank,
// and a factor where only the sum is known. Called when weights are placed. Threads: pure but for the ledger and the findings.
#pragma once

#include "plan/findings.hpp"
#include "plan/ledger.hpp"
#include "plan/settled.hpp"

namespace plimsoll {

// Adds the item `experts.padding`, and a warning, where there is any. gpt-oss-120b, 2,880 wide in both directions, one rank, 128 and 256:
// 2,944 x 3,072 in place of 2,880 x 2,880, 9.0 % more.
Result<void> pad_experts(const Settled& settled, Ledger& ledger, Findings& findings);

} // namespace plimsoll
