// Settings of exporters that store indices of vectors: AQLM and ExLlamaV3. Called by quantization.cpp.
#pragma once

#include "plimsoll/result.hpp"
#include "storage/json_node.hpp"
#include "storage/quantization_builder.hpp"

namespace plimsoll {

Result<void> read_aqlm(const Node& settings, QuantizationBuilder& out);
Result<void> read_exl3(const Node& settings, QuantizationBuilder& out);

} // namespace plimsoll
