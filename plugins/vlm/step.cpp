// The tower of Step-3.7: a Perception Encoder with scaled residuals, two strided convolutions that quarter each side of the grid,
// and one matrix. Made by the planner's constructor. Keys come in the original's spelling (width, layers, heads) or in the usual one.
#include <cmath>

#include "block.hpp"
#include "listed.hpp"

namespace vlm {
namespace {

using plimsoll::Bytes;
using plimsoll::Sink;

constexpr BlockNames kStep3Block{
    {"layer_norm1", "layer_norm2"}, "self_attn.qkv_proj", "", "", "", "self_attn.out_proj", "", "mlp.fc1", "mlp.fc2"};

class StepTower : public Tower {
public:
  StepTower(const PartKeys& keys, std::uint64_t text, std::string prefix)
      : prefix_(std::move(prefix)), layers_(keys.find("/layers") ? keys.layer_list("/layers") : keys.layer_list("/num_hidden_layers")),
        width_(either(keys, "/width", "/hidden_size")), heads_(either(keys, "/heads", "/num_attention_heads")), ffn_(ffn_of(keys, width_)),
        channels_(keys.positive("/num_channels")), patch_(keys.positive("/patch_size")), side_(keys.patches_per_side()),
        tiles_(keys.positive("/max_image_tiles")), tile_side_(keys.positive("/tile_size") / patch_), text_(text),
        positions_(keys.boolean("/use_abs_posemb", true)), class_token_(keys.boolean("/use_cls_token", false)),
        norm_before_(keys.boolean("/use_ln_pre", true)), norm_after_(keys.boolean("/use_ln_post", false)),
        bias_(keys.model().boolean("/projector_bias", false)) {}

  void weights(const Sink& out) const override {
    const std::string prefix = prefix_ + "vision_model.";
    const Tensors top(out, "", prefix);
    top.convolution("conv1", width_, channels_, patch_, false);
    const Bytes grid = Bytes(side_) * side_;
    if (class_token_) top.tensor("class_embedding", {width_});
    if (positions_) top.tensor("positional_embedding", {class_token_ ? grid + 1 : grid, width_});
    if (norm_before_) top.norm("ln_pre", width_, true);
    if (norm_after_) top.norm("ln_post", width_, true);
    blocks(Tensors(out, "layers.", prefix + "transformer.resblocks.{layer}.", &layers_));
    top.convolution("vit_downsampler1", Bytes(width_) * 2, width_, 3, true);
    top.convolution("vit_downsampler2", Bytes(width_) * 4, Bytes(width_) * 2, 3, true);
    Tensors(out, "", prefix_).by_rows("vit_large_projector", text_, Bytes(width_) * 4, bias_);
  }
  // The whole image, 52 x 52 patches and 169 rows, and up to 36 tiles of 36 x 36 patches and 81 rows: 3,085 rows.
  Media largest_image() const override {
    const Bytes whole = Bytes(side_) * side_, tiles = Bytes(tiles_) * tile_side_ * tile_side_;
    const std::uint64_t row = side_ / 4, tile_row = tile_side_ / 4;
    return {(Bytes(row) * row + Bytes(tiles_) * tile_row * tile_row).value(), (whole + tiles).value(), width_};
  }

private:
  static std::uint64_t either(const PartKeys& keys, std::string_view key, std::string_view other) {
    return keys.find(key) ? keys.positive(key) : keys.positive(other);
  }
  // The ratio has a fraction: 1536 x 5.8333 = 8960.
  static std::uint64_t ffn_of(const PartKeys& keys, std::uint64_t width) {
    const double ffn = static_cast<double>(width) * keys.decimal("/mlp_ratio").value_or(8960.0 / 1536.0);
    if (!(ffn >= 1 && ffn < 1e9)) keys.refuse("/mlp_ratio", "a ratio above 0, such as 4, was expected");
    return static_cast<std::uint64_t>(ffn);
  }
  void blocks(const Tensors& out) const {
    for (const char* norm : {"ln_1", "ln_2"}) out.norm(norm, width_, true);
    out.in_proj("attn.in_proj", width_, heads_);
    out.by_columns("attn.out_proj", width_, width_, true, heads_);
    out.by_rows("mlp.c_fc", ffn_, width_);
    out.by_columns("mlp.c_proj", width_, ffn_);
    for (const char* scale : {"ls_1.gamma", "ls_2.gamma"}) out.tensor(scale, {width_});
  }

  std::string prefix_;
  std::vector<std::uint32_t> layers_;
  std::uint64_t width_, heads_, ffn_, channels_, patch_, side_, tiles_, tile_side_, text_;
  bool positions_, class_token_, norm_before_, norm_after_, bias_;
};

} // namespace

std::unique_ptr<Tower> make_step(const PartKeys& keys, std::uint64_t text) { return std::make_unique<StepTower>(keys, text, "model."); }
std::unique_ptr<Tower> make_step_vl(const PartKeys& keys, std::uint64_t text) { return std::make_unique<StepTower>(keys, text, ""); }

// Step-3: EVA-CLIP's relative, 63 layers whose FFN is 3072 wide, and two convolutions that halve the sides.
std::unique_ptr<Tower> make_step3_vl(const PartKeys& keys, std::uint64_t text) {
  const std::vector<std::uint32_t> layers = keys.layer_list("/num_hidden_layers");
  const std::uint64_t width = keys.positive("/hidden_size"), ffn = keys.positive("/intermediate_size");
  const std::uint64_t heads = keys.positive("/num_attention_heads"), channels = keys.positive("/num_channels");
  const std::uint64_t patch = keys.positive("/patch_size"), side = keys.patches_per_side(), shrunk = keys.positive("/output_hidden_size");
  const std::uint64_t tiles = keys.positive("/max_image_tiles"), tile_side = keys.positive("/tile_size") / patch;
  const bool bias = keys.model().boolean("/projector_bias", true);
  const auto list = [=](const Sink& out) {
    const std::string prefix = "vision_model.";
    const Tensors top(out, "", prefix);
    top.tensor("embeddings.class_embedding", {1, width});
    top.convolution("embeddings.patch_embedding", width, channels, patch, true);
    top.tensor("embeddings.position_embedding.weight", {Bytes(side) * side + 1, width});
    declare_block(Tensors(out, "layers.", prefix + "encoder.layers.{layer}.", &layers), kStep3Block,
                  {.width = width, .ffn = ffn, .heads = heads});
    const Tensors join(out, "", "");
    join.convolution("vit_downsampler", shrunk, width, 2, true);
    join.convolution("vit_downsampler2", Bytes(shrunk) * 2, shrunk, 3, true);
    join.linear("vit_large_projector", text, Bytes(shrunk) * 2, bias);
  };
  // 52 x 52 patches are 169 rows, 36 x 36 of a tile 81: as of Step-3.7.
  const Bytes rows = Bytes(side / 4) * (side / 4) + Bytes(tiles) * (tile_side / 4) * (tile_side / 4);
  return listed(list, {rows.value(), (Bytes(side) * side + Bytes(tiles) * tile_side * tile_side).value(), width});
}

} // namespace vlm
