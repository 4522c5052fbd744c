// The tower of GLM-4.1V, GLM-4.5V and GLM-OCR: Qwen-like blocks without biases, a convolution that merges neighbours, a gated projector.
// Trap: the blocks' FFN is out_hidden_size wide, intermediate_size is the projector's.
#include "block.hpp"
#include "tower.hpp"

namespace vlm {
namespace {

using plimsoll::Bytes;
using plimsoll::Sink;

constexpr BlockNames kGlmBlock{{"norm1", "norm2"}, "attn.qkv", "", "", "", "attn.proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"};

class Glm4vTower : public Tower {
public:
  // `ocr`: GLM-OCR has biases and norms of queries and keys in its blocks, no positions, and a projector as wide as the language
  // model's FFN.
  Glm4vTower(const PartKeys& keys, std::uint64_t text, bool ocr)
      : ocr_(ocr), layers_(keys.layer_list("/depth")), width_(keys.positive("/hidden_size")), heads_(keys.number("/num_heads", 0)),
        out_(keys.number("/out_hidden_size", text)), ffn_(ocr ? keys.positive("/intermediate_size") : out_),
        inner_(ocr ? keys.model().positive("/text_config/intermediate_size") : keys.positive("/intermediate_size")),
        patch_(keys.positive("/patch_size")), frames_(keys.positive("/temporal_patch_size")), channels_(keys.positive("/in_channels")),
        merge_(keys.positive("/spatial_merge_size")), side_(keys.patches_per_side()), max_pixels_(keys.positive("/max_image_pixels")),
        bias_(ocr || keys.boolean("/attention_bias", false)) {
    if (out_ != text)
      keys.refuse("/out_hidden_size",
                  "is " + std::to_string(out_) + ", the language model is " + std::to_string(text) + " wide; the two must be equal");
  }

  void weights(const Sink& out) const override {
    const std::string prefix = "model.visual.";
    const Tensors top(out, "", prefix);
    top.convolution("patch_embed.proj", width_, channels_, patch_, true, frames_);
    if (!ocr_) {
      top.tensor("embeddings.position_embedding.weight", {Bytes(side_) * side_, width_});
      top.norm("post_conv_layernorm", width_, false);
    }
    const Tensors block(out, "blocks.", prefix + "blocks.{layer}.", &layers_);
    declare_block(
        block, kGlmBlock,
        {.width = width_, .ffn = ffn_, .heads = heads_, .norm_bias = false, .qkv_bias = bias_, .out_bias = ocr_, .ffn_bias = ocr_});
    if (ocr_)
      for (const char* norm : {"attn.q_norm", "attn.k_norm"}) block.norm(norm, Bytes(width_) / heads_, false);
    top.norm("post_layernorm", width_, false);
    top.convolution("downsample", out_, width_, merge_, true);
    const Tensors merger(out, "merger.", prefix + "merger.");
    merger.by_rows("proj", out_, out_, false);
    merger.norm("post_projection_norm", out_, true);
    merger.by_rows("gate_proj", inner_, out_, false);
    merger.by_rows("up_proj", inner_, out_, false);
    merger.by_columns("down_proj", out_, inner_, false);
  }

  // 4,816,896 pixels, patches of 14, merge 2: 24,576 patches, 6,144 rows.
  Media largest_image() const override {
    const Bytes area = Bytes(patch_) * patch_;
    return {(Bytes(max_pixels_) / (area * merge_ * merge_)).value(), (Bytes(max_pixels_) / area).value(), width_};
  }

private:
  bool ocr_;
  std::vector<std::uint32_t> layers_;
  std::uint64_t width_, heads_, out_, ffn_, inner_, patch_, frames_, channels_, merge_, side_, max_pixels_;
  bool bias_;
};

} // namespace

std::unique_ptr<Tower> make_glm4v(const PartKeys& keys, std::uint64_t text) { return std::make_unique<Glm4vTower>(keys, text, false); }
std::unique_ptr<Tower> make_glm_ocr(const PartKeys& keys, std::uint64_t text) { return std::make_unique<Glm4vTower>(keys, text, true); }

} // namespace vlm
