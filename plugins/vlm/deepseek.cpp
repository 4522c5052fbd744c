// The tower of DeepSeek-VL2: SigLIP as timm packs it, with its pooling head, and a projector over 2 x 2 joined patches. Made by the
// planner's constructor. Worked example: w 1152, FFN 4304, 27 blocks, 384 pixels: 428,225,600 elements in the encoder.
#include <cmath>

#include "block.hpp"
#include "tower.hpp"

namespace vlm {
namespace {

using plimsoll::Bytes;
using plimsoll::Error;
using plimsoll::Sink;

class DeepseekTower : public Tower {
public:
  DeepseekTower(const PartKeys& keys, std::uint64_t text)
      : layers_(keys.layer_list("/layers")), width_(keys.positive("/width")), heads_(keys.positive("/heads")), ffn_(ffn_of(keys, width_)),
        channels_(keys.positive("/num_channels")), patch_(keys.positive("/patch_size")), side_(keys.patches_per_side()),
        tiles_(keys.positive("/max_image_tiles")), text_(text), depth_(keys.model().positive("/projector_config/depth")),
        inner_((Bytes(text) * keys.model().positive("/projector_config/mlp_ratio")).value()),
        join_(keys.model().positive("/projector_config/downsample_ratio")) {
    if (depth_ > 64) throw Error(PLIMSOLL_E_CONFIG, "/projector_config/depth", "is above 64; check the value");
  }

  void weights(const Sink& out) const override {
    const Tensors top(out, "", "vision.");
    top.convolution("patch_embed.proj", width_, channels_, patch_, true);
    top.tensor("pos_embed", {1, Bytes(side_) * side_, width_});
    declare_block(Tensors(out, "blocks.", "vision.blocks.{layer}.", &layers_), kTimmBlock, {.width = width_, .ffn = ffn_, .heads = heads_});
    top.norm("norm", width_, true);
    const Tensors pool(out, "attn_pool.", "vision.attn_pool.");
    pool.tensor("latent", {1, 1, width_});
    pool.linear("q", width_, width_);
    pool.linear("kv", Bytes(width_) * 2, width_);
    pool.linear("proj", width_, width_);
    pool.norm("norm", width_, true);
    pool.linear("mlp.fc1", ffn_, width_);
    pool.linear("mlp.fc2", width_, ffn_);
    const Tensors projector(out, "projector.", "projector.layers.");
    projector.linear("0", inner_, Bytes(width_) * join_ * join_);
    for (std::uint64_t i = 1; i < depth_; ++i) projector.linear(std::to_string(2 * i), i + 1 == depth_ ? text_ : inner_, inner_);
    for (const char* separator : {"image_newline", "view_seperator"}) Tensors(out, "", "").tensor(separator, {text_}); // as it is spelt
  }
  // 27 patches a side, padded and joined to 14, a separator behind each line of a column of 9 tiles and of the whole image:
  // 126 x 15 + 1 + 14 x 15 = 2,101 rows.
  Media largest_image() const override {
    const Bytes side = (side_ + join_ - 1) / join_, lines = side * (side + 1);
    return {(lines * (Bytes(tiles_) + 1) + 1).value(), (Bytes(side_) * side_ * (Bytes(tiles_) + 1)).value(), width_};
  }

private:
  // The ratio has a fraction: 1152 x 3.7362 = 4304.1.
  static std::uint64_t ffn_of(const PartKeys& keys, std::uint64_t width) {
    const double ffn = static_cast<double>(width) * keys.decimal("/mlp_ratio").value_or(3.7362);
    if (!(ffn >= 1 && ffn < 1e9)) keys.refuse("/mlp_ratio", "a ratio above 0, such as 4, was expected");
    return static_cast<std::uint64_t>(ffn);
  }

  std::vector<std::uint32_t> layers_;
  std::uint64_t width_, heads_, ffn_, channels_, patch_, side_, tiles_, text_, depth_, inner_, join_;
};

} // namespace

std::unique_ptr<Tower> make_deepseek_vl2(const PartKeys& keys, std::uint64_t text) { return std::make_unique<DeepseekTower>(keys, text); }

} // namespace vlm
