// One kind of attention with its embedding and head, as the planner asks for it. Two kinds exist: latent (DeepSeek-V2 to V3.2)
// and compressed (DeepSeek-V4). Made by the planner's constructor, immutable afterwards; any thread.
#pragma once

#include <memory>

#include <plimsoll/plugin.hpp>

namespace mla {

class Model {
public:
  Model() = default;
  virtual ~Model() = default;
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;
  // Embedding, attention and head.
  virtual void weights(const plimsoll::Sink& out) const = 0;
  virtual void kv(const plimsoll::Sink& out) const = 0;
  // What concerns experts is left at 0.
  virtual plimsoll_facts facts() const = 0;
  virtual void activations(const plimsoll::Request& request, const plimsoll::Sink& out) const = 0;
  // Embedding, layers and head of the forward pass, where the kind is described. Layers leave their FFN to whoever has it.
  virtual void describe(const plimsoll::PipelinePart&, const plimsoll::Pipeline&) const {
    plimsoll::no_pipeline("", "for this kind of attention");
  }
  virtual void describe_draft(const plimsoll::PipelinePart&, const plimsoll::Pipeline&) const {
    plimsoll::no_pipeline("", "for the layers that draft of this kind of attention");
  }
};

// The facts that both kinds read from shapes of the same names.
template <class S>
plimsoll_facts facts_of(const S& shape) {
  plimsoll_facts out{};
  out.n_layers = static_cast<std::uint32_t>(shape.layers.size());
  out.max_length = shape.max_length;
  out.hidden_elements = shape.hidden;
  out.vocab_tokens = shape.vocab;
  out.query_heads = shape.heads;
  out.kv_heads = 1;
  out.draft_layers = shape.draft_layers.size();
  return out;
}

std::unique_ptr<Model> make_latent(const plimsoll::Config& config);
std::unique_ptr<Model> make_compressed(const plimsoll::Config& config);

} // namespace mla
