// Phi-3.5-vision: CLIP's large encoder and two matrices over 2 x 2 joined patches. Phi-4-multimodal: SigLIP with its pooling head,
// and a Phi4Conformer for sound with one pair of matrices for speech and one for speech beside images. Made by the planner's
// constructor. Neither configuration describes its towers: the models' own code does, and class defaults repeat it.
#include "encoders.hpp"
#include "tensors.hpp"

namespace vlm {
namespace {

using plimsoll::Bytes;
using plimsoll::Config;
using plimsoll::Sink;

// Separators between rows and images, then two matrices. `in` is what one row has.
void projection(const Tensors& out, Bytes in, Bytes text) {
  out.tensor("glb_GN", {1, 1, in});
  out.tensor("sub_GN", {1, 1, 1, in});
  out.by_rows("img_projection.0", text, in);
  out.by_columns("img_projection.2", text, text);
}

class Phi3VTower : public Tower {
public:
  Phi3VTower(const PartKeys& keys, std::uint64_t text)
      : encoder_(Encoder::of(keys, kPrefix + std::string("img_processor."))), text_(text), tiles_(keys.positive("/max_image_tiles")) {}

  void weights(const Sink& out) const override {
    encoder_.weights(out);
    projection(Tensors(out, "projector.", kPrefix), Bytes(encoder_.width()) * 4, text_);
  }
  // 12 x 12 rows a tile, a separator behind each line of a column of 16 tiles and of the whole image: 17 x 156 + 1 = 2,653.
  Media largest_image() const override {
    const Bytes side = encoder_.side() / 2, inputs = Bytes(tiles_) + 1;
    return {(inputs * (side * side + side) + 1).value(), (inputs * encoder_.positions()).value(), encoder_.width()};
  }

private:
  static constexpr const char* kPrefix = "model.vision_embed_tokens.";
  Encoder encoder_;
  std::uint64_t text_, tiles_;
};

// 24 blocks 1024 wide: two gated half-step FFNs of 1536 around attention and a convolution; with subsampling 441,238,304 elements.
class Phi4Conformer {
public:
  explicit Phi4Conformer(const Config& model)
      : layers_(static_cast<std::size_t>(size(model, "num_blocks", 24))), width_(size(model, "attention_dim", 1024)),
        heads_(size(model, "attention_heads", 16)), ffn_(size(model, "linear_units", 1536)),
        inner_(size(model, "ext_pw_out_channel", 1024)), separable_(size(model, "depthwise_seperable_out_channel", 1024)),
        kernel_(size(model, "kernel_size", 3)), channels_(size(model, "nemo_conv_settings/conv_channels", 1024)),
        bins_(size(model, "input_size", 80)), reduction_(size(model, "time_reduction", 8)),
        distance_(size(model, "relative_attention_bias_args/t5_bias_max_distance", 500)) {
    for (std::size_t i = 0; i < layers_.size(); ++i) layers_[i] = static_cast<std::uint32_t>(i);
  }

