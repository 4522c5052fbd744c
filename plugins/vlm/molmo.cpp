// Molmo and Molmo 2: a ViT of which two layers' features are pooled 2 x 2 by an attention and pass a gated projector. Made by the
// planner's constructor. Molmo's configuration does not describe its tower: the model's own code does, and class defaults repeat it.
// Worked: Molmo-7B-D 404,950,016 elements.
#include <algorithm>

#include "block.hpp"
#include "listed.hpp"

namespace vlm {
namespace {

using plimsoll::Bytes;
using plimsoll::Sink;

constexpr const char* kBackbone = "model.vision_backbone.";
constexpr BlockNames kMolmoBlock{{"attention_norm", "ffn_norm"},
                                 "",
                                 "attention.wq",
                                 "attention.wk",
                                 "attention.wv",
                                 "attention.wo",
                                 "",
                                 "feed_forward.w1",
                                 "feed_forward.w2"};

struct MolmoVit {
  std::vector<std::uint32_t> layers;
  std::uint64_t width, ffn, heads, patch, positions;
  bool first; // Molmo's: a class token and a norm in front

  void weights(const Sink& out) const {
    const std::string prefix = std::string(kBackbone) + "image_vit.";
    const Tensors top(out, "", prefix);
    if (first) top.tensor("class_embedding", {width});
    top.tensor("positional_embedding", {positions, width});
    top.linear("patch_embedding", width, Bytes(3) * patch * patch, !first);
    if (first) top.norm("pre_ln", width, true);
    declare_block(Tensors(out, "layers.", prefix + "transformer.resblocks.{layer}.", &layers), kMolmoBlock,
                  {.width = width, .ffn = ffn, .heads = heads});
  }
};

// An attention over features of `in` elements, and the projector behind it.
void declare_pooling(const Sink& out, Bytes in, Bytes width, Bytes inner, Bytes text) {
  const Tensors pooling(out, "pooling.", std::string(kBackbone) + "image_pooling_2d.");
  for (const char* name : {"wq", "wk", "wv"}) pooling.by_rows(name, width, in);
  pooling.by_columns("wo", width, width);
  const Tensors projector(out, "projector.", std::string(kBackbone) + "image_projector.");
  for (const char* name : {"w1", "w3"}) projector.by_rows(name, inner, width, false);
  projector.by_columns("w2", text, inner, false);
}

// The whole image and a grid of crops that overlap by a margin; 12 x 12 rows each at most, a mark behind each line, two around.
Media of_crops(std::uint64_t side, std::uint64_t crops, std::uint64_t positions, std::uint64_t width) {
  const Bytes rows = (side + 1) / 2, all = Bytes(crops) + 1;
  return {(all * rows * (rows + 1) + 4).value(), (all * positions).value(), width};
}

} // namespace

// 12 crops and the whole image: 13 x 12 x 13 + 4 = 2,032 rows.
std::unique_ptr<Tower> make_molmo(const PartKeys& keys, std::uint64_t text) {
  const MolmoVit vit{keys.layer_list("/num_hidden_layers"),
                     keys.positive("/hidden_size"),
                     keys.positive("/intermediate_size"),
                     keys.positive("/num_attention_heads"),
                     keys.positive("/patch_size"),
                     (Bytes(keys.patches_per_side()) * keys.patches_per_side() + 1).value(),
                     true};
  const Bytes joined = Bytes(vit.width) * 2;
  const std::uint64_t inner = keys.model().positive("/intermediate_size") / 2; // the key counts both halves of a gated FFN
  const auto list = [=](const Sink& out) {
    vit.weights(out);
    declare_pooling(out, joined, vit.width, inner, text);
    Tensors(out, "", kBackbone).tensor("pad_embed", {2, joined});
  };
  return listed(list, of_crops(keys.patches_per_side(), keys.positive("/max_image_tiles"), vit.positions, vit.width));
}

// Of the tower's layers those up to the last one that is read are stored: 25 of 27 for [-3, -9]. 8 crops: 9 x 14 x 15 + 4 = 1,894 rows.
std::unique_ptr<Tower> make_molmo2(const PartKeys& keys, std::uint64_t text) {
  const PartKeys vit_keys(keys.model(), "/vit_config"), adapter(keys.model(), "/adapter_config");
  MolmoVit vit{vit_keys.layer_list("/num_hidden_layers"),
               vit_keys.positive("/hidden_size"),
               vit_keys.positive("/intermediate_size"),
               vit_keys.positive("/num_attention_heads"),
               vit_keys.positive("/image_patch_size"),
               vit_keys.positive("/image_num_pos"),
               false};
  const std::uint64_t read = adapter.length("/vit_layers");
  if (read == 0 || read > 16) adapter.refuse("/vit_layers", "a list of 1 to 16 layers was expected, such as [-3, -9]");
  std::uint64_t last = 0;
  for (std::uint64_t i = 0; i < read; ++i) {
    const std::string at = "/adapter_config/vit_layers/" + std::to_string(i);
    const std::int64_t n = keys.model().find_i64(at).value_or(0), of = static_cast<std::int64_t>(vit.layers.size());
    const std::int64_t layer = n < 0 ? n + of : n;
    if (layer < 0 || layer >= of)
      throw plimsoll::Error(PLIMSOLL_E_CONFIG, at, "is " + std::to_string(n) + "; the tower has " + std::to_string(of) + " layers");
    last = std::max(last, static_cast<std::uint64_t>(layer));
  }
  vit.layers.resize(static_cast<std::size_t>(last + 1));
  const std::uint64_t width = adapter.positive("/hidden_size"), inner = adapter.positive("/intermediate_size");
  const auto list = [=](const Sink& out) {
    vit.weights(out);
    declare_pooling(out, Bytes(vit.width) * read, width, inner, text);
  };
  return listed(list, of_crops(vit_keys.positive("/image_side"), vit_keys.positive("/max_image_tiles"), vit.positions, vit.width));
}

} // namespace vlm
