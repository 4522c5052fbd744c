// See parakeet.hpp. Names and shapes: ParakeetEncoder of the transformers library; NeMo's as Cohere's files have them.
#include "parakeet.hpp"

#include "tensors.hpp"

namespace vlm {

using plimsoll::Bytes;
using plimsoll::Sink;

namespace {

FastConformer parakeet_shape(const PartKeys& keys) {
  FastConformer out;
  out.layers = keys.layer_list("/num_hidden_layers");
  out.width = keys.positive("/hidden_size");
  out.ffn = keys.positive("/intermediate_size");
  out.heads = keys.positive("/num_attention_heads");
  out.kernel = keys.positive("/conv_kernel_size");
  out.factor = keys.positive("/subsampling_factor");
  out.channels = keys.positive("/subsampling_conv_channels");
  out.mels = keys.positive("/num_mel_bins");
  out.linear_bias = keys.boolean("/attention_bias", false);
  out.convolution_bias = keys.boolean("/convolution_bias", false);
  check(out, keys, "/subsampling_factor", "/num_attention_heads");
  return out;
}

} // namespace

void check(const FastConformer& shape, const PartKeys& keys, std::string_view factor, std::string_view heads) {
  if (shape.factor < 2 || shape.factor > 64 || (shape.factor & (shape.factor - 1)) != 0)
    keys.refuse(factor, "is " + std::to_string(shape.factor) + "; a power of two from 2 to 64 was expected");
  if (shape.width % shape.heads != 0) keys.refuse(heads, "does not divide the width of " + std::to_string(shape.width));
}

void declare(const Sink& out, const FastConformer& shape, const FastConformerNames& names) {
  const std::string prefix = names.prefix, stem_name = names.stem;
  const Bytes width = shape.width;
  const Tensors stem(out, "audio.", prefix);
  stem.convolution(stem_name + "0", shape.channels, 1, 3, true);
  std::uint64_t at = 2; // every halving after the first: a convolution in each channel, one across, an activation
  for (std::uint64_t halved = 4; halved <= shape.factor; halved *= 2, at += 3) {
    stem.convolution(stem_name + std::to_string(at), shape.channels, 1, 3, true);
    stem.convolution(stem_name + std::to_string(at + 1), shape.channels, shape.channels, 1, true);
  }
  stem.linear(names.stem_linear, width, Bytes(shape.channels) * (shape.mels / shape.factor));

  const Tensors layer(out, "audio.layers.", prefix + "layers.{layer}.", &shape.layers);
  for (const std::string half : {"feed_forward1.", "feed_forward2."}) {
    layer.linear(half + "linear1", shape.ffn, width, shape.linear_bias);
    layer.linear(half + "linear2", width, shape.ffn, shape.linear_bias);
  }
  for (const char* name : names.attention) layer.linear(std::string("self_attn.") + name, width, width, shape.linear_bias);
  layer.linear(std::string("self_attn.") + names.distances, width, width, false);
  for (const char* bias : names.attention_biases) layer.tensor(std::string("self_attn.") + bias, {shape.heads, shape.width / shape.heads});
  layer.convolution1d("conv.pointwise_conv1", width * 2, width, 1, shape.convolution_bias);
  layer.convolution1d("conv.depthwise_conv", width, 1, shape.kernel, shape.convolution_bias);
  layer.convolution1d("conv.pointwise_conv2", width, width, 1, shape.convolution_bias);
  for (const char* part : {"weight", "bias", "running_mean", "running_var"})
    layer.tensor(std::string("conv.") + names.batch_norm + "." + part, {width});
  for (const char* norm : {"norm_feed_forward1", "norm_self_att", "norm_conv", "norm_feed_forward2", "norm_out"})
    layer.norm(norm, width, true);
}

ParakeetEncoder::ParakeetEncoder(const PartKeys& keys, std::uint64_t text)
    : shape_(parakeet_shape(keys)), inner_(keys.positive("/projection_hidden_size")), text_(text),
      projection_bias_(keys.boolean("/projection_bias", false)) {}

void ParakeetEncoder::weights(const Sink& out) const {
  declare(out, shape_, {.prefix = "sound_encoder.encoder."});
  const Tensors projector(out, "audio.projector.", "sound_projection.");
  projector.norm("norm", shape_.width, false);
  projector.linear("linear1", inner_, shape_.width, projection_bias_);
  projector.linear("linear2", text_, inner_, projection_bias_);
}

Media ParakeetEncoder::longest_sound() const {
  constexpr std::uint64_t kFrames = 600 * 100;
  return {kFrames / shape_.factor, kFrames / shape_.factor, shape_.width};
}

} // namespace vlm
