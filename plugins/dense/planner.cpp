// The planner of dense decoders, and of the attention, embedding and head of every model without latent attention:
// families of experts and of images ask for those parts. It declares weights and caches from a configuration; of
// activations it knows nothing, engines reserve those by rules of their own. Many of these models' forward passes it describes. Threads:
// immutable after construction.
#include <string>

#include "model.hpp"
#include "pipeline.hpp"
#include "plimsoll/plugin.hpp"
#include "weights.hpp"

namespace dense {
namespace {

using plimsoll::Aspect;
using plimsoll::Config;
using plimsoll::KvGroup;
using plimsoll::KvKind;
using plimsoll::Role;
using plimsoll::Sink;

KvGroup cache(const char* label, const Cached& what, const std::vector<std::uint32_t>& layers) {
  const Attention& a = what.attention;
  KvGroup group(what.span.kind, label, layers);
  group.heads(a.kv_heads, a.heads, a.k_elements, a.v_elements);
  if (what.span.kind == KvKind::kCross) group.fixed(what.span.tokens);
  else if (what.span.kind != KvKind::kFull) group.window(what.span.tokens);
  return group;
}

class Planner : public plimsoll::PipelinePlanner {
public:
  explicit Planner(const Config& config) : PipelinePlanner(config), model_(config) {}

  void weights(const Sink& out) const override {
    // A model of experts need not say how wide a dense FFN is; whoever asks for one needs the key.
    if (out.asks(Aspect::kFfn) && !model_.ffn_known) config().positive("/intermediate_size");
    declare_embedding(model_, out);
    declare_attention(model_, out);
    declare_ffn(model_, out);
    declare_head(model_, out);
  }

  void kv(const Sink& out) const override {
    if (model_.both_ways) return;
    for (const auto& group : model_.caches) {
      KvGroup made = cache(cache_label(group.what.span.kind), group.what, group.layers);
      if (model_.dialect.cache_bound) made.bound();
      out.kv(made);
    }
    for (std::size_t pass = 0; pass < model_.passes.size(); ++pass)
      for (const auto& group : model_.attentions) {
        const std::string label = "attention.pass." + std::to_string(pass + 2);
        out.kv(cache(label.c_str(), {group.what, model_.passes[pass]}, group.layers));
      }
    for (const Index& index : model_.indexes) {
      KvGroup group(KvKind::kLatent, "attention.index", index.layers);
      out.kv(group.heads(1, 0, index.elements, index.value_elements).dtype("bfloat16"));
    }
    const Layer& draft = model_.draft;
    out.kv(cache("draft.attention", {draft.attention, draft.span}, model_.draft_layers).role(Role::kDraft));
  }

  plimsoll_facts facts() const override {
    plimsoll_facts facts{};
    facts.n_layers = static_cast<std::uint32_t>(model_.layers.size());
    facts.max_length = model_.max_length;
    facts.hidden_elements = model_.hidden;
    facts.vocab_tokens = model_.both_ways ? 0 : model_.vocab;
    facts.query_heads = model_.heads;
    facts.kv_heads = model_.kv_heads;
    facts.draft_layers = model_.draft_layers.size();
    return facts;
  }

  void describe(const plimsoll::PipelinePart& part, const plimsoll::Pipeline& out) const override {
    if (model_.both_ways) plimsoll::no_pipeline("/is_causal", "where tokens attend to later ones");
    dense::describe(config(), model_, part, out);
  }
  void describe_draft(const plimsoll::PipelinePart& part, const plimsoll::Pipeline& out) const override {
    dense::describe_draft(config(), model_, part, out);
  }

private:
  Model model_;
};

} // namespace
} // namespace dense

PLIMSOLL_PLUGIN(dense::Planner)
