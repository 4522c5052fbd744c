// Settings of exporters that store plain integers with a scale for each group or row: HQQ, quanto, EETQ, BitNet, and vLLM's own two for
// experts. Called by quantization.cpp.
#pragma once

#include "plimsoll/result.hpp"
#include "storage/json_node.hpp"
#include "storage/quantization_builder.hpp"

namespace plimsoll {

Result<void> read_hqq(const Node& settings, QuantizationBuilder& out);
Result<void> read_quanto(const Node& settings, QuantizationBuilder& out);
Result<void> read_eetq(const Node& settings, QuantizationBuilder& out);
Result<void> read_bitnet(const Node& settings, QuantizationBuilder& out);
Result<void> read_experts_int8(const Node& settings, QuantizationBuilder& out);
// GPTQ's or AWQ's layout, whose experts have a kernel of their own.
Result<void> read_moe_wna16(const Node& settings, QuantizationBuilder& out);

} // namespace plimsoll
