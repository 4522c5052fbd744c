// Settings of bitsandbytes. Threads: pure functions.
#pragma once

#include "plimsoll/result.hpp"
#include "storage/json_node.hpp"
#include "storage/quantization_builder.hpp"

namespace plimsoll {

Result<void> read_bitsandbytes(const Node& q, QuantizationBuilder& out);

} // namespace plimsoll
