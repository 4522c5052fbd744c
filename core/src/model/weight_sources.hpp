// Where the weights of a loaded model lie in its files: what the planners declared, found in a checkpoint by the same Matcher that
// makes the inventory, as pieces that fill each tensor to the byte. Called by Context::program. Reads headers, never tensor data;
// never guesses: what it cannot place is an error that names the tensor. Threads: a pure function.
#pragma once

#include <functional>

#include "checkpoint/checkpoint.hpp"
#include "model/loaded_model.hpp"
#include "plimsoll/result.hpp"
#include "plimsoll/weight_sources.hpp"

namespace plimsoll {

// `checkpoint`: the model's files, opened again (open_checkpoint(model.files, ...)), which is an error where there are none. A tensor for
// every class and layer that the plan of one rank counts, in the type that is stored. kBadCheckpoint: a tensor is missing, twice there,
// or of another shape than declared. kUnsupportedArchitecture: a type other than float32, float16 and bfloat16 where
// nothing is quantised, a quantisation that nothing here unpacks, a tensor that no planner claims, two classes of one label and layer, a
// GGUF architecture of which no gguf.json says how it stores tensors.
// `loaded`: of which classes; those of the model alone where nothing says otherwise.
using LoadedClasses = std::function<bool(const WeightClass&)>;
inline bool is_of_model(const WeightClass& c) { return c.role == PLIMSOLL_ROLE_MODEL; }
Result<WeightSources> weight_sources(const Model::Data& model, const Checkpoint& checkpoint, const LoadedClasses& loaded = is_of_model);

} // namespace plimsoll
