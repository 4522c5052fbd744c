// ERNIE-4.5-VL: a Qwen-like ViT and a resampler over neighbours in the picture and in time. The experts for what is seen are the moe
// family's, beside those for text. Made by the planner's constructor. Worked: 28B-A3B, tower 630,433,280, resampler 144,225,280 elements.
#include "block.hpp"
#include "listed.hpp"

namespace vlm {
namespace {

using plimsoll::Bytes;
using plimsoll::Config;
using plimsoll::Sink;

} // namespace

// 4,816,896 pixels, patches of 14, merge 2: 6,144 rows.
std::unique_ptr<Tower> make_ernie_vl(const PartKeys& keys, std::uint64_t text) {
  const Config& model = keys.model();
  const std::vector<std::uint32_t> layers = keys.layer_list("/depth");
  const std::uint64_t width = keys.positive("/embed_dim", "/hidden_size"), heads = keys.positive("/num_heads");
  const std::uint64_t ratio = keys.positive("/mlp_ratio"), channels = keys.positive("/in_channels"), patch = keys.positive("/patch_size");
  const std::uint64_t merge = model.positive("/spatial_conv_size"), frames = model.positive("/temporal_conv_size");
  const bool temporal = model.boolean("/use_temporal_conv", true);
  const auto list = [=](const Sink& out) {
    const std::string prefix = "vision_model.";
    const Tensors top(out, "", prefix);
    top.linear("patch_embed.proj", width, Bytes(channels) * patch * patch, false);
    declare_block(Tensors(out, "blocks.", prefix + "blocks.{layer}.", &layers), kTimmBlock,
                  {.width = width, .ffn = (Bytes(width) * ratio).value(), .heads = heads});
    top.norm("ln", width, true);
    const Bytes joined = Bytes(width) * merge * merge;
    const Tensors resampler(out, "resampler.", "model.resampler_model.");
    const auto stage = [&](const std::string& name, Bytes in) {
      resampler.linear(name + ".0", joined, in);
      resampler.linear(name + ".2", joined, joined);
      resampler.norm(name + ".3", joined, true);
    };
    stage("spatial_linear", joined);
    if (temporal) stage("temporal_linear", joined * frames);
    resampler.linear("mlp", text, joined);
    resampler.norm("after_norm", text, false);
  };
  const Bytes area = Bytes(patch) * patch, pixels = keys.positive("/max_image_pixels");
  return listed(list, {(pixels / (area * merge * merge)).value(), (pixels / area).value(), width});
}

} // namespace vlm
