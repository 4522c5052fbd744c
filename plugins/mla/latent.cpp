// Multi-head latent attention: what its parts add up to. Immutable, any thread.
#include "attention.hpp"
#include "ends.hpp"
#include "model.hpp"
#include "pipeline.hpp"
#include "up_projection.hpp"

namespace mla {
namespace {

using plimsoll::Aspect;
using plimsoll::Config;
using plimsoll::KvGroup;
using plimsoll::KvKind;
using plimsoll::Request;
using plimsoll::Role;
using plimsoll::Sink;

class Latent : public Model {
public:
  explicit Latent(const Config& config) : config_(config), shape_(read_shape(config)), up_projection_(config, shape_) {}

  void weights(const Sink& out) const override {
    declare_ends(shape_, out);
    if (!out.asks(Aspect::kAttention)) return;
    declare_attention(shape_, out);
    declare_draft_attention(shape_, out);
  }

  // One latent vector per token and attention, the same on every tensor-parallel rank. DeepSeek-V3 in bf16:
  // 576 x 2 B x 61 layers = 70,272 B per token; `num_key_value_heads` (128) plays no part.
  void kv(const Sink& out) const override {
    for (std::uint64_t i = 0; i < shape_.attentions_per_layer; ++i)
      out.kv(latent(shape_.attentions_per_layer == 1 ? "latent" : "latent." + std::to_string(i), shape_.layers));
    out.kv(latent("draft.latent", shape_.draft_layers).role(Role::kDraft));
    if (shape_.indexer.heads == 0) return;
    out.kv(scores("indexer", shape_.indexer.layers));
    out.kv(scores("draft.indexer", shape_.indexer.draft_layers).role(Role::kDraft));
  }

  plimsoll_facts facts() const override { return facts_of(shape_); }

  void activations(const Request& request, const Sink& out) const override { up_projection_.price(request, out); }

  void describe(const plimsoll::PipelinePart& part, const plimsoll::Pipeline& out) const override {
    mla::describe(config_, shape_, part, out);
  }
  void describe_draft(const plimsoll::PipelinePart& part, const plimsoll::Pipeline& out) const override {
    mla::describe_draft(config_, shape_, part, out);
  }

private:
  KvGroup latent(std::string label, const std::vector<std::uint32_t>& layers) const {
    KvGroup group(KvKind::kLatent, std::move(label), layers);
    return group.heads(1, shape_.heads, shape_.latent_elements(), 0)
        .latent(shape_.rope_elements, shape_.nope_elements + shape_.rope_elements, shape_.v_elements);
  }
  // The indexer caches one fp8 key per token and a float32 scale per 128 of its elements: 132 B a layer.
  KvGroup scores(std::string label, const std::vector<std::uint32_t>& layers) const {
    KvGroup group(KvKind::kLatent, std::move(label), layers);
    return group.heads(1, shape_.heads, shape_.indexer.head_elements, 0)
        .dtype("float8_e4m3fn")
        .scales("float32", shape_.indexer.scale_elements);
  }

  Config config_;
  Shape shape_;
  UpProjection up_projection_;
};

} // namespace

std::unique_ptr<Model> make_latent(const Config& config) { return std::make_unique<Latent>(config); }

} // namespace mla
