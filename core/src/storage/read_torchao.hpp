// TorchAO's settings: a word, or the description of a Python object. Called by quantization.cpp.
#pragma once

#include "plimsoll/result.hpp"
#include "storage/json_node.hpp"
#include "storage/quantization_builder.hpp"

namespace plimsoll {

Result<void> read_torchao(const Node& settings, QuantizationBuilder& out);

} // namespace plimsoll
