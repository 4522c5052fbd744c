// The towers of Gemma 4: an encoder of sandwiched, gated blocks over patches of any aspect ratio, pooled to a fixed number of
// rows; in the small models a Gemma4Conformer for sound. Both hand over through a matrix of their own. Where clipped_linears is on,
// every linear layer carries four bounds of one element. The unified one has no encoder at all: pixels and samples become rows by matrices.
// Made by the planner's constructor; README.md has the worked totals.
#include <optional>

#include "listed.hpp"
#include "tensors.hpp"

namespace vlm {
namespace {

using plimsoll::Bytes;
using plimsoll::Config;
using plimsoll::Sink;

// Linear layers, and what clips them.
struct Clippable {
  const Tensors& out;
  bool clipped;

  void by_rows(const std::string& name, Bytes rows, Bytes columns, std::uint64_t heads = 0) const {
    out.by_rows(name + ".linear", rows, columns, false, heads);
    bounds(name);
  }
  void by_columns(const std::string& name, Bytes rows, Bytes columns, std::uint64_t heads = 0) const {
    out.by_columns(name + ".linear", rows, columns, false, heads);
    bounds(name);
  }
  void linear(const std::string& name, Bytes rows, Bytes columns) const {
    out.linear(name + ".linear", rows, columns, false);
    bounds(name);
  }

private:
  void bounds(const std::string& name) const {
    if (!clipped) return;
    for (const char* bound : {".input_min", ".input_max", ".output_min", ".output_max"}) out.tensor(name + bound, {});
  }
};

// 12 layers of two half-step FFNs around attention and a short convolution: 304,824,608 elements at 1024 wide.
class Gemma4Conformer {
public:
  explicit Gemma4Conformer(const Config& model)
      : layers_(static_cast<std::size_t>(size(model, "num_hidden_layers", 12))), width_(size(model, "hidden_size", 1024)),
        head_(width_ / size(model, "num_attention_heads", 8)), kernel_(size(model, "conv_kernel_size", 5)),
        first_(size(model, "subsampling_conv_channels/0", 128)), second_(size(model, "subsampling_conv_channels/1", 32)),
        out_(size(model, "output_proj_dims", 1536)), clipped_(model.boolean("/audio_config/use_clipped_linears", true)) {
    for (std::size_t i = 0; i < layers_.size(); ++i) layers_[i] = static_cast<std::uint32_t>(i);
  }

  std::uint64_t out() const { return out_; }
  void weights(const Sink& sink) const {
    const Tensors top(sink, "audio.", "model.audio_tower.");
    top.convolution("subsample_conv_projection.layer0.conv", first_, 1, 3, false);
    top.norm("subsample_conv_projection.layer0.norm", first_, false);
    top.convolution("subsample_conv_projection.layer1.conv", second_, first_, 3, false);
    top.norm("subsample_conv_projection.layer1.norm", second_, false);
    top.linear("subsample_conv_projection.input_proj_linear", width_, Bytes(first_ / 4) * second_, false);
    top.linear("output_proj", out_, width_);
    const Tensors layer(sink, "audio.layers.", "model.audio_tower.layers.{layer}.", &layers_);
    const Clippable linear{layer, clipped_};
    for (const std::string ffn : {"feed_forward1.", "feed_forward2."}) {
      linear.linear(ffn + "ffw_layer_1", Bytes(width_) * 4, width_);
      linear.linear(ffn + "ffw_layer_2", width_, Bytes(width_) * 4);
      layer.norm(ffn + "pre_layer_norm", width_, false);
      layer.norm(ffn + "post_layer_norm", width_, false);
    }
    for (const char* name : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.post"})
      linear.linear(name, width_, width_);
    layer.linear("self_attn.relative_k_proj", width_, width_, false);
    layer.tensor("self_attn.per_dim_scale", {head_});
    linear.linear("lconv1d.linear_start", Bytes(width_) * 2, width_);
    linear.linear("lconv1d.linear_end", width_, width_);
    layer.tensor("lconv1d.depthwise_conv1d.weight", {width_, 1, kernel_});
    for (const char* norm : {"lconv1d.pre_layer_norm", "lconv1d.conv_norm", "norm_pre_attn", "norm_post_attn", "norm_out"})
      layer.norm(norm, width_, false);
  }

private:
  // With the class's own number where the key is absent. A class default in the manifest would say that there is sound.
  static std::uint64_t size(const Config& model, const char* key, std::uint64_t usual) {
    const std::string pointer = std::string("/audio_config/") + key;
    const std::uint64_t value = model.u64(pointer, usual);
    if (value == 0 || value > kMaxSize) throw plimsoll::Error(PLIMSOLL_E_CONFIG, pointer, "a number from 1 to 65536 was expected");
    return value;
  }
  static constexpr std::uint64_t kMaxSize = 65536;

  std::vector<std::uint32_t> layers_;
  std::uint64_t width_, head_, kernel_, first_, second_, out_;
  bool clipped_;
};

class Gemma4Tower : public Tower {
public:
  // `prefix` is what names start with: "model.".
  Gemma4Tower(const PartKeys& keys, std::uint64_t text, std::string prefix)
      : prefix_(std::move(prefix)), layers_(keys.layer_list("/num_hidden_layers")), width_(keys.positive("/hidden_size")),
        ffn_(keys.positive("/intermediate_size")), heads_(keys.positive("/num_attention_heads")),
        kv_heads_(keys.positive("/num_key_value_heads")), head_(keys.positive("/head_dim")), patch_(keys.positive("/patch_size")),
        positions_(keys.positive("/position_embedding_size")), pool_(keys.positive("/pooling_kernel_size")),
        rows_(keys.model().positive("/vision_soft_tokens_per_image")), text_(text), clipped_(keys.boolean("/use_clipped_linears", false)),
        standardised_(keys.boolean("/standardize", false)) {
    if (keys.model().find_len("/audio_config")) audio_.emplace(keys.model());
  }

