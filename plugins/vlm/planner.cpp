// The planner of vision-language models. Counts tower and projector itself; the language model is another family's, found by
// the host. Immutable after construction; every method runs on any thread.
#include "packaging.hpp"
#include "peak.hpp"

namespace vlm {
namespace {

using plimsoll::Child;
using plimsoll::Config;
using plimsoll::Error;
using plimsoll::Request;
using plimsoll::Sink;

Child make_text(const Config& config, const Packaging& row) {
  // DeepSeek-VL2's smallest has the language model's class but not its latent attention.
  const bool plain_attention = !config.boolean(std::string(row.text) + "/use_mla", true);
  const char* family = plain_attention ? "moe" : row.text_family;
  if (row.own_names.empty() && row.stored_names.empty()) return Child(config, row.text, {}, family);
  return Child(config, row.text, {{row.own_names, row.stored_names}}, family);
}

class Planner : public plimsoll::MemoryPlanner {
public:
  explicit Planner(const Config& config)
      : MemoryPlanner(config), row_(packaging_of(config)), text_(make_text(config, row_)), facts_(text_.facts()),
        tower_(row_.make_tower(VisionKeys(config), text_width(facts_, row_))), peak_(row_.model_type, tower_->largest_image()) {}

  void weights(const Sink& out) const override {
    if (out.asks(PLIMSOLL_ASPECT_VISION)) tower_->weights(out);
    text_.weights(out);
  }
  void kv(const Sink& out) const override { text_.kv(out); }
  plimsoll_facts facts() const override { return facts_; }
  plimsoll_vision_entry vision_entry() const override {
    const Image image = tower_->largest_image();
    plimsoll_vision_entry entry{};
    entry.rows = image.rows;
    entry.row_elements = facts_.hidden_elements;
    entry.tower_tokens = image.tower_tokens;
    entry.tower_elements = image.tower_elements;
    return entry;
  }
  void activations(const Request& request, const Sink& out) const override {
    if (request.asks(PLIMSOLL_ASPECT_VISION)) peak_.price(request, out);
    text_.activations(request, out);
  }
  std::uint64_t max_batch(const Request& request) const override { return text_.max_batch(request); }

private:
  static std::uint64_t text_width(const plimsoll_facts& facts, const Packaging& row) {
    if (facts.hidden_elements == 0)
      throw Error(PLIMSOLL_E_CONFIG, std::string(row.text) + "/hidden_size",
                  "the language model's width is unknown; a positive number is needed");
    return facts.hidden_elements;
  }

  const Packaging& row_;
  Child text_;
  plimsoll_facts facts_;
  std::unique_ptr<Tower> tower_;
  Peak peak_;
};

} // namespace
} // namespace vlm

PLIMSOLL_PLUGIN(vlm::Planner, "vlm", "1.0.0", PLIMSOLL_ASPECT_VISION, PLIMSOLL_SIGNAL_MULTI_RANK)
