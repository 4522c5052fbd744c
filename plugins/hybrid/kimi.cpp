// Kimi-Linear and the text of Kimi-K3: Kimi delta attention in three layers of four, latent attention without positions in the
// rest, experts in all but the first. K3's experts work in a latent width, its attentions have output gates, and every layer
// attends to the residuals of earlier blocks. Called by the planner. Any thread.
//
// Example: Kimi-K3, 69 and 24 layers, 896 experts: 2,722,740,830,208 parameters in experts, 11,122,432 in float32 and
// 56,732,525,568 of 16 bits, as published (with 447,358,976 of its tower). Kimi-Linear-48B-A3B: 49,122,681,728 in 20,493
// tensors of 98,245,528,576 B, as its index says.
#include "models.hpp"

namespace hybrid {
namespace {

constexpr const char* kFullGate = "/linear_attn_config/use_full_rank_gate"; // checkpoints from K3 on

struct LatentAttention {
  std::uint64_t hidden, heads, q_rank, kv_rank, nope, rope, v;
  bool gated;
};

LatentAttention read_latent(const Config& config, std::uint64_t hidden) {
  return {hidden,
          config.positive("/num_attention_heads"),
          config.u64("/q_lora_rank", 0),
          config.positive("/kv_lora_rank"),
          config.positive("/qk_nope_head_dim"),
          config.positive("/qk_rope_head_dim"),
          config.positive("/v_head_dim"),
          config.boolean("/mla_use_output_gate", false)};
}

void add_latent(const Place& p, const LatentAttention& a) {
  const Bytes h = a.hidden, heads = a.heads, queries = heads * (Bytes(a.nope) + a.rope), values = heads * a.v;
  if (a.q_rank == 0) {
    p.add(p.linear("q_proj", queries, h).heads(0, a.heads));
  } else {
    p.add(p.linear("q_a_proj", a.q_rank, h));
    p.add(p.norm("q_a_layernorm", a.q_rank));
    p.add(p.linear("q_b_proj", queries, a.q_rank).heads(0, a.heads));
  }
  p.add(p.linear("kv_a_proj_with_mqa", Bytes(a.kv_rank) + a.rope, h));
  p.add(p.norm("kv_a_layernorm", a.kv_rank));
  p.add(p.linear("kv_b_proj", heads * (Bytes(a.nope) + a.v), a.kv_rank).heads(0, a.heads));
  p.add(p.linear("o_proj", h, values).heads(1, a.heads));
  if (a.gated) p.add(p.linear("g_proj", values, h).heads(0, a.heads));
  const std::uint64_t row = (Bytes(a.kv_rank) + a.rope).value();
  p.model.caches.push_back([layers = p.layers, query_heads = a.heads, row](const Sink& out) {
    if (!out.asks(PLIMSOLL_ASPECT_ATTENTION)) return;
    out.kv(KvGroup(PLIMSOLL_KV_LATENT, "latent", *layers).heads(1, query_heads, row, 0));
  });
}

// Layers are counted from 1 there; each is in one of the two lists.
List listed(const Config& config, const char* pointer, std::uint32_t n) {
  std::vector<std::uint32_t> out;
  for (const std::uint64_t number : config.u64_list(pointer)) {
    if (number == 0 || number > n || (!out.empty() && number - 1 <= out.back()))
      throw Error(PLIMSOLL_E_CONFIG, pointer,
                  "names layer " + std::to_string(number) + "; layers from 1 to " + std::to_string(n) + " were expected, ascending");
    out.push_back(static_cast<std::uint32_t>(number - 1));
  }
  return list(std::move(out));
}

KimiDelta read_delta(const Config& config, std::uint64_t hidden) {
  return {hidden, config.positive("/linear_attn_config/num_heads"), config.positive("/linear_attn_config/head_dim"),
          config.positive("/linear_attn_config/short_conv_kernel_size"), config.boolean(kFullGate, false)};
}

// The mix of earlier blocks' residuals that comes before a mixer, an FFN or the head.
void add_residual_mix(const Place& p, const std::string& name, std::uint64_t hidden) {
  p.add(p.norm(name + "_norm", hidden));
  p.add(p.weight(name + "_proj.weight", {1, hidden}));
}

void add_experts(const Config& config, const Place& p) {
  if (p.layers->empty()) return;
  const std::uint64_t h = p.model.hidden, experts = config.positive("/num_experts"), width = config.positive("/moe_intermediate_size");
  check_experts(experts, "/num_experts");
  p.add(p.weight("gate.weight", {experts, h}));
  const bool k3 = config.boolean(kFullGate, false);
  p.add(p.weight("gate.e_score_correction_bias", {experts}).dtype(k3 ? "float32" : ""));
  const std::uint64_t latent = config.has("/routed_expert_hidden_size") ? config.positive("/routed_expert_hidden_size") : h;
  if (latent != h) { // no export packs these, though its list of exceptions may not name them
    p.add(p.weight("routed_expert_down_proj.weight", {latent, h}));
    p.add(p.weight("routed_expert_up_proj.weight", {h, latent}));
    if (config.boolean("/latent_moe_use_norm", false)) p.add(p.norm("routed_expert_norm", latent));
  }
  add_gated_experts(p.at("experts.", "experts.", PLIMSOLL_ASPECT_FFN, p.layers), latent, width, experts, {"w1", "w3", "w2"});
  const Bytes shared = Bytes(config.u64("/num_shared_experts", 0)) * Bytes(width);
  if (shared > Bytes(0)) add_gated(p.at("shared_experts.", "shared_experts.", PLIMSOLL_ASPECT_FFN, p.layers), h, shared.value());
  p.model.facts.experts = experts;
  p.model.facts.experts_per_token = config.positive_of({"/num_experts_per_token", "/num_experts_per_tok"});
}

} // namespace

void fill_kimi(const Config& config, Model& model) {
  read_common(config, model, layer_count(config));
  model.facts.kv_heads = 1;
  if (config.u64("/num_nextn_predict_layers", 0) > 0)
    throw Error(PLIMSOLL_E_UNSUPPORTED, "/num_nextn_predict_layers", "is not 0; draft layers of this family are not known");
  const List delta = listed(config, "/linear_attn_config/kda_layers", model.layers);
  const List latent = listed(config, "/linear_attn_config/full_attn_layers", model.layers);
  if (*without(model.layers, delta) != *latent)
    throw Error(PLIMSOLL_E_CONFIG, "/linear_attn_config/full_attn_layers", "and kda_layers do not name every layer once");
  const std::uint64_t h = model.hidden, dense = config.u64("/first_k_dense_replace", 0);
  const std::uint64_t step = config.has("/moe_layer_freq") ? config.positive("/moe_layer_freq") : 1;
  std::vector<std::uint32_t> with_experts;
  for (std::uint32_t i = 0; i < model.layers; ++i)
    if (i >= dense && i % step == 0) with_experts.push_back(i);
  const List sparse = list(std::move(with_experts));
  const bool mixes = config.has("/attn_res_block_size");

  add_ends(model, {.tied = config.boolean("/tie_word_embeddings", false)});
  const Place layer{model, "model.layers.{layer}.", "", PLIMSOLL_ASPECT_ATTENTION, model.all()};
  add_norm(layer, "input_layernorm", h);
  add_norm(layer, "post_attention_layernorm", h);
  if (mixes) {
    add_residual_mix(layer, "self_attention_res", h);
    add_residual_mix(layer, "mlp_res", h);
    model.weights.push_back([h](const Sink& out) {
      const auto last = [](Weight w) { return w.stage(PLIMSOLL_STAGE_LAST); };
      out.weight(last(Weight(PLIMSOLL_ASPECT_HEAD, "head.res_norm", "model.output_attn_res_norm.weight", {h})));
      out.weight(last(Weight(PLIMSOLL_ASPECT_HEAD, "head.res_proj", "model.output_attn_res_proj.weight", {1, h})));
    });
  }
  add_kimi_delta(layer.at("self_attn.", "delta.", PLIMSOLL_ASPECT_STATE, delta), read_delta(config, h));
  if (!latent->empty()) add_latent(layer.at("self_attn.", "attention.", PLIMSOLL_ASPECT_ATTENTION, latent), read_latent(config, h));
  const List plain = without(model.layers, sparse);
  if (!plain->empty()) add_gated(layer.at("mlp.", "mlp.", PLIMSOLL_ASPECT_FFN, plain), h, config.positive("/intermediate_size"));
  add_experts(config, layer.at("block_sparse_moe.", "", PLIMSOLL_ASPECT_FFN, sparse));
}

} // namespace hybrid
