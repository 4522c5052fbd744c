// See parakeet.hpp. Names and shapes: ParakeetEncoder of the transformers library.
#include "parakeet.hpp"

#include "tensors.hpp"

namespace vlm {

using plimsoll::Bytes;
using plimsoll::Sink;

ParakeetEncoder::ParakeetEncoder(const PartKeys& keys, std::uint64_t text)
    : layers_(keys.layer_list("/num_hidden_layers")), width_(keys.positive("/hidden_size")), ffn_(keys.positive("/intermediate_size")),
      heads_(keys.positive("/num_attention_heads")), kernel_(keys.positive("/conv_kernel_size")),
      factor_(keys.positive("/subsampling_factor")), channels_(keys.positive("/subsampling_conv_channels")),
      mels_(keys.positive("/num_mel_bins")), inner_(keys.positive("/projection_hidden_size")), text_(text),
      attention_bias_(keys.boolean("/attention_bias", false)), convolution_bias_(keys.boolean("/convolution_bias", false)),
      projection_bias_(keys.boolean("/projection_bias", false)) {
  if (factor_ < 2 || factor_ > 64 || (factor_ & (factor_ - 1)) != 0)
    keys.refuse("/subsampling_factor", "is " + std::to_string(factor_) + "; a power of two from 2 to 64 was expected");
  if (width_ % heads_ != 0) keys.refuse("/num_attention_heads", "does not divide the width of " + std::to_string(width_));
}

void ParakeetEncoder::weights(const Sink& out) const {
  const Tensors stem(out, "audio.subsampling.", "sound_encoder.encoder.subsampling.");
  stem.convolution("layers.0", channels_, 1, 3, true);
  std::uint64_t at = 2; // every halving after the first: a convolution in each channel, one across, an activation
  for (std::uint64_t halved = 4; halved <= factor_; halved *= 2, at += 3) {
    stem.convolution("layers." + std::to_string(at), channels_, 1, 3, true);
    stem.convolution("layers." + std::to_string(at + 1), channels_, channels_, 1, true);
  }
  stem.linear("linear", width_, Bytes(channels_) * (mels_ / factor_));
  block(out);
  const Tensors projector(out, "audio.projector.", "sound_projection.");
  projector.norm("norm", width_, false);
  projector.linear("linear1", inner_, width_, projection_bias_);
  projector.linear("linear2", text_, inner_, projection_bias_);
}

void ParakeetEncoder::block(const Sink& out) const {
  const Tensors layer(out, "audio.layers.", "sound_encoder.encoder.layers.{layer}.", &layers_);
  for (const std::string half : {"feed_forward1.", "feed_forward2."}) {
    layer.linear(half + "linear1", ffn_, width_, attention_bias_);
    layer.linear(half + "linear2", width_, ffn_, attention_bias_);
  }
  for (const char* name : {"q_proj", "k_proj", "v_proj", "o_proj"})
    layer.linear(std::string("self_attn.") + name, width_, width_, attention_bias_);
  layer.linear("self_attn.relative_k_proj", width_, width_, false);
  for (const char* bias : {"self_attn.bias_u", "self_attn.bias_v"}) layer.tensor(bias, {heads_, width_ / heads_});
  layer.convolution1d("conv.pointwise_conv1", Bytes(width_) * 2, width_, 1, convolution_bias_);
  layer.convolution1d("conv.depthwise_conv", width_, 1, kernel_, convolution_bias_);
  layer.convolution1d("conv.pointwise_conv2", width_, width_, 1, convolution_bias_);
  for (const char* part : {"weight", "bias", "running_mean", "running_var"}) layer.tensor(std::string("conv.norm.") + part, {width_});
  for (const char* norm : {"norm_feed_forward1", "norm_self_att", "norm_conv", "norm_feed_forward2", "norm_out"})
    layer.norm(norm, width_, true);
}

Media ParakeetEncoder::longest_sound() const {
  constexpr std::uint64_t kFrames = 600 * 100;
  return {kFrames / factor_, kFrames / factor_, width_};
}

} // namespace vlm
