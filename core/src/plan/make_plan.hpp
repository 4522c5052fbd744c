// plan(): a model, devices and a request become a plan. Pure: the same input gives the same plan anywhere.
// Called by Context. Order: weights, activations, signal buffers, reservations, vision cache, KV pool, limits, verdict.
// Threads: any number of plans at once.
#pragma once

#include <vector>

#include "device/device.hpp"
#include "engine/profile.hpp"
#include "model/loaded_model.hpp"

namespace plimsoll {

struct PlanInput {
  const Model::Data* model = nullptr;
  const Model::Data* draft = nullptr; // a draft model of its own; may be null
  const std::vector<Device>* devices = nullptr;
  const ProfileSource* engine = nullptr;
  const PlanRequest* request = nullptr;
};

// A plan that does not fit is a plan with an error inside; an error is a request or a model that cannot be planned.
Result<Plan> make_plan(const PlanInput& input);

// Changes to the request that were tried and make it fit, best first. For a plan that does not fit.
std::vector<Advice> find_advice(const PlanInput& input, const Plan& plan);

} // namespace plimsoll
