// The planners of encoders: models that read a text in one pass and generate nothing, so that no key and no value is kept, pairs of them,
// and encoders with a decoder behind them. Declare weights and caches, and bound what a pass takes. Threads: immutable after construction.
#include <algorithm>
#include <tuple>

#include "model.hpp"
#include "pair.hpp"
#include "pipeline.hpp"
#include "plimsoll/plugin.hpp"
#include "seq2seq.hpp"
#include "weights.hpp"

namespace encoder {
namespace {

using plimsoll::Aspect;
using plimsoll::Basis;
using plimsoll::Bytes;
using plimsoll::Config;
using plimsoll::Item;
using plimsoll::Request;
using plimsoll::Sink;

// What one layer has at once, of every token of a pass: its input and its output, and either queries, keys, values and what attention
// makes of them, or the FFN before and behind its activation. Attention itself is in blocks, as all engines have it. bge-base, 2,048
// tokens in 16 bits: 2,048 x (2 x 768 + 2 x 3,072) x 2.
void price_layer(Aspect aspect, const char* label, Bytes width, Bytes attention, Bytes ffn, const Request& request, const Sink& out) {
  if (!request.asks(aspect)) return;
  const Bytes inner = plimsoll::ceil_div(attention < ffn ? ffn : attention, std::max<std::uint32_t>(request->tp, 1));
  const Bytes elements = width * 2 + inner, tokens = request->max_batch_input_tokens;
  out.item(Item(aspect, label, request.compute_bytes(tokens * elements), Basis::kBound)
               .transient()
               .formula(request.formula(tokens, " tokens x ", elements, " elements x ", request.compute_bytes(8) / 8, " B")));
}

class Planner : public plimsoll::PipelinePlanner {
public:
  explicit Planner(const Config& config) : PipelinePlanner(config), model_(config) {}

  void weights(const Sink& out) const override {
    declare_embedding(model_, out);
    declare_layers(model_, out);
    declare_head(model_, out);
  }

  // No vocabulary: nothing is sampled.
  plimsoll_facts facts() const override {
    plimsoll_facts facts{};
    facts.n_layers = static_cast<std::uint32_t>(model_.layers.size());
    facts.max_length = model_.max_length;
    facts.hidden_elements = model_.hidden;
    facts.query_heads = model_.heads;
    facts.kv_heads = model_.kv_heads;
    facts.experts = model_.experts;
    facts.experts_per_token = model_.experts_per_token;
    return facts;
  }

  void activations(const Request& request, const Sink& out) const override {
    const Model& m = model_;
    const Bytes q = Bytes(m.heads) * m.head_elements, kv = Bytes(m.kv_heads) * m.head_elements;
    const std::uint64_t matrices = m.names.gate_up.empty() && m.names.gate.empty() ? 2 : 3; // of the FFN, side by side
    const std::uint64_t copies = std::max<std::uint64_t>(1, m.experts_per_token);           // of a token that several experts read
    price_layer(Aspect::kAttention, "encoder.layer", m.hidden, q * 2 + kv * 2, Bytes(m.ffn_width) * matrices * copies, request, out);
  }

  void describe(const plimsoll::PipelinePart& part, const plimsoll::Pipeline& out) const override {
    encoder::describe(config(), model_, part, out);
  }

private:
  Model model_;
};

// Texts and images, each in passes of their own.
class PairPlanner : public plimsoll::MemoryPlanner {
public:
  explicit PairPlanner(const Config& config) : MemoryPlanner(config), pair_(config) {}

  void weights(const Sink& out) const override { pair_.weights(out); }
  plimsoll_facts facts() const override {
    const Pair::Tower& text = pair_.text();
    plimsoll_facts facts{};
    facts.n_layers = static_cast<std::uint32_t>(text.layers.size());
    facts.max_length = pair_.text_positions();
    facts.hidden_elements = text.width;
    facts.query_heads = facts.kv_heads = text.heads;
    return facts;
  }
  void activations(const Request& request, const Sink& out) const override {
    for (const auto& [aspect, label, tower] :
         {std::tuple(Aspect::kAttention, "text.layer", &pair_.text()), {Aspect::kVision, "image.layer", &pair_.image()}})
      price_layer(aspect, label, tower->width, Bytes(tower->width) * 4, Bytes(tower->ffn) * 2, request, out);
  }

private:
  Pair pair_;
};

// An input is read in one pass; what is written is priced by the engine's own rules.
class Seq2SeqPlanner : public plimsoll::MemoryPlanner {
public:
  explicit Seq2SeqPlanner(const Config& config) : MemoryPlanner(config), model_(config) {}

  void weights(const Sink& out) const override { model_.weights(out); }
  void kv(const Sink& out) const override { model_.kv(out); }
  plimsoll_facts facts() const override { return model_.facts(); }
  void activations(const Request& request, const Sink& out) const override {
    if (model_.reads())
      price_layer(Aspect::kAttention, "encoder.layer", model_.width(), model_.attention_elements(), model_.ffn_elements(), request, out);
  }

private:
  Seq2Seq model_;
};

} // namespace
} // namespace encoder

PLIMSOLL_PLUGIN(encoder::Planner, encoder::PairPlanner, encoder::Seq2SeqPlanner)
