// Queries that look at an encoder's output: BLIP-2 with its EVA-CLIP, Granite Speech with a conformer, Granite 4 Vision with SigLIP. Made
// by the planner's constructor.
#include "block.hpp"
#include "encoders.hpp"
#include "listed.hpp"
#include "tiles.hpp"

namespace vlm {
namespace {

using plimsoll::Bytes;
using plimsoll::Sink;

// A small BERT whose layers also attend to the encoder's output, every `frequency`-th of them.
class QFormer {
public:
  QFormer(const PartKeys& keys, std::string prefix)
      : prefix_(std::move(prefix)), layers_(keys.layer_list("/num_hidden_layers")), width_(keys.positive("/hidden_size")),
        ffn_(keys.positive("/intermediate_size")), heads_(keys.positive("/num_attention_heads")),
        seen_(keys.positive("/encoder_hidden_size")), text_input_(keys.boolean("/use_qformer_text_input", false)) {
    const std::uint64_t frequency = keys.positive("/cross_attention_frequency");
    for (const std::uint32_t layer : layers_)
      if (layer % frequency == 0) crossing_.push_back(layer);
  }

  // One layer that looks at `seen`, as wide as the queries.
  QFormer(std::uint64_t width, std::uint64_t ffn, std::uint64_t heads)
      : layers_{0}, crossing_{0}, width_(width), ffn_(ffn), heads_(heads), seen_(width), text_input_(false) {}

  void weights(const Sink& out) const { weights(out, prefix_); }
  void weights(const Sink& out, const std::string& prefix) const {
    const std::string layer = prefix + "encoder.layer.{layer}.";
    Tensors(out, "qformer.", prefix).norm("layernorm", width_, true);
    attention(Tensors(out, "qformer.attention.", layer + "attention.", &layers_), width_);
    attention(Tensors(out, "qformer.crossattention.", layer + "crossattention.", &crossing_), seen_);
    const Tensors rest(out, "qformer.layers.", layer, &layers_);
    ffn(rest, "intermediate_query", "output_query");
    if (text_input_) ffn(rest, "intermediate", "output");
  }
  std::uint64_t width() const { return width_; }

private:
  void attention(const Tensors& out, Bytes seen) const {
    out.by_rows("attention.query", width_, width_, true, heads_);
    for (const char* name : {"attention.key", "attention.value"}) out.by_rows(name, width_, seen, true, heads_);
    out.by_columns("output.dense", width_, width_, true, heads_);
    out.norm("output.LayerNorm", width_, true);
  }
  void ffn(const Tensors& out, const std::string& up, const std::string& down) const {
    out.by_rows(up + ".dense", ffn_, width_);
    out.by_columns(down + ".dense", width_, ffn_);
    out.norm(down + ".LayerNorm", width_, true);
  }

