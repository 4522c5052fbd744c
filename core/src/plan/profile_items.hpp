// What an engine profile itself says of bytes: activations and overheads by formula, and the fraction that follows from a
// reserve. Never knows an engine by name. Threads: pure.
#pragma once

#include "plan/ledger.hpp"
#include "plan/settled.hpp"

namespace plimsoll {

// What the profile's conditions ask of a device, a layout and a model.
ProfileFacts profile_facts(const Model::Data& model, const PlanRequest& request, const RankLayout& layout, const Device& device);

// The utilization that leaves the profile's reserve, rounded to three digits.
double utilization_beside_reserve(const Settled& settled);

// Adds the profile's own activations and overheads, each device by its own conditions. `batch`: requests that a step decodes.
Result<void> price_profile_items(const Settled& settled, std::optional<std::uint64_t> batch, ItemCollector& collector);

// What the profile has to say of its items that count.
void warn_of_profile_items(const Settled& settled, const Ledger& ledger, Findings& findings);

} // namespace plimsoll
