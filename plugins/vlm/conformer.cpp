// Transcribers with a conformer: Cohere's, which is NeMo's, and FireRed's, of a language model's words or of the name of a language. Where
// a decoder looks at what was heard, that decoder is encoder_decoder's, and its keys and values of the longest clip stay for a request's
// lifetime. Made by the planner's constructor. Names and shapes: the modelling code of vLLM and its maps from the files' names.
#include "listed.hpp"
#include "parakeet.hpp"
#include "tensors.hpp"

namespace vlm {
namespace {

using plimsoll::Aspect;
using plimsoll::Bytes;
using plimsoll::Config;
using plimsoll::KvGroup;
using plimsoll::KvKind;
using plimsoll::Sink;

constexpr std::uint64_t kFramesPerSecond = 100, kMostSeconds = 86400;

// A listed tower whose request keeps what a decoder reads of its sound.
class Heard final : public Tower {
public:
  Heard(Listed::List list, const Media& sound, std::vector<std::uint32_t> layers, std::uint64_t heads, std::uint64_t head)
      : list_(std::move(list)), sound_(sound), layers_(std::move(layers)), heads_(heads), head_(head) {}

  void weights(const Sink& out) const override { list_(out); }
  void kv(const Sink& out) const override {
    out.kv(
        KvGroup(KvKind::kCross, "attention.cross", layers_).heads(heads_, heads_, head_, head_).fixed(sound_.rows).aspect(Aspect::kVision));
  }
  Media largest_image() const override { return {}; }
  Media longest_sound() const override { return sound_; }

private:
  Listed::List list_;
  Media sound_;
  std::vector<std::uint32_t> layers_;
  std::uint64_t heads_, head_;
};

// FireRed's: two convolutions that quarter the spectrogram, blocks of two half-step FFNs around an attention with norms on all three of its
// inputs and a convolution. 16 layers of 1,280: 710,543,968 elements, and a
// table of positions that is stored and computed anew.
struct FireRed {
  std::vector<std::uint32_t> layers;
  std::uint64_t width, heads, bins, kernel, positions;