  std::uint64_t width() const { return width_; }
  void weights(const Sink& sink, const std::string& prefix) const {
    const Tensors top(sink, "audio.", prefix);
    top.convolution("embed.conv.0", channels_, 1, 3, true);
    std::uint64_t at = 2; // every halving after the first: a convolution in each channel, one across, an activation
    for (std::uint64_t halved = 4; halved <= reduction_; halved *= 2, at += 3) {
      top.convolution("embed.conv." + std::to_string(at), channels_, 1, 3, true);
      top.convolution("embed.conv." + std::to_string(at + 1), channels_, channels_, 1, true);
    }
    top.linear("embed.out", width_, Bytes(channels_) * (bins_ / reduction_));
    for (const char* name : {"encoder_embedding.global_mean", "encoder_embedding.global_invstd"}) top.tensor(name, {bins_});
    top.tensor("relative_attention_bias_layer.bias_values.weight", {Bytes(distance_) * 2, heads_});
    block(Tensors(sink, "audio.layers.", prefix + "encoders.{layer}.", &layers_));
  }

private:
  static std::uint64_t size(const Config& model, const std::string& key, std::uint64_t usual) {
    const std::string pointer = "/audio_processor/config/" + key;
    const std::uint64_t value = model.u64(pointer, usual);
    if (value == 0 || value > 65536) throw plimsoll::Error(PLIMSOLL_E_CONFIG, pointer, "a number from 1 to 65536 was expected");
    return value;
  }
  void block(const Tensors& out) const {
    for (const std::string ffn : {"feed_forward_in.", "feed_forward_out."}) {
      out.norm(ffn + "layer_norm", width_, true);
      out.linear(ffn + "net.0.linear", Bytes(ffn_) * 2, width_);
      out.linear(ffn + "net.2", width_, ffn_);
    }
    for (const char* name : {"linear_q", "linear_k", "linear_v", "linear_out"})
      out.linear(std::string("self_attn.") + name, width_, width_);
    for (const char* norm : {"layer_norm_att", "layer_norm", "conv.layer_norm"}) out.norm(norm, width_, true);
    pointwise(out, "conv.glu.ext_pw_conv_1d", Bytes(inner_) * 2, width_, 1);
    for (const char* bias : {"conv.glu.b1", "conv.glu.b2"}) out.tensor(bias, {1, inner_, 1});
    pointwise(out, "conv.dw_sep_conv_1d.dw_conv", width_, 1, kernel_);
    pointwise(out, "conv.dw_sep_conv_1d.pw_conv", separable_, width_, 1);
    pointwise(out, "conv.ext_pw_conv_1d", inner_, separable_, 1);
  }
  static void pointwise(const Tensors& out, const std::string& name, Bytes rows, Bytes columns, Bytes kernel) {
    out.tensor(name + ".weight", {rows, columns, kernel});
    out.tensor(name + ".bias", {rows});
  }

  std::vector<std::uint32_t> layers_;
  std::uint64_t width_, heads_, ffn_, inner_, separable_, kernel_, channels_, bins_, reduction_, distance_;
};

class Phi4Tower : public Tower {
public:
  Phi4Tower(const PartKeys& keys, std::uint64_t text)
      : encoder_(Encoder::siglip(keys, std::string(kImage) + "img_processor.").with_pooling_head()), audio_(keys.model()), text_(text),
        tiles_(keys.positive("/max_image_tiles")) {}

  void weights(const Sink& out) const override {
    encoder_.weights(out);
    projection(Tensors(out, "projector.", kImage), encoder_.width(), text_);
    audio_.weights(out, std::string(kAudio) + "encoder.");
    for (const std::string kind : {"speech", "vision"}) {
      const Tensors projector(out, "audio.projector." + kind + ".", kAudio + ("audio_projection." + kind + "."));
      projector.by_rows("0", text_, audio_.width());
      projector.by_columns("2", text_, text_);
    }
  }
  // 16 x 16 rows a tile, a separator behind each line of a column of 36 tiles and of the whole image: 37 x 272 + 1 = 10,065.
  Media largest_image() const override {
    const Bytes side = encoder_.side() / 2, inputs = Bytes(tiles_) + 1;
    return {(inputs * (side * side + side) + 1).value(), (inputs * encoder_.positions()).value(), encoder_.width()};
  }

private:
  static constexpr const char* kImage = "model.embed_tokens_extend.image_embed.";
  static constexpr const char* kAudio = "model.embed_tokens_extend.audio_embed.";
  Encoder encoder_;
  Phi4Conformer audio_;
  std::uint64_t text_, tiles_;
};

} // namespace

std::unique_ptr<Tower> make_phi3_v(const PartKeys& keys, std::uint64_t text) { return std::make_unique<Phi3VTower>(keys, text); }
std::unique_ptr<Tower> make_phi4mm(const PartKeys& keys, std::uint64_t text) { return std::make_unique<Phi4Tower>(keys, text); }

} // namespace vlm
