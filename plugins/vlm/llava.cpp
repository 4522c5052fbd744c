// The LLaVA packaging: an encoder of any of three kinds and a projector of two matrices. LLaVA 1.5, NeXT and OneVision, Pixtral
// as the community converted it, Mistral-Small-3.1 and Devstral-Small-2 (mistral3: a norm and a patch merger more).
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

// Layers whose features are joined before the projector: a number or a list.
std::uint64_t feature_layers(const Config& model) {
  const std::uint64_t n = model.find_len("/vision_feature_layer").value_or(1);
  if (n == 0 || n > 64) throw Error(PLIMSOLL_E_CONFIG, "/vision_feature_layer", "a layer or a list of 1 to 64 layers was expected");
  return n;
}

// What the packagings of this kind differ in.
struct LlavaNames {
  const char *tower = "vision_tower.", *projector = "multi_modal_projector.", *newline = "";
  bool tiles = false;      // several tiles, and a newline behind each row of them
  bool merger = false;     // a norm and a patch merger, as Mistral 3 has
  bool pre_norm = false;   // a norm in front of the projector
  std::uint64_t wider = 1; // the projector's inner width over the language model's
};

class LlavaTower : public Tower {
public:
  LlavaTower(const PartKeys& keys, std::uint64_t text, const LlavaNames& names)
      : names_(names), encoder_(Encoder::of(keys, names.tower)), text_(text), features_(feature_layers(keys.model())),
        bias_(keys.model().boolean("/multimodal_projector_bias", !names.merger)),
        merge_(names.merger ? keys.model().positive("/spatial_merge_size") : 1) {
    const Config& model = keys.model();
    const std::uint64_t side = encoder_.side() / merge_;
    image_ = {side * side, encoder_.positions(), encoder_.width()};
    // Tarsier puts a token of its text behind each row and one behind the image.
    if (model.str("/architectures/0", "") == "TarsierForConditionalGeneration") image_.rows += side + 1;
    if (!names.tiles) return;
    const TiledImage tiled =
        largest_tiling(model, encoder_.side(), encoder_.side() * encoder_.patch(), feature_limit(model.str("/vision_aspect_ratio", "")));
    image_.rows = tiled.rows;
    image_.tower_tokens = (Bytes(tiled.tiles) * encoder_.positions()).value();
  }

  void weights(const Sink& out) const override {
    encoder_.weights(out);
    const Tensors projector(out, "projector.", names_.projector);
    const Bytes in = Bytes(encoder_.width()) * features_, inner = Bytes(text_) * names_.wider;
    if (names_.merger) {
      projector.norm("norm", encoder_.width(), false);
      projector.linear("patch_merger.merging_layer", encoder_.width(), Bytes(encoder_.width()) * merge_ * merge_, false);
    }
    if (names_.pre_norm) projector.norm("pre_norm", in, true);
    projector.by_rows("linear_1", inner, in, bias_);
    projector.by_columns("linear_2", text_, inner, bias_);
    if (names_.tiles) Tensors(out, "", names_.newline).tensor("image_newline", {text_});
  }

  Media largest_image() const override { return image_; }

private:
  LlavaNames names_;
  Encoder encoder_;
  std::uint64_t text_, features_;
  bool bias_;
  std::uint64_t merge_;
  Media image_;
};

// Gemma 3: pooled to mm_tokens_per_image rows, a norm, one matrix stored [in, out].
class Gemma3Tower : public Tower {
public:
  Gemma3Tower(const PartKeys& keys, std::uint64_t text)
      : encoder_(Encoder::of(keys, "vision_tower.")), text_(text), rows_(keys.model().positive("/mm_tokens_per_image")) {}

  void weights(const Sink& out) const override {
    encoder_.weights(out);
    const Tensors projector(out, "projector.", "multi_modal_projector.");
    projector.tensor("mm_input_projection_weight", {encoder_.width(), text_});
    projector.norm("mm_soft_emb_norm", encoder_.width(), false);
  }
  // gemma-3-27b: 256 rows from 64 x 64 patches.
  Media largest_image() const override { return {rows_, encoder_.positions(), encoder_.width()}; }

private:
  Encoder encoder_;
  std::uint64_t text_, rows_;
};

} // namespace

std::unique_ptr<Tower> make_llava(const PartKeys& keys, std::uint64_t text) {
  return std::make_unique<LlavaTower>(keys, text, LlavaNames{});
}
std::unique_ptr<Tower> make_llava_next(const PartKeys& keys, std::uint64_t text) {
  return std::make_unique<LlavaTower>(keys, text, LlavaNames{.tiles = true});
}
std::unique_ptr<Tower> make_mistral3(const PartKeys& keys, std::uint64_t text) {
  return std::make_unique<LlavaTower>(keys, text, LlavaNames{.merger = true});
}
// Pixtral as vLLM makes a configuration of Mistral's own: the tower's keys say whether there are a norm and a patch merger.
std::unique_ptr<Tower> make_pixtral(const PartKeys& keys, std::uint64_t text) {
  const Encoder encoder = Encoder::pixtral(keys, "vision_tower.");
  const bool bias = keys.boolean("/adapter_bias", true), norm = keys.boolean("/add_pre_mm_projector_layer_norm", false);
  const std::uint64_t merge = keys.text("/mm_projector_id", "") == "patch_merge" ? keys.positive("/spatial_merge_size") : 0;
  const auto list = [=](const Sink& out) {
    encoder.weights(out);
    const Bytes width = encoder.width();
    const Tensors projector(out, "projector.", "multi_modal_projector.");
    if (norm) projector.norm("norm", width, false);
    if (merge > 0) projector.linear("patch_merger.merging_layer", width, width * merge * merge, false);
    projector.by_rows("linear_1", text, width, bias);
    projector.by_columns("linear_2", text, text, bias);
  };
  const Bytes side = encoder.side() / std::max<std::uint64_t>(1, merge);
  return listed(list, {(side * side).value(), encoder.positions(), encoder.width()});
}
std::unique_ptr<Tower> make_lighton_ocr(const PartKeys& keys, std::uint64_t text) {
  return std::make_unique<LlavaTower>(
      keys, text, LlavaNames{.tower = "model.vision_encoder.", .projector = "model.vision_projection.", .merger = true});
}
// R-4B and Bee: OneVision with a norm in front of the projector.
std::unique_ptr<Tower> make_r(const PartKeys& keys, std::uint64_t text) {
  return std::make_unique<LlavaTower>(keys, text,
                                      LlavaNames{.tower = "model.vision_tower.",
                                                 .projector = "model.multi_modal_projector.",
                                                 .newline = "model.",
                                                 .tiles = true,
                                                 .pre_norm = true});
}
std::unique_ptr<Tower> make_bee(const PartKeys& keys, std::uint64_t text) {
  return std::make_unique<LlavaTower>(keys, text,
                                      LlavaNames{.tower = "model.vision_tower.",
                                                 .projector = "model.multi_modal_projector.",
                                                 .newline = "model.",
                                                 .tiles = true,
                                                 .pre_norm = true,
                                                 .wider = 4});
}
std::unique_ptr<Tower> make_gemma3(const PartKeys& keys, std::uint64_t text) { return std::make_unique<Gemma3Tower>(keys, text); }

} // namespace vlm
