// C-RADIO, the tower of Nemotron's vision models, with InternVL's packaging around it. Made by the planner's constructor. Configurations
// name the tower ("vit_huge_patch16_224") and leave its sizes to code; class defaults repeat those of the huge one.
#include "block.hpp"
#include "listed.hpp"
#include "parakeet.hpp"

namespace vlm {
namespace {

using plimsoll::Bytes;
using plimsoll::Error;
using plimsoll::Sink;

// `bias`: the first packaging's projector has a layer norm and biases, the second's an RMS norm and none.
std::unique_ptr<Tower> make_radio(const PartKeys& keys, std::uint64_t text, bool bias) {
  const plimsoll::Config& model = keys.model();
  const std::string_view name = keys.text("/args/model", "vit_huge_patch16_224");
  if (name != "vit_huge_patch16_224")
    throw Error(PLIMSOLL_E_UNSUPPORTED, "/vision_config/args/model",
                "'" + std::string(name.substr(0, 64)) + "' is no tower this planner knows; known: vit_huge_patch16_224");
  const std::vector<std::uint32_t> layers = keys.layer_list("/num_hidden_layers");
  const std::uint64_t width = keys.positive("/hidden_size"), ffn = keys.positive("/intermediate_size");
  const std::uint64_t heads = keys.positive("/num_attention_heads"), patch = keys.positive("/patch_size");
  const std::uint64_t positions = keys.positive("/cpe_max_size") / patch, tokens = keys.positive("/register_multiple");
  const std::uint64_t inner = model.positive("/projector_hidden_size"), side = model.positive("/force_image_size") / patch;
  const std::uint64_t frames = keys.number("/video_temporal_patch_size", 1);
  const PartKeys ear(model, "/sound_config");
  const auto sound = ear.there() ? std::make_shared<const ParakeetEncoder>(ear, text) : nullptr;
  const auto list = [=](const Sink& out) {
    const std::string prefix = "vision_model.radio_model.model.";
    const Tensors top(out, "", prefix);
    top.tensor("patch_generator.cls_token.token", {tokens, width});
    top.linear("patch_generator.embedder", width, Bytes(3) * patch * patch, false);
    if (frames > 1) top.linear("patch_generator.video_embedder", width, Bytes(3) * patch * patch * frames, false);
    top.tensor("patch_generator.pos_embed", {1, Bytes(positions) * positions, width});
    declare_block(Tensors(out, "blocks.", prefix + "blocks.{layer}.", &layers), kTimmBlock, {.width = width, .ffn = ffn, .heads = heads});
    const Bytes joined = Bytes(width) * 4;
    const Tensors projector(out, "projector.", "mlp1.");
    projector.norm("0", joined, bias);
    projector.by_rows("1", inner, joined, bias);
    projector.by_columns("3", text, inner, bias);
    if (sound) sound->weights(out);
  };
  const Media heard = sound ? sound->longest_sound() : Media{};
  // Of any aspect ratio where the tower's limits say so: 13,312 patches, joined by 2: 3,328 rows.
  if (const auto most = keys.find("/args/max_num_patches")) return listed(list, {*most / 4, *most, width}, heard);
  // Else tiles: 512 / 16 = 32 patches a side, joined by 2: 256 rows; 12 tiles and the whole image: 3,328.
  const Bytes all = Bytes(model.positive("/max_dynamic_patch")) + 1, rows = side / 2;
  return listed(list, {(all * rows * rows).value(), (all * (Bytes(side) * side + tokens)).value(), width}, heard);
}

} // namespace

std::unique_ptr<Tower> make_llama_nemotron_vl(const PartKeys& keys, std::uint64_t text) { return make_radio(keys, text, true); }
std::unique_ptr<Tower> make_nemotron_h_vl(const PartKeys& keys, std::uint64_t text) { return make_radio(keys, text, false); }

} // namespace vlm
