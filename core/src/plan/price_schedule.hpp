// Activations of an engine that executes the pipelines that planners describe, ours: the slab of its schedule, the inputs of a step, the
// memory that the BLAS takes, what ranks hand one another. To the byte. Threads: pure functions.
#pragma once

#include "plan/ledger.hpp"
#include "plan/settled.hpp"
#include "plimsoll/program.hpp"
#include "schedule/tables.hpp"

namespace plimsoll {

// The largest pass of a plan, fixed before anything is priced: a plan that then holds fewer requests keeps the larger reservation.
PassShape pass_shape(const Settled& settled);

// That of the model, or the head, that drafts for it: it looks one token ahead, so each sequence has one row of logits.
PassShape draft_pass_shape(const Settled& settled);

// What a rank executes; KV groups are those of the plan's geometry, weights are numbers of Declared::weights.
// kUnsupportedArchitecture where a planner describes no pipeline, or none of the head that is to draft.
Result<Program> scheduled_program(const Settled& settled, std::uint32_t rank);
// The same of the draft model, which there is. kBadRequest where it drafts nothing, speaks of other tokens than its target, or would stand
// on one of several stages; kUnsupportedArchitecture where it keeps states, which cannot take back what was not accepted.
Result<Program> scheduled_draft(const Settled& settled, std::uint32_t rank);

Result<void> price_schedule(const Settled& settled, ItemCollector& collector);

} // namespace plimsoll
