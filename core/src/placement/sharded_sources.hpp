// Where the weights of one rank lie: the sources of a whole model, cut by the rules that weights are priced by. What a rank then loads is
// what its plan counts, to the byte. Called by Context::program. Reads nothing. Threads: pure functions.
#pragma once

#include <cstdint>
#include <vector>

#include "model/declared.hpp"
#include "placement/rank_layout.hpp"
#include "placement/weight_shard.hpp"
#include "plimsoll/result.hpp"
#include "plimsoll/weight_sources.hpp"

namespace plimsoll {

// The shard of a class whose parts alternate row by row, as gate and up of gpt-oss do: its rows follow one another there.
LocalShape alternating_shape(const WeightClass& c, LocalShape shape);

// The embedding that a tied head is; nullptr where no class is.
const WeightClass* tied_to(const WeightClass& tied, const Declared& declared);

// A last stage that has no embedding gets a copy for its tied head, under the head's label. `whole`: of all ranks (weight_sources).
// `alternating`: for each class of `declared`, whether its parts do. A file's bytes that a rank has only a part of may be read by several
// ranks. kBadRequest: a rank that has nothing of a tensor; kUnsupportedArchitecture: a tensor that would be read in too many runs.
Result<WeightSources> shard_sources(const WeightSources& whole, const Declared& declared, const RankLayout& layout, std::uint32_t rank,
                                    const std::vector<bool>& alternating);

} // namespace plimsoll
