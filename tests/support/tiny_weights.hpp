// The tensors that a configuration asks for, drawn from a seed: matrices of variance 1 / columns, norms about 1, biases and gates wide
// enough to matter, heads wide enough that the best two tokens are rarely close. Called by tiny_model.cpp. Threads: a plain function.
#pragma once

#include <cstdint>
#include <vector>

#include <nlohmann/json.hpp>

#include "support/tiny_model.hpp"

namespace plimsoll::test {

// In the order in which transformers would save them.
std::vector<TinyTensor> tiny_weights(const nlohmann::json& config, std::uint64_t seed);

} // namespace plimsoll::test
