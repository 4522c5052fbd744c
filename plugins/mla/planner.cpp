// The planner of multi-head latent attention: DeepSeek-V2 to V4, Kimi-K2, Moonlight, GLM-5, LongCat-Flash, MiniCPM3. Counts
// embedding, attention and head itself; asks `moe` for the FFN where the configuration has experts, else `dense`. Immutable
// after construction; every method runs on any thread.
#include "model.hpp"
#include "plimsoll/plugin_util.hpp"

namespace mla {
namespace {

using plimsoll::Aspect;
using plimsoll::Child;
using plimsoll::Config;
using plimsoll::Request;
using plimsoll::Sink;

class Planner : public plimsoll::PipelinePlanner {
public:
  explicit Planner(const Config& config)
      : PipelinePlanner(config), model_(config.has("/compress_ratios") ? make_compressed(config) : make_latent(config)),
        ffn_(config, "", plimsoll::of_family(plimsoll::find_experts(config).value_or(0) > 0 ? "moe" : "dense")) {}

  void weights(const Sink& out) const override {
    model_->weights(out);
    ffn_.weights(out, Aspect::kFfn);
  }
  void kv(const Sink& out) const override { model_->kv(out); }
  plimsoll_facts facts() const override {
    const plimsoll_facts ffn = ffn_.facts();
    plimsoll_facts out = model_->facts();
    out.experts = ffn.experts;
    out.experts_per_token = ffn.experts_per_token;
    return out;
  }
  void activations(const Request& request, const Sink& out) const override {
    if (request.asks(Aspect::kAttention)) model_->activations(request, out);
    ffn_.activations(request, out, Aspect::kFfn);
  }
  void describe(const plimsoll::PipelinePart& part, const plimsoll::Pipeline& out) const override {
    if (part.is_ffn()) ffn_.describe(part, out);
    else model_->describe(part, out);
  }
  void describe_draft(const plimsoll::PipelinePart& part, const plimsoll::Pipeline& out) const override {
    if (part.is_ffn()) ffn_.describe_draft(part, out);
    else model_->describe_draft(part, out);
  }

private:
  std::unique_ptr<Model> model_;
  Child ffn_;
};

} // namespace
} // namespace mla

PLIMSOLL_PLUGIN(mla::Planner)