  explicit FireRed(const PartKeys& keys)
      : layers(keys.layer_list("/n_layers_enc")), width(keys.positive("/d_model")), heads(keys.positive("/n_head")),
        bins(keys.positive("/idim")), kernel(keys.number("/kernel_size", 33)), positions(keys.number("/pe_maxlen", 5000)) {
    if (kernel == 0 || positions == 0) keys.refuse(kernel == 0 ? "/kernel_size" : "/pe_maxlen", "is 0; a positive number was expected");
    if (width % heads != 0) keys.refuse("/n_head", "does not divide the width of " + std::to_string(width));
    if (bins < 7) keys.refuse("/idim", "is " + std::to_string(bins) + "; at least 7 bins were expected");
  }
  void weights(const Sink& out) const {
    constexpr std::uint64_t kChannels = 32;
    const Bytes w = width;
    Tensors top(out, "audio.", "encoder.");
    top.convolution("input_preprocessor.conv.0", kChannels, 1, 3, true);
    top.convolution("input_preprocessor.conv.2", kChannels, kChannels, 3, true);
    top.linear("input_preprocessor.out", w, Bytes(kChannels) * (((bins - 1) / 2 - 1) / 2));
    top.loaded(false).tensor("positional_encoding.pe", {1, Bytes(positions) * 2 - 1, w});
    const Tensors layer(out, "audio.layers.", "encoder.layer_stack.{layer}.", &layers);
    for (const std::string half : {"ffn1.net.", "ffn2.net."}) {
      layer.norm(half + "0", w, true);
      layer.linear(half + "1", w * 4, w);
      layer.linear(half + "4", w, w * 4);
    }
    for (const char* name : {"mhsa.w_qs", "mhsa.w_ks", "mhsa.w_vs", "mhsa.fc", "mhsa.linear_pos"}) layer.linear(name, w, w, false);
    for (const char* norm : {"mhsa.layer_norm_q", "mhsa.layer_norm_k", "mhsa.layer_norm_v"}) layer.norm(norm, w, true);
    for (const char* bias : {"mhsa.pos_bias_u", "mhsa.pos_bias_v"}) layer.tensor(bias, {heads, width / heads});
    layer.norm("conv.pre_layer_norm", w, true);
    layer.convolution1d("conv.pointwise_conv1", w * 4, w, 1, false);
    layer.convolution1d("conv.depthwise_conv", w * 2, 1, kernel, false);
    layer.norm("conv.batch_norm", w * 2, true);
    layer.convolution1d("conv.pointwise_conv2", w, w * 2, 1, false);
    layer.norm("layer_norm", w, true);
  }
  // 30 s, as the processor pads and cuts: four frames a position.
  static constexpr std::uint64_t kPositions = 30 * kFramesPerSecond / 4;
};

} // namespace

// Two neighbours in a row: 375 rows.
std::unique_ptr<Tower> make_fireredasr2(const PartKeys& keys, std::uint64_t text) {
  const FireRed encoder(PartKeys(keys.model(), "/audio_encoder_conf"));
  const std::uint64_t rate = plimsoll::bounded(keys.model().positive("/encoder_downsample_rate"), 1024, "/encoder_downsample_rate");
  const auto list = [=](const Sink& out) {
    encoder.weights(out);
    const Tensors projector(out, "audio.projector.", "encoder_projector.");
    projector.linear("linear1", text, Bytes(encoder.width) * rate);
    projector.linear("linear2", text, text);
  };
  return listed(list, {}, {FireRed::kPositions / rate, FireRed::kPositions, encoder.width});
}

std::unique_ptr<Tower> make_fireredlid(const PartKeys& keys, std::uint64_t text) {
  const PartKeys flat(keys.model(), "");
  const FireRed encoder(flat);
  const auto list = [=](const Sink& out) {
    encoder.weights(out);
    Tensors(out, "audio.", "lid_decoder.").loaded(false).tensor("positional_encoding.pe", {1, encoder.positions, text});
  };
  return std::make_unique<Heard>(list, Media{FireRed::kPositions, FireRed::kPositions, encoder.width}, flat.layer_list("/n_layers_lid_dec"),
                                 encoder.heads, text / encoder.heads);
}

// cohere-transcribe-03-2026: encoder 1,895,462,144, what joins it to the decoder 1,311,744, filters of the processor that nobody loads
// 33,296. 35 s: 438 rows.
std::unique_ptr<Tower> make_cohere_asr(const PartKeys& keys, std::uint64_t text) {
  const Config& model = keys.model();
  const PartKeys encoder(model, "/encoder");
  FastConformer shape;
  shape.layers = encoder.layer_list("/n_layers");
  shape.width = encoder.positive("/d_model");
  shape.ffn = (Bytes(shape.width) * encoder.positive("/ff_expansion_factor")).value();
  shape.heads = encoder.positive("/n_heads");
  shape.kernel = encoder.positive("/conv_kernel_size");
  shape.factor = encoder.positive("/subsampling_factor");
  shape.channels = model.find_i64("/encoder/subsampling_conv_channels").value_or(-1) == -1 ? shape.width
                                                                                           : encoder.positive("/subsampling_conv_channels");
  shape.mels = encoder.positive("/feat_in");
  shape.linear_bias = shape.convolution_bias = encoder.boolean("/use_bias", true);
  check(shape, encoder, "/subsampling_factor", "/n_heads");
  if (!encoder.boolean("/untie_biases", true)) encoder.refuse("/untie_biases", "is false; biases that layers share are not planned");
  const FastConformerNames names{.prefix = "encoder.",
                                 .stem = "pre_encode.conv.",
                                 .stem_linear = "pre_encode.out",
                                 .attention = {"linear_q", "linear_k", "linear_v", "linear_out"},
                                 .distances = "linear_pos",
                                 .attention_biases = {"pos_bias_u", "pos_bias_v"},
                                 .batch_norm = "batch_norm"};
  const std::uint64_t bins = model.u64("/preprocessor/n_fft", 512) / 2;
  const auto list = [=](const Sink& out) {
    declare(out, shape, names);
    if (shape.width != text) Tensors(out, "audio.", "").linear("encoder_decoder_proj", text, shape.width);
    Tensors filters(out, "audio.", "preprocessor.featurizer.");
    filters.loaded(false).tensor("fb", {1, shape.mels, Bytes(bins) + 1});
    filters.tensor("window", {400}); // 25 ms of 16 kHz
  };
  const std::string decoder = "/transf_decoder/config_dict";
  const PartKeys written(model, "/transf_decoder/config_dict");
  const std::uint64_t heads = written.positive("/num_attention_heads");
  plimsoll::check_divides(heads, text, decoder + "/num_attention_heads");
  const std::uint64_t seconds = plimsoll::bounded(model.u64("/max_audio_clip_s", 35), kMostSeconds, "/max_audio_clip_s");
  const std::uint64_t rows = plimsoll::ceil_div(Bytes(seconds) * kFramesPerSecond, shape.factor).value();
  return std::make_unique<Heard>(list, Media{rows, rows, shape.width}, written.layer_list("/num_layers"), heads, text / heads);
}

} // namespace vlm
