// Nemotron-H and Nemotron-3: every layer is one block, mamba, attention, mlp or experts, all called "mixer". Any thread.
//
// Example: Nemotron-Nano-9B-v2, 27 mamba, 25 mlp, 4 attention blocks: 8,888,227,328 parameters, as published.
#include "models.hpp"

namespace hybrid {
namespace {

bool any(const std::vector<std::string>& blocks, const char* kind) { return !where(blocks, {kind}).empty(); }

// Attention and experts blocks in turn, as mtp_hybrid_override_pattern says.
void add_draft(const Config& config, Model& model, Delegate& attention, Delegate* experts) {
  const std::uint64_t n = config.u64("/num_nextn_predict_layers", 0);
  if (n == 0 || !(config.has("/mtp_hybrid_override_pattern") || config.has("/mtp_layers_block_type"))) return;
  const auto blocks = nemotron_blocks(config, "/mtp_hybrid_override_pattern", "/mtp_layers_block_type");
  if (any(blocks, "mamba") || any(blocks, "mlp") || (any(blocks, "moe") && experts == nullptr))
    throw Error(PLIMSOLL_E_UNSUPPORTED, "/mtp_hybrid_override_pattern",
                "has blocks other than attention and the model's own experts; only these are known");
  model.draft_layers = plimsoll::bounded(n, plimsoll::kMaxDraftLayers, "/num_nextn_predict_layers");
  const Layers numbers = plimsoll::layers_from(0, blocks.size());
  Layers caching = where(blocks, {"attention"});
  for (std::uint32_t& layer : caching) layer += model.layers;
  DraftMap map{{{{kAttention, "mixer.", where(blocks, {"attention"})}, {kFfn, "mixer.", where(blocks, {"moe"})}}, std::move(caching)},
               "backbone.layers.",
               "mtp.layers.",
               numbers};
  if (experts != nullptr) experts->draft = map;
  map.parts[1].layers.clear(); // no mlp blocks
  attention.draft = std::move(map);
  const Place first(model, "mtp.layers.{layer}.", "", kAttention, {0}, true);
  first.add(first.linear("eh_proj", model.hidden, Bytes(2) * model.hidden));
  first.add(first.norm("enorm", model.hidden));
  first.add(first.norm("hnorm", model.hidden));
  const Place last(model, "mtp.layers.{layer}.", "", kAttention, {numbers.back()}, true);
  last.add(last.norm("final_layernorm", model.hidden));
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
  if (model.layers != blocks.size())
    throw Error(PLIMSOLL_E_CONFIG, "/num_hidden_layers",
                "is " + std::to_string(model.layers) + "; the pattern of blocks has " + std::to_string(blocks.size()));
  const Layers attention = where(blocks, {"attention"});
  Delegate& dense = model.ask_dense(attention, any(blocks, "mlp") ? kFfn : kNothing, "mixer.");
  dense.map.parts.push_back({kFfn, "mixer.", where(blocks, {"mlp"})});
  Delegate* experts = nullptr;
  if (any(blocks, "moe")) experts = &model.ask("moe", kFfn, {{{kFfn, "mixer.", where(blocks, {"moe"})}}, std::nullopt});
  if (any(blocks, "mamba"))
    add_mamba2(Place(model, "backbone.layers.{layer}.mixer.", "mamba.", kState, where(blocks, {"mamba"})),
               read_mixer(config, model.hidden));
  if (!attention.empty()) add_draft(config, model, dense, experts);
}

} // namespace hybrid
