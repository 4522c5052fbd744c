// One transformer block of a vision encoder: two norms, attention, FFN. Towers say how it is named and how wide it is;
// declare_block writes its tensors. Never reads a configuration. Threads: pure.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "tensors.hpp"

namespace vlm {

struct BlockNames {
  std::array<std::string_view, 2> norms;
  std::string_view qkv; // not empty: one fused tensor in place of q, k, v
  std::string_view q, k, v, out;
  std::string_view gate; // empty: an FFN of two matrices
  std::string_view up, down;
};

// As timm names them.
inline constexpr BlockNames kTimmBlock{{"norm1", "norm2"}, "attn.qkv", "", "", "", "attn.proj", "", "mlp.fc1", "mlp.fc2"};
// As Kimi's towers do.
inline constexpr BlockNames kMoonBlock{{"norm0", "norm1"}, "wqkv", "", "", "", "wo", "", "mlp.fc0", "mlp.fc1"};

struct BlockShape {
  std::uint64_t width = 0, ffn = 0;
  std::uint64_t heads = 0; // 0: not known, the attention splits at any element
  bool norm_bias = true, qkv_bias = true, out_bias = true, ffn_bias = true;
  std::uint64_t attention = 0; // width of queries, and of keys and values unless kv_heads says otherwise; 0: as the block
  std::uint64_t kv_heads = 0;  // 0: as many as heads
  bool k_bias = true;          // false: keys alone have none, as in Whisper
};

// Elements with all biases: 4 w + 4 (w^2 + w) + 2 w f + w + f. SigLIP so400m (w 1152, f 4304): 15,239,504.
void declare_block(const Tensors& out, const BlockNames& names, const BlockShape& shape);

inline constexpr BlockNames kClipBlock{{"layer_norm1", "layer_norm2"}, "", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                       "self_attn.out_proj",           "", "mlp.fc1",          "mlp.fc2"};

} // namespace vlm