  std::string prefix_;
  std::vector<std::uint32_t> layers_, crossing_;
  std::uint64_t width_, ffn_, heads_, seen_;
  bool text_input_;
};

// "4/8": of a window of 8 x 8 patches 4 x 4 rows are made.
std::pair<std::uint64_t, std::uint64_t> window_of(const plimsoll::Config& model) {
  const std::string_view rate = model.str("/downsample_rate", "");
  const std::size_t slash = rate.find('/');
  const auto number = [](std::string_view digits) {
    std::uint64_t value = 0;
    for (const char c : digits) value = c < '0' || c > '9' || value > 1000 ? 4096 : value * 10 + static_cast<std::uint64_t>(c - '0');
    return value;
  };
  const std::uint64_t queries = number(rate.substr(0, slash));
  const std::uint64_t window = slash == std::string_view::npos ? 0 : number(rate.substr(slash + 1));
  if (queries == 0 || window == 0 || queries > 1024 || window > 1024)
    throw plimsoll::Error(PLIMSOLL_E_CONFIG, "/downsample_rate", "two numbers as in \"4/8\" were expected");
  return {queries, window};
}

constexpr BlockNames kBlipBlock{
    {"layer_norm1", "layer_norm2"}, "self_attn.qkv", "", "", "", "self_attn.projection", "", "mlp.fc1", "mlp.fc2"};

} // namespace

// 32 rows of any image.
std::unique_ptr<Tower> make_blip2(const PartKeys& keys, std::uint64_t text) {
  const std::vector<std::uint32_t> layers = keys.layer_list("/num_hidden_layers");
  const std::uint64_t width = keys.positive("/hidden_size"), ffn = keys.positive("/intermediate_size");
  const std::uint64_t heads = keys.positive("/num_attention_heads"), patch = keys.positive("/patch_size"), side = keys.patches_per_side();
  const bool bias = keys.boolean("/qkv_bias", true);
  const QFormer qformer(PartKeys(keys.model(), "/qformer_config"), "qformer.");
  const std::uint64_t queries = keys.model().positive("/num_query_tokens");
  const auto list = [=](const Sink& out) {
    const std::string prefix = "vision_model.";
    const Tensors top(out, "", prefix);
    top.tensor("embeddings.class_embedding", {1, 1, width});
    top.tensor("embeddings.position_embedding", {1, Bytes(side) * side + 1, width});
    top.convolution("embeddings.patch_embedding", width, 3, patch, true);
    declare_block(Tensors(out, "layers.", prefix + "encoder.layers.{layer}.", &layers), kBlipBlock,
                  {.width = width, .ffn = ffn, .heads = heads, .qkv_bias = bias});
    top.norm("post_layernorm", width, true);
    qformer.weights(out);
    const Tensors join(out, "", "");
    join.tensor("query_tokens", {1, queries, qformer.width()});
    join.linear("language_projection", text, qformer.width());
  };
  return listed(list, {queries, (Bytes(side) * side + 1).value(), width});
}

// Blocks of two half-step FFNs around an attention over stretches and a convolution; what it hears is spelt out in the middle and fed back.
// Three queries look at each 15 frames.
std::unique_ptr<Tower> make_granite_speech(const PartKeys& keys, std::uint64_t text) {
  const PartKeys encoder(keys.model(), "/encoder_config");
  const std::vector<std::uint32_t> layers = encoder.layer_list("/num_layers");
  const std::uint64_t width = encoder.positive("/hidden_dim"), in = encoder.positive("/input_dim"),
                      letters = encoder.positive("/output_dim");
  const std::uint64_t ratio = encoder.positive("/feedforward_mult"), head = encoder.positive("/dim_head");
  const std::uint64_t heads = encoder.positive("/num_heads"), kernel = encoder.positive("/conv_kernel_size");
  const std::uint64_t distance = encoder.positive("/max_pos_emb"), wider = encoder.positive("/conv_expansion_factor");
  const std::uint64_t window = keys.model().positive("/window_size"), rate = keys.model().positive("/downsample_rate");
  const QFormer qformer(PartKeys(keys.model(), "/projector_config"), "projector.qformer.");
  const auto list = [=](const Sink& out) {
    const Tensors top(out, "audio.", "encoder.");
    top.linear("input_linear", width, in);
    top.linear("out", letters, width);
    top.linear("out_mid", width, letters);
    const Tensors layer(out, "audio.layers.", "encoder.layers.{layer}.", &layers);
    const Bytes ffn = Bytes(width) * ratio, inner = Bytes(head) * heads, channels = Bytes(width) * wider;
    for (const std::string half : {"ff1.", "ff2."}) {
      layer.norm(half + "pre_norm", width, true);
      layer.by_rows(half + "up_proj", ffn, width);
      layer.by_columns(half + "down_proj", width, ffn);
    }
    layer.norm("attn.pre_norm", width, true);
    layer.linear("attn.to_q", inner, width, false);
    layer.linear("attn.to_kv", inner * 2, width, false);
    layer.linear("attn.to_out", width, inner);
    layer.tensor("attn.rel_pos_emb.weight", {Bytes(distance) * 2 + 1, head});
    layer.norm("conv.norm", width, true);
    layer.convolution1d("conv.up_conv", channels * 2, width, 1);
    layer.convolution1d("conv.depth_conv.conv", channels, 1, kernel, false);
    layer.convolution1d("conv.down_conv", width, channels, 1);
    for (const char* part : {"weight", "bias", "running_mean", "running_var"})
      layer.tensor(std::string("conv.batch_norm.") + part, {channels});
    layer.norm("post_norm", width, true);
    qformer.weights(out);
    const Tensors projector(out, "audio.projector.", "projector.");
    projector.tensor("query", {1, window / rate, qformer.width()});
    projector.linear("linear", text, qformer.width());
  };
  constexpr std::uint64_t kRows = 10001; // of 500 s, as vLLM reserves
  return listed(list, {}, {kRows, (Bytes(kRows) * rate).value(), width});
}

// A projector for each layer of the tower that a layer of the language model gets, and four for every second patch. Each joins windows by
// queries. 384 pixels, 24 patches a side, 12 rows; tiles as in LLaVA-NeXT. The pooling head is stored and not loaded.
std::unique_ptr<Tower> make_granite4_vision(const PartKeys& keys, std::uint64_t text) {
  constexpr std::uint64_t kFfn = 3072, kHead = 64, kSpatial = 4, kMostProjectors = 64; // of the class
  const plimsoll::Config& model = keys.model();
  Encoder encoder = Encoder::siglip(keys, "model.vision_tower.vision_model.");
  if (keys.boolean("/vision_use_head", true)) encoder.with_pooling_head(false);
  const auto [queries, window] = window_of(model);
  const auto layerwise = model.find_len("/deepstack_layer_map");
  const std::uint64_t deep = plimsoll::bounded(layerwise ? *layerwise : model.find_len("/vision_layer_to_llm_layer").value_or(0),
                                               kMostProjectors, "/deepstack_layer_map");
  const bool spatial = model.boolean("/use_checkerboard_sampling", model.boolean("/use_spatial_sampling", false));
  const bool newline = model.boolean("/use_image_newline_parameter", true);
  const std::uint64_t width = encoder.width();
  const QFormer qformer(width, kFfn, width / kHead);
  const auto list = [=, queries = queries, window = window](const Sink& out) {
    encoder.weights(out);
    if (newline) Tensors(out, "", "model.").tensor("image_newline", {text});
    for (std::uint64_t i = 0; i < deep + (spatial ? kSpatial : 0); ++i) {
      const std::string prefix =
          i < deep ? "model.layerwise_projectors." + std::to_string(i) + "." : "model.spatial_projectors." + std::to_string(i - deep) + ".";
      const Tensors projector(out, "projector.", prefix);
      projector.norm("norm", width, true);
      projector.tensor("query", {1, Bytes(queries) * queries, width});
      projector.tensor("image_positions", {1, Bytes(window) * window, width});
      qformer.weights(out, prefix + "qformer.");
      projector.linear("out_linear", text, width);
    }
  };
  const std::uint64_t side = encoder.side() * queries / window;
  const TiledImage image = largest_tiling(model, side, encoder.side() * encoder.patch(), 0);
  return listed(list, {image.rows, (Bytes(image.tiles) * encoder.positions()).value(), width});
}

} // namespace vlm
