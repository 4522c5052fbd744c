// See block.hpp.
#include "block.hpp"

namespace vlm {

using plimsoll::Bytes;

void declare_block(const Tensors& out, const BlockNames& names, const BlockShape& shape) {
  const Bytes w = shape.width, f = shape.ffn, a = shape.attention == 0 ? shape.width : shape.attention;
  for (const std::string_view norm : names.norms) out.norm(norm, w, shape.norm_bias);
  const std::uint64_t heads = shape.heads != 0 && a.value() % shape.heads == 0 ? shape.heads : 0;
  if (names.qkv.empty())
    for (const std::string_view name : {names.q, names.k, names.v}) out.by_rows(name, a, w, shape.qkv_bias, heads);
  else out.by_rows(names.qkv, a * 3, w, shape.qkv_bias, heads, 3);
  out.by_columns(names.out, w, a, shape.out_bias, heads);
  if (!names.gate.empty()) out.by_rows(names.gate, f, w, shape.ffn_bias);
  out.by_rows(names.up, f, w, shape.ffn_bias);
  out.by_columns(names.down, w, f, shape.ffn_bias);
}

} // namespace vlm
