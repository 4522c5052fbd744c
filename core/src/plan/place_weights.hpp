// The weights of a plan: what every rank loads of the model and of a draft model. How a class is cut is placement's
// business. Threads: one plan, one thread.
#pragma once

#include "plan/ledger.hpp"
#include "plan/settled.hpp"

namespace plimsoll {

// Whether it is a copy of the embedding or the head in a multi-token prediction layer that the engine does not keep.
bool is_shared_end(const WeightClass& c, const EngineProfile& profile, const RankLayout& layout);

// Whether our own runtime loads it: of the model, or of the head that drafts where that is asked for.
bool is_loaded(const Settled& settled, const WeightClass& c);

// kBadRequest where the checkpoint is cut for another number of ranks.
Result<void> check_saved_ranks(const Model::Data& model, const RankLayout& layout);

// Adds an item for every weight class that is loaded, and what a checkpoint stores beside the classes.
Result<void> place_weights(const Settled& settled, Ledger& ledger, Findings& findings);

} // namespace plimsoll
