// The parts of Qwen-Omni's thinkers and of Qwen3-ASR that see and hear: Qwen's towers and two kinds of audio encoder. Talkers and vocoders
// are not loaded by the engines that serve the thinker and are not planned. Made by the planner's constructor.
#include "listed.hpp"
#include "qwen.hpp"
#include "whisper.hpp"

namespace vlm {
namespace {

using plimsoll::Bytes;
using plimsoll::Sink;

constexpr const char* kAudio = "/thinker_config/audio_config";

BlockNames with_separate_qkv(BlockNames names) {
  names.qkv = "";
  names.q = "attn.q";
  names.k = "attn.k";
  names.v = "attn.v";
  return names;
}

// Qwen3-Omni's: three convolutions over the picture that a spectrogram is, halving both sides each; w 1280, 32 blocks, 2048 wide
// to hand over: 647,927,168 elements.
Listed::List qwen3_audio(const PartKeys& audio, std::uint64_t text) {
  const std::vector<std::uint32_t> layers = audio.layer_list("/encoder_layers", "/num_hidden_layers");
  const std::uint64_t width = audio.positive("/d_model"), ffn = audio.positive("/encoder_ffn_dim");
  const std::uint64_t heads = audio.positive("/encoder_attention_heads"), channels = audio.positive("/downsample_hidden_size");
  const std::uint64_t mels = audio.positive("/num_mel_bins"), out_width = audio.number("/output_dim", text);
  const std::uint64_t bins = (((mels + 1) / 2 + 1) / 2 + 1) / 2;
  return [=](const Sink& out) {
    const std::string prefix = "thinker.audio_tower.";
    const Tensors top(out, "audio.", prefix);
    top.convolution("conv2d1", channels, 1, 3, true);
    for (const char* name : {"conv2d2", "conv2d3"}) top.convolution(name, channels, channels, 3, true);
    top.linear("conv_out", width, Bytes(channels) * bins, false);
    declare_block(Tensors(out, "audio.layers.", prefix + "layers.{layer}.", &layers), kWhisperBlock,
                  {.width = width, .ffn = ffn, .heads = heads});
    top.norm("ln_post", width, true);
    top.linear("proj1", width, width);
    top.linear("proj2", out_width, width);
  };
}

} // namespace

// 30 s: 750 rows, as of Qwen2-Audio.
std::unique_ptr<Tower> make_qwen2_5_omni(const PartKeys& keys, std::uint64_t text) {
  const PartKeys audio(keys.model(), kAudio);
  WhisperNames names;
  names.norm = "ln_post";
  names.positions = false;
  const WhisperEncoder encoder(audio, "thinker.audio_tower.", names);
  const std::uint64_t out_width = audio.number("/output_dim", text);
  const std::shared_ptr<const Tower> image =
      make_qwen2_5_tower(PartKeys(keys.model(), "/thinker_config/vision_config"), text, "thinker.visual.", with_separate_qkv(kQwen25Block));
  const auto list = [=](const Sink& out) {
    image->weights(out);
    encoder.weights(out);
    const Tensors top(out, "audio.", "thinker.audio_tower.");
    top.tensor("audio_bos_eos_token.weight", {2, out_width});
    top.linear("proj", out_width, encoder.width());
  };
  return listed(list, image->largest_image(), {encoder.positions() / 2, encoder.positions(), encoder.width()});
}

std::unique_ptr<Tower> make_qwen3_omni(const PartKeys& keys, std::uint64_t text) {
  const PartKeys audio(keys.model(), kAudio);
  const Listed::List hear = qwen3_audio(audio, text);
  const std::uint64_t positions = audio.positive("/max_source_positions");
  const std::shared_ptr<const Tower> image =
      make_qwen3_omni_tower(PartKeys(keys.model(), "/thinker_config/vision_config"), text, "thinker.visual.");
  const auto list = [=](const Sink& out) {
    image->weights(out);
    hear(out);
  };
  return listed(list, image->largest_image(), {positions / 2, positions, audio.positive("/d_model")});
}

// 30 s are 30 times 100 frames, 13 rows each: 390.
std::unique_ptr<Tower> make_qwen3_asr(const PartKeys& keys, std::uint64_t text) {
  const PartKeys audio(keys.model(), kAudio);
  return listed(qwen3_audio(audio, text), {}, {390, 390, audio.positive("/d_model")});
}

} // namespace vlm
