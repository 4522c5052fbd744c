// Makers of storage formats with their parameters (block, group, bits). One function per layout, all in one table-like
// file, for the exporters' readers (read_*.hpp) and for names (named_storage.hpp). Never checks its parameters: callers have.
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "storage/storage.hpp"

namespace plimsoll::formats {

// One scale per tensor, per output row, per block of inputs of one row, or per block of rows and inputs.
enum class Strategy : std::uint8_t { kTensor, kChannel, kGroup, kBlock };

struct Scheme {
  Strategy strategy = Strategy::kTensor;
  std::uint32_t bits = 8;
  std::uint32_t group = 0; // inputs per scale; 0: one scale per row
  std::uint32_t block_out = 0, block_in = 0;
  bool symmetric = true;
  bool group_index = false;  // an index of each input's group is stored
  bool static_input = false; // the input's scale is stored
  bool wide_shape = false;   // the unpacked dims are stored in 64 bits each
};

// DeepSeek: float8 weight, float32 `weight_scale_inv` per block.
Storage fp8_block(std::uint32_t block_out, std::uint32_t block_in);
// DeepSeek-V4's own export: as above, float8_e8m0 scales named `scale`; and its 4-bit experts, 32 values per scale.
Storage fp8_block_e8m0(std::uint32_t block_out, std::uint32_t block_in);
Storage mxfp4_scale();
// float8 weight, float32 scalar `weight_scale` and, static, `input_scale`.
Storage fp8_tensor(bool static_input);
// float8 weight, float32 `weight_scale` per row: fbgemm ([out, 1] and the input's upper bound), modelopt ([out]).
Storage fp8_fbgemm();
Storage fp8_row();
// modelopt: float32 `weight_scale` [out/128, 1, in/128, 1].
Storage fp8_modelopt_block();
// transformers' gpt-oss layout: `_blocks` [..., out, in/32, 16] and `_scales` [..., out, in/32], bytes.
Storage mxfp4_blocks();
// modelopt: bytes [out, in/2], a byte of scale per 32 inputs; and 8 bits.
Storage mxfp4();
Storage mxfp8();
// modelopt: bytes [out, in/2], float8 scale per `group` inputs, float32 scalars.
Storage nvfp4(std::uint32_t group, bool input_scale, bool pre_quant_scale);
// modelopt's int4: bytes [out/2, in], scale [out, in/group], `pre_quant_scale` [in].
Storage int4_modelopt(std::uint32_t group, bool input_scale);
// compressed-tensors.
Storage ct_packed_int(const Scheme& scheme); // int32 words of bits/32
Storage ct_int(const Scheme& scheme);        // int8
Storage ct_float(const Scheme& scheme);      // float8
Storage ct_nvfp4(std::uint32_t group, bool input_scale);
Storage ct_mxfp4();
// AutoGPTQ and AutoAWQ; group 0: one group. 2, 3, 4 or 8 bits. Zero points are stored with 1 taken off in the first format; `reordered`: an
// index of groups is needed. `gemm`: AWQ's usual order, with zero points; what its other kernels take lies otherwise.
enum class GptqZeros : std::uint8_t { kLess, kAsTheyAre, kUnknown };
Storage gptq(std::uint32_t bits, std::uint32_t group, GptqZeros zeros = GptqZeros::kLess, bool reordered = false);
Storage awq(std::uint32_t bits, std::uint32_t group, bool gemm = true);
// Packed weights with a scale, and where the kind has one a zero point, for each `group` of inputs; 0: for each row. Kinds are those of
// grouped_kinds(), "hqq_int4"; no value for another one.
std::optional<Storage> grouped(std::string_view kind, std::uint32_t group);
std::vector<std::string_view> grouped_kinds();
// MLX: words of 32 bits, scales and in "affine" mode biases; `mode` is affine, mxfp4, mxfp8 or nvfp4.
Storage mlx(std::string_view mode, std::uint32_t bits, std::uint32_t group);
// AQLM: a code of `bits` for each codebook and block of weights; codebooks; a scale for each block of rows.
Storage aqlm(std::uint32_t codebooks, std::uint32_t bits, std::uint32_t in_group, std::uint32_t out_group);
// ExLlamaV3: trellis codes, and signs of inputs and outputs as float16. Hundredths of a bit for each weight.
Storage exl3(std::uint32_t hundredths);
// BitNet as transformers packs it: four weights a byte, and one scale.
Storage bitnet();
// bitsandbytes.
Storage bnb_4bit(bool nf4, bool double_quant);
Storage bnb_int8();

} // namespace plimsoll::formats
