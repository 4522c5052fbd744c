// Settings of compressed-tensors: groups of layers, each with a scheme. modelopt's newer exports have the same groups.
// Threads: pure functions.
#pragma once

#include "plimsoll/result.hpp"
#include "storage/json_node.hpp"
#include "storage/quantization_builder.hpp"

namespace plimsoll {

Result<void> read_compressed_tensors(const Node& q, QuantizationBuilder& out);
// `wide_shapes`: the writer keeps shapes in 64 bits, as compressed-tensors' own does, which names its version.
Result<void> read_config_groups(const Node& q, bool wide_shapes, QuantizationBuilder& out);

} // namespace plimsoll
