// See timm_siglip.hpp.
#include "timm_siglip.hpp"

#include "block.hpp"

namespace vlm {

using plimsoll::Bytes;

void declare_timm_siglip(const plimsoll::Sink& out, const std::string& prefix, const TimmSiglip& shape) {
  const std::uint64_t width = shape.width;
  const Tensors top(out, "", prefix);
  top.convolution("patch_embed.proj", width, shape.channels, shape.patch, true);
  top.tensor("pos_embed", {1, Bytes(shape.side) * shape.side, width});
  declare_block(Tensors(out, "blocks.", prefix + "blocks.{layer}.", &shape.layers), kTimmBlock,
                {.width = width, .ffn = shape.ffn, .heads = shape.heads});
  top.norm("norm", width, true);
  const Tensors pool(out, "attn_pool.", prefix + "attn_pool.");
  pool.tensor("latent", {1, 1, width});
  pool.linear("q", width, width);
  pool.linear("kv", Bytes(width) * 2, width);
  pool.linear("proj", width, width);
  pool.norm("norm", width, true);
  pool.linear("mlp.fc1", shape.ffn, width);
  pool.linear("mlp.fc2", width, shape.ffn);
}

} // namespace vlm
