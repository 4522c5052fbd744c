// The planner of GGUF files: weights are the tensors that the file stores, caches and states what llama.cpp's loader makes of its
// metadata. Of activations it knows nothing, engines reserve those by rules of their own, but for experts that are spread over ranks, which
// it refuses; nobody's forward pass is described. Immutable after construction; every method runs on any thread.
#include "model.hpp"
#include "plimsoll/plugin.hpp"
#include "weights.hpp"

namespace gguf {
namespace {

using plimsoll::Error;
using plimsoll::KvGroup;
using plimsoll::KvKind;
using plimsoll::Request;
using plimsoll::Role;
using plimsoll::Sink;

const char* label_of(KvKind kind) {
  switch (kind) {
  case KvKind::kWindow: return "attention.window";
  case KvKind::kChunk: return "attention.chunk";
  case KvKind::kLatent: return "attention.latent";
  default: return "attention";
  }
}

class Planner : public plimsoll::MemoryPlanner {
public:
  explicit Planner(const Config& config) : MemoryPlanner(config), model_(config), stored_(read_stored(config, model_)) {}

  void weights(const Sink& out) const override { declare(stored_, model_, out); }

  void kv(const Sink& out) const override {
    for (std::uint64_t pass = 0; pass < model_.passes; ++pass)
      for (const CacheGroup& group : model_.caches) {
        const std::string label = label_of(group.what.kind);
        out.kv(cache(pass == 0 ? label : label + ".pass" + std::to_string(pass + 1), group));
      }
    for (const CacheGroup& group : model_.draft_caches)
      out.kv(cache(std::string("draft.") + label_of(group.what.kind), group).role(Role::kDraft));
    if (!model_.index.layers.empty()) {
      KvGroup index(KvKind::kLatent, "attention.index", model_.index.layers);
      index.heads(1, 0, model_.index.elements, 0);
      if (!model_.index.type.empty()) index.dtype(model_.index.type);
      out.kv(index);
    }
    for (const Compressed& c : model_.compressed) compressed(c, out);
    if (model_.state_layers.empty()) return;
    KvGroup state(KvKind::kState, "state", model_.state_layers);
    if (model_.state.rows_elements != 0) state.state("rows", model_.state.rows_elements, 0);
    if (model_.state.recurrent_elements != 0) state.state("recurrence", model_.state.recurrent_elements, 0, "state");
    out.kv(state);
  }

  // Engines that spread experts take none from GGUF files: nothing says what buffers that would take.
  void activations(const Request& request, const Sink&) const override {
    if (request->ep > 1 && model_.experts > 0)
      throw Error(PLIMSOLL_E_UNSUPPORTED, "",
                  "buffers of expert parallelism are not known for experts of a GGUF file; plan the model's own config.json, or --ep 1");
  }

  plimsoll_facts facts() const override {
    plimsoll_facts facts{};
    facts.n_layers = model_.n_layers;
    facts.max_length = model_.max_length;
    facts.hidden_elements = model_.hidden;
    facts.vocab_tokens = model_.vocab;
    facts.query_heads = model_.most_heads();
    facts.kv_heads = model_.most_kv_heads();
    facts.experts = model_.experts;
    facts.experts_per_token = model_.experts_per_token;
    for (const CacheGroup& group : model_.draft_caches) facts.draft_layers += group.layers.size();
    return facts;
  }

private:
  static void compressed(const Compressed& c, const Sink& out) {
    const std::string number = std::to_string(c.ratio);
    const auto per_row = static_cast<std::uint32_t>(c.ratio);
    KvGroup rows(KvKind::kLatent, "compressed." + number, c.layers);
    out.kv(rows.heads(c.kv_heads, c.query_heads, c.k_elements, 0).compressed(per_row));
    KvGroup waiting(KvKind::kState, "compressor." + number, c.layers);
    waiting.state("tokens", c.waiting_elements, 0, "float32");
    if (c.index_elements != 0) {
      KvGroup index(KvKind::kLatent, "indexer." + number, c.layers);
      out.kv(index.heads(1, c.query_heads, c.index_elements, 0).compressed(per_row));
      waiting.state("indexer", c.index_waiting_elements, 0, "float32");
    }
    out.kv(waiting);
  }
  KvGroup cache(std::string label, const CacheGroup& group) const {
    const Cache& what = group.what;
    KvGroup out(what.kind, std::move(label), group.layers);
    out.heads(what.kv_heads, what.query_heads, what.k_elements, what.v_elements);
    if (what.kind == KvKind::kLatent) out.latent(model_.latent.rope_elements, model_.latent.k_elements, model_.latent.v_elements);
    else if (what.window_tokens != 0) out.window(what.window_tokens);
    if (model_.bound) out.bound();
    return out;
  }

  Model model_;
  std::vector<Stored> stored_;
};

} // namespace
} // namespace gguf

PLIMSOLL_PLUGIN(gguf::Planner)
