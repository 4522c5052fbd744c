// The planner of multi-head latent attention: DeepSeek-V2/V3/V3.2, Kimi-K2, Moonlight, GLM-5, LongCat-Flash, MiniCPM3.
// Called by the host through the plugin table. Counts embedding, attention and head itself; asks `moe` for the FFN
// where the configuration has experts, else `dense`. Immutable after construction; every method runs on any thread.
#include "attention.hpp"
#include "ends.hpp"
#include "up_projection.hpp"

namespace mla {
namespace {

using plimsoll::Child;
using plimsoll::Config;
using plimsoll::KvGroup;
using plimsoll::Request;
using plimsoll::Sink;

constexpr std::uint32_t kOwnAspects = PLIMSOLL_ASPECT_EMBED | PLIMSOLL_ASPECT_ATTENTION | PLIMSOLL_ASPECT_HEAD;

bool has_experts(const Config& config) {
  return config.find_u64_of({"/n_routed_experts", "/num_experts", "/num_local_experts", "/moe_num_experts"}).value_or(0) > 0;
}

class Planner : public plimsoll::MemoryPlanner {
public:
  explicit Planner(const Config& config)
      : MemoryPlanner(config), shape_(read_shape(config)), up_projection_(config, shape_),
        ffn_(config, "", {}, has_experts(config) ? "moe" : "dense") {}

  void weights(const Sink& out) const override {
    declare_ends(shape_, out);
    if (out.asks(PLIMSOLL_ASPECT_ATTENTION)) {
      declare_attention(shape_, out);
      declare_draft_attention(shape_, out);
    }
    ffn_.weights(out, PLIMSOLL_ASPECT_FFN);
  }

  // One latent vector per token and attention, the same on every tensor-parallel rank. DeepSeek-V3 in bf16:
  // 576 x 2 B x 61 layers = 70,272 B per token; `num_key_value_heads` (128) plays no part.
  void kv(const Sink& out) const override {
    if (!out.asks(PLIMSOLL_ASPECT_ATTENTION)) return;
    for (std::uint64_t i = 0; i < shape_.attentions_per_layer; ++i)
      out.kv(latent(shape_.attentions_per_layer == 1 ? "latent" : "latent." + std::to_string(i), shape_.layers));
    out.kv(latent("draft.latent", shape_.draft_layers).role(PLIMSOLL_ROLE_DRAFT));
    if (shape_.indexer.heads == 0) return;
    out.kv(scores("indexer", shape_.indexer.layers));
    out.kv(scores("draft.indexer", shape_.indexer.draft_layers).role(PLIMSOLL_ROLE_DRAFT));
  }

  plimsoll_facts facts() const override {
    const plimsoll_facts ffn = ffn_.facts();
    plimsoll_facts out{};
    out.n_layers = static_cast<std::uint32_t>(shape_.layers.size());
    out.max_length = shape_.max_length;
    out.hidden_elements = shape_.hidden;
    out.vocab_tokens = shape_.vocab;
    out.query_heads = shape_.heads;
    out.kv_heads = 1;
    out.experts = ffn.experts;
    out.experts_per_token = ffn.experts_per_token;
    out.draft_layers = shape_.draft_layers.size();
    return out;
  }

  void activations(const Request& request, const Sink& out) const override {
    if (request.asks(PLIMSOLL_ASPECT_ATTENTION)) up_projection_.price(request, out);
    ffn_.activations(request, out, PLIMSOLL_ASPECT_FFN);
  }

private:
  KvGroup latent(std::string label, const std::vector<std::uint32_t>& layers) const {
    KvGroup group(PLIMSOLL_KV_LATENT, std::move(label), layers);
    return group.heads(1, shape_.heads, shape_.latent_elements(), 0)
        .latent(shape_.rope_elements, shape_.nope_elements + shape_.rope_elements, shape_.v_elements);
  }
  // The indexer caches one fp8 key per token and a float32 scale per 128 of its elements: 132 B a layer.
  KvGroup scores(std::string label, const std::vector<std::uint32_t>& layers) const {
    KvGroup group(PLIMSOLL_KV_LATENT, std::move(label), layers);
    return group.heads(1, shape_.heads, shape_.indexer.head_elements, 0)
        .dtype("float8_e4m3fn")
        .scales("float32", shape_.indexer.scale_elements);
  }

  Shape shape_;
  UpProjection up_projection_;
  Child ffn_;
};

} // namespace
} // namespace mla

PLIMSOLL_PLUGIN(mla::Planner, "mla", "1.0.0",
                PLIMSOLL_ASPECT_EMBED | PLIMSOLL_ASPECT_ATTENTION | PLIMSOLL_ASPECT_FFN | PLIMSOLL_ASPECT_HEAD, PLIMSOLL_SIGNAL_MULTI_RANK)
