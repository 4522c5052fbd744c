// Settings of 8-bit and microscaled floats as transformers writes them: fp8 (DeepSeek, Qwen, GLM, fine-grained), fbgemm, mxfp4, mxfp8.
// Reads one quantization_config; sources are the formats' own (storage_formats.hpp). Threads: pure functions.
#pragma once

#include "plimsoll/result.hpp"
#include "storage/json_node.hpp"
#include "storage/quantization_builder.hpp"

namespace plimsoll {

Result<void> read_fp8(const Node& q, QuantizationBuilder& out);
Result<void> read_fbgemm_fp8(const Node& q, QuantizationBuilder& out);
Result<void> read_mxfp4(const Node& q, QuantizationBuilder& out);
Result<void> read_mxfp8(const Node& q, QuantizationBuilder& out);

} // namespace plimsoll
