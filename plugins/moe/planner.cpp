// The planner of mixture-of-experts models; other families ask it for the FFN alone. Counts the FFN itself and asks `dense` for
// embedding, attention and head. Immutable after construction; every method runs on any thread.
#include <optional>

#include "dispatch.hpp"
#include "ffn.hpp"
#include "pipeline.hpp"

namespace moe {
namespace {

using plimsoll::Aspect;
using plimsoll::Aspects;
using plimsoll::Child;
using plimsoll::Config;
using plimsoll::Error;
using plimsoll::Request;
using plimsoll::Sink;

constexpr Aspects kRest = Aspect::kEmbed | Aspect::kAttention | Aspect::kHead;

// The experts of a model, where it has some: Gemma 4 and others come with and without.
struct Experts {
  explicit Experts(const Config& config) : shape(read_shape(config)), dispatch(config, shape) {}
  Shape shape;
  Dispatch dispatch;
};

class Planner : public plimsoll::PipelinePlanner {
public:
  explicit Planner(const Config& config) : PipelinePlanner(config) {
    if (config.find_len("/moe_num_experts") || plimsoll::find_experts(config) != 0U) experts_.emplace(config);
    if (config.has("/kv_lora_rank") || config.has("/compress_ratios")) return; // latent attention asked for its FFN
    // Another family's attention may be nothing `dense` knows; that only matters once it is asked for.
    try {
      rest_ = Child(config, "", plimsoll::of_family("dense"));
    } catch (const Error& e) {
      rest_error_ = e;
    }
  }

  void weights(const Sink& out) const override {
    if (experts_) declare_ffn(experts_->shape, out);
    if (out.asks(aspects_of_rest())) rest().weights(out, aspects_of_rest());
  }
  void kv(const Sink& out) const override {
    if (out.asks(kRest)) rest().kv(out, kRest);
  }
  plimsoll_facts facts() const override {
    plimsoll_facts out = rest_ ? rest_.facts() : plimsoll_facts{};
    if (!experts_) return out;
    const Shape& shape = experts_->shape;
    out.experts = shape.experts;
    out.experts_per_token = shape.experts_per_token;
    if (out.hidden_elements == 0) out.hidden_elements = shape.hidden;
    if (out.draft_layers == 0) out.draft_layers = shape.draft_layers.size() + shape.draft_modules.size();
    return out;
  }
  void activations(const Request& request, const Sink& out) const override {
    if (experts_ && request.asks(Aspect::kFfn)) experts_->dispatch.price(request, out);
    if (request.asks(aspects_of_rest())) rest().activations(request, out, aspects_of_rest());
  }
  void describe(const plimsoll::PipelinePart& part, const plimsoll::Pipeline& out) const override {
    if (experts_ && part.is_ffn()) describe_ffn(config(), experts_->shape, part, out);
    else rest().describe(part, out);
  }
  void describe_draft(const plimsoll::PipelinePart& part, const plimsoll::Pipeline& out) const override {
    if (experts_ && part.is_ffn()) describe_draft_ffn(config(), experts_->shape, part, out);
    else rest().describe_draft(part, out);
  }

private:
  const Child& rest() const {
    if (rest_) return rest_;
    if (rest_error_) throw *rest_error_;
    throw Error(PLIMSOLL_E_UNSUPPORTED, "/kv_lora_rank", "latent attention is counted by the mla family, not by this one");
  }

  // Without experts the FFN is a dense one in every layer.
  Aspects aspects_of_rest() const { return experts_ ? kRest : kRest | Aspect::kFfn; }

  std::optional<Experts> experts_;
  Child rest_;
  std::optional<Error> rest_error_;
};

} // namespace
} // namespace moe

PLIMSOLL_PLUGIN(moe::Planner)
