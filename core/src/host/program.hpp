// A scheduled pipeline bound to the weights in a checkpoint: what Context::program hands out. Threads: pure functions.
#pragma once

#include <optional>

#include "model/loaded_model.hpp"
#include "placement/rank_layout.hpp"
#include "plimsoll/program.hpp"

namespace plimsoll {

// Numbers of Declared::weights in `program` become those of `sources`, which the program keeps. kBadCheckpoint where an op needs a weight
// that is not stored.
Result<Program> bind_weights(Program program, const Declared& declared, WeightSources sources);

// kBadRequest for a cast of weights to another type than one is stored as: the plan counts bytes that loading would not take.
Result<void> check_cast(const std::optional<Dtype>& cast, const WeightSources& sources);

// Of the sources of a whole model those of one rank.
Result<WeightSources> rank_sources(const Model::Data& model, const WeightSources& whole, const RankLayout& layout, std::uint32_t rank);

} // namespace plimsoll
