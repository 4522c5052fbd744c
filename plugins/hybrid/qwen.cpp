// Qwen3-Next, Qwen3.5 and Qwen3.6: three delta-net layers to one of gated attention, a dense FFN or experts in every layer, one
// draft layer (mtp) built like an attention layer. Any thread.
//
// Example: Qwen3-Next-80B-A3B, 36 delta-net and 12 attention layers, 512 experts, with its draft layer: 81,324,862,720
// parameters, as published.
#include "models.hpp"

namespace hybrid {
namespace {

Layers attention_layers(const Config& config, std::uint32_t n) {
  if (config.has("/layer_types"))
    return where(words(config, "/layer_types", n, {"linear_attention", "full_attention"}), {"full_attention"});
  const std::uint64_t interval = config.positive("/full_attention_interval");
  return periodic(n, interval, interval - 1);
}

DeltaProjections projections_of(const Config& config) {
  if (config.boolean("/linear_projections_fused", true)) return DeltaProjections::kFused;
  return config.boolean("/linear_gates_fused", false) ? DeltaProjections::kGated : DeltaProjections::kSplit;
}

DeltaNet read_delta_net(const Config& config, std::uint64_t hidden) {
  const DeltaNet m{hidden,
                   config.positive("/linear_num_key_heads"),
                   config.positive("/linear_num_value_heads"),
                   config.positive("/linear_key_head_dim"),
                   config.positive("/linear_value_head_dim"),
                   config.positive("/linear_conv_kernel_dim"),
                   projections_of(config),
                   read_state_dtype(config),
                   config.find_f64("/rms_norm_eps").value_or(0)};
  check_divides(m.key_heads, m.value_heads, "/linear_num_key_heads");
  return m;
}

// Its own norms and the projection of [embedding, hidden] come first, then a whole layer.
void add_draft(Model& model) {
  const std::uint64_t n = model.draft_layers;
  const DraftMap map{{{}, plimsoll::layers_from(model.layers, n)}, "model.layers.", "mtp.layers.", plimsoll::layers_from(0, n)};
  for (Delegate& d : model.delegates) d.draft = map;
  const Place once(model, "mtp.", "", kAttention, {0}, true);
  once.add(once.linear("fc", model.hidden, Bytes(2) * model.hidden));
  for (const char* name : {"pre_fc_norm_embedding", "pre_fc_norm_hidden", "norm"}) once.add(once.norm(name, model.hidden));
  model.drafts = DraftFrame{"draft.pre_fc_norm_embedding", "draft.pre_fc_norm_hidden", "draft.fc", "draft.norm"};
}

} // namespace

void fill_qwen(const Config& config, Model& model) {
  model.draft_layers = plimsoll::bounded(config.u64("/mtp_num_hidden_layers", 0), plimsoll::kMaxDraftLayers, "/mtp_num_hidden_layers");
  const Layers attention = attention_layers(config, model.layers);
  const bool experts = plimsoll::find_experts(config).value_or(0) > 0;
  model.ask_dense(attention, experts ? kNothing : kFfn);
  if (experts) model.ask("moe", kFfn);
  model.frame = Frame{.mixer_norm = "input_layernorm", .ffn_norm = "post_attention_layernorm", .plus_one = true};
  add_delta_net(Place(model, "model.layers.{layer}.linear_attn.", "delta_net.", kState, without(model.layers, attention)),
                read_delta_net(config, model.hidden));
  if (model.draft_layers > 0) add_draft(model);
}

} // namespace hybrid
