// Nemotron-H and Nemotron-3: every layer is one block, mamba, attention, mlp or experts; none of the FFNs has a gate. Called by
// the planner. Any thread.
//
// Example: Nemotron-Nano-9B-v2, 27 mamba, 25 mlp, 4 attention blocks: 8,888,227,328 parameters, as published. Nemotron-3 experts
// may work in a latent width: fc1_latent_proj in, fc2_latent_proj out.
#include "models.hpp"

namespace hybrid {
namespace {

struct Experts {
  std::uint64_t hidden, count, width, shared_width, latent;
};

void add_ungated(const Place& p, std::uint64_t hidden, std::uint64_t width, bool bias) {
  add_gated(p, hidden, width, {.gate = nullptr}, bias);
}

void add_experts(const Place& p, const Experts& e) {
  if (p.layers->empty()) return;
  p.add(p.weight("gate.weight", {e.count, e.hidden}));
  p.add(p.weight("gate.e_score_correction_bias", {e.count}).dtype("float32"));
  if (e.latent != e.hidden) {
    p.add(p.linear("fc1_latent_proj", e.latent, e.hidden));
    p.add(p.linear("fc2_latent_proj", e.hidden, e.latent));
  }
  add_gated_experts(p.at("experts.", "experts.", PLIMSOLL_ASPECT_FFN, p.layers), e.latent, e.width, e.count, {.gate = nullptr});
  if (e.shared_width > 0)
    add_ungated(p.at("shared_experts.", "shared_experts.", PLIMSOLL_ASPECT_FFN, p.layers), e.hidden, e.shared_width, false);
}

Experts read_experts(const Config& config, Model& model) {
  Experts e{};
  e.hidden = model.hidden;
  e.count = config.positive("/n_routed_experts");
  check_experts(e.count, "/n_routed_experts");
  e.width = config.positive("/moe_intermediate_size");
  e.latent = config.has("/moe_latent_size") ? config.positive("/moe_latent_size") : e.hidden;
  const std::uint64_t shared = config.u64("/n_shared_experts", 0);
  if (shared > 0) e.shared_width = (Bytes(shared) * Bytes(config.positive("/moe_shared_expert_intermediate_size"))).value();
  model.facts.experts = e.count;
  model.facts.experts_per_token = config.positive("/num_experts_per_tok");
  return e;
}

bool any(const std::vector<std::string>& blocks, const char* kind) { return !where(blocks, {kind})->empty(); }

// One attention and one experts block per draft layer, as mtp_hybrid_override_pattern says.
void add_draft(const Config& config, Model& model, const Attention& a, bool bias) {
  const std::uint64_t n = config.u64("/num_nextn_predict_layers", 0);
  if (n == 0 || !(config.has("/mtp_hybrid_override_pattern") || config.has("/mtp_layers_block_type"))) return;
  const auto blocks = nemotron_blocks(config, "/mtp_hybrid_override_pattern", "/mtp_layers_block_type");
  if (any(blocks, "mamba") || any(blocks, "mlp"))
    throw Error(PLIMSOLL_E_UNSUPPORTED, "/mtp_hybrid_override_pattern",
                "has blocks other than attention and experts; only these are known");
  if (n > 64) throw Error(PLIMSOLL_E_CONFIG, "/num_nextn_predict_layers", "is more than 64; the number of draft layers was expected");
  model.facts.draft_layers = n;
  std::vector<std::uint32_t> numbers;
  for (std::uint32_t i = 0; i < blocks.size(); ++i) numbers.push_back(i);
  const Bytes h = model.hidden;
  const Place first{model, "mtp.layers.{layer}.", "", PLIMSOLL_ASPECT_ATTENTION, list({0}), true};
  first.add(first.linear("eh_proj", h, Bytes(2) * h));
  add_norm(first, "enorm", model.hidden);
  add_norm(first, "hnorm", model.hidden);
  const Place layer = first.at("", "", PLIMSOLL_ASPECT_ATTENTION, list(numbers));
  add_norm(layer, "norm", model.hidden);
  add_norm(first.at("", "", PLIMSOLL_ASPECT_ATTENTION, list({numbers.back()})), "final_layernorm", model.hidden);
  Attention with_bias = a;
  with_bias.bias = with_bias.out_bias = bias;
  add_attention(layer.at("mixer.", "attention.", PLIMSOLL_ASPECT_ATTENTION, where(blocks, {"attention"})), with_bias);
  if (any(blocks, "moe")) add_experts(layer.at("mixer.", "", PLIMSOLL_ASPECT_FFN, where(blocks, {"moe"})), read_experts(config, model));
  const List attention = where(blocks, {"attention"});
  std::vector<std::uint32_t> cached;
  for (const std::uint32_t i : *attention) cached.push_back(model.layers + i);
  add_attention_cache(model, with_bias, list(std::move(cached)), true);
}

Mamba2 read_mixer(const Config& config, std::uint64_t hidden) {
  Mamba2 m{};
  m.hidden = hidden;
  m.heads = config.positive("/mamba_num_heads");
  m.inner = (Bytes(m.heads) * Bytes(config.positive("/mamba_head_dim"))).value();
  m.groups = config.positive("/n_groups");
  m.state = config.positive("/ssm_state_size");
  m.kernel = config.positive("/conv_kernel");
  m.conv_bias = config.boolean("/use_conv_bias", true);
  m.proj_bias = config.boolean("/mamba_proj_bias", false);
  m.state_dtype = read_state_dtype(config);
  check_divides(m.groups, m.heads, "/n_groups");
  return m;
}

} // namespace

void fill_nemotron(const Config& config, Model& model) {
  const auto blocks = nemotron_blocks(config, "/hybrid_override_pattern", "/layers_block_type");
  if (config.has("/num_hidden_layers") && config.u64("/num_hidden_layers") != blocks.size())
    throw Error(PLIMSOLL_E_CONFIG, "/num_hidden_layers",
                "is " + std::to_string(config.u64("/num_hidden_layers")) + "; the pattern of blocks has " + std::to_string(blocks.size()));
  read_common(config, model, static_cast<std::uint32_t>(blocks.size()));
  const bool bias = config.boolean("/attention_bias", false);

  add_ends(
      model,
      {.embedding = "backbone.embeddings.weight", .norm = "backbone.norm_f.weight", .tied = config.boolean("/tie_word_embeddings", false)});
  const Place layer{model, "backbone.layers.{layer}.", "", PLIMSOLL_ASPECT_ATTENTION, model.all()};
  add_norm(layer, "norm", model.hidden);
  if (any(blocks, "mamba"))
    add_mamba2(layer.at("mixer.", "mamba.", PLIMSOLL_ASPECT_STATE, where(blocks, {"mamba"})), read_mixer(config, model.hidden));
  if (any(blocks, "mlp"))
    add_ungated(layer.at("mixer.", "mlp.", PLIMSOLL_ASPECT_FFN, where(blocks, {"mlp"})), model.hidden,
                config.positive("/intermediate_size"), config.boolean("/mlp_bias", false));
  if (any(blocks, "moe")) add_experts(layer.at("mixer.", "", PLIMSOLL_ASPECT_FFN, where(blocks, {"moe"})), read_experts(config, model));
  if (any(blocks, "attention")) {
    Attention a = read_attention(config, model.hidden);
    a.bias = a.out_bias = bias;
    add_attention(layer.at("mixer.", "attention.", PLIMSOLL_ASPECT_ATTENTION, where(blocks, {"attention"})), a);
    add_attention_cache(model, a, where(blocks, {"attention"}));
    add_draft(config, model, a, bias);
  }
}

} // namespace hybrid
