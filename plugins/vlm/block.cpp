// See block.hpp.
#include "block.hpp"

namespace vlm {

using plimsoll::Bytes;

void declare_block(const Tensors& out, const BlockNames& names, const BlockShape& shape) {
  const Bytes w = shape.width, f = shape.ffn, a = shape.attention == 0 ? shape.width : shape.attention;
  for (const std::string_view norm : names.norms) out.norm(norm, w, shape.norm_bias);
  const std::uint64_t heads = shape.heads != 0 && a.value() % shape.heads == 0 ? shape.heads : 0;
  const std::uint64_t kv_heads = heads == 0 || shape.kv_heads == 0 ? heads : shape.kv_heads;
  const Bytes kv = kv_heads == heads ? a : a / heads * kv_heads;
  if (names.qkv.empty()) {
    out.by_rows(names.q, a, w, shape.qkv_bias, heads);
    out.by_rows(names.k, kv, w, shape.qkv_bias && shape.k_bias, kv_heads);
    out.by_rows(names.v, kv, w, shape.qkv_bias, kv_heads);
  } else {
    out.qkv(names.qkv, a, kv, w, shape.qkv_bias, heads, kv_heads);
  }
  out.by_columns(names.out, w, a, shape.out_bias, heads);
  if (!names.gate.empty()) out.by_rows(names.gate, f, w, shape.ffn_bias);
  out.by_rows(names.up, f, w, shape.ffn_bias);
  out.by_columns(names.down, w, f, shape.ffn_bias);
}

} // namespace vlm
