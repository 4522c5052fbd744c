// The thinnest planner: a Qwen3 with one matrix more.
#include <plimsoll/plugin_util.hpp>

class Thin : public plimsoll::DelegatingPlanner {
public:
  explicit Thin(const plimsoll::Config& config)
      : DelegatingPlanner(config, "", plimsoll::as("qwen3")), width_(config.positive("/hidden_size")) {}
  void weights(const plimsoll::Sink& out) const override {
    out.weight(plimsoll::Weight(plimsoll::Aspect::kHead, "head.thin", "thin.weight", {width_, width_}).linear());
    DelegatingPlanner::weights(out);
  }

private:
  std::uint64_t width_;
};

PLIMSOLL_PLUGIN(Thin)
