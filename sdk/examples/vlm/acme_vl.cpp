// A vendor's vision model: its tower is counted here, its language model by whoever plans text_config.
#include "plimsoll/plugin.hpp"
using namespace plimsoll;

class AcmeVl : public MemoryPlanner {
public:
  explicit AcmeVl(const Config& c)
      : MemoryPlanner(c), text_(c, "/text_config", {{"model.", "model.language_model."}}), width_(c.positive("/vision_config/hidden_size")),
        patches_(c.positive("/vision_config/image_size") / c.positive("/vision_config/patch_size")) {
    const std::uint64_t layers = c.positive("/vision_config/num_hidden_layers");
    if (layers > 1024) throw Error(PLIMSOLL_E_CONFIG, "/vision_config/num_hidden_layers", "more than 1024 layers; check the number");
    for (std::uint32_t i = 0; i < layers; ++i) layers_.push_back(i);
  }
  void weights(const Sink& out) const override {
    const auto block = [&](const char* name, Bytes rows, Bytes columns) {
      Weight w(PLIMSOLL_ASPECT_VISION, std::string("vision.") + name, std::string("model.visual.{layer}.") + name + ".weight",
               {rows, columns});
      out.weight(w.layers(layers_).stage(PLIMSOLL_STAGE_FIRST).linear(), true); // with a bias
    };
    block("qkv", Bytes(width_) * 3, width_);
    block("proj", width_, width_);
    block("up", Bytes(width_) * 4, width_);
    block("down", width_, Bytes(width_) * 4);
    text_.weights(out);
  }
  void kv(const Sink& out) const override { text_.kv(out); }
  plimsoll_facts facts() const override { return text_.facts(); }
  plimsoll_vision_entry vision_entry() const override { // what one cached image takes: rows x row_elements
    plimsoll_vision_entry entry{};
    entry.rows = tokens();
    entry.tower_tokens = tokens();
    entry.row_elements = text_.facts().hidden_elements;
    entry.tower_elements = width_;
    return entry;
  }
  void activations(const Request& r, const Sink& out) const override {
    if (r.asks(PLIMSOLL_ASPECT_VISION)) // ten copies of the residual stream while the tower runs
      out.transient("vision.encoder", r.compute_bytes(Bytes(10) * tokens() * width_), Basis::kBound,
                    r.formula("10 x ", tokens(), " x ", width_));
    text_.activations(r, out);
  }
  std::uint64_t tokens() const { return (Bytes(patches_) * patches_).value(); }
  Child text_;
  std::uint64_t width_, patches_;
  std::vector<std::uint32_t> layers_;
};
PLIMSOLL_PLUGIN(AcmeVl, "com.acme.vlm", "1.0.0", PLIMSOLL_ASPECT_VISION, PLIMSOLL_SIGNAL_MULTI_RANK)
