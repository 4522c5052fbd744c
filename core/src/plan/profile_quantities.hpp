// The quantities that formulas of an engine profile multiply, for one device of a settled request: what the model, the layout and the
// sizes of a step are. Called by profile_items.cpp. Never knows an engine by name. Threads: pure.
#pragma once

#include <cstdint>

#include "engine/profile_rules.hpp"
#include "plan/settled.hpp"

namespace plimsoll {

// `sequences`: requests that a step decodes. `first_device`: a projector is on that one.
Quantities profile_quantities(const Settled& settled, const Device& device, std::uint64_t sequences, bool first_device = false);

// Batch sizes that are captured as graphs: 1, 2, 4, then every eighth below 256 and every sixteenth from there, up to `most`, and `most`
// itself no more than that. 512 rows: 51 sizes; 256 of them up to 35.
std::uint64_t captured_sizes(std::uint64_t most);

} // namespace plimsoll
