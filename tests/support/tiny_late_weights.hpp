// Weights of the first generations of open models, of tiny_late_configs.cpp: OPT, Bloom, MPT, Falcon, OLMo, ChatGLM, each in words of its
// own. Called by tiny_weights.cpp. Threads: plain functions.
#pragma once

#include <cstdint>
#include <vector>

#include <nlohmann/json.hpp>

#include "support/tiny_model.hpp"

namespace plimsoll::test {

bool is_tiny_late(const nlohmann::json& config);
std::vector<TinyTensor> tiny_late_weights(const nlohmann::json& config, std::uint64_t seed);

} // namespace plimsoll::test
