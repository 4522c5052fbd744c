// The tower of Muse Glimmer: blocks over patches of two frames, four joined to one and brought to the language model by three matrices.
// Made by the planner's constructor.
#include "block.hpp"
#include "listed.hpp"

namespace vlm {
namespace {

using plimsoll::Bytes;
using plimsoll::Sink;

constexpr BlockNames kGlimmerBlock{{"norm1", "norm2"}, "", "attn.q_proj", "attn.k_proj", "attn.v_proj",
                                   "attn.proj",        "", "mlp.fc1",     "mlp.fc2"};

} // namespace

// 4,096 rows of four patches each.
std::unique_ptr<Tower> make_muse_glimmer(const PartKeys& keys, std::uint64_t text) {
  const std::vector<std::uint32_t> layers = keys.layer_list("/num_hidden_layers");
  const std::uint64_t width = keys.positive("/hidden_size"), ffn = keys.positive("/intermediate_size");
  const std::uint64_t heads = keys.positive("/num_attention_heads"), patch = keys.positive("/patch_size");
  const std::uint64_t frames = keys.positive("/patch_temporal"), merge = keys.positive("/merge_kernel_size");
  const std::uint64_t high = keys.positive("/pos_emb_height"), wide = keys.positive("/pos_emb_width");
  const std::uint64_t inner = keys.positive("/adapter_dim"), rows = keys.positive("/max_image_tokens");
  const Bytes joined = Bytes(width) * merge * merge;
  const auto list = [=](const Sink& out) {
    const std::string prefix = "model.vision_tower.";
    const Tensors top(out, "", prefix), join(out, "", "model.");
    top.linear("patch_embedder.patch_embedding", width, Bytes(3) * patch * patch * frames, false);
    top.tensor("patch_embedder.position_embedding_table.weight", {Bytes(high) * wide, width});
    top.norm("ln_pre", width, true);
    declare_block(Tensors(out, "layers.", prefix + "layers.{layer}.", &layers), kGlimmerBlock,
                  {.width = width, .ffn = ffn, .heads = heads});
    top.norm("ln_post", width, true);
    join.by_rows("vision_adapter.fc1", inner, joined, false);
    join.by_columns("vision_adapter.fc2", inner, inner, false);
    join.linear("vision_projection", text, inner, false);
  };
  return listed(list, {rows, (Bytes(rows) * merge * merge).value(), width});
}

} // namespace vlm
