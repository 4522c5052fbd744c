// Qwen3-Next, Qwen3.5 and Qwen3.6: three delta-net layers to one of gated attention, a dense FFN or experts in every layer, one
// draft layer (mtp). Called by the planner. Any thread.
//
// Example: Qwen3-Next-80B-A3B, 36 delta-net and 12 attention layers, 512 experts, with its draft layer: 81,324,862,720
// parameters, as published.
#include "models.hpp"

namespace hybrid {
namespace {

struct Ffn {
  std::uint64_t hidden, width, experts, expert_width, shared_width;
  bool stacked;
};

Ffn read_ffn(const Config& config, Model& model) {
  Ffn f{};
  f.hidden = model.hidden;
  f.experts = config.u64("/num_experts", 0);
  check_experts(f.experts, "/num_experts");
  if (f.experts == 0) {
    f.width = config.positive("/intermediate_size");
    return f;
  }
  f.expert_width = config.positive("/moe_intermediate_size");
  f.shared_width = config.positive("/shared_expert_intermediate_size");
  f.stacked = config.boolean("/experts_stacked", false);
  model.facts.experts = f.experts;
  model.facts.experts_per_token = config.positive("/num_experts_per_tok");
  return f;
}

void add_ffn(const Place& layer, const Ffn& f) {
  const Place mlp = layer.at("mlp.", "mlp.", PLIMSOLL_ASPECT_FFN, layer.layers);
  if (f.experts == 0) return add_gated(mlp, f.hidden, f.width);
  mlp.add(mlp.weight("gate.weight", {f.experts, f.hidden}));
  const Place experts = layer.at("mlp.experts.", "experts.", PLIMSOLL_ASPECT_FFN, layer.layers);
  if (f.stacked) {
    experts.add(experts.weight("gate_up_proj", {Bytes(2) * Bytes(f.expert_width), f.hidden})
                    .linear()
                    .parts(0, {Part{f.expert_width, 0}, Part{f.expert_width, 0}})
                    .experts(f.experts, 0, PLIMSOLL_EXPERTS_STACKED));
    experts.add(experts.weight("down_proj", {f.hidden, f.expert_width}).linear().experts(f.experts, 1, PLIMSOLL_EXPERTS_STACKED));
  } else {
    add_gated_experts(experts, f.hidden, f.expert_width, f.experts);
  }
  add_gated(layer.at("mlp.shared_expert.", "shared_expert.", PLIMSOLL_ASPECT_FFN, layer.layers), f.hidden, f.shared_width);
  mlp.add(mlp.weight("shared_expert_gate.weight", {1, f.hidden}));
}

void add_layer_norms(const Place& layer, std::uint64_t hidden) {
  add_norm(layer, "input_layernorm", hidden);
  add_norm(layer, "post_attention_layernorm", hidden);
}

List attention_layers(const Config& config, std::uint32_t n) {
  if (config.has("/layer_types"))
    return where(words(config, "/layer_types", n, {"linear_attention", "full_attention"}), {"full_attention"});
  const std::uint64_t interval = config.positive("/full_attention_interval");
  return periodic(n, interval, interval - 1);
}

DeltaNet read_delta_net(const Config& config, std::uint64_t hidden) {
  const DeltaNet m{hidden,
                   config.positive("/linear_num_key_heads"),
                   config.positive("/linear_num_value_heads"),
                   config.positive("/linear_key_head_dim"),
                   config.positive("/linear_value_head_dim"),
                   config.positive("/linear_conv_kernel_dim"),
                   config.boolean("/linear_projections_fused", true),
                   read_state_dtype(config)};
  check_divides(m.key_heads, m.value_heads, "/linear_num_key_heads");
  return m;
}

// Its own norms and the projection of [embedding, hidden] come first, then a whole layer.
void add_draft(Model& model, const Attention& a, const Ffn& ffn) {
  if (model.facts.draft_layers == 0) return;
  const Bytes h = model.hidden;
  std::vector<std::uint32_t> numbers;
  for (std::uint32_t i = 0; i < model.facts.draft_layers; ++i) numbers.push_back(i);
  const Place once{model, "mtp.", "", PLIMSOLL_ASPECT_ATTENTION, list({0}), true};
  once.add(once.linear("fc", h, Bytes(2) * h));
  for (const char* name : {"pre_fc_norm_embedding", "pre_fc_norm_hidden", "norm"}) add_norm(once, name, model.hidden);
  const Place layer{model, "mtp.layers.{layer}.", "", PLIMSOLL_ASPECT_ATTENTION, list(std::move(numbers)), true};
  add_layer_norms(layer, model.hidden);
  add_attention(layer.at("self_attn.", "attention.", PLIMSOLL_ASPECT_ATTENTION, layer.layers), a);
  add_ffn(layer, ffn);
  add_attention_cache(model, a, model.drafts(), true);
}

} // namespace

void fill_qwen(const Config& config, Model& model) {
  read_common(config, model, layer_count(config));
  model.facts.draft_layers = config.u64("/mtp_num_hidden_layers", 0);
  if (model.facts.draft_layers > 64)
    throw Error(PLIMSOLL_E_CONFIG, "/mtp_num_hidden_layers", "is more than 64; the number of draft layers was expected");
  Attention a = read_attention(config, model.hidden);
  a.gated = config.boolean("/attn_output_gate", true);
  a.bias = a.out_bias = config.boolean("/attention_bias", false);
  a.q_norm = "q_norm", a.k_norm = "k_norm";
  const Ffn ffn = read_ffn(config, model);
  const List attention = attention_layers(config, model.layers), linear = without(model.layers, attention);

  add_ends(model, {.tied = config.boolean("/tie_word_embeddings", false)});
  const Place layer{model, "model.layers.{layer}.", "", PLIMSOLL_ASPECT_ATTENTION, model.all()};
  add_layer_norms(layer, model.hidden);
  add_attention(layer.at("self_attn.", "attention.", PLIMSOLL_ASPECT_ATTENTION, attention), a);
  add_delta_net(layer.at("linear_attn.", "delta_net.", PLIMSOLL_ASPECT_STATE, linear), read_delta_net(config, model.hidden));
  add_ffn(layer, ffn);
  add_attention_cache(model, a, attention);
  add_draft(model, a, ffn);
}

} // namespace hybrid
