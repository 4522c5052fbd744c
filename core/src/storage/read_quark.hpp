// AMD Quark's settings: a scheme for all linear layers, others for layers that a pattern names. Called by quantization.cpp.
#pragma once

#include "plimsoll/result.hpp"
#include "storage/json_node.hpp"
#include "storage/quantization_builder.hpp"

namespace plimsoll {

Result<void> read_quark(const Node& settings, QuantizationBuilder& out);

} // namespace plimsoll
