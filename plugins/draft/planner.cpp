// The planner of drafts for speculative decoding that are a model of their own: EAGLE, Medusa, DFlash and DSpark, multi-token-prediction
// layers. Declares what such a checkpoint holds and what of it is the target's; of activations it knows nothing. Threads: immutable after
// construction.
#include <memory>

#include "assistant.hpp"
#include "nextn.hpp"
#include "plimsoll/plugin.hpp"
#include "weights.hpp"

namespace draft {
namespace {

using plimsoll::Aspect;
using plimsoll::Child;
using plimsoll::Config;
using plimsoll::KvGroup;
using plimsoll::KvKind;
using plimsoll::Sink;

std::string_view class_of(const Config& config) { return config.str("/architectures/0", "MedusaModel"); }

class Planner : public plimsoll::MemoryPlanner {
public:
  explicit Planner(const Config& config) : MemoryPlanner(config) {
    const std::string_view name = class_of(config);
    if (const auto target = target_of(name)) {
      next_ = std::make_unique<NextLayers>(config, *target);
      return;
    }
    if (is_assistant(name)) {
      assistant_ = std::make_unique<Assistant>(config);
      return;
    }
    const auto kind = kind_of(name);
    if (!kind) throw plimsoll::Error(PLIMSOLL_E_UNSUPPORTED, "/architectures/0", "is no draft that is known here");
    const FamilyKind* family = family_kind_of(name);
    draft_ = std::make_unique<Draft>(config, *kind, family);
    if (family != nullptr) layers_ = Child(config, "", plimsoll::as(family->layers_as).renamed("model.layers.{layer}.", draft_->layer));
  }

  void weights(const Sink& out) const override {
    if (next_) return next_->weights(out);
    if (assistant_) return assistant_->weights(out);
    if (layers_) layers_.weights(out, kLayers);
    declare_embedding(*draft_, out);
    declare_attention(*draft_, out);
    declare_ffn(*draft_, out);
    declare_head(*draft_, out);
  }

  void kv(const Sink& out) const override {
    if (next_) return next_->kv(out);
    if (assistant_) return; // looks into the target's
    if (layers_) return layers_.kv(out);
    const Draft& d = *draft_;
    if (d.kind == Kind::kMedusa) return; // caches nothing
    const auto group = [&](KvKind kind, const char* label, const std::vector<std::uint32_t>& layers) {
      KvGroup out_group(kind, label, layers);
      out_group.heads(d.kv_heads, d.heads, d.head_elements, d.head_elements);
      if (kind == KvKind::kWindow) out_group.window(d.window_tokens);
      out.kv(out_group);
    };
    if (!d.full.empty()) group(KvKind::kFull, "draft.attention", d.full);
    if (!d.windowed.empty()) group(KvKind::kWindow, "draft.window", d.windowed);
  }

  plimsoll_facts facts() const override {
    if (next_) return next_->facts();
    if (assistant_) return assistant_->facts();
    plimsoll_facts facts = layers_ ? layers_.facts() : plimsoll_facts{};
    const Draft& d = *draft_;
    facts.n_layers = static_cast<std::uint32_t>(d.layers.empty() ? d.blocks : d.layers.size());
    facts.max_length = d.max_length;
    facts.hidden_elements = d.hidden;
    facts.vocab_tokens = d.vocab;
    facts.query_heads = d.heads == 0 ? facts.query_heads : d.heads;
    facts.kv_heads = d.kv_heads == 0 ? facts.kv_heads : d.kv_heads;
    facts.draft_layers = 0;
    return facts;
  }

private:
  static constexpr plimsoll::Aspects kLayers = Aspect::kAttention | Aspect::kFfn;

  std::unique_ptr<Draft> draft_;
  std::unique_ptr<NextLayers> next_;
  std::unique_ptr<Assistant> assistant_;
  Child layers_;
};

} // namespace
} // namespace draft

PLIMSOLL_PLUGIN(draft::Planner)
