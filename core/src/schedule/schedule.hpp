// A described pipeline on one rank, for passes up to a size: widths of its shards, frequencies for its lengths, every buffer in one slab.
// The plan prices activations by it and the runtime executes it: one function, so that the two cannot differ. Threads: pure functions.
#pragma once

#include <vector>

#include "model/described.hpp"
#include "placement/rank_layout.hpp"
#include "plimsoll/program.hpp"
#include "schedule/tables.hpp"

namespace plimsoll {

// Weights of the result are numbers of Declared::weights and groups those of Declared::kv; whoever executes it binds them.
// `types_known`: weights are stored in the types that were declared, as they are but in GGUF files; else room is kept to convert them.
// `adapters`: of cut_adapter_slots; the rank's part of them becomes the program's. kBadRequest where the layout does not divide what is
// split, kUnsupportedArchitecture where an op cannot work on a part.
Result<Program> schedule_pipeline(const Described& described, const Declared& declared, const RankLayout& layout, std::uint32_t rank,
                                  const PassShape& pass, bool types_known, AdapterSlots adapters = {});

// Whether all ranks of a stage have schedules of one size.
bool ranks_are_alike(const Described& described, const Declared& declared, const RankLayout& layout);

// Of every class of weights: whether its parts alternate row by row, which only the ops that read it say.
std::vector<bool> alternating_classes(const Described& described, const Declared& declared);

} // namespace plimsoll
