// MLX's settings: bits and a group for all linear layers and the embedding, others for layers by name. They stand under `quantization`, and
// in newer files under `quantization_config` too, with no quant_method. Called by quantization.cpp.
#pragma once

#include "plimsoll/result.hpp"
#include "storage/json_node.hpp"
#include "storage/quantization_builder.hpp"

namespace plimsoll {

// Whether these are such settings: both bits and group_size, and nobody's name.
bool is_mlx(const Node& settings);
Result<void> read_mlx(const Node& settings, QuantizationBuilder& out);

} // namespace plimsoll
