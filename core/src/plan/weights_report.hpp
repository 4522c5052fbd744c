// `plimsoll weights`: what a model's weight classes are, what a checkpoint stores, and the bytes of every rank.
// Called by Context. Threads: pure.
#pragma once

#include "plan/model.hpp"
#include "request/profile.hpp"

namespace plimsoll {

Result<WeightsReport> make_weights_report(const Model::Data& model, const PlanRequest& request, const EngineProfile& profile,
                                          std::uint64_t n_devices);

// KV bytes of one token over all layers that cache per token, unsharded, in the model's own type.
std::uint64_t kv_bytes_per_token(const Model::Data& model);

} // namespace plimsoll
