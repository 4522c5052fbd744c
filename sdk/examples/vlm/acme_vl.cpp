// Acme's vision model: its tower is counted here; its language model is like Qwen3, whatever the type of that part is called.
#include <plimsoll/plugin_util.hpp>
using namespace plimsoll;

class AcmeVl : public DelegatingPlanner {
public:
  explicit AcmeVl(const Config& c)
      : DelegatingPlanner(c, "/text_config", as("qwen3").renamed("model.", "model.language_model.")),
        width_(c.positive("/vision_config/hidden_size")), heads_(c.positive("/vision_config/num_heads")),
        patch_(c.positive("/vision_config/patch_size")), side_(c.positive("/vision_config/image_size") / patch_),
        frames_(c.positive("/vision_config/max_frames")),
        layers_(layers_from(0, checked_layers(c.u64("/vision_config/depth"), "/vision_config/depth"))) {
    check_divides(patch_, c.u64("/vision_config/image_size"), "/vision_config/patch_size");
    check_divides(heads_, width_, "/vision_config/num_heads");
  }
  void weights(const Sink& out) const override {
    const Bytes wide = Bytes(width_) * 4, text = child().facts().hidden_elements;
    const Site block{"model.visual.blocks.{layer}.", "vision.", &layers_}; // before the decoder, so on the first stage
    const auto linear = [&](const std::string& name, Bytes outputs, Bytes inputs) {
      return block.weight(Aspect::kVision, name, name + ".weight", {outputs, inputs}).stage(Stage::kFirst).linear();
    };
    out.weight(Weight(Aspect::kVision, "vision.patches", "model.visual.patch_embed.weight", {width_, 3, 2, patch_, patch_}), true);
    out.weight(block.weight(Aspect::kVision, "norm", "norm.weight", {width_}).stage(Stage::kFirst), true); // with a bias
    out.weight(linear("qkv", Bytes(width_) * 3, width_).parts(0, {{width_, heads_}, {width_, heads_}, {width_, heads_}}), true);
    out.weight(linear("proj", width_, width_).heads(1, heads_), true);
    out.weight(linear("up", wide, width_).split(0), true);
    out.weight(linear("down", width_, wide).split(1), true);
    out.weight(Weight(Aspect::kVision, "vision.projector", "model.visual.projector.weight", {text, width_}).linear(), true);
    DelegatingPlanner::weights(out);
  }
  void entries(const Sink& out) const override { // rows of the language model's width; two frames of a film make one picture
    const Bytes text = child().facts().hidden_elements, picture = Bytes(side_) * side_, film = picture * frames_ / 2;
    out.entry(Entry(Modality::kImage, picture, text).encoder(picture, width_).most_per_request(8));
    out.entry(Entry(Modality::kVideo, film, text).encoder(film, width_).most_per_request(1));
  }
  std::uint64_t width_, heads_, patch_, side_, frames_;
  std::vector<std::uint32_t> layers_;
};
PLIMSOLL_PLUGIN(AcmeVl)
