// The first Ovis, on AIMv2: rows are chances over a visual vocabulary, as of Ovis 2.5. Made by the planner's constructor.
#include "block.hpp"
#include "listed.hpp"

namespace vlm {
namespace {

using plimsoll::Bytes;
using plimsoll::Sink;

constexpr BlockNames kAimBlock{{"norm_1", "norm_2"}, "attn.qkv", "", "", "", "attn.proj", "mlp.fc1", "mlp.fc3", "mlp.fc2"};

} // namespace

// 9 parts and the whole image, 256 rows each and two marks: 2,580.
std::unique_ptr<Tower> make_ovis(const PartKeys& keys, std::uint64_t text) {
  constexpr std::uint64_t kIndicators = 5; // of the vocabulary, no head for them
  const PartKeys tokenizer(keys.model(), "/visual_tokenizer_config"), vit(keys.model(), "/visual_tokenizer_config/backbone_config");
  if (const std::string_view type = vit.model_type(); type != "aimv2")
    throw plimsoll::Error(PLIMSOLL_E_UNSUPPORTED, "/visual_tokenizer_config/backbone_config/model_type",
                          "'" + std::string(type.substr(0, 64)) + "' is no tower this planner knows here; known: aimv2");
  const std::vector<std::uint32_t> layers = vit.layer_list("/num_hidden_layers");
  const std::uint64_t width = vit.positive("/hidden_size"), ffn = vit.positive("/intermediate_size");
  const std::uint64_t heads = vit.positive("/num_attention_heads"), channels = vit.positive("/num_channels");
  const std::uint64_t patch = vit.positive("/patch_size"), side = vit.patches_per_side();
  const bool qkv_bias = vit.boolean("/qkv_bias", false), bias = vit.boolean("/use_bias", false);
  const std::uint64_t stride = tokenizer.positive("/hidden_stride"), vocabulary = tokenizer.positive("/vocab_size");
  const std::uint64_t tiles = tokenizer.positive("/max_image_tiles");
  if (vocabulary <= kIndicators) tokenizer.refuse("/vocab_size", "is below 6; a vocabulary was expected");
  const auto list = [=](const Sink& out) {
    const std::string prefix = "visual_tokenizer.backbone.";
    const Tensors top(out, "", prefix);
    top.convolution("preprocessor.patchifier.proj", width, channels, patch, true);
    top.norm("preprocessor.patchifier.norm", width, false);
    top.tensor("preprocessor.pos_embed", {1, Bytes(side) * side, width});
    declare_block(
        Tensors(out, "blocks.", prefix + "trunk.blocks.{layer}.", &layers), kAimBlock,
        {.width = width, .ffn = ffn, .heads = heads, .norm_bias = false, .qkv_bias = qkv_bias, .out_bias = bias, .ffn_bias = bias});
    top.norm("trunk.post_trunk_norm", width, false);
    const Tensors head(out, "head.", "visual_tokenizer.head.");
    const Bytes chances = Bytes(vocabulary) - kIndicators;
    head.linear("0", chances, Bytes(width) * stride * stride, false);
    head.norm("1", chances, true);
    Tensors(out, "", "vte.").tensor("weight", {vocabulary, text});
  };
  const Bytes rows = side / stride;
  return listed(list, {(Bytes(tiles) * (rows * rows + 2)).value(), (Bytes(tiles) * side * side).value(), width});
}

} // namespace vlm
