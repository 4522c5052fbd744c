// `plimsoll weights`: what a model's weight classes are, what a checkpoint stores, and the bytes of every rank.
// Plans nothing. Threads: pure functions.
#pragma once

#include "device/device.hpp"
#include "engine/profile.hpp"
#include "model/loaded_model.hpp"

namespace plimsoll {

// `devices`: one for each rank; what they are matters where the engine's rules ask for it.
Result<WeightsReport> make_weights_report(const Model::Data& model, const PlanRequest& request, const ProfileSource& engine,
                                          const std::vector<Device>& devices);

// KV bytes of one token over all layers that cache per token, unsharded, in the model's own type.
std::uint64_t kv_bytes_per_token(const Model::Data& model);

} // namespace plimsoll
