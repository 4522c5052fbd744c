// SigLIP 2 and what stands behind it: LFM2-VL, Ovis 2.5 and 2.6, Eagle 2.5, Isaac, Phi-4-reasoning-vision, MiniCPM-V 4.6, Cosmos 3
// Edge. Made by the planner's constructor.
#include "block.hpp"
#include "encoders.hpp"
#include "listed.hpp"

namespace vlm {
namespace {

using plimsoll::Bytes;
using plimsoll::Config;
using plimsoll::Sink;

void declare_two(const Tensors& out, const char* first, const char* second, Bytes in, Bytes inner, Bytes text, bool bias) {
  out.by_rows(first, inner, in, bias);
  out.by_columns(second, text, inner, bias);
}

} // namespace

// Tiles of 512 pixels, 16 a patch, joined by 2: 256 rows each; 10 tiles and the whole image: 2,816.
std::unique_ptr<Tower> make_lfm2_vl(const PartKeys& keys, std::uint64_t text) {
  const Config& model = keys.model();
  const Encoder encoder = Encoder::of(keys, "model.vision_tower.");
  const std::uint64_t factor = model.positive("/downsample_factor"), inner = model.positive("/projector_hidden_size");
  const bool norm = model.boolean("/projector_use_layernorm", true), bias = model.boolean("/projector_bias", true);
  const auto list = [=](const Sink& out) {
    encoder.weights(out);
    const Bytes joined = Bytes(encoder.width()) * factor * factor;
    const Tensors projector(out, "projector.", "model.multi_modal_projector.");
    if (norm) projector.norm("layer_norm", joined, true);
    declare_two(projector, "linear_1", "linear_2", joined, inner, text, bias);
  };
  const Bytes side = model.positive("/tile_size") / encoder.patch(), tiles = Bytes(model.positive("/max_tiles")) + 1;
  const Bytes rows = side / factor;
  return listed(list, {(tiles * rows * rows).value(), (tiles * side * side).value(), encoder.width()});
}

// Rows are chances over a visual vocabulary; a table of embeddings turns them into the language model's. 1792 x 1792 pixels: 3,136 rows.
std::unique_ptr<Tower> make_ovis2_5(const PartKeys& keys, std::uint64_t text) {
  constexpr std::uint64_t kIndicators = 4; // of the vocabulary, no head for them
  const PartKeys vit(keys.model(), "/vit_config");
  const std::vector<std::uint32_t> layers = vit.layer_list("/num_hidden_layers");
  const std::uint64_t width = vit.positive("/hidden_size"), ffn = vit.positive("/intermediate_size");
  const std::uint64_t heads = vit.positive("/num_attention_heads"), patch = vit.positive("/patch_size");
  const std::uint64_t stride = vit.positive("/hidden_stride"), side = vit.patches_per_side();
  const std::uint64_t vocabulary = keys.model().positive("/visual_vocab_size"), pixels = vit.positive("/max_image_side");
  const bool positions = vit.boolean("/preserve_original_pe", true);
  if (vocabulary <= kIndicators) throw plimsoll::Error(PLIMSOLL_E_CONFIG, "/visual_vocab_size", "is below 5; a vocabulary was expected");
  const auto list = [=](const Sink& out) {
    const std::string prefix = "visual_tokenizer.vit.vision_model.";
    const Tensors top(out, "", prefix);
    top.convolution("embeddings.patch_embedding", width, 3, patch, true);
    if (positions) top.tensor("embeddings.position_embedding.weight", {Bytes(side) * side, width});
    declare_block(Tensors(out, "layers.", prefix + "encoder.layers.{layer}.", &layers), kClipBlock,
                  {.width = width, .ffn = ffn, .heads = heads});
    top.norm("post_layernorm", width, true);
    const Tensors head(out, "head.", "visual_tokenizer.head.");
    const Bytes chances = Bytes(vocabulary) - kIndicators;
    head.linear("0", chances, Bytes(width) * stride * stride, false);
    head.norm("1", chances, true);
    Tensors(out, "", "vte.").tensor("weight", {vocabulary, text});
  };
  const Bytes grid = pixels / patch, rows = grid / stride;
  return listed(list, {(rows * rows).value(), (grid * grid).value(), width});
}

// As InternVL packs it, with SigLIP in InternViT's place.
std::unique_ptr<Tower> make_eagle2_5(const PartKeys& keys, std::uint64_t text) {
  const Encoder encoder = Encoder::of(keys, "vision_model.");
  constexpr std::uint64_t kShuffle = 2;
  const auto list = [=](const Sink& out) {
    encoder.weights(out);
    const Bytes joined = Bytes(encoder.width()) * kShuffle * kShuffle;
    const Tensors projector(out, "projector.", "mlp1.");
    projector.norm("0", joined, true);
    declare_two(projector, "1", "3", joined, text, text, true);
  };
  const Bytes tiles = Bytes(keys.model().positive("/max_dynamic_patch")) + 1, rows = encoder.side() / kShuffle;
  return listed(list, {(tiles * rows * rows).value(), (tiles * encoder.positions()).value(), encoder.width()});
}

// Patches joined by the shuffle, a gated pair of matrices four times as wide, without biases.
std::unique_ptr<Tower> make_isaac(const PartKeys& keys, std::uint64_t text) {
  const Encoder encoder = Encoder::siglip2(keys, "model.vision_embedding.0.");
  const std::uint64_t shuffle = keys.positive("/pixel_shuffle_scale_factor");
  const Bytes patches = keys.model().positive("/vision_max_num_patches");
  const auto list = [=](const Sink& out) {
    encoder.weights(out);
    const Bytes joined = Bytes(encoder.width()) * shuffle * shuffle;
    declare_two(Tensors(out, "projector.", "model.vision_embedding."), "1", "3", joined, joined * 4, text, false);
  };
  return listed(list, {(patches / (Bytes(shuffle) * shuffle)).value(), patches.value(), encoder.width()});
}

// A row for each patch, 3,600 at most. All layers are stored, the last is not read.
std::unique_ptr<Tower> make_phi4_siglip(const PartKeys& keys, std::uint64_t text) {
  const Encoder encoder = Encoder::siglip2(keys, "model.vision_tower.vision_tower.vision_model.");
  const std::uint64_t patches = keys.model().positive("/max_num_patches");
  const auto list = [=](const Sink& out) {
    encoder.weights(out);
    declare_two(Tensors(out, "projector.", "model.mm_projector."), "0", "2", encoder.width(), text, text, true);
  };
  return listed(list, {patches, patches, encoder.width()});
}

// An attention over windows of 2 x 2 and two matrices in the midst of the tower, and a merger behind it: 16 patches in a row. 9 slices
// and the whole image, 448 pixels a side: 640 rows.
std::unique_ptr<Tower> make_minicpm_v4_6(const PartKeys& keys, std::uint64_t text) {
  const Config& model = keys.model();
  const std::string prefix = "model.vision_tower.";
  const Encoder encoder = Encoder::siglip(keys, prefix);
  const std::uint64_t ffn = keys.positive("/intermediate_size"), heads = keys.number("/num_attention_heads", 0);
  const std::uint64_t times = plimsoll::bounded(model.positive("/merger_times"), 64, "/merger_times");
  const auto list = [=](const Sink& out) {
    encoder.weights(out);
    const Bytes width = encoder.width(), joined = width * 4;
    const Tensors window(out, "vit_merger.", prefix + "vit_merger.");
    for (const char* name : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}) window.by_rows(name, width, width, true, heads);
    window.by_columns("self_attn.out_proj", width, width, true, heads);
    window.norm("layer_norm1", width, true);
    window.norm("pre_norm", joined, true);
    declare_two(window, "linear_1", "linear_2", joined, Bytes(ffn) * 4, width, true);
    for (std::uint64_t i = 0; i < times; ++i) {
      const Tensors merger(out, "merger.", "model.merger.mlp." + std::to_string(i) + ".");
      merger.norm("pre_norm", joined, true);
      declare_two(merger, "linear_1", "linear_2", joined, joined, i + 1 == times ? Bytes(text) : width, true);
    }
  };
  const Bytes inputs = Bytes(model.positive("/slice_config/max_slice_nums")) + 1;
  const Bytes side = model.positive("/slice_config/scale_resolution") / encoder.patch();
  return listed(list, {(inputs * (side * side / 16)).value(), (inputs * side * side).value(), encoder.width()});
}

// Cosmos 3 Edge: two matrices over joined neighbours.
std::unique_ptr<Tower> make_cosmos3_edge(const PartKeys& keys, std::uint64_t text) {
  const Encoder encoder = Encoder::siglip2(keys, "model.visual.");
  const PartKeys projector(keys.model(), "/projector_config");
  const std::uint64_t in = projector.positive("/input_hidden_size"), merge = projector.positive("/spatial_merge_size");
  const std::uint64_t inner = projector.positive("/merger_intermediate_size");
  const bool joined_norm = projector.boolean("/use_postshuffle_norm", false);
  const auto list = [=](const Sink& out) {
    encoder.weights(out);
    const Bytes joined = Bytes(in) * merge * merge;
    const Tensors merger(out, "projector.", "model.projector.");
    merger.norm("norm", joined_norm ? joined : Bytes(in), true);
    declare_two(merger, "linear_fc1", "linear_fc2", joined, inner, text, true);
  };
  const Bytes area = Bytes(encoder.patch()) * encoder.patch(), pixels = keys.positive("/max_image_pixels");
  return listed(list, {(pixels / (area * merge * merge)).value(), (pixels / area).value(), encoder.width()});
}

} // namespace vlm
