// The planner of models whose layers are not all attention: state-space models and hybrids. Counts the recurrent mixers and their
// states itself and asks `dense`, `moe` and `mla` for the rest, in the layers that have it. Immutable after construction; every
// method runs on any thread.
#include "models.hpp"
#include "pipeline.hpp"

namespace hybrid {
namespace {

using plimsoll::Aspect;
using plimsoll::Relay;
using plimsoll::Request;

// What a draft repeats of a delegate's parts.
constexpr Aspects kDraftAspects = kAttention | kFfn;

class Planner : public plimsoll::PipelinePlanner {
public:
  explicit Planner(const Config& config) : PipelinePlanner(config), model_(this->config()) {
    find_names(config.str("/hybrid_names", config.model_type()))(config, model_);
  }

  void weights(const Sink& out) const override {
    for (const Delegate& d : model_.delegates) {
      d.child.weights(Relay(out, d.map).sink(), d.aspects);
      if (d.draft) d.child.weights(Relay(out, *d.draft).sink(), d.aspects & kDraftAspects);
    }
    for (const Weight& weight : model_.weights) out.weight(weight);
  }
  void kv(const Sink& out) const override {
    for (const Delegate& d : model_.delegates) {
      d.child.kv(Relay(out, d.map).sink(), d.aspects);
      if (d.draft) d.child.kv(Relay(out, *d.draft).sink(), d.aspects);
    }
    for (const KvGroup& cache : model_.caches) out.kv(cache);
  }
  // The expert buffers of whoever counts the experts, and the like.
  void activations(const Request& request, const Sink& out) const override {
    for (const Delegate& d : model_.delegates) d.child.activations(request, out, d.aspects);
  }
  // The first delegate counts the ends of the model and knows what every model has.
  plimsoll_facts facts() const override {
    plimsoll_facts out = model_.delegates.front().child.facts();
    for (const Delegate& d : model_.delegates) {
      const plimsoll_facts facts = d.child.facts();
      if (out.experts != 0 || facts.experts == 0) continue;
      out.experts = facts.experts;
      out.experts_per_token = facts.experts_per_token;
    }
    out.draft_layers = model_.draft_layers;
    return out;
  }

  void describe(const plimsoll::PipelinePart& part, const plimsoll::Pipeline& out) const override { hybrid::describe(model_, part, out); }
  void describe_draft(const plimsoll::PipelinePart& part, const plimsoll::Pipeline& out) const override {
    hybrid::describe_draft(model_, part, out);
  }

private:
  Model model_;
};

} // namespace
} // namespace hybrid

PLIMSOLL_PLUGIN(hybrid::Planner)
