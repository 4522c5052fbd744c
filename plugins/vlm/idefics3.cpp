// Idefics3 and SmolVLM: a SigLIP relative and one matrix over scale x scale shuffled pixels. MiniCPM-V: another one and a
// resampler that turns each slice into query_num rows.
#include "encoders.hpp"
#include "listed.hpp"
#include "tensors.hpp"
#include "whisper.hpp"

namespace vlm {
namespace {

using plimsoll::Bytes;
using plimsoll::Sink;

class Idefics3Tower : public Tower {
public:
  Idefics3Tower(const PartKeys& keys, std::uint64_t text)
      : encoder_(Encoder::siglip(keys, "model.vision_model.")), text_(text), scale_(keys.model().positive("/scale_factor")),
        tiles_(keys.positive("/max_image_tiles")) {
    if (scale_ > encoder_.side())
      throw plimsoll::Error(PLIMSOLL_E_CONFIG, "/scale_factor",
                            "is " + std::to_string(scale_) + ", more than the " + std::to_string(encoder_.side()) + " patches of a side");
  }

  void weights(const Sink& out) const override {
    encoder_.weights(out);
    Tensors(out, "connector.", "model.connector.")
        .linear("modality_projection.proj", text_, Bytes(encoder_.width()) * scale_ * scale_, false);
  }
  // SmolVLM: (27 / 3)^2 = 81 rows a tile, 4 x 4 tiles and the whole image: 1,377.
  Media largest_image() const override {
    const std::uint64_t side = encoder_.side() / scale_;
    return {(Bytes(tiles_) * side * side).value(), (Bytes(tiles_) * encoder_.positions()).value(), encoder_.width()};
  }

private:
  Encoder encoder_;
  std::uint64_t text_, scale_, tiles_;
};

class MiniCpmVTower : public Tower {
public:
  MiniCpmVTower(const PartKeys& keys, std::uint64_t text)
      : encoder_(Encoder::siglip(keys, "vpm.", keys.model().boolean("/drop_vision_last_layer", false))), text_(text),
        queries_(keys.model().positive("/query_num")), slices_(keys.model().positive("/slice_config/max_slice_nums")) {
    const std::uint64_t side = keys.model().positive("/slice_config/scale_resolution") / encoder_.patch();
    slice_tokens_ = (Bytes(side) * side).value();
  }

  void weights(const Sink& out) const override {
    encoder_.weights(out);
    const Tensors resampler(out, "resampler.", "resampler.");
    resampler.tensor("query", {queries_, text_});
    resampler.linear("kv_proj", text_, encoder_.width(), false);
    resampler.tensor("attn.in_proj_weight", {Bytes(text_) * 3, text_});
    resampler.tensor("attn.in_proj_bias", {Bytes(text_) * 3});
    resampler.linear("attn.out_proj", text_, text_);
    for (const char* norm : {"ln_q", "ln_kv", "ln_post"}) resampler.norm(norm, text_, true);
    resampler.tensor("proj", {text_, text_});
  }
  // MiniCPM-V-4: 9 slices and the whole image, 64 rows from (448 / 14)^2 patches each: 640 rows.
  Media largest_image() const override {
    const Bytes inputs = Bytes(slices_) + 1;
    return {(inputs * queries_).value(), (inputs * slice_tokens_).value(), encoder_.width()};
  }

private:
  Encoder encoder_;
  std::uint64_t text_, queries_, slices_, slice_tokens_ = 0;
};

} // namespace

std::unique_ptr<Tower> make_idefics3(const PartKeys& keys, std::uint64_t text) { return std::make_unique<Idefics3Tower>(keys, text); }
std::unique_ptr<Tower> make_minicpm_v(const PartKeys& keys, std::uint64_t text) { return std::make_unique<MiniCpmVTower>(keys, text); }

// MiniCPM-o: Whisper's encoder beside it, two matrices, five neighbours averaged. 30 slices of a second, 10 rows each: 300. What speaks is
// not loaded.
std::unique_ptr<Tower> make_minicpm_o(const PartKeys& keys, std::uint64_t text) {
  const std::shared_ptr<const Tower> image = make_minicpm_v(keys, text);
  const PartKeys audio(keys.model(), "/audio_config");
  const WhisperEncoder encoder(audio, "apm.");
  const auto list = [=](const Sink& out) {
    image->weights(out);
    encoder.weights(out);
    const Tensors projector(out, "audio.projector.", "audio_projection_layer.");
    projector.linear("linear1", text, encoder.width());
    projector.linear("linear2", text, text);
  };
  return listed(list, image->largest_image(), {300, encoder.positions(), encoder.width()});
}

} // namespace vlm
