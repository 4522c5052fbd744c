// See encoders.hpp. Names and shapes: published checkpoints of LLaVA, Gemma 3, Pixtral; README.md has the totals.
#include "encoders.hpp"

#include <cmath>

#include "block.hpp"

namespace vlm {

using plimsoll::Bytes;
using plimsoll::Error;
using plimsoll::Sink;

namespace {
constexpr BlockNames kPixtralBlock{{"attention_norm", "ffn_norm"},
                                   "",
                                   "attention.q_proj",
                                   "attention.k_proj",
                                   "attention.v_proj",
                                   "attention.o_proj",
                                   "feed_forward.gate_proj",
                                   "feed_forward.up_proj",
                                   "feed_forward.down_proj"};

// Positions of a square grid: 16 for 256.
std::uint64_t side_of_positions(const PartKeys& keys) {
  const std::uint64_t n = keys.positive("/num_patches");
  const auto side = static_cast<std::uint64_t>(std::lround(std::sqrt(static_cast<double>(n))));
  if (side > 65536 || side * side != n)
    keys.refuse("/num_patches", "is " + std::to_string(n) + "; the square of a whole number was expected");
  return side;
}
} // namespace

Encoder::Encoder(Kind kind, const PartKeys& keys, std::string prefix)
    : kind_(kind), prefix_(std::move(prefix)), layers_(keys.layer_list("/num_hidden_layers")), width_(keys.positive("/hidden_size")),
      ffn_(keys.positive("/intermediate_size")), heads_(keys.number("/num_attention_heads", 0)), patch_(keys.positive("/patch_size")),
      channels_(keys.number("/num_channels", 3)), side_(kind == Kind::kSiglip2 ? side_of_positions(keys) : keys.patches_per_side()) {}

Encoder::Encoder(Kind kind, const EncoderShape& shape, std::string prefix)
    : kind_(kind), prefix_(std::move(prefix)), layers_(plimsoll::layers_from(0, shape.layers)), width_(shape.width), ffn_(shape.ffn),
      heads_(shape.heads), patch_(shape.patch), channels_(3), side_(shape.image / shape.patch) {}

Encoder Encoder::pixtral(const PartKeys& keys, std::string prefix) { return Encoder(Kind::kPixtral, keys, std::move(prefix)); }
Encoder Encoder::clip(const EncoderShape& shape, std::string prefix) { return Encoder(Kind::kClip, shape, std::move(prefix)); }
Encoder Encoder::siglip(const EncoderShape& shape, std::string prefix) { return Encoder(Kind::kSiglip, shape, std::move(prefix)); }
Encoder Encoder::siglip2(const PartKeys& keys, std::string prefix) { return Encoder(Kind::kSiglip2, keys, std::move(prefix)); }

Encoder Encoder::of(const PartKeys& keys, std::string prefix) {
  const std::string_view type = keys.model_type();
  if (type == "clip_vision_model") return Encoder(Kind::kClip, keys, prefix + "vision_model.");
  if (type == "siglip_vision_model") {
    Encoder out(Kind::kSiglip, keys, prefix + "vision_model.");
    if (keys.boolean("/vision_use_head", true)) out.with_pooling_head();
    return out;
  }
  if (type == "siglip2_vision_model") {
    Encoder out = siglip2(keys, prefix + "vision_model.");
    if (keys.boolean("/vision_use_head", true)) out.with_pooling_head();
    return out;
  }
  if (type == "pixtral") return pixtral(keys, std::move(prefix));
  throw Error(PLIMSOLL_E_UNSUPPORTED, "/vision_config/model_type",
              "'" + std::string(type.substr(0, 64)) +
                  "' is no tower this planner knows; known: clip_vision_model, siglip_vision_model, siglip2_vision_model, pixtral");
}

Encoder Encoder::siglip(const PartKeys& keys, std::string prefix, bool drop_last_layer) {
  Encoder out(Kind::kSiglip, keys, std::move(prefix));
  if (drop_last_layer) out.layers_.pop_back();
  return out;
}

void Encoder::weights(const Sink& out) const {
  const Bytes grid = Bytes(side_) * side_;
  if (kind_ == Kind::kPixtral) {
    const Tensors stem(out, "", prefix_);
    stem.convolution("patch_conv", width_, channels_, patch_, false);
    stem.norm("ln_pre", width_, false);
    declare_block(
        Tensors(out, "layers.", prefix_ + "transformer.layers.{layer}.", &layers_), kPixtralBlock,
        {.width = width_, .ffn = ffn_, .heads = heads_, .norm_bias = false, .qkv_bias = false, .out_bias = false, .ffn_bias = false});
    return;
  }
  const bool clip = kind_ == Kind::kClip;
  const Tensors stem(out, "embeddings.", prefix_ + "embeddings."), top(out, "", prefix_);
  if (clip) stem.tensor("class_embedding", {width_});
  if (kind_ == Kind::kSiglip2) stem.linear("patch_embedding", width_, Bytes(channels_) * patch_ * patch_);
  else stem.convolution("patch_embedding", width_, channels_, patch_, !clip);
  stem.tensor("position_embedding.weight", {clip ? grid + 1 : grid, width_});
  if (clip) top.norm("pre_layrnorm", width_, true); // as the checkpoints spell it
  declare_block(Tensors(out, "layers.", prefix_ + "encoder.layers.{layer}.", &layers_), kClipBlock,
                {.width = width_, .ffn = ffn_, .heads = heads_});
  top.norm("post_layernorm", width_, true);
  if (head_ != Head::kNone) pooling_head(out);
}

void Encoder::pooling_head(const Sink& out) const {
  const Tensors head = Tensors(out, "head.", prefix_ + "head.").loaded(head_ == Head::kLoaded);
  head.tensor("probe", {1, 1, width_});
  head.tensor("attention.in_proj_weight", {Bytes(width_) * 3, width_});
  head.tensor("attention.in_proj_bias", {Bytes(width_) * 3});
  head.linear("attention.out_proj", width_, width_);
  head.norm("layernorm", width_, true);
  head.linear("mlp.fc1", ffn_, width_);
  head.linear("mlp.fc2", width_, ffn_);
}

} // namespace vlm
