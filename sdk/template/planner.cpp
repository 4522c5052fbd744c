// Copyme: a decoder like Qwen3's with an adapter of low rank beside every feed-forward block. Replace it by your own model.
#include <plimsoll/plugin_util.hpp>

using namespace plimsoll;

class Copyme : public DelegatingPlanner {
public:
  explicit Copyme(const Config& config)
      : DelegatingPlanner(config, "", as("qwen3")), hidden_(config.positive("/hidden_size")), rank_(config.positive("/adapter_rank")),
        layers_(layers_from(0, layer_count(config))) {}

  void weights(const Sink& out) const override {
    const Site adapter{"model.layers.{layer}.mlp.adapter.", "adapter.", &layers_};
    out.weight(adapter.weight(Aspect::kFfn, "down", "down.weight", {rank_, hidden_}).linear());
    out.weight(adapter.weight(Aspect::kFfn, "up", "up.weight", {hidden_, rank_}).linear());
    DelegatingPlanner::weights(out); // the rest is Qwen3's
  }

private:
  std::uint64_t hidden_, rank_;
  std::vector<std::uint32_t> layers_;
};

PLIMSOLL_PLUGIN(Copyme)
