// SigLIP with a projector that joins neighbours: NVILA and its light kind, the vision models among Nemotron's embedders, ColModernVBERT.
// Made by the planner's constructor.
#include "encoders.hpp"
#include "listed.hpp"
#include "tensors.hpp"

namespace vlm {
namespace {

using plimsoll::Bytes;
using plimsoll::Config;
using plimsoll::Sink;

// So many patches a side, joined in squares of `join`; a side that does not divide is padded.
Bytes joined_rows(const Encoder& encoder, std::uint64_t join) {
  const Bytes side = (encoder.side() + join - 1) / join;
  return side * side;
}

} // namespace

// An image at three sizes, 1, 4 and up to 12 tiles of 448 pixels, whose features lie side by side; then 2 x 2 joined: 12 x 256 = 3,072
// rows.
std::unique_ptr<Tower> make_nvila(const PartKeys& keys, std::uint64_t text) {
  constexpr std::uint64_t kSizes = 3, kSmaller = 1 + 4, kJoin = 2; // of the class
  const Encoder encoder = Encoder::of(keys, "vision_tower.");
  const Bytes tiles = keys.model().positive("/max_tiles");
  const auto list = [=](const Sink& out) {
    encoder.weights(out);
    const Bytes joined = Bytes(encoder.width()) * kSizes * kJoin * kJoin;
    const Tensors projector(out, "projector.", "mm_projector.layers.");
    projector.norm("1", joined, true);
    projector.by_rows("2", text, joined);
    projector.by_columns("4", text, text);
  };
  return listed(list, {(tiles * joined_rows(encoder, kJoin)).value(), ((tiles + kSmaller) * encoder.positions()).value(), encoder.width()});
}

// 3 x 3 joined: 12 tiles and the whole image, 11 x 11 rows each: 1,573.
std::unique_ptr<Tower> make_nvila_lite(const PartKeys& keys, std::uint64_t text) {
  constexpr std::uint64_t kJoin = 3;
  const Encoder encoder = Encoder::of(keys, "vision_tower.");
  const Bytes tiles = Bytes(keys.model().positive("/max_tiles")) + 1;
  const auto list = [=](const Sink& out) {
    encoder.weights(out);
    const Bytes width = encoder.width(), joined = width * kJoin * kJoin, inner = width * 3;
    const Tensors projector(out, "projector.", "mm_projector.layers.");
    projector.norm("1", joined, true);
    projector.by_rows("2", inner, joined);
    projector.norm("4", inner, true);
    projector.by_columns("5", text, inner);
    projector.linear("7", text, text);
  };
  return listed(list, {(tiles * joined_rows(encoder, kJoin)).value(), (tiles * encoder.positions()).value(), encoder.width()});
}

// As InternVL packs it: 512 pixels, 16 a patch, 2 x 2 joined: 256 rows a tile.
std::unique_ptr<Tower> make_llama_nemotron_embed(const PartKeys& keys, std::uint64_t text) {
  constexpr std::uint64_t kJoin = 2;
  const Config& model = keys.model();
  // A reranker's names start with the model's.
  const bool ranks = model.str("/architectures/0", "") == "LlamaNemotronVLForSequenceClassification";
  const std::string prefix = ranks ? "model." : "";
  const Encoder encoder = Encoder::siglip(keys, prefix + "vision_model.");
  const auto list = [=](const Sink& out) {
    encoder.weights(out);
    const Bytes joined = Bytes(encoder.width()) * kJoin * kJoin;
    const Tensors projector(out, "projector.", prefix + "mlp1.");
    projector.norm("0", joined, true);
    projector.by_rows("1", text, joined);
    projector.by_columns("3", text, text);
  };
  const Bytes tiles = Bytes(model.positive("/max_dynamic_patch")) + 1;
  return listed(list, {(tiles * joined_rows(encoder, kJoin)).value(), (tiles * encoder.positions()).value(), encoder.width()});
}

// 512 pixels, 16 a patch, 4 x 4 joined: 64 rows. No tiles.
std::unique_ptr<Tower> make_colmodernvbert(const PartKeys& keys, std::uint64_t text) {
  const Encoder encoder = Encoder::siglip(keys, "model.vision_model.vision_model.");
  const std::uint64_t join = keys.model().positive("/pixel_shuffle_factor");
  const auto list = [=](const Sink& out) {
    encoder.weights(out);
    Tensors(out, "connector.", "model.connector.").linear("modality_projection", text, Bytes(encoder.width()) * join * join, false);
  };
  const Bytes rows = Bytes(encoder.positions()) / (Bytes(join) * join);
  return listed(list, {rows.value(), encoder.positions(), encoder.width()});
}

// 980 pixels, 14 a patch: 4,900 rows, to each of which a place is added. The configuration tells 27 layers, the checkpoint has 26. What
// draws is stored beside it and not loaded.
std::unique_ptr<Tower> make_bagel(const PartKeys& keys, std::uint64_t text) {
  constexpr std::uint64_t kToldLayers = 27;
  const PartKeys vit(keys.model(), "/vit_config");
  const Encoder encoder = Encoder::siglip(vit, "vit_model.vision_model.", vit.positive("/num_hidden_layers") == kToldLayers);
  const Bytes side = keys.model().positive("/vit_max_num_patch_per_side");
  const auto list = [=](const Sink& out) {
    encoder.weights(out);
    const Tensors connector(out, "connector.", "connector.");
    connector.by_rows("fc1", text, encoder.width());
    connector.by_columns("fc2", text, text);
    Tensors(out, "", "vit_pos_embed.").tensor("pos_embed", {side * side, text});
  };
  return listed(list, {encoder.positions(), encoder.positions(), encoder.width()});
}

} // namespace vlm
