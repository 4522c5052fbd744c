// What stands behind Qwen's towers in other models, or is built like them: POINTS 1.5, Sarashina2 Vision, HyperCLOVA X Think, openPangu-VL,
// LLaVA-OneVision 2. Made by the planner's constructor.
#include "block.hpp"
#include "listed.hpp"
#include "qwen.hpp"

namespace vlm {
namespace {

using plimsoll::Bytes;
using plimsoll::Sink;

constexpr BlockNames kPanguBlock{{"norm1", "norm2"}, "attn.qkv", "", "", "", "attn.proj", "", "mlp.up_proj", "mlp.down_proj"};
constexpr BlockNames kOneVision2Block{
    {"layer_norm1", "layer_norm2"}, "self_attn.qkv", "", "", "", "self_attn.proj", "", "mlp.fc1", "mlp.fc2"};

// Neighbours joined, two matrices.
void declare_merger(const Sink& out, const std::string& prefix, Bytes width, Bytes merge, Bytes text, bool norm_bias) {
  const Tensors merger(out, "merger.", prefix);
  const Bytes joined = width * merge * merge;
  merger.norm("ln_q", width, norm_bias);
  merger.by_rows("mlp.0", joined, joined);
  merger.by_columns("mlp.2", text, joined);
}

// Patches of an image of as many pixels, and the rows that are joined of them.
Media of_most_pixels(const PartKeys& keys, std::uint64_t patch, std::uint64_t merge, std::uint64_t width) {
  const Bytes area = Bytes(patch) * patch, pixels = keys.positive("/max_image_pixels");
  return {(pixels / (area * merge * merge)).value(), (pixels / area).value(), width};
}

} // namespace

// The class makes the tower's own merger too, which nothing reads.
std::unique_ptr<Tower> make_points(const PartKeys& keys, std::uint64_t text) {
  const std::shared_ptr<const Tower> tower = make_qwen2_tower(keys, keys.positive("/hidden_size"), "vision_encoder.");
  const Bytes width = keys.positive("/embed_dim"), merge = keys.positive("/spatial_merge_size");
  const auto list = [=](const Sink& out) {
    tower->weights(out);
    declare_merger(out, "vision_projector.", width, merge, text, true);
  };
  return listed(list, tower->largest_image());
}

std::unique_ptr<Tower> make_sarashina2(const PartKeys& keys, std::uint64_t text) {
  const std::shared_ptr<const Tower> tower = make_qwen2_tower(keys, text, "visual.");
  const auto list = [=](const Sink& out) {
    tower->weights(out);
    Tensors(out, "", "").norm("norm", text, true);
  };
  return listed(list, tower->largest_image());
}

// A matrix behind the merger.
std::unique_ptr<Tower> make_hcx_v2(const PartKeys& keys, std::uint64_t text) {
  const std::uint64_t merged = keys.positive("/out_hidden_size", "/hidden_size");
  const std::shared_ptr<const Tower> tower = make_qwen2_5_tower(keys, merged, "model.vision_model.");
  const auto list = [=](const Sink& out) {
    tower->weights(out);
    Tensors(out, "", "model.").linear("mm_projector", text, merged);
  };
  return listed(list, tower->largest_image());
}

// Blocks of Qwen2.5-VL, gated or not, of which a few are read: each has a merger, and one matrix is behind their sum.
std::unique_ptr<Tower> make_openpangu_vl(const PartKeys& keys, std::uint64_t text) {
  const std::vector<std::uint32_t> layers = keys.layer_list("/depth");
  const std::uint64_t width = keys.positive("/hidden_size"), ffn = keys.positive("/intermediate_size"), heads = keys.positive("/num_heads");
  const std::uint64_t patch = keys.positive("/patch_size"), frames = keys.positive("/temporal_patch_size");
  const std::uint64_t channels = keys.positive("/in_channels", "/in_chans"), merge = keys.positive("/spatial_merge_size");
  const std::uint64_t merged = keys.positive("/out_hidden_size");
  const bool gated = keys.text("/hidden_act", "silu") == "silu";
  const std::uint64_t listed_layers = keys.length("/mm_unit_vision_select_layer");
  const std::uint64_t read = plimsoll::bounded(listed_layers == 0 ? 2 : listed_layers, 64, "/vision_config/mm_unit_vision_select_layer");
  const auto list = [=](const Sink& out) {
    const std::string prefix = "visual.";
    const Tensors top(out, "", prefix);
    top.convolution("patch_embed.proj", width, channels, patch, false, frames);
    declare_block(Tensors(out, "blocks.", prefix + "blocks.{layer}.", &layers), gated ? kQwen25Block : kPanguBlock,
                  {.width = width, .ffn = ffn, .heads = heads, .norm_bias = false});
    top.norm("final_layernorm", width, false);
    for (std::uint64_t i = 0; i < read; ++i) declare_merger(out, prefix + "merger." + std::to_string(i) + ".", width, merge, merged, false);
    top.linear("vision_projection.fc1", text, merged);
  };
  return listed(list, of_most_pixels(keys, patch, merge, width));
}

std::unique_ptr<Tower> make_llava_onevision2(const PartKeys& keys, std::uint64_t text) {
  const std::vector<std::uint32_t> layers = keys.layer_list("/num_hidden_layers");
  const std::uint64_t width = keys.positive("/hidden_size"), ffn = keys.positive("/intermediate_size");
  const std::uint64_t heads = keys.positive("/num_attention_heads"), channels = keys.number("/num_channels", 3);
  const std::uint64_t patch = keys.positive("/patch_size"), merge = keys.positive("/spatial_merge_size");
  const auto list = [=](const Sink& out) {
    const std::string prefix = "model.visual.";
    const Tensors top(out, "", prefix);
    top.convolution("embeddings.patch_embedding", width, channels, patch, false);
    top.norm("layernorm_pre", width, true);
    declare_block(Tensors(out, "layers.", prefix + "encoder.layers.{layer}.", &layers), kOneVision2Block,
                  {.width = width, .ffn = ffn, .heads = heads});
    declare_merger(out, prefix + "merger.", width, merge, text, true);
  };
  return listed(list, of_most_pixels(keys, patch, merge, width));
}

} // namespace vlm
