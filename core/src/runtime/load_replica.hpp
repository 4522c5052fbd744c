// What pipelines of every kind begin with: one replica of a plan in arenas of its own, and what all of them took. Threads: [serial].
#pragma once

#include <array>
#include <memory>
#include <span>

#include "plimsoll/text_generation.hpp"

namespace plimsoll {

// Loads the weights; the pages come later. `group`: of all replicas, where they are threads.
Result<std::unique_ptr<PipelineModel>> load_replica(const Context& context, const Model& model, const PlanRequest& request,
                                                    const Plan& plan, std::uint32_t replica, const PipelineOptions& options,
                                                    std::shared_ptr<ReplicaGroup> group = nullptr);

// Adds what the arenas took to `sums`, one for each category.
void add_usage(std::span<const Arena> arenas, std::array<Usage, kCategories>& sums);

} // namespace plimsoll
