// See block.hpp.
#include "block.hpp"

namespace vlm {

using plimsoll::Bytes;

void declare_block(const Tensors& out, const BlockNames& names, const BlockShape& shape) {
  const Bytes w = shape.width, f = shape.ffn;
  for (const std::string_view norm : names.norms) out.norm(norm, w, shape.norm_bias);
  if (names.qkv.empty())
    for (const std::string_view name : {names.q, names.k, names.v}) out.linear(name, w, w, shape.qkv_bias);
  else out.linear(names.qkv, w * 3, w, shape.qkv_bias);
  out.linear(names.out, w, w, shape.out_bias);
  if (!names.gate.empty()) out.linear(names.gate, f, w, shape.ffn_bias);
  out.linear(names.up, f, w, shape.ffn_bias);
  out.linear(names.down, w, f, shape.ffn_bias);
}

} // namespace vlm
