// Readers of documents: dots.ocr; PaddleOCR-VL and Keye, which share a SigLIP for any aspect ratio; HunyuanOCR. Made by the
// planner's constructor. Their language models' keys lie flat.
#include "block.hpp"
#include "encoders.hpp"
#include "listed.hpp"

namespace vlm {
namespace {

using plimsoll::Bytes;
using plimsoll::Sink;

// Patches of an image of that many pixels, merged in squares.
Media of_pixels(Bytes pixels, Bytes patch, Bytes merge, std::uint64_t width) {
  const Bytes area = patch * patch;
  return {(pixels / (area * merge * merge)).value(), (pixels / area).value(), width};
}

constexpr BlockNames kDotsBlock{{"norm1", "norm2"}, "attn.qkv", "", "", "", "attn.proj", "mlp.fc1", "mlp.fc3", "mlp.fc2"};
constexpr BlockNames kHunyuanBlock{{"input_layernorm", "post_attention_layernorm"},
                                   "",
                                   "self_attn.q_proj",
                                   "self_attn.k_proj",
                                   "self_attn.v_proj",
                                   "self_attn.o_proj",
                                   "",
                                   "mlp.dense_h_to_4h",
                                   "mlp.dense_4h_to_h"};

// What PaddleOCR-VL and the two Keye differ in.
struct JoinedSiglip {
  bool packed;      // whether the table of positions for packed images is loaded; it is stored in any case
  bool joined_norm; // whether the projector's norm runs over joined neighbours
};
constexpr std::uint64_t kPackedPositions = 32768;

std::unique_ptr<Tower> make_joined_siglip(const PartKeys& keys, std::uint64_t text, const JoinedSiglip& kind) {
  Encoder encoder = Encoder::siglip(keys, "visual.vision_model.");
  encoder.with_pooling_head(false);
  const std::uint64_t merge = keys.positive("/spatial_merge_size");
  const auto list = [=](const Sink& out) {
    encoder.weights(out);
    Tensors(out, "embeddings.", "visual.vision_model.embeddings.")
        .loaded(kind.packed)
        .tensor("packing_position_embedding.weight", {kPackedPositions, encoder.width()});
    const Bytes joined = Bytes(encoder.width()) * merge * merge;
    const Tensors projector(out, "projector.", "mlp_AR.");
    projector.norm("pre_norm", kind.joined_norm ? joined : encoder.width(), true);
    projector.by_rows("linear_1", joined, joined);
    projector.by_columns("linear_2", text, joined);
  };
  return listed(list, of_pixels(keys.positive("/max_image_pixels"), encoder.patch(), merge, encoder.width()));
}

} // namespace

// 11,289,600 pixels, patches of 14, merge 2: 14,400 rows.
std::unique_ptr<Tower> make_dots_ocr(const PartKeys& keys, std::uint64_t text) {
  const std::vector<std::uint32_t> layers = keys.layer_list("/num_hidden_layers");
  const std::uint64_t width = keys.positive("/embed_dim"), ffn = keys.positive("/intermediate_size");
  const std::uint64_t heads = keys.positive("/num_attention_heads"), channels = keys.positive("/num_channels");
  const std::uint64_t patch = keys.positive("/patch_size"), merge = keys.positive("/spatial_merge_size");
  const bool bias = keys.boolean("/use_bias", false), post_norm = keys.boolean("/post_norm", true);
  const auto list = [=](const Sink& out) {
    const std::string prefix = "vision_tower.";
    const Tensors top(out, "", prefix);
    top.convolution("patch_embed.patchifier.proj", width, channels, patch, true);
    top.norm("patch_embed.patchifier.norm", width, false);
    declare_block(Tensors(out, "blocks.", prefix + "blocks.{layer}.", &layers), kDotsBlock,
                  {.width = width, .ffn = ffn, .heads = heads, .norm_bias = false, .qkv_bias = bias, .out_bias = bias, .ffn_bias = bias});
    if (post_norm) top.norm("post_trunk_norm", width, false);
    const Bytes joined = Bytes(width) * merge * merge;
    top.norm("merger.ln_q", width, true);
    top.by_rows("merger.mlp.0", joined, joined);
    top.by_columns("merger.mlp.2", text, joined);
  };
  return listed(list, of_pixels(keys.positive("/max_image_pixels"), patch, merge, width));
}

// Stored and not loaded: the pooling head, 15,238,352, and positions of packed images, 37,748,736 elements.
std::unique_ptr<Tower> make_paddleocr(const PartKeys& keys, std::uint64_t text) {
  return make_joined_siglip(keys, text, {.packed = false, .joined_norm = false});
}
std::unique_ptr<Tower> make_keye(const PartKeys& keys, std::uint64_t text) {
  return make_joined_siglip(keys, text, {.packed = true, .joined_norm = false});
}
std::unique_ptr<Tower> make_keye_1_5(const PartKeys& keys, std::uint64_t text) {
  return make_joined_siglip(keys, text, {.packed = true, .joined_norm = true});
}

// 2048 x 2048 pixels, patches of 16, merge 2: 64 lines of 64 and a separator, two marks: 4,162 rows.
std::unique_ptr<Tower> make_hunyuan_vl(const PartKeys& keys, std::uint64_t text) {
  const std::vector<std::uint32_t> layers = keys.layer_list("/num_hidden_layers");
  const std::uint64_t width = keys.positive("/hidden_size"), ffn = keys.positive("/intermediate_size");
  const std::uint64_t heads = keys.positive("/num_attention_heads"), channels = keys.positive("/num_channels");
  const std::uint64_t patch = keys.positive("/patch_size"), merge = keys.positive("/spatial_merge_size");
  const std::uint64_t side = keys.positive("/max_image_size") / patch, out_width = keys.number("/out_hidden_size", text);
  const auto list = [=](const Sink& out) {
    const std::string prefix = "vit.";
    const Tensors top(out, "", prefix);
    top.convolution("embeddings.patch_embedding", width, channels, patch, true);
    top.tensor("embeddings.position_embedding.weight", {Bytes(side) * side + 1, width});
    declare_block(Tensors(out, "layers.", prefix + "layers.{layer}.", &layers), kHunyuanBlock,
                  {.width = width, .ffn = ffn, .heads = heads});
    const Tensors merger(out, "perceive.", prefix + "perceive.");
    const Bytes twice = Bytes(width) * 2, joined = Bytes(width) * 4;
    merger.convolution("proj.0", twice, width, merge, true);
    merger.convolution("proj.2", joined, twice, 1, true);
    merger.linear("mlp", out_width, joined);
    merger.tensor("image_newline", {joined});
    for (const char* mark : {"image_begin", "image_end", "image_sep"}) merger.tensor(mark, {out_width});
    merger.norm("before_rms", width, false);
    merger.norm("after_rms", out_width, false);
  };
  const Bytes lines = side / merge;
  return listed(list, {(lines * (lines + 1) + 2).value(), (Bytes(side) * side).value(), width});
}

} // namespace vlm
