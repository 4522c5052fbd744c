// The tower of MiniMax-M3: CLIP's blocks over patches of two frames, without positions of its own; every patch is projected
// to the language model's width, then merge x merge neighbours are joined by a second projector. Made by the planner's
// constructor. Worked example: w 1280, 32 blocks, t 6144, projector 6144: 865,567,232 elements.
#include "block.hpp"
#include "tower.hpp"

namespace vlm {
namespace {

using plimsoll::Bytes;
using plimsoll::Sink;

class MiniMaxTower : public Tower {
public:
  MiniMaxTower(const PartKeys& keys, std::uint64_t text)
      : layers_(keys.layer_list("/num_hidden_layers")), width_(keys.positive("/hidden_size")), ffn_(keys.positive("/intermediate_size")),
        heads_(keys.positive("/num_attention_heads")), channels_(keys.positive("/num_channels")), patch_(keys.positive("/patch_size")),
        side_(keys.patches_per_side()), frames_(compression(keys, "temporal_patch_size")), merge_(compression(keys, "spatial_merge_size")),
        inner_(keys.model().positive("/projector_hidden_size")), text_(text) {}

  void weights(const Sink& out) const override {
    const std::string prefix = "vision_tower.vision_model.";
    const Tensors top(out, "", prefix);
    top.convolution("embeddings.patch_embedding", width_, channels_, patch_, false, frames_);
    top.norm("pre_layrnorm", width_, true); // as the checkpoint spells it
    declare_block(Tensors(out, "layers.", prefix + "encoder.layers.{layer}.", &layers_), kClipBlock,
                  {.width = width_, .ffn = ffn_, .heads = heads_});
    projector(Tensors(out, "projector.", "multi_modal_projector."), width_);
    projector(Tensors(out, "merger.", "patch_merge_mlp."), Bytes(text_) * merge_ * merge_);
  }
  // 2016 / 14 = 144 patches a side, 2 x 2 merged: 5,184 rows from 20,736 patches.
  Media largest_image() const override {
    const Bytes patches = Bytes(side_) * side_;
    return {(patches / (Bytes(merge_) * merge_)).value(), patches.value(), width_};
  }

private:
  void projector(const Tensors& out, Bytes in) const {
    out.by_rows("linear_1", inner_, in);
    out.by_columns("linear_2", text_, inner_);
  }
  // The keys stand in an object of their own or beside the others.
  static std::uint64_t compression(const PartKeys& keys, const std::string& key) {
    const std::uint64_t n = keys.find("/img_token_compression_config/" + key).value_or(keys.number("/" + key, 2));
    if (n == 0 || n > 64) keys.refuse("/" + key, "a number from 1 to 64 was expected");
    return n;
  }

  std::vector<std::uint32_t> layers_;
  std::uint64_t width_, ffn_, heads_, channels_, patch_, side_, frames_, merge_, inner_, text_;
};

} // namespace

std::unique_ptr<Tower> make_minimax_m3(const PartKeys& keys, std::uint64_t text) { return std::make_unique<MiniMaxTower>(keys, text); }

} // namespace vlm
