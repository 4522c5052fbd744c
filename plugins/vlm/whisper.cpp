// See whisper.hpp. Names and shapes: published checkpoints of Whisper, Qwen2-Audio and Qwen2.5-Omni.
#include "whisper.hpp"

namespace vlm {

using plimsoll::Sink;

WhisperEncoder::WhisperEncoder(const PartKeys& keys, std::string prefix, const WhisperNames& names)
    : prefix_(std::move(prefix)), names_(names), layers_(keys.layer_list("/encoder_layers", "/num_hidden_layers")),
      width_(keys.positive("/d_model", "/hidden_size")), ffn_(keys.positive("/encoder_ffn_dim", "/intermediate_size")),
      heads_(keys.positive("/encoder_attention_heads", "/num_attention_heads")), mels_(keys.positive("/num_mel_bins")),
      positions_(keys.positive("/max_source_positions")) {}

void WhisperEncoder::weights(const Sink& out) const {
  const Tensors top(out, "audio.", prefix_);
  top.convolution1d("conv1", width_, mels_, 3);
  top.convolution1d("conv2", width_, width_, 3);
  if (names_.positions) top.tensor("embed_positions.weight", {positions_, width_});
  declare_block(Tensors(out, "audio.layers.", prefix_ + "layers.{layer}.", &layers_), names_.block,
                {.width = width_, .ffn = ffn_, .heads = heads_, .k_bias = names_.k_bias});
  top.norm(names_.norm, width_, true);
}

} // namespace vlm
