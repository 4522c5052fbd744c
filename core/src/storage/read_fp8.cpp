#include "storage/read_fp8.hpp"

#include "storage/read_modelopt.hpp"
#include "storage/storage_formats.hpp"

namespace plimsoll {

// DeepSeek, Qwen, GLM and transformers' fine-grained fp8; without blocks one scalar per layer.
Result<void> read_fp8(const Node& q, QuantizationBuilder& out) {
  PLIMSOLL_TRY(out.exclude(q["modules_to_not_convert"]));
  PLIMSOLL_TRY(out.exclude(q["ignored_layers"]));
  const Node block = q["weight_block_size"];
  PLIMSOLL_ASSIGN(const std::string activation, text(q["activation_scheme"], "dynamic"));
  if (block.present()) {
    PLIMSOLL_ASSIGN(const Block size, block_size(block));
    PLIMSOLL_TRY(out.set_default(formats::fp8_block(size.out, size.in), q));
  } else PLIMSOLL_TRY(out.set_default(formats::fp8_tensor(activation == "static"), q));
  PLIMSOLL_TRY(read_quantized_layers(q["quantized_layers"], 16, out));
  // Routed experts may be held in 4 bits beside fp8.
  const Node whole{&out.config(), ""};
  PLIMSOLL_ASSIGN(const std::string expert, text(whole["expert_dtype"], ""));
  if (expert == "fp4") {
    PLIMSOLL_ASSIGN(const std::uint16_t format, out.intern(formats::mxfp4_scale(), q));
    PLIMSOLL_TRY(out.include("experts", format, q.pointer));
  }
  return {};
}

Result<void> read_fbgemm_fp8(const Node& q, QuantizationBuilder& out) {
  PLIMSOLL_TRY(out.exclude(q["modules_to_not_convert"]));
  return out.set_default(formats::fp8_fbgemm(), q);
}

// gpt-oss: only packed experts are converted; the list of exceptions is there for everything else.
Result<void> read_mxfp4(const Node& q, QuantizationBuilder& out) {
  PLIMSOLL_TRY(out.exclude(q["modules_to_not_convert"]));
  PLIMSOLL_ASSIGN(const std::uint16_t format, out.intern(formats::mxfp4_blocks(), q));
  return out.include("experts", format, q.pointer);
}

Result<void> read_mxfp8(const Node& q, QuantizationBuilder& out) {
  PLIMSOLL_TRY(out.exclude(q.any({"modules_to_not_convert", "ignored_layers"})));
  return out.set_default(formats::mxfp8(), q);
}

} // namespace plimsoll
