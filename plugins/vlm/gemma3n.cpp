// The towers of Gemma 3n: a convolutional network for images, always the same one (MobileNet V5, 300M), and a Conformer for
// sound; both hand over through a small vocabulary of their own and a matrix. Made by the planner's constructor.
//
// The network's 294,126,912 elements are what the totals of E2B and of E4B both leave; the totals were recalled, not looked up. They
// are declared as one tensor, for a checkpoint's names of them tell nothing that a plan needs.
#include "tensors.hpp"
#include "tower.hpp"

namespace vlm {
namespace {

using plimsoll::Bytes;
using plimsoll::Config;
using plimsoll::Sink;

constexpr std::uint64_t kNetworkElements = 294126912;

class Gemma3nTower : public Tower {
public:
  Gemma3nTower(const PartKeys& keys, std::uint64_t text)
      : layers_(static_cast<std::size_t>(size(keys.model(), "conf_num_hidden_layers", 12))), image_(keys.positive("/hidden_size")),
        image_words_(keys.positive("/vocab_size")), pixels_(keys.positive("/image_size")),
        rows_(keys.model().positive("/vision_soft_tokens_per_image")), text_(text), sound_(size(keys.model(), "hidden_size", 1536)),
        sound_words_(size(keys.model(), "vocab_size", 128)), heads_(size(keys.model(), "conf_num_attention_heads", 8)),
        kernel_(size(keys.model(), "conf_conv_kernel_size", 5)), bins_(size(keys.model(), "input_feat_size", 128)),
        first_(size(keys.model(), "sscp_conv_channel_size/0", 128)), second_(size(keys.model(), "sscp_conv_channel_size/1", 32)) {
    for (std::size_t i = 0; i < layers_.size(); ++i) layers_[i] = static_cast<std::uint32_t>(i);
  }

  void weights(const Sink& out) const override {
    Tensors(out, "", "model.vision_tower.").tensor("timm_model", {kNetworkElements});
    embedder(Tensors(out, "embed_vision.", "model.embed_vision."), image_, image_words_);
    const Tensors top(out, "audio.", "model.audio_tower.");
    top.convolution("subsample_conv_projection.conv_0.conv", first_, 1, 3, false);
    top.norm("subsample_conv_projection.conv_0.norm", first_, false);
    top.convolution("subsample_conv_projection.conv_1.conv", second_, first_, 3, false);
    top.norm("subsample_conv_projection.conv_1.norm", second_, false);
    top.linear("subsample_conv_projection.input_proj_linear", sound_, Bytes(second_) * (bins_ / 4), false);
    conformer(Tensors(out, "audio.layers.", "model.audio_tower.conformer.{layer}.", &layers_));
    embedder(Tensors(out, "embed_audio.", "model.embed_audio."), sound_, sound_words_);
  }
  // 256 rows whatever the image; 768 pixels a side make a grid of 48 x 48 at a sixteenth.
  Media largest_image() const override { return {rows_, (Bytes(pixels_ / 16) * (pixels_ / 16)).value(), image_}; }

private:
  static std::uint64_t size(const Config& model, const std::string& key, std::uint64_t usual) {
    const std::string pointer = "/audio_config/" + key;
    const std::uint64_t value = model.u64(pointer, usual);
    if (value == 0 || value > 65536) throw plimsoll::Error(PLIMSOLL_E_CONFIG, pointer, "a number from 1 to 65536 was expected");
    return value;
  }
  void embedder(const Tensors& out, Bytes width, Bytes words) const {
    out.tensor("embedding.weight", {words, width});
    for (const char* norm : {"hard_embedding_norm", "soft_embedding_norm"}) out.norm(norm, width, false);
    out.linear("embedding_projection", text_, width, false);
  }
  void conformer(const Tensors& out) const {
    const Bytes w = sound_;
    for (const std::string ffn : {"ffw_layer_start.", "ffw_layer_end."}) {
      out.linear(ffn + "ffw_layer_1", w * 4, w, false);
      out.linear(ffn + "ffw_layer_2", w, w * 4, false);
      for (const char* norm : {"pre_layer_norm", "post_layer_norm"}) out.norm(ffn + norm, w, false);
    }
    for (const char* name : {"attn.q_proj", "attn.k_proj", "attn.v_proj", "attn.relative_position_embedding.pos_proj", "post"})
      out.linear(std::string("attention.") + name, w, w, false);
    out.tensor("attention.attn.per_dim_scale", {sound_ / heads_});
    out.linear("lconv1d.linear_start", w * 2, w, false);
    out.linear("lconv1d.linear_end", w, w, false);
    out.tensor("lconv1d.depthwise_conv1d.weight", {w, 1, kernel_});
    for (const char* norm : {"attention.pre_attn_norm", "attention.post_norm", "lconv1d.pre_layer_norm", "lconv1d.conv_norm", "norm"})
      out.norm(norm, w, false);
  }

  std::vector<std::uint32_t> layers_;
  std::uint64_t image_, image_words_, pixels_, rows_, text_, sound_, sound_words_, heads_, kernel_, bins_, first_, second_;
};

} // namespace

std::unique_ptr<Tower> make_gemma3n(const PartKeys& keys, std::uint64_t text) { return std::make_unique<Gemma3nTower>(keys, text); }

} // namespace vlm
