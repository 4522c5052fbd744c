// Towers whose encoder and projector are plain: SigLIP and one matrix (PaliGemma); SigLIP, neighbours joined, a gated projector (Aya
// Vision, Command A Vision); and InternVL as the transformers library packs it. Made by the planner's constructor.
#include <cmath>

#include "block.hpp"
#include "encoders.hpp"

namespace vlm {
namespace {

using plimsoll::Bytes;
using plimsoll::Error;
using plimsoll::Sink;

class PaliGemmaTower : public Tower {
public:
  PaliGemmaTower(const PartKeys& keys, std::uint64_t text) : encoder_(Encoder::of(keys, "vision_tower.")), text_(text) {}

  void weights(const Sink& out) const override {
    encoder_.weights(out);
    Tensors(out, "projector.", "multi_modal_projector.").linear("linear", text_, encoder_.width());
  }
  // A row for each patch: 256 at 224 pixels, 4,096 at 896.
  Media largest_image() const override { return {encoder_.positions(), encoder_.positions(), encoder_.width()}; }

private:
  Encoder encoder_;
  std::uint64_t text_;
};

// Factor x factor neighbours are joined; of the first matrix's rows one half gates the other.
class CohereTower : public Tower {
public:
  struct Names {
    const char *tower, *projector;
    bool norm;
  };
  CohereTower(const PartKeys& keys, std::uint64_t text, const Names& names)
      : names_(names), encoder_(Encoder::of(keys, names.tower)), text_(text), factor_(keys.model().positive("/downsample_factor")),
        inner_(keys.model().u64("/alignment_intermediate_size", text)), tiles_(keys.positive("/max_image_tiles")) {
    if (inner_ % 2 != 0) throw Error(PLIMSOLL_E_CONFIG, "/alignment_intermediate_size", "is odd; two halves of it were expected");
  }

  void weights(const Sink& out) const override {
    encoder_.weights(out);
    const Bytes joined = Bytes(encoder_.width()) * factor_ * factor_;
    const Tensors projector(out, "projector.", names_.projector);
    if (names_.norm) projector.norm("layernorm", joined, true);
    projector.linear("linear_1", inner_, joined); // its halves meet: on every rank
    projector.linear("linear_2", text_, inner_ / 2);
  }
  // Aya Vision: 26 x 26 patches a tile, joined by 2: 169 rows; 12 tiles and the whole image: 2,197.
  Media largest_image() const override {
    const Bytes side = encoder_.side() / factor_;
    return {(Bytes(tiles_) * side * side).value(), (Bytes(tiles_) * encoder_.positions()).value(), encoder_.width()};
  }

private:
  Names names_;
  Encoder encoder_;
  std::uint64_t text_, factor_, inner_, tiles_;
};

constexpr BlockNames kInternBlock{{"layernorm_before", "layernorm_after"},
                                  "",
                                  "attention.q_proj",
                                  "attention.k_proj",
                                  "attention.v_proj",
                                  "attention.projection_layer",
                                  "",
                                  "mlp.fc1",
                                  "mlp.fc2"};

class InternHfTower : public Tower {
public:
  InternHfTower(const PartKeys& keys, std::uint64_t text)
      : layers_(keys.layer_list("/num_hidden_layers")), width_(keys.positive("/hidden_size")), ffn_(keys.positive("/intermediate_size")),
        heads_(keys.positive("/num_attention_heads")), channels_(keys.number("/num_channels", 3)), patch_(keys.side_of("/patch_size")),
        side_(keys.patches_per_side()), tiles_(keys.positive("/max_image_tiles")), text_(text),
        bias_(keys.boolean("/attention_bias", false)), qk_norm_(keys.boolean("/use_qk_norm", false)),
        norm_bias_(keys.text("/norm_type", "layer_norm") == "layer_norm"),
        positions_(keys.boolean("/use_absolute_position_embeddings", true)), final_norm_(!keys.boolean("/use_mean_pooling", true)) {
    const double ratio = keys.model().find_f64("/downsample_ratio").value_or(0.5);
    if (!(ratio > 1.0 / 64 && ratio <= 1)) throw Error(PLIMSOLL_E_CONFIG, "/downsample_ratio", "a ratio up to 1 was expected, such as 0.5");
    shuffle_ = static_cast<std::uint64_t>(std::lround(1 / ratio));
  }

  void weights(const Sink& out) const override {
    const std::string prefix = "model.vision_tower.";
    const Tensors stem(out, "embeddings.", prefix + "embeddings.");
    stem.tensor("cls_token", {1, 1, width_});
    stem.convolution("patch_embeddings.projection", width_, channels_, patch_, true);
    if (positions_) stem.tensor("position_embeddings", {1, Bytes(side_) * side_ + 1, width_});
    const Tensors layer(out, "layers.", prefix + "encoder.layer.{layer}.", &layers_);
    declare_block(layer, kInternBlock, {.width = width_, .ffn = ffn_, .heads = heads_, .norm_bias = norm_bias_, .qkv_bias = bias_});
    for (const char* scale : {"lambda_1", "lambda_2"}) layer.tensor(scale, {width_});
    if (qk_norm_)
      for (const char* norm : {"attention.q_norm", "attention.k_norm"}) layer.norm(norm, width_, false);
    if (final_norm_) Tensors(out, "", prefix).norm("layernorm", width_, true);
    const Bytes joined = Bytes(width_) * shuffle_ * shuffle_;
    const Tensors projector(out, "projector.", "model.multi_modal_projector.");
    projector.norm("layer_norm", joined, true);
    projector.by_rows("linear_1", text_, joined);
    projector.by_columns("linear_2", text_, text_);
  }
  // As internvl_chat: 12 tiles and the whole image, 256 rows each.
  Media largest_image() const override {
    const Bytes side = side_ / shuffle_;
    return {(Bytes(tiles_) * side * side).value(), (Bytes(tiles_) * (Bytes(side_) * side_ + 1)).value(), width_};
  }

private:
  std::vector<std::uint32_t> layers_;
  std::uint64_t width_, ffn_, heads_, channels_, patch_, side_, tiles_, text_, shuffle_ = 2;
  bool bias_, qk_norm_, norm_bias_, positions_, final_norm_;
};

} // namespace

std::unique_ptr<Tower> make_paligemma(const PartKeys& keys, std::uint64_t text) { return std::make_unique<PaliGemmaTower>(keys, text); }
std::unique_ptr<Tower> make_aya_vision(const PartKeys& keys, std::uint64_t text) {
  return std::make_unique<CohereTower>(keys, text, CohereTower::Names{"vision_tower.", "multi_modal_projector.", true});
}
std::unique_ptr<Tower> make_cohere2_vision(const PartKeys& keys, std::uint64_t text) {
  return std::make_unique<CohereTower>(keys, text, CohereTower::Names{"model.vision_tower.", "model.multi_modal_projector.", false});
}
std::unique_ptr<Tower> make_internvl_hf(const PartKeys& keys, std::uint64_t text) { return std::make_unique<InternHfTower>(keys, text); }

} // namespace vlm
