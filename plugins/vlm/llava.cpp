// The LLaVA packaging: an encoder of any of three kinds and a projector of two matrices. LLaVA 1.5, NeXT and OneVision, Pixtral
// as the community converted it, Mistral-Small-3.1 and Devstral-Small-2 (mistral3: a norm and a patch merger more).
#include <algorithm>
#include <cmath>

#include "encoders.hpp"
#include "tensors.hpp"

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

// "anyres_max_9": at most 9 tiles' worth of features; 0: no limit.
std::uint64_t feature_limit(std::string_view ratio) {
  const std::size_t at = ratio.rfind('_');
  std::uint64_t limit = 0;
  if (ratio.substr(0, 11) != "anyres_max_") return 0;
  for (const char c : ratio.substr(at + 1)) {
    if (c < '0' || c > '9' || limit > 1000) return 0;
    limit = limit * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return limit;
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
    if (names.tiles) tile(model);
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
  // Tiles by the grid of the best fitting resolution, one row more at the end of each line, and the whole image as a tile.
  // NeXT, 672 x 672 over 336: 48 x 48 + 48 + 576 = 2,928 rows from 5 x 577 positions. OneVision keeps the features of 9 tiles:
  // a larger grid is shrunk where it exceeds that by more than 10 % a side.
  void tile(const Config& model) {
    const std::uint64_t n = model.find_len("/image_grid_pinpoints").value_or(0);
    if (n > 4096) throw Error(PLIMSOLL_E_CONFIG, "/image_grid_pinpoints", "has more than 4096 entries");
    const std::uint64_t limit = feature_limit(model.str("/vision_aspect_ratio", ""));
    const std::uint64_t side = encoder_.side(), base = side * side, pixels = side * encoder_.patch();
    for (std::uint64_t i = 0; i < n; ++i) {
      const std::string at = "/image_grid_pinpoints/" + std::to_string(i);
      const std::uint64_t down = std::max<std::uint64_t>(1, model.positive(at + "/0") / pixels);
      const std::uint64_t across = std::max<std::uint64_t>(1, model.positive(at + "/1") / pixels);
      if (down > 256 || across > 256) throw Error(PLIMSOLL_E_CONFIG, at, "is more than 256 tiles a side; check the sizes in pixels");
      std::uint64_t height = down * side, width = across * side;
      if (limit > 0) {
        const double ratio = std::sqrt(static_cast<double>(height * width) / static_cast<double>(limit * base));
        if (ratio > 1.1) {
          height = static_cast<std::uint64_t>(static_cast<double>(height) / ratio);
          width = static_cast<std::uint64_t>(static_cast<double>(width) / ratio);
        }
      }
      image_.rows = std::max(image_.rows, height * width + height + base);
      image_.tower_tokens = std::max(image_.tower_tokens, (down * across + 1) * encoder_.positions());
    }
  }

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
