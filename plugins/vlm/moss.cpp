// Towers of MOSS's and Alibaba's models that hear: MOSS-Audio, MOSS-Transcribe-Diarize, Fun-ASR, Fun-Audio-Chat. Made by the planner's
// constructor. Names, shapes and limits: the modelling code of vLLM and its maps from the files' names.
#include "listed.hpp"
#include "whisper.hpp"

namespace vlm {
namespace {

using plimsoll::Bytes;
using plimsoll::Config;
using plimsoll::Sink;

// Two halves that gate each other, and back: without biases.
void gated(const Tensors& out, const std::string& name, Bytes in, Bytes inner, Bytes back) {
  for (const char* half : {"gate_proj", "up_proj"}) out.by_rows(name + half, inner, in, false);
  out.by_columns(name + "down_proj", back, inner, false);
}

} // namespace

// Three convolutions halve both sides of the spectrogram; Whisper's blocks; what some of them say goes to layers of the language model
// beside what the last one says. 30 s: 375 rows.
std::unique_ptr<Tower> make_moss_audio(const PartKeys& keys, std::uint64_t text) {
  const Config& model = keys.model();
  const PartKeys audio(model, "/audio_config");
  const std::vector<std::uint32_t> layers = audio.layer_list("/encoder_layers");
  const std::uint64_t width = audio.positive("/d_model"), ffn = audio.positive("/encoder_ffn_dim"), mels = audio.positive("/num_mel_bins");
  const std::uint64_t heads = audio.positive("/encoder_attention_heads"), channels = audio.positive("/downsample_hidden_size");
  const std::uint64_t handed = audio.positive("/output_dim"), inner = model.positive("/adapter_hidden_size");
  const std::uint64_t bins = (((mels + 1) / 2 + 1) / 2 + 1) / 2;
  std::uint64_t deep = audio.length("/deepstack_encoder_layer_indexes");
  if (const auto most = model.find_u64("/deepstack_num_inject_layers")) deep = std::min(deep, *most);
  plimsoll::bounded(deep, plimsoll::kMaxLayers, "/audio_config/deepstack_encoder_layer_indexes");
  const auto list = [=](const Sink& out) {
    const Tensors top(out, "audio.", "audio_encoder.");
    top.convolution("conv1", channels, 1, 3, true);
    for (const char* name : {"conv2", "conv3"}) top.convolution(name, channels, channels, 3, true);
    top.linear("stem_proj", width, Bytes(channels) * bins);
    declare_block(Tensors(out, "audio.layers.", "audio_encoder.layers.{layer}.", &layers), kWhisperBlock,
                  {.width = width, .ffn = ffn, .heads = heads, .k_bias = false});
    top.norm("layer_norm", width, true);
    if (handed != width) top.linear("out_proj", handed, width, false);
    const Tensors projector(out, "audio.projector.", "");
    gated(projector, "audio_adapter.", handed, inner, text);
    for (std::uint64_t i = 0; i < deep; ++i)
      gated(projector, "deepstack_audio_merger_list." + std::to_string(i) + ".", handed, inner, text);
  };
  constexpr std::uint64_t kRows = 375;
  return listed(list, {}, {kRows, kRows, width, 1 + deep});
}

// Whisper's encoder over windows of 30 s, four neighbours in a row, two matrices and a norm. 90 minutes are 180 windows, or as many rows as
// the context has.
std::unique_ptr<Tower> make_moss_transcribe(const PartKeys& keys, std::uint64_t text) {
  const Config& model = keys.model();
  const WhisperEncoder encoder(PartKeys(model, "/audio_config"), "model.whisper_encoder.");
  const std::uint64_t joined = plimsoll::bounded(model.positive("/audio_merge_size"), 1024, "/audio_merge_size");
  const std::uint64_t in = model.u64("/adaptor_input_dim", (Bytes(encoder.width()) * joined).value());
  const auto list = [=](const Sink& out) {
    encoder.weights(out);
    const Tensors projector(out, "audio.projector.", "model.vq_adaptor.layers.");
    projector.by_rows("0", text, in);
    projector.by_columns("2", text, text);
    projector.norm("3", text, true);
  };
  constexpr std::uint64_t kWindows = 180;
  const std::uint64_t rows = (plimsoll::ceil_div(encoder.positions(), joined) * kWindows).value();
  const std::uint64_t context = model.u64("/text_config/max_position_embeddings", rows);
  return listed(list, {}, {std::min(rows, context), (Bytes(encoder.positions()) * kWindows).value(), encoder.width()});
}

// Fun-ASR: frames in groups of seven, a first layer that widens them, layers whose attention has a convolution beside it, and again layers
// behind a norm; then two matrices and two layers as wide as the language model. 30 s: 3,000 frames, one group in six, an eighth of these.
std::unique_ptr<Tower> make_fun_asr(const PartKeys& keys, std::uint64_t text) {
  const PartKeys audio(keys.model(), "/audio_encoder_conf");
  const std::uint64_t width = audio.positive("/output_size"), ffn = audio.positive("/linear_units"),
                      kernel = audio.positive("/kernel_size");
  const std::vector<std::uint32_t> all = audio.layer_list("/num_blocks"), first{0};
  const std::vector<std::uint32_t> layers(all.begin(), all.end() - 1),
      behind =
          plimsoll::layers_from(0, plimsoll::bounded(audio.number("/tp_blocks", 0), plimsoll::kMaxLayers, "/audio_encoder_conf/tp_blocks"));
  const std::vector<std::uint32_t> blocks{0, 1};
  const auto list = [=](const Sink& out) {
    constexpr std::uint64_t kGroup = 560, kInner = 2048; // 7 frames of 80; of the adaptor
    const Bytes w = width, t = text;
    const auto stack = [&](const std::string& name, const std::vector<std::uint32_t>& of, Bytes in) {
      if (of.empty()) return;
      const Tensors layer(out, "audio." + name, "audio_encoder." + name + "{layer}.", &of);
      layer.linear("self_attn.linear_q_k_v", w * 3, in);
      layer.linear("self_attn.linear_out", w, w);
      layer.convolution1d("self_attn.fsmn_block", w, 1, kernel, false);
      layer.by_rows("feed_forward.w_1", ffn, w);
      layer.by_columns("feed_forward.w_2", w, ffn);
      layer.norm("norm1", in, true);
      layer.norm("norm2", w, true);
    };
    stack("encoders0.", first, kGroup);
    stack("encoders.", layers, w);
    stack("tp_encoders.", behind, w);
    for (const char* norm : {"after_norm", "tp_norm"}) Tensors(out, "audio.", "audio_encoder.").norm(norm, w, true);
    const Tensors adaptor(out, "audio.projector.", "audio_adaptor.");
    adaptor.by_rows("linear1", kInner, w);
    adaptor.by_columns("linear2", t, kInner);
    const Tensors block(out, "audio.projector.", "audio_adaptor.blocks.{layer}.", &blocks);
    for (const char* name : {"self_attn.linear_q", "self_attn.linear_k", "self_attn.linear_v"}) block.by_rows(name, t, t);
    block.by_columns("self_attn.linear_out", t, t);
    block.by_rows("feed_forward.w_1", text / 4, t);
    block.by_columns("feed_forward.w_2", t, text / 4);
    for (const char* norm : {"norm1", "norm2"}) block.norm(norm, t, true);
  };
  constexpr std::uint64_t kGroups = 500, kRows = (kGroups + 7) / 8;
  return listed(list, {}, {kRows, kGroups, width});
}

// Whisper's encoder and a table of what a tokeniser of sounds says, added up in groups of five. Its layers that speak are not loaded. As
// many rows as the encoder has positions: 300 s.
std::unique_ptr<Tower> make_fun_audio_chat(const PartKeys& keys, std::uint64_t) {
  const PartKeys audio(keys.model(), "/audio_config");
  WhisperNames names;
  names.norm = "ln_post";
  names.positions = false;
  const WhisperEncoder encoder(audio, "continuous_audio_tower.", names);
  const std::uint64_t handed = audio.positive("/output_dim"), sounds = audio.positive("/codebook_size");
  const auto list = [=](const Sink& out) {
    encoder.weights(out);
    const Tensors top(out, "audio.", "continuous_audio_tower.");
    top.tensor("audio_bos_eos_token.weight", {2, handed});
    top.linear("proj", handed, encoder.width());
    const Tensors table(out, "audio.sounds.", "audio_tower.");
    table.tensor("embed_tokens.weight", {sounds, handed});
    for (const char* name : {"output_matching", "continual_output_matching"}) table.linear(name, handed, handed, false);
  };
  return listed(list, {}, {encoder.positions(), (Bytes(encoder.positions()) * 10).value(), encoder.width()});
}

} // namespace vlm
