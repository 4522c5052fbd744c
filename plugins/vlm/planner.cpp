// The planner of vision-language models. Counts tower and projector itself; the language model is another family's, found by
// the host. Immutable after construction; every method runs on any thread.
#include "packaging.hpp"
#include "peak.hpp"

namespace vlm {
namespace {

using plimsoll::Ask;
using plimsoll::Aspect;
using plimsoll::Bytes;
using plimsoll::Config;
using plimsoll::Entry;
using plimsoll::Error;
using plimsoll::Modality;
using plimsoll::Request;
using plimsoll::Sink;

Ask ask_for(const Config& config, const Packaging& row) {
  // DeepSeek-VL2's smallest has the language model's class but not its latent attention.
  const bool plain_attention = !config.boolean(std::string(row.text) + "/use_mla", true);
  return plimsoll::renamed(row.own_names, row.stored_names).of_family(plain_attention ? "moe" : row.text_family).as(row.dialect);
}

// What the encoder is sized for: an image where the model takes any.
Media busiest(const Tower& tower) {
  const Media image = tower.largest_image();
  return image.rows > 0 ? image : tower.longest_sound();
}

// Its language model's forward pass is the model's; images take part where the tower is described and the configuration names the token
// that stands for them.
class Planner : public plimsoll::DelegatingPipelinePlanner {
public:
  explicit Planner(const Config& config) : Planner(config, packaging_of(config)) {}

  void weights(const Sink& out) const override {
    if (out.asks(Aspect::kVision)) tower_->weights(out);
    DelegatingPlanner::weights(out);
  }
  void kv(const Sink& out) const override {
    DelegatingPlanner::kv(out);
    tower_->kv(out);
  }
  void entries(const Sink& out) const override {
    entry(out, Modality::kImage, tower_->largest_image());
    entry(out, Modality::kAudio, tower_->longest_sound());
    DelegatingPlanner::entries(out);
  }
  void describe(const plimsoll::PipelinePart& part, const plimsoll::Pipeline& out) const override {
    if (part.is_vision()) return tower_->describe(part.out, out);
    child().describe(part, out);
    const auto token = config().find_u64("/image_token_id");
    if (!part.is_embedding() || !tower_->describes() || !token) return;
    if (*token >= child().facts().vocab_tokens)
      throw Error(PLIMSOLL_E_CONFIG, "/image_token_id", "is " + std::to_string(*token) + ", which is no token of the vocabulary");
    out.set(part.out, plimsoll::op::ImageRows(part.out, *token));
  }
  void activations(const Request& request, const Sink& out) const override {
    if (request.asks(Aspect::kVision)) peak_.price(request, out);
    DelegatingPlanner::activations(request, out);
  }

private:
  Planner(const Config& config, const Packaging& row)
      : DelegatingPipelinePlanner(config, row.text, ask_for(config, row)), width_(text_width(child().facts(), row)),
        tower_(row.make_tower(PartKeys(config), width_)), peak_(row.model_type, busiest(*tower_)) {}

  void entry(const Sink& out, Modality modality, const Media& media) const {
    if (media.rows > 0)
      out.entry(Entry(modality, media.rows, (Bytes(width_) * media.copies).value()).encoder(media.tower_tokens, media.tower_elements));
  }
  static std::uint64_t text_width(const plimsoll_facts& facts, const Packaging& row) {
    if (facts.hidden_elements == 0)
      throw Error(PLIMSOLL_E_CONFIG, std::string(row.text) + "/hidden_size",
                  "the language model's width is unknown; a positive number is needed");
    return facts.hidden_elements;
  }

  std::uint64_t width_; // of the language model
  std::unique_ptr<Tower> tower_;
  Peak peak_;
};

} // namespace
} // namespace vlm

PLIMSOLL_PLUGIN(vlm::Planner)
