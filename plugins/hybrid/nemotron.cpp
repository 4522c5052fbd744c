// Nemotron-H and Nemotron-3: every layer is one block, mamba, attention, mlp or experts, all called "mixer". Any thread.
//
// Example: Nemotron-Nano-9B-v2, 27 mamba, 25 mlp, 4 attention blocks: 8,888,227,328 parameters, as published.
#include "models.hpp"

#include <algorithm>

namespace hybrid {
namespace {

constexpr Frame kFrame{.mixer_norm = "norm", .epsilon = "/layer_norm_epsilon"};

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
  m.pass = read_mamba2_pass(config, kFrame.epsilon, "/mamba_hidden_act");
  if (m.pass) m.pass->norm_groups = m.groups;
  return m;
}

// What one block of experts has of its own. Zero: as no key says, so not there.
struct Experts {
  std::uint64_t count, width, shared_width, latent;
  bool operator==(const Experts&) const = default;
};

// A key of one block, else the model's; null in a block is silence.
std::optional<std::uint64_t> find_of(const Config& config, const std::string& block, const std::string& key) {
  const auto own = config.find_u64(block + key);
  return own ? own : config.find_u64(key);
}

Experts read_experts(const Config& config, const std::string& block) {
  Experts e{};
  e.count = plimsoll::bounded(find_of(config, block, "/n_routed_experts").value_or(0), plimsoll::kMaxExperts, block + "/n_routed_experts");
  e.width = find_of(config, block, "/moe_intermediate_size").value_or(0);
  if (e.count == 0) config.positive(block + "/n_routed_experts");
  if (e.width == 0) config.positive(block + "/moe_intermediate_size");
  const Bytes shared = Bytes(find_of(config, block, "/n_shared_experts").value_or(1)) *
                       Bytes(find_of(config, block, "/moe_shared_expert_intermediate_size").value_or(0));
  e.shared_width = shared.value();
  e.latent = find_of(config, block, "/moe_latent_size").value_or(0);
  return e;
}

// Experts as `moe` declares them under the name nemotron_h; here because their number and width differ from block to block.
void add_experts(Model& model, const Experts& e, const Layers& layers) {
  const Place at(model, "backbone.layers.{layer}.mixer.", "", kFfn, layers);
  const Bytes h = model.hidden, io = e.latent == 0 ? model.hidden : e.latent;
  at.add(at.weight("gate.weight", {e.count, h}));
  at.add(at.weight("gate.e_score_correction_bias", {e.count}).dtype("float32"));
  if (e.latent != 0) {
    at.add(at.linear("fc1_latent_proj", io, h));
    at.add(at.linear("fc2_latent_proj", h, io));
  }
  at.add(at.linear("experts.{expert}.up_proj", e.width, io).experts(e.count, 0, plimsoll::ExpertStorage::kSeparate));
  at.add(at.linear("experts.{expert}.down_proj", io, e.width).experts(e.count, 1, plimsoll::ExpertStorage::kSeparate));
  if (e.shared_width == 0) return;
  at.add(at.linear("shared_experts.up_proj", e.shared_width, h).split(0));
  at.add(at.linear("shared_experts.down_proj", h, e.shared_width).split(1));
}

// Puzzle: block_configs say of every block what it is, and of its experts how many and how wide. Other sizes are the model's.
void fill_puzzle(const Config& config, Model& model) {
  const std::uint32_t n = plimsoll::checked_layers(config.find_len("/block_configs").value_or(0), "/block_configs");
  if (n != model.layers)
    throw Error(PLIMSOLL_E_CONFIG, "/block_configs",
                "has " + std::to_string(n) + " entries; one for each of the " + std::to_string(model.layers) + " layers was expected");
  std::vector<std::string> kinds;
  std::vector<std::pair<Experts, Layers>> groups;
  for (std::uint32_t i = 0; i < n; ++i) {
    const std::string block = "/block_configs/" + std::to_string(i);
    kinds.emplace_back(config.str(block + "/block_type", ""));
    for (const char* key : {"/mamba_num_heads", "/mamba_head_dim", "/n_groups", "/ssm_state_size", "/num_attention_heads",
                            "/num_key_value_heads", "/sliding_window"})
      if (const auto own = config.find_u64(block + key); own && own != config.find_u64(key))
        throw Error(PLIMSOLL_E_UNSUPPORTED, block + key, "differs from the model's; only experts may differ from block to block");
    if (kinds.back() == "moe") {
      const Experts e = read_experts(config, block);
      auto found = std::find_if(groups.begin(), groups.end(), [&](const auto& group) { return group.first == e; });
      if (found == groups.end()) found = groups.insert(groups.end(), {e, {}});
      found->second.push_back(i);
    } else if (kinds.back() != "mamba" && kinds.back() != "attention") {
      throw Error(PLIMSOLL_E_CONFIG, block + "/block_type",
                  "is \"" + kinds.back().substr(0, 40) + "\"; mamba, attention or moe was expected");
    }
  }
  model.ask_dense(where(kinds, {"attention"}), kNothing, "mixer.");
  for (const auto& [experts, layers] : groups) add_experts(model, experts, layers);
  if (const Layers mamba = where(kinds, {"mamba"}); !mamba.empty())
    add_mamba2(Place(model, "backbone.layers.{layer}.mixer.", "mamba.", kState, mamba), read_mixer(config, model.hidden));
}

} // namespace

void fill_nemotron(const Config& config, Model& model) {
  if (config.find_len("/block_configs").value_or(0) > 0) return fill_puzzle(config, model);
  const auto blocks = nemotron_blocks(config, "/hybrid_override_pattern", "/layers_block_type");
  if (model.layers != blocks.size())
    throw Error(PLIMSOLL_E_CONFIG, "/num_hidden_layers",
                "is " + std::to_string(model.layers) + "; the pattern of blocks has " + std::to_string(blocks.size()));
  const Layers attention = where(blocks, {"attention"});
  model.frame = kFrame;
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