  void weights(const Sink& out) const override {
    const Tensors top(out, "", prefix_ + "vision_tower."), join(out, "", prefix_);
    top.linear("patch_embedder.input_proj", width_, Bytes(3) * patch_ * patch_, false);
    top.tensor("patch_embedder.position_embedding_table", {2, positions_, width_});
    blocks(Tensors(out, "layers.", prefix_ + "vision_tower.encoder.layers.{layer}.", &layers_));
    if (standardised_)
      for (const char* name : {"std_bias", "std_scale"}) top.tensor(name, {width_});
    join.linear("embed_vision.embedding_projection", text_, width_, false);
    if (!audio_) return;
    audio_->weights(out);
    join.linear("embed_audio.embedding_projection", text_, audio_->out(), false);
  }
  // 280 rows, each pooled from 3 x 3 patches.
  Media largest_image() const override { return {rows_, (Bytes(rows_) * pool_ * pool_).value(), width_}; }

private:
  void blocks(const Tensors& out) const {
    const Clippable linear{out, clipped_};
    const Bytes q = Bytes(heads_) * head_, kv = Bytes(kv_heads_) * head_;
    linear.by_rows("self_attn.q_proj", q, width_, heads_);
    linear.by_rows("self_attn.k_proj", kv, width_, kv_heads_);
    linear.by_rows("self_attn.v_proj", kv, width_, kv_heads_);
    linear.by_columns("self_attn.o_proj", width_, q, heads_);
    linear.by_rows("mlp.gate_proj", ffn_, width_);
    linear.by_rows("mlp.up_proj", ffn_, width_);
    linear.by_columns("mlp.down_proj", width_, ffn_);
    for (const char* norm : {"self_attn.q_norm", "self_attn.k_norm"}) out.norm(norm, head_, false);
    for (const char* norm : {"input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm"})
      out.norm(norm, width_, false);
  }

  std::string prefix_;
  std::vector<std::uint32_t> layers_;
  std::uint64_t width_, ffn_, heads_, kv_heads_, head_, patch_, positions_, pool_, rows_, text_;
  bool clipped_, standardised_;
  std::optional<Gemma4Conformer> audio_;
};

} // namespace

std::unique_ptr<Tower> make_gemma4(const PartKeys& keys, std::uint64_t text) { return std::make_unique<Gemma4Tower>(keys, text, "model."); }

// The diffusing one: what it thought in the step before comes back through a gated FFN.
std::unique_ptr<Tower> make_diffusion_gemma(const PartKeys& keys, std::uint64_t text) {
  const std::shared_ptr<const Tower> tower = std::make_shared<Gemma4Tower>(keys, text, "model.encoder.");
  const plimsoll::Config& model = keys.model();
  const std::uint64_t inner = model.find_u64("/self_conditioning_size").value_or(model.u64("/text_config/intermediate_size", 0));
  if (inner == 0) throw plimsoll::Error(PLIMSOLL_E_CONFIG, "/self_conditioning_size", "is missing or 0; a positive number was expected");
  const auto list = [=](const Sink& out) {
    tower->weights(out);
    const Tensors back(out, "self_conditioning.", "model.decoder.self_conditioning.");
    back.norm("pre_norm", text, false);
    back.by_rows("gate_proj", inner, text, false);
    back.by_rows("up_proj", inner, text, false);
    back.by_columns("down_proj", text, inner, false);
  };
  return listed(list, tower->largest_image());
}

// Patches of 48 pixels: 6,912 numbers become a row, 280 rows an image. Samples of sound likewise, where the configuration has an ear.
std::unique_ptr<Tower> make_gemma4_unified(const PartKeys& keys, std::uint64_t text) {
  const std::uint64_t patch = keys.positive("/model_patch_size"), width = keys.positive("/mm_embed_dim");
  const std::uint64_t positions = keys.positive("/mm_posemb_size"), rows = keys.positive("/num_soft_tokens");
  const PartKeys ear(keys.model(), "/audio_config");
  const std::uint64_t heard = ear.there() ? ear.positive("/output_proj_dims", "/audio_embed_dim") : 0;
  const auto list = [=](const Sink& out) {
    const Bytes pixels = Bytes(3) * patch * patch;
    const Tensors embedder(out, "embedder.", "model.vision_embedder."), join(out, "", "model.");
    embedder.norm("patch_ln1", pixels, true);
    embedder.linear("patch_dense", width, pixels);
    embedder.norm("patch_ln2", width, true);
    embedder.tensor("pos_embedding", {positions, 2, width});
    embedder.norm("pos_norm", width, true);
    join.linear("embed_vision.embedding_projection", text, width, false);
    if (heard > 0) join.linear("embed_audio.embedding_projection", text, heard, false);
  };
  return listed(list, {rows, rows, width});
}

} // namespace vlm
