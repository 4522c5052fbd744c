// Where the matrices of a LoRA adapter lie: a directory as PEFT writes it, found among what the planners declared by the same Matcher that
// finds the model's own weights, and held against the slots of a plan. Reads headers, never tensor data; never guesses: what it cannot
// place is an error that names file and tensor. Threads: a pure function.
#pragma once

#include <string>

#include "model/loaded_model.hpp"
#include "plimsoll/adapters.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

// As Context::adapter says.
Result<AdapterSources> adapter_sources(const Model::Data& model, const AdapterSlots& slots, const std::string& directory);

} // namespace plimsoll
