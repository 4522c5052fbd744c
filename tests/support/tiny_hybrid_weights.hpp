// Weights of tiny models whose layers are recurrent, or partly: Mamba in both forms, short convolutions, delta rules, and what stands
// beside them. Called by tiny_weights.cpp. Threads: plain functions.
#pragma once

#include <cstdint>
#include <vector>

#include <nlohmann/json.hpp>

#include "support/tiny_model.hpp"

namespace plimsoll::test {

// Whether the model_type is one of those.
bool is_tiny_hybrid(const nlohmann::json& config);
std::vector<TinyTensor> tiny_hybrid_weights(const nlohmann::json& config, std::uint64_t seed);

} // namespace plimsoll::test
