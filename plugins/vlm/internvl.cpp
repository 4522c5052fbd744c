// The tower of InternVL 2, 2.5 and 3 (internvl_chat) and of those that take it over (H2OVL, Skywork-R1V, Qianfan-OCR, NVLM-D): InternViT
// and a projector over shuffled pixels. The large ViT (6B) has RMS norms and norms on queries and keys, the small one (300M) layer norms.
#include <cmath>

#include "block.hpp"
#include "tower.hpp"

namespace vlm {
namespace {

using plimsoll::Bytes;
using plimsoll::Sink;

// 1 / downsample_ratio: 2 for 0.5.
std::uint64_t shuffle_of(const plimsoll::Config& model) {
  const double ratio = model.find_f64("/downsample_ratio").value_or(0.5);
  const double side = ratio > 0 ? std::floor(1 / ratio) : 0;
  if (!(side >= 1 && side <= 64))
    throw plimsoll::Error(PLIMSOLL_E_CONFIG, "/downsample_ratio", "a ratio above 0 and up to 1 was expected, such as 0.5");
  return static_cast<std::uint64_t>(side);
}

class InternTower : public Tower {
public:
  // `inner` is the projector's width between its matrices, `dummy_heads` widen the attention, `bias` is the projector's.
  InternTower(const PartKeys& keys, std::uint64_t text, std::uint64_t inner, std::uint64_t dummy_heads = 0, bool bias = true)
      : layers_(keys.layer_list("/num_hidden_layers")), width_(keys.positive("/hidden_size")), ffn_(keys.positive("/intermediate_size")),
        heads_(keys.number("/num_attention_heads", 0)), text_(text), patch_(keys.positive("/patch_size")),
        channels_(keys.positive("/num_channels")), side_(keys.patches_per_side()), shuffle_(shuffle_of(keys.model())),
        tiles_(keys.model().positive("/max_dynamic_patch")), qkv_bias_(keys.boolean("/qkv_bias", false)),
        qk_norm_(keys.boolean("/qk_normalization", true)), norm_bias_(keys.text("/norm_type", "rms_norm") == "layer_norm"), inner_(inner),
        attention_(width_), bias_(bias) {
    if (dummy_heads > 0) {
      if (heads_ == 0) keys.refuse("/num_attention_heads", "is missing or 0; a positive number was expected");
      attention_ = (Bytes(width_) / heads_ * (Bytes(heads_) + dummy_heads)).value();
      heads_ += dummy_heads;
    }
    if (keys.model().boolean("/use_thumbnail", false) && tiles_ > 1) ++tiles_;
  }

  void weights(const Sink& out) const override {
    const Tensors stem(out, "embeddings.", "vision_model.embeddings.");
    stem.tensor("class_embedding", {1, 1, width_});
    stem.convolution("patch_embedding", width_, channels_, patch_, true);
    stem.tensor("position_embedding", {1, Bytes(side_) * side_ + 1, width_});
    const Tensors layer(out, "layers.", "vision_model.encoder.layers.{layer}.", &layers_);
    declare_block(layer, kTimmBlock,
                  {.width = width_, .ffn = ffn_, .heads = heads_, .norm_bias = norm_bias_, .qkv_bias = qkv_bias_, .attention = attention_});
    layer.tensor("ls1", {width_});
    layer.tensor("ls2", {width_});
    if (qk_norm_) {
      layer.norm("attn.q_norm", attention_, false);
      layer.norm("attn.k_norm", attention_, false);
    }
    const Bytes merged = Bytes(width_) * shuffle_ * shuffle_;
    const Tensors projector(out, "projector.", "mlp1.");
    projector.norm("0", merged, true);
    projector.linear("1", inner_, merged, bias_);
    projector.linear("3", text_, inner_, bias_);
  }

  // 448 / 14 = 32 patches a side, ratio 0.5: 256 rows a tile; 12 tiles and a thumbnail: 3,328 rows from 13 x 1025 positions.
  Media largest_image() const override {
    const std::uint64_t side = side_ / shuffle_;
    return {(Bytes(tiles_) * side * side).value(), (Bytes(tiles_) * (Bytes(side_) * side_ + 1)).value(), width_};
  }

private:
  std::vector<std::uint32_t> layers_;
  std::uint64_t width_, ffn_, heads_, text_, patch_, channels_, side_, shuffle_, tiles_;
  bool qkv_bias_, qk_norm_, norm_bias_;
  std::uint64_t inner_, attention_;
  bool bias_;
};

} // namespace

std::unique_ptr<Tower> make_internvl(const PartKeys& keys, std::uint64_t text) { return std::make_unique<InternTower>(keys, text, text); }
// NVLM-D: seven more heads, so that eight ranks divide them; a projector as wide as the language model's FFN, without biases.
std::unique_ptr<Tower> make_nvlm(const PartKeys& keys, std::uint64_t text) {
  return std::make_unique<InternTower>(keys, text, keys.model().positive("/llm_config/intermediate_size"), 7, false);
}

} // namespace vlm
