// LLaVA as its authors packed it: the language model's keys lie flat, and the tower is only named. An engine loads the tower by that name,
// whole, whether or not the checkpoint has it too. LLaVA-Video, and Yi-VL with norms in its projector. Made by the planner's constructor.
#include <algorithm>

#include "encoders.hpp"
#include "listed.hpp"
#include "tensors.hpp"
#include "tiles.hpp"

namespace vlm {
namespace {

using plimsoll::Bytes;
using plimsoll::Config;
using plimsoll::Error;
using plimsoll::Sink;

struct FirstTower {
  std::string_view part; // of its name
  bool clip;
  EncoderShape shape;
};
constexpr FirstTower kTowers[] = {
    {"clip-vit-large-patch14-336", true, {1024, 4096, 24, 16, 14, 336}},
    {"clip-vit-large-patch14", true, {1024, 4096, 24, 16, 14, 224}},
    {"siglip-so400m-patch14-384", false, {1152, 4304, 27, 16, 14, 384}},
    {"clip-vit-H-14", true, {1280, 5120, 32, 16, 14, 448}}, // Yi's
};
constexpr const char* kPrefix = "model.vision_tower.vision_tower.vision_model.";

Encoder encoder_of(const Config& model) {
  const std::string_view name = model.str("/mm_vision_tower", "");
  for (const FirstTower& row : kTowers) {
    if (name.find(row.part) == std::string_view::npos) continue;
    return row.clip ? Encoder::clip(row.shape, kPrefix) : Encoder::siglip(row.shape, kPrefix).with_pooling_head();
  }
  throw Error(PLIMSOLL_E_UNSUPPORTED, "/mm_vision_tower",
              "'" + std::string(name.substr(0, 96)) +
                  "' is no tower this planner knows; known: clip-vit-large-patch14-336, clip-vit-large-patch14, siglip-so400m-patch14-384");
}

bool has_newline(const Config& model) { return model.str("/mm_patch_merge_type", "flat").find("unpad") != std::string_view::npos; }

void declare_projector(const Sink& out, const Encoder& encoder, std::uint64_t text, bool newline) {
  encoder.weights(out);
  const Tensors projector(out, "projector.", "model.mm_projector.");
  projector.by_rows("0", text, encoder.width());
  projector.by_columns("2", text, text);
  if (newline) Tensors(out, "", "model.").tensor("image_newline", {text});
}

} // namespace

// LLaVA 1.5: 576 rows. Where the aspect ratio is "anyres", tiles as in LLaVA-NeXT.
std::unique_ptr<Tower> make_llava_first(const PartKeys& keys, std::uint64_t text) {
  const Config& model = keys.model();
  const Encoder encoder = encoder_of(model);
  const bool newline = has_newline(model);
  const auto list = [=](const Sink& out) { declare_projector(out, encoder, text, newline); };
  const std::string_view ratio = model.str("/image_aspect_ratio", "square");
  TiledImage image{(Bytes(encoder.side()) * encoder.side()).value(), 1};
  if (ratio.substr(0, 6) == "anyres") image = largest_tiling(model, encoder.side(), encoder.side() * encoder.patch(), feature_limit(ratio));
  return listed(list, {image.rows, (Bytes(image.tiles) * encoder.positions()).value(), encoder.width()});
}

// 16 frames of 12 x 12 pooled rows: 2,304.
std::unique_ptr<Tower> make_llava_vid(const PartKeys& keys, std::uint64_t text) {
  const Config& model = keys.model();
  const Encoder encoder = encoder_of(model);
  const bool newline = has_newline(model);
  const auto list = [=](const Sink& out) { declare_projector(out, encoder, text, newline); };
  const std::uint64_t stride = model.u64("/mm_spatial_pool_stride", 2);
  const Bytes frames = model.u64("/num_frames", 16), side = encoder.side() / std::max<std::uint64_t>(1, stride);
  return listed(list, {(frames * side * side).value(), (frames * encoder.positions()).value(), encoder.width()});
}

// 448 pixels: 1,024 rows.
std::unique_ptr<Tower> make_yi_vl(const PartKeys& keys, std::uint64_t text) {
  const Encoder encoder = encoder_of(keys.model());
  const auto list = [=](const Sink& out) {
    encoder.weights(out);
    const Tensors projector(out, "projector.", "model.mm_projector.");
    projector.by_rows("0", text, encoder.width());
    projector.norm("1", text, true);
    projector.by_columns("3", text, text);
    projector.norm("4", text, true);
  };
  return listed(list, {(Bytes(encoder.side()) * encoder.side()).value(), encoder.positions(), encoder.width()});
}

} // namespace vlm
