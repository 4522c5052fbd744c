// The tower of Kimi-K3: MoonViT blocks with RMS norms, an attention wider than the stream, and no biases anywhere; a projector
// that ends with a norm.
#include "block.hpp"
#include "tower.hpp"

namespace vlm {
namespace {

using plimsoll::Bytes;
using plimsoll::Sink;

class KimiK3Tower : public Tower {
public:
  KimiK3Tower(const PartKeys& keys, std::uint64_t text)
      : layers_(keys.layer_list("/vt_num_hidden_layers")), width_(keys.positive("/vt_hidden_size")),
        attention_(keys.positive("/qkv_hidden_size")), ffn_(keys.positive("/vt_intermediate_size")),
        heads_(keys.number("/vt_num_attention_heads", 0)), text_(text), patch_(keys.positive("/patch_size")),
        channels_(keys.number("/num_channels", 3)), height_(keys.positive("/init_pos_emb_height")),
        across_(keys.positive("/init_pos_emb_width")),
        merge_((Bytes(keys.positive("/merge_kernel_size/0")) * keys.positive("/merge_kernel_size/1")).value()),
        attention_bias_(keys.boolean("/attn_bias", false)), linear_bias_(keys.boolean("/linear_bias", false)),
        patch_bias_(keys.boolean("/patch_embed_proj_bias", false)) {
    if (keys.text("/mm_projector_type", "patchmergerv2") != "patchmergerv2") keys.refuse("/mm_projector_type", "is no patchmergerv2");
    if (keys.text("/norm_type", "rmsnorm") != "rmsnorm") keys.refuse("/norm_type", "is no rmsnorm");
  }

  // 447,358,976 parameters as published: 163 + 2 tensors in the tower, 3 in the projector.
  void weights(const Sink& out) const override {
    const Tensors stem(out, "patch_embed.", "vision_tower.patch_embed.");
    stem.convolution("proj", width_, channels_, patch_, patch_bias_);
    stem.tensor("pos_emb.weight", {height_, across_, width_});
    declare_block(Tensors(out, "blocks.", "vision_tower.encoder.blocks.{layer}.", &layers_), kMoonBlock,
                  {.width = width_,
                   .ffn = ffn_,
                   .heads = heads_,
                   .norm_bias = false,
                   .qkv_bias = attention_bias_,
                   .out_bias = attention_bias_,
                   .ffn_bias = linear_bias_,
                   .attention = attention_});
    Tensors(out, "", "vision_tower.encoder.").norm("final_layernorm", width_, false);
    const Bytes merged = Bytes(width_) * merge_;
    const Tensors projector(out, "projector.", "mm_projector.");
    projector.linear("proj.0", merged, merged, false);
    projector.linear("proj.2", text_, merged, false);
    projector.norm("post_norm", text_, false);
  }
  // 64 x 64 patches, 2 x 2 merged: 1,024 rows.
  Media largest_image() const override {
    const Bytes patches = Bytes(height_) * across_;
    return {(patches / merge_).value(), patches.value(), width_};
  }

private:
  std::vector<std::uint32_t> layers_;
  std::uint64_t width_, attention_, ffn_, heads_, text_, patch_, channels_, height_, across_, merge_;
  bool attention_bias_, linear_bias_, patch_bias_;
};

} // namespace

std::unique_ptr<Tower> make_kimi_k3(const PartKeys& keys, std::uint64_t text) { return std::make_unique<KimiK3Tower>(keys, text); }

} // namespace vlm
