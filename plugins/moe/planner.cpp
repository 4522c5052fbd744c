// The planner of mixture-of-experts models. Called by the host for their architectures, and by other families (mla, vlm)
// for the FFN alone. Counts the FFN itself and asks `dense` for embedding, attention and head. Immutable after
// construction; every method runs on any thread.
#include <optional>

#include "dispatch.hpp"
#include "ffn.hpp"

namespace moe {
namespace {

using plimsoll::Child;
using plimsoll::Config;
using plimsoll::Error;
using plimsoll::Request;
using plimsoll::Sink;

constexpr std::uint32_t kRest = PLIMSOLL_ASPECT_EMBED | PLIMSOLL_ASPECT_ATTENTION | PLIMSOLL_ASPECT_HEAD;

class Planner : public plimsoll::MemoryPlanner {
public:
  explicit Planner(const Config& config) : MemoryPlanner(config), shape_(read_shape(config)), dispatch_(config, shape_) {
    if (config.has("/kv_lora_rank")) return; // latent attention asked for its FFN
    // Another family's attention may be nothing `dense` knows; that only matters once it is asked for.
    try {
      rest_ = Child(config, "", {}, "dense");
    } catch (const Error& e) {
      rest_error_ = e;
    }
  }

  void weights(const Sink& out) const override {
    declare_ffn(shape_, out);
    if ((out.aspects() & kRest) != 0) rest().weights(out, kRest);
  }
  void kv(const Sink& out) const override {
    if ((out.aspects() & kRest) != 0) rest().kv(out, kRest);
  }
  plimsoll_facts facts() const override {
    plimsoll_facts out = rest_ ? rest_.facts() : plimsoll_facts{};
    out.experts = shape_.experts;
    out.experts_per_token = shape_.experts_per_token;
    if (out.hidden_elements == 0) out.hidden_elements = shape_.hidden;
    if (out.draft_layers == 0) out.draft_layers = shape_.draft_layers.size() + shape_.draft_modules.size();
    return out;
  }
  void activations(const Request& request, const Sink& out) const override {
    if (request.asks(PLIMSOLL_ASPECT_FFN)) dispatch_.price(request, out);
    if ((request->aspects & kRest) != 0) rest().activations(request, out, kRest);
  }

private:
  const Child& rest() const {
    if (rest_) return rest_;
    if (rest_error_) throw *rest_error_;
    throw Error(PLIMSOLL_E_UNSUPPORTED, "/kv_lora_rank", "latent attention is counted by the mla family, not by this one");
  }

  Shape shape_;
  Dispatch dispatch_;
  Child rest_;
  std::optional<Error> rest_error_;
};

} // namespace
} // namespace moe

PLIMSOLL_PLUGIN(moe::Planner, "moe", "1.0.0",
                PLIMSOLL_ASPECT_EMBED | PLIMSOLL_ASPECT_ATTENTION | PLIMSOLL_ASPECT_FFN | PLIMSOLL_ASPECT_HEAD, PLIMSOLL_SIGNAL_MULTI_RANK)
