// Settings of modelopt, in quantization_config or in a file of its own: one algorithm, or one for each module. Threads: pure functions.
#pragma once

#include "plimsoll/result.hpp"
#include "storage/json_node.hpp"
#include "storage/quantization_builder.hpp"

namespace plimsoll {

Result<void> read_modelopt(const Node& q, QuantizationBuilder& out);
// "quantized_layers": {"model.layers.0.mlp.experts": {"quant_algo": "NVFP4", "group_size": 16}}; `group` is what entries leave out.
Result<void> read_quantized_layers(const Node& layers, std::uint32_t group, QuantizationBuilder& out);

} // namespace plimsoll
