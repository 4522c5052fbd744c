// Models that hear without end: Voxtral Realtime, whose encoder looks back like a decoder and keeps what it needs for that, and VibeVoice,
// whose two encoders are convolutions alone. Made by the planner's constructor. Names, shapes and limits: the modelling code of vLLM and of
// the transformers library.
#include "block.hpp"
#include "listed.hpp"

namespace vlm {
namespace {

using plimsoll::Aspect;
using plimsoll::Bytes;
using plimsoll::Config;
using plimsoll::KvGroup;
using plimsoll::KvKind;
using plimsoll::Sink;

constexpr BlockNames kCausalBlock{{"self_attn_layer_norm", "final_layer_norm"},
                                  "",
                                  "self_attn.q_proj",
                                  "self_attn.k_proj",
                                  "self_attn.v_proj",
                                  "self_attn.out_proj",
                                  "mlp.fc1",
                                  "mlp.fc3",
                                  "mlp.fc2"};

// Two convolutions, blocks as of Llama with biases on some of their matrices, and a projector. Each token of the text stands for
// `joined` positions, whose keys and values lie side by side: 4 of 32 heads of 64 for the 189 tokens that a window of 750 positions reaches
// into. The language model's norms take the delay into account by two small matrices each.
class VoxtralRealtime final : public Tower {
public:
  VoxtralRealtime(const PartKeys& keys, std::uint64_t text)
      : layers_(keys.layer_list("/encoder_layers")), width_(keys.positive("/d_model")), ffn_(keys.positive("/encoder_ffn_dim")),
        heads_(keys.positive("/encoder_attention_heads")), head_(keys.positive("/encoder_head_dim")), mels_(keys.positive("/num_mel_bins")),
        joined_(plimsoll::bounded(keys.positive("/downsample_factor"), 1024, "/downsample_factor")),
        window_(keys.positive("/sliding_window")), text_(text), rows_(keys.model().positive("/text_config/max_position_embeddings")),
        delay_(keys.model().u64("/text_config/ada_rms_norm_t_cond_dim", 0)),
        text_layers_(PartKeys(keys.model(), "/text_config").layer_list("/num_hidden_layers")) {}

  void weights(const Sink& out) const override {
    const Tensors top(out, "audio.", "whisper_encoder.");
    top.convolution1d("conv1", width_, mels_, 3);
    top.convolution1d("conv2", width_, width_, 3);
    const Tensors layer(out, "audio.layers.", "whisper_encoder.layers.{layer}.", &layers_);
    declare_block(layer, kCausalBlock,
                  {.width = width_,
                   .ffn = ffn_,
                   .heads = heads_,
                   .norm_bias = false,
                   .ffn_bias = false,
                   .attention = (Bytes(heads_) * head_).value(),
                   .k_bias = false});
    layer.tensor("mlp.fc2.bias", {width_});
    top.norm("layer_norm", width_, false);
    const Tensors projector(out, "audio.projector.", "audio_language_adapter.");
    projector.linear("w_in", text_, Bytes(width_) * joined_, false);
    projector.linear("w_out", text_, text_, false);
    if (delay_ == 0) return;
    const Tensors delay(out, "audio.delay.", "language_model.model.layers.{layer}.ada_rms_norm_t_cond.", &text_layers_);
    delay.linear("0", delay_, text_, false);
    delay.linear("2", text_, delay_, false);
  }
  void kv(const Sink& out) const override {
    const std::uint64_t side_by_side = (Bytes(heads_) * joined_).value();
    out.kv(KvGroup(KvKind::kWindow, "attention.audio", layers_)
               .heads(side_by_side, side_by_side, head_, head_)
               .window((plimsoll::ceil_div(window_, joined_) + 1).value())
               .aspect(Aspect::kVision));
  }
  Media largest_image() const override { return {}; }
  // As long as the context. Rows are what the convolutions give, which the encoder reads with the text.
  Media longest_sound() const override {
    const Bytes positions = Bytes(rows_) * joined_;
    return {rows_, positions.value(), width_, plimsoll::ceil_div(Bytes(width_) * joined_, text_).value()};
  }

private:
  std::vector<std::uint32_t> layers_;
  std::uint64_t width_, ffn_, heads_, head_, mels_, joined_, window_, text_, rows_, delay_;
  std::vector<std::uint32_t> text_layers_;
};

// Stages of blocks, each behind a convolution that shortens the sound and doubles the channels; a block is a convolution in each channel
// and an FFN four times as wide, each behind a norm and before a scale.
struct Convolutions {
  std::string prefix;
  std::uint64_t channels, filters, kernel, latents;
  std::vector<std::uint64_t> ratios;
  std::vector<std::vector<std::uint32_t>> blocks; // of the stem and of each stage

