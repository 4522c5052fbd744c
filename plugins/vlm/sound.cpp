// Models that hear: Whisper's encoder, or a relative, and a projector. Qwen2-Audio, Audio Flamingo 3, Ultravox, Voxtral, Kimi-Audio,
// GLM-ASR. Made by the planner's constructor. Rows are those of the longest clip that the processor lets through, as vLLM counts it.
#include "listed.hpp"
#include "whisper.hpp"

namespace vlm {
namespace {

using plimsoll::Bytes;
using plimsoll::Config;
using plimsoll::Sink;

// Windows of 30 s that the processor lets through at once.
std::uint64_t windows(const PartKeys& audio) {
  return plimsoll::bounded(audio.number("/max_audio_windows", 1), 4096, "/max_audio_windows");
}

// `windows` of an encoder, `joined` neighbours of each in a row.
Media clip(const WhisperEncoder& encoder, std::uint64_t windows, std::uint64_t joined) {
  const Bytes positions = Bytes(encoder.positions()) * windows;
  return {(Bytes(encoder.positions() / joined) * windows).value(), positions.value(), encoder.width()};
}

struct TwoMatrices {
  Bytes in, inner, out;
  bool first_bias, second_bias;
};
void declare(const Sink& out, const TwoMatrices& shape) {
  const Tensors projector(out, "audio.projector.", "multi_modal_projector.");
  projector.by_rows("linear_1", shape.inner, shape.in, shape.first_bias);
  projector.by_columns("linear_2", shape.out, shape.inner, shape.second_bias);
}

} // namespace

// Pairs of neighbours are averaged: 750 rows.
std::unique_ptr<Tower> make_qwen2_audio(const PartKeys& keys, std::uint64_t text) {
  const WhisperEncoder encoder(PartKeys(keys.model(), "/audio_config"), "audio_tower.");
  const auto list = [=](const Sink& out) {
    encoder.weights(out);
    Tensors(out, "audio.projector.", "multi_modal_projector.").linear("linear", text, encoder.width());
  };
  return listed(list, {}, clip(encoder, 1, 2));
}

// Audio Flamingo 3: 10 minutes are 20 windows of 750 rows. Music Flamingo: 20 minutes.
std::unique_ptr<Tower> make_audio_flamingo(const PartKeys& keys, std::uint64_t text) {
  const PartKeys audio(keys.model(), "/audio_config");
  const WhisperEncoder encoder(audio, "audio_tower.");
  const bool bias = keys.model().boolean("/projector_bias", true);
  const auto list = [=](const Sink& out) {
    encoder.weights(out);
    declare(out, {encoder.width(), text, text, bias, bias});
  };
  return listed(list, {}, clip(encoder, windows(audio), 2));
}

// Four neighbours in a row. A clip is as long as the context: vLLM reserves for that.
std::unique_ptr<Tower> make_voxtral(const PartKeys& keys, std::uint64_t text) {
  const WhisperEncoder encoder(PartKeys(keys.model(), "/audio_config"), "audio_tower.");
  const Bytes joined = Bytes(encoder.ffn());
  const std::uint64_t rows = keys.model().positive("/text_config/max_position_embeddings");
  const auto list = [=](const Sink& out) {
    encoder.weights(out);
    declare(out, {joined, text, text, false, false});
  };
  const Bytes factor = plimsoll::ceil_div(joined, encoder.width());
  return listed(list, {}, {rows, (factor * rows).value(), encoder.width()});
}

// `stack_factor` neighbours in a row, two matrices between norms; the first one's halves gate each other under swiglu. Sixteen
// windows at once: 16 x 188 = 3,008 rows.
std::unique_ptr<Tower> make_ultravox(const PartKeys& keys, std::uint64_t text) {
  const Config& model = keys.model();
  const PartKeys audio(model, "/audio_config");
  const WhisperEncoder encoder(audio, "audio_tower.");
  if (model.u64("/num_projector_layers", 0) != 0)
    throw plimsoll::Error(PLIMSOLL_E_UNSUPPORTED, "/num_projector_layers", "a projector of transformer layers is not planned");
  const std::uint64_t factor = plimsoll::bounded(model.positive("/stack_factor"), 1024, "/stack_factor");
  const std::uint64_t inner = model.positive("/hidden_size");
  const bool gated = model.str("/projector_act", "swiglu") == "swiglu", norm_inside = model.boolean("/projector_ln_mid", false);
  const auto list = [=](const Sink& out) {
    encoder.weights(out);
    const Bytes in = Bytes(encoder.width()) * factor, middle = gated ? inner / 2 : inner;
    const Tensors projector(out, "audio.projector.", "multi_modal_projector.");
    projector.norm("ln_pre", in, false);
    projector.linear("linear_1", inner, in, false);
    projector.linear("linear_2", text, middle, false);
    if (norm_inside) projector.norm("ln_mid", middle, false);
    else projector.norm("ln_post", text, false);
  };
  const Bytes rows = plimsoll::ceil_div(encoder.positions(), factor) * windows(audio);
  return listed(list, {}, {rows.value(), (Bytes(encoder.positions()) * windows(audio)).value(), encoder.width()});
}

// Kimi-Audio: four neighbours of the encoder in a row, two matrices and a norm. Its layers that speak are not loaded.
std::unique_ptr<Tower> make_kimi_audio(const PartKeys& keys, std::uint64_t text) {
  const WhisperEncoder encoder(PartKeys(keys.model(), "/audio_config"), "model.encoder.");
  constexpr std::uint64_t kJoined = 4;
  const auto list = [=](const Sink& out) {
    encoder.weights(out);
    const Tensors projector(out, "audio.projector.", "model.vq_adaptor.layers.");
    projector.by_rows("0", text, Bytes(encoder.width()) * kJoined);
    projector.by_columns("3", text, text);
    projector.norm("4", text, true);
  };
  return listed(list, {}, clip(encoder, 1, kJoined));
}

// MiDashengLM: a ViT over strips of the spectrogram, four frames each; five strips in a row. 10 s, as vLLM reserves: 1,001 / 4 / 5 = 50
// rows.
std::unique_ptr<Tower> make_midasheng(const PartKeys& keys, std::uint64_t text) {
  const PartKeys audio(keys.model(), "/audio_encoder_config");
  const std::vector<std::uint32_t> layers = audio.layer_list("/depth");
  const std::uint64_t width = audio.positive("/embed_dim"), heads = audio.positive("/num_heads"), mels = audio.positive("/n_mels");
  const std::uint64_t factor = keys.model().positive("/subsample_factor");
  const std::uint64_t bins = audio.positive("/patch_size/0"), frames = audio.positive("/patch_size/1");
  const std::uint64_t across = audio.positive("/target_length") / audio.positive("/patch_stride/1");
  const std::uint64_t down = mels / audio.positive("/patch_stride/0");
  const double ratio = audio.decimal("/mlp_ratio").value_or(4);
  if (!(ratio > 0 && ratio < 1000)) audio.refuse("/mlp_ratio", "a ratio above 0, such as 4, was expected");
  const auto ffn = static_cast<std::uint64_t>(static_cast<double>(width) * ratio);
  const bool bias = audio.boolean("/qkv_bias", true), scaled = audio.decimal("/init_values").has_value();
  const auto list = [=](const Sink& out) {
    const Tensors top(out, "audio.", "audio_encoder.");
    for (const char* part : {"weight", "bias", "running_mean", "running_var"}) top.tensor(std::string("init_bn.") + part, {mels});
    top.tensor("patch_embed.proj.weight", {width, 1, bins, frames});
    top.tensor("patch_embed.proj.bias", {width});
    top.tensor("time_pos_embed", {1, width, 1, across});
    top.tensor("freq_pos_embed", {1, width, down, 1});
    const Tensors layer(out, "audio.blocks.", "audio_encoder.blocks.{layer}.", &layers);
    declare_block(layer, kTimmBlock, {.width = width, .ffn = ffn, .heads = heads, .qkv_bias = bias});
    if (scaled)
      for (const char* scale : {"ls1.gamma", "ls2.gamma"}) layer.tensor(scale, {width});
    top.norm("norm", width, true);
    const Tensors projector(out, "audio.projector.", "audio_projector.net.");
    projector.by_rows("0", text, Bytes(width) * factor);
    projector.by_columns("2", text, text);
  };
  const Bytes strips = Bytes(1001) / audio.positive("/patch_stride/1");
  return listed(list, {}, {(strips / factor).value(), (strips * down).value(), width});
}

// Blocks in Llama's names with rotary positions; keys have no bias. Four neighbours, as wide as the FFN, in a row.
std::unique_ptr<Tower> make_glm_asr(const PartKeys& keys, std::uint64_t text) {
  const PartKeys audio(keys.model(), "/audio_config");
  WhisperNames names;
  names.block = {{"input_layernorm", "post_attention_layernorm"},
                 "",
                 "self_attn.q_proj",
                 "self_attn.k_proj",
                 "self_attn.v_proj",
                 "self_attn.o_proj",
                 "",
                 "mlp.fc1",
                 "mlp.fc2"};
  names.norm = "norm";
  names.positions = false;
  const WhisperEncoder encoder(audio, "audio_tower.", names);
  const auto list = [=](const Sink& out) {
    encoder.weights(out);
    declare(out, {encoder.ffn(), Bytes(text) * 2, text, true, true});
  };
  return listed(list, {}, clip(encoder, windows(audio), 4));
}

} // namespace vlm
