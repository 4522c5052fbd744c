// The planner of models whose layers are not all attention: state-space models and hybrids. Called by the host for their
// architectures, and by vlm for the text of Qwen3.5. Counts all of them itself. Immutable after construction; every method runs
// on any thread.
#include "models.hpp"

namespace hybrid {
namespace {

Model read(const Config& config) {
  Model model;
  model.state_dtype = config.str("/mamba_ssm_dtype", model.state_dtype);
  find_layout(config.str("/hybrid_layout", config.model_type()))(config, model);
  return model;
}

class Planner : public plimsoll::MemoryPlanner {
public:
  explicit Planner(const Config& config) : MemoryPlanner(config), model_(read(config)) {}

  void weights(const Sink& out) const override {
    for (const auto& declare : model_.weights) declare(out);
  }
  void kv(const Sink& out) const override {
    for (const auto& declare : model_.caches) declare(out);
  }
  plimsoll_facts facts() const override { return model_.facts; }

private:
  Model model_;
};

} // namespace
} // namespace hybrid

PLIMSOLL_PLUGIN(hybrid::Planner, "hybrid", "1.0.0",
                PLIMSOLL_ASPECT_EMBED | PLIMSOLL_ASPECT_ATTENTION | PLIMSOLL_ASPECT_FFN | PLIMSOLL_ASPECT_STATE | PLIMSOLL_ASPECT_HEAD,
                PLIMSOLL_SIGNAL_MULTI_RANK)
