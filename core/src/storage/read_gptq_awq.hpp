// Settings of the integer formats that pack weights into words: GPTQ (AutoGPTQ, GPTQModel), AWQ (AutoAWQ), auto-round, which writes either.
// Threads: pure functions.
#pragma once

#include "plimsoll/result.hpp"
#include "storage/json_node.hpp"
#include "storage/quantization_builder.hpp"

namespace plimsoll {

Result<void> read_gptq(const Node& q, QuantizationBuilder& out);
Result<void> read_awq(const Node& q, QuantizationBuilder& out);
Result<void> read_auto_round(const Node& q, QuantizationBuilder& out);

} // namespace plimsoll