  Convolutions(const PartKeys& keys, std::string name)
      : prefix(std::move(name)), channels(keys.number("/channels", 1)), filters(keys.positive("/num_filters")),
        kernel(keys.positive("/kernel_size")), latents(keys.positive("/hidden_size")) {
    constexpr std::uint64_t kMostStages = 16;
    const std::uint64_t stages = plimsoll::bounded(keys.length("/downsampling_ratios"), kMostStages, "/downsampling_ratios");
    if (keys.length("/depths") != stages + 1)
      keys.refuse("/depths", "has " + std::to_string(keys.length("/depths")) + " entries; one more than downsampling_ratios was expected");
    for (std::uint64_t i = 0; i < stages; ++i) ratios.push_back(keys.positive("/downsampling_ratios/" + std::to_string(i)));
    for (std::uint64_t i = 0; i <= stages; ++i) blocks.push_back(keys.layer_list("/depths/" + std::to_string(i)));
  }
  void weights(const Sink& out) const {
    const Tensors top(out, prefix, prefix);
    top.convolution1d("stem.conv.conv", filters, channels, kernel);
    stage(out, "stem.", filters, blocks[0]);
    Bytes width = filters;
    for (std::size_t i = 0; i < ratios.size(); ++i) {
      const std::string at = "conv_layers." + std::to_string(i) + ".";
      top.convolution1d(at + "conv.conv", width * 2, width, Bytes(ratios[i]) * 2);
      width = width * 2;
      stage(out, at, width, blocks[i + 1]);
    }
    top.convolution1d("head.conv", latents, width, kernel);
  }

private:
  void stage(const Sink& out, const std::string& at, Bytes width, const std::vector<std::uint32_t>& of) const {
    const Tensors block(out, prefix + at, prefix + at + "stage.{layer}.", &of);
    for (const char* name : {"norm.weight", "ffn_norm.weight", "gamma", "ffn_gamma"}) block.tensor(name, {width});
    block.convolution1d("mixer.conv", width, 1, kernel);
    block.linear("ffn.linear1", width * 4, width);
    block.linear("ffn.linear2", width, width * 4);
  }
};

} // namespace

std::unique_ptr<Tower> make_voxtral_realtime(const PartKeys& keys, std::uint64_t text) {
  return std::make_unique<VoxtralRealtime>(PartKeys(keys.model(), "/audio_config"), text);
}

// An hour at 7.5 rows a second: 3,200 samples of 24 kHz in a row.
std::unique_ptr<Tower> make_vibevoice_asr(const PartKeys& keys, std::uint64_t text) {
  const Config& model = keys.model();
  const Convolutions acoustic(PartKeys(model, "/acoustic_tokenizer_encoder_config"), "acoustic_tokenizer_encoder."),
      semantic(PartKeys(model, "/semantic_tokenizer_encoder_config"), "semantic_tokenizer_encoder.");
  const auto list = [=](const Sink& out) {
    acoustic.weights(out);
    semantic.weights(out);
    const Tensors projector(out, "audio.projector.", "multi_modal_projector.");
    for (const auto& [name, in] : {std::pair<std::string, std::uint64_t>("acoustic_", acoustic.latents), {"semantic_", semantic.latents}}) {
      projector.linear(name + "linear_1", text, in);
      projector.norm(name + "norm", text, false);
      projector.linear(name + "linear_2", text, text);
    }
  };
  constexpr std::uint64_t kRows = 27000;
  return listed(list, {}, {kRows, kRows, acoustic.latents});
}

} // namespace vlm
