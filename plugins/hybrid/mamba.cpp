// Models around Mamba mixers: Mamba, Mamba-2, Jamba, Bamba, Falcon-H1, Granite-4-H, Zamba2. Any thread.
//
// Examples (parameters as published): mamba-2.8b 2,768,345,600; Jamba-1.5-Mini 51,570,323,328; Bamba-9B 9,780,235,392;
// Zamba2-7B 7,356,749,648.
#include "models.hpp"

#include <tuple>

namespace hybrid {
namespace {

constexpr const char* kMixer = "model.layers.{layer}.mamba.";

constexpr Frame kMambaFrame{.mixer_norm = "norm", .epsilon = "/layer_norm_epsilon"};
constexpr Frame kJambaFrame{.mixer_norm = "input_layernorm", .ffn_norm = "pre_ff_layernorm"};

std::uint64_t inner_width(const Config& config, std::uint64_t hidden, const char* own, const char* factor) {
  if (own != nullptr && config.has(own)) return config.positive(own);
  return (Bytes(config.positive(factor)) * Bytes(hidden)).value();
}

} // namespace

Mamba2 read_mamba2(const Config& config, std::uint64_t hidden) {
  Mamba2 m{};
  m.hidden = hidden;
  m.heads = config.positive_of({"/mamba_n_heads", "/n_mamba_heads"});
  m.inner = inner_width(config, hidden, "/mamba_d_ssm", "/mamba_expand");
  m.groups = config.positive_of({"/mamba_n_groups", "/mamba_ngroups"});
  m.state = config.positive("/mamba_d_state");
  m.kernel = config.positive("/mamba_d_conv");
  m.conv_bias = config.boolean("/mamba_conv_bias", config.boolean("/use_conv_bias", true));
  m.state_dtype = read_state_dtype(config);
  m.proj_bias = config.boolean("/mamba_proj_bias", false);
  check_divides(m.heads, m.inner, "/mamba_n_heads");
  check_divides(m.groups, m.heads, "/mamba_n_groups");
  return m;
}

std::optional<Mamba2Pass> read_mamba2_pass(const Config& config, const char* epsilon, const char* activation) {
  if (config.str(activation, "silu") != "silu") return std::nullopt;
  Mamba2Pass pass{};
  pass.epsilon = config.find_f64(epsilon).value_or(0);
  pass.least = config.find_f64("/time_step_limit/0").value_or(0);
  pass.most = config.find_f64("/time_step_limit/1").value_or(0);
  return pass;
}

// Falcon's variant norms step, b and c, and stores no gains for that.
void fill_mamba(const Config& config, Model& model) {
  Mamba1 m{};
  m.hidden = model.hidden;
  m.inner = inner_width(config, model.hidden, "/intermediate_size", "/expand");
  m.state = config.positive("/state_size");
  m.rank = config.is_u64("/time_step_rank") ? config.positive("/time_step_rank") : (model.hidden + 15) / 16;
  m.kernel = config.positive("/conv_kernel");
  m.conv_bias = config.boolean("/use_conv_bias", true);
  m.state_dtype = read_state_dtype(config);
  m.proj_bias = config.boolean("/use_bias", false);
  if (config.str("/hidden_act", "silu") == "silu")
    m.pass = Mamba1Pass{.norms = config.model_type() == "falcon_mamba", .epsilon = config.find_f64("/mixer_rms_eps").value_or(0)};
  model.ask_dense({});
  model.frame = kMambaFrame;
  add_mamba1(Place(model, "backbone.layers.{layer}.mixer.", "mamba.", kState, model.all()), m);
}

// The gated norm is over groups of channels, as its authors' library has it and every engine, though not the transformers library: there
// it is over all channels, which is the same for one group.
void fill_mamba2(const Config& config, Model& model) {
  Mamba2 m{};
  m.hidden = model.hidden;
  m.heads = config.positive("/num_heads");
  m.inner = (Bytes(m.heads) * Bytes(config.positive("/head_dim"))).value();
  m.groups = config.positive("/n_groups");
  m.state = config.positive("/state_size");
  m.kernel = config.positive("/conv_kernel");
  m.conv_bias = config.boolean("/use_conv_bias", true);
  m.state_dtype = read_state_dtype(config);
  m.proj_bias = config.boolean("/use_bias", false);
  check_divides(m.groups, m.heads, "/n_groups");
  m.pass = read_mamba2_pass(config, kMambaFrame.epsilon);
  if (m.pass) m.pass->norm_groups = m.groups;
  model.ask_dense({});
  model.frame = kMambaFrame;
  add_mamba2(Place(model, "backbone.layers.{layer}.mixer.", "mamba.", kState, model.all()), m);
}

// GGUF files list layers one by one.
Layers jamba_attention(const Config& config, std::uint32_t n) {
  if (config.has("/layers_block_type")) return where(words(config, "/layers_block_type", n, {"mamba", "attention"}), {"attention"});
  return periodic(n, config.positive("/attn_layer_period"), config.u64("/attn_layer_offset"));
}
Layers jamba_sparse(const Config& config, std::uint32_t n) {
  if (config.has("/expert_layers")) return numbers(config, "/expert_layers", n);
  return periodic(n, config.positive("/expert_layer_period"), config.u64("/expert_layer_offset"));
}

void fill_jamba(const Config& config, Model& model) {
  const std::uint64_t h = model.hidden;
  Mamba1 m{};
  m.hidden = h;
  m.inner = inner_width(config, h, nullptr, "/mamba_expand");
  m.state = config.positive("/mamba_d_state");
  m.rank = config.is_u64("/mamba_dt_rank") ? config.positive("/mamba_dt_rank") : (h + 15) / 16;
  m.kernel = config.positive("/mamba_d_conv");
  m.conv_bias = config.boolean("/mamba_conv_bias", true);
  m.state_dtype = read_state_dtype(config);
  m.proj_bias = config.boolean("/mamba_proj_bias", false);
  m.inner_norms = true;
  if (config.str("/hidden_act", "silu") == "silu")
    m.pass = Mamba1Pass{.norms = true, .epsilon = config.find_f64(kJambaFrame.epsilon).value_or(0)};
  const Layers attention = jamba_attention(config, model.layers);
  const std::uint64_t experts = plimsoll::find_experts(config).value_or(0);
  const Layers sparse = experts <= 1 ? Layers{} : jamba_sparse(config, model.layers);
  model.ask_dense(attention, kFfn).map.parts.push_back({kFfn, "", without(model.layers, sparse)});
  if (!sparse.empty()) model.ask("moe", kFfn, {{{kFfn, "", sparse}}, std::nullopt});
  model.frame = kJambaFrame;
  add_mamba1(Place(model, kMixer, "mamba.", kState, without(model.layers, attention)), m);
}

// The gated norm of more groups than one is read in two ways, over all channels and group by group, and no such model is published.
std::optional<Mamba2Pass> one_group_pass(const Config& config, const Mamba2& m) {
  return m.groups == 1 ? read_mamba2_pass(config, "/rms_norm_eps") : std::nullopt;
}

void fill_bamba(const Config& config, Model& model) {
  const Layers attention = numbers(config, "/attn_layer_indices", model.layers);
  model.ask_dense(attention, kFfn);
  model.frame = kJambaFrame;
  Mamba2 m = read_mamba2(config, model.hidden);
  m.pass = one_group_pass(config, m);
  add_mamba2(Place(model, kMixer, "mamba.", kState, without(model.layers, attention)), m);
}

// Factors of Falcon-H1: of what the mixer reads, then of each part of that, and of what it gives. A bias within would need a factor of its
// own.
std::optional<Mamba2Pass> falcon_pass(const Config& config, const Mamba2& m) {
  std::optional<Mamba2Pass> pass = read_mamba2_pass(config, "/rms_norm_eps");
  if (!pass || m.proj_bias || config.boolean("/projectors_bias", false)) return std::nullopt;
  const auto factor = [&](const std::string& key) {
    const double value = config.find_f64(key).value_or(1);
    if (value > 0) return value;
    throw Error(PLIMSOLL_E_CONFIG, key, "is not above 0");
  };
  pass->norm_groups = m.groups;
  pass->norm_first = config.boolean("/mamba_norm_before_gate", true);
  for (std::size_t part = 0; part < pass->scales.size(); ++part)
    pass->scales[part] = factor("/ssm_in_multiplier") * factor("/ssm_multipliers/" + std::to_string(part));
  pass->out_scale = factor("/ssm_out_multiplier");
  return pass;
}

// Attention and a mixer side by side in every layer.
void fill_falcon_h1(const Config& config, Model& model) {
  Mamba2 m = read_mamba2(config, model.hidden);
  m.norm = config.boolean("/mamba_rms_norm", false);
  m.pass = falcon_pass(config, m);
  model.ask_dense(model.all(), kFfn);
  if (m.pass) model.frame = kJambaFrame; // a layer of which half is described is not
  add_mamba2(Place(model, kMixer, "mamba.", kState, model.all()), m);
}

// With experts or without, every layer has the FFN that the other ones call shared.
void fill_granite(const Config& config, Model& model) {
  const auto kinds = words(config, "/layer_types", model.layers, {"mamba", "attention"});
  const Layers mamba = where(kinds, {"mamba"});
  const bool experts = plimsoll::find_experts(config).value_or(0) > 0;
  model.ask_dense(where(kinds, {"attention"}), experts ? kNothing : kFfn);
  if (experts) model.ask("moe", kFfn);
  model.frame = Frame{"input_layernorm", "post_attention_layernorm", "/residual_multiplier"};
  if (mamba.empty()) return;
  Mamba2 m = read_mamba2(config, model.hidden);
  m.pass = one_group_pass(config, m);
  add_mamba2(Place(model, kMixer, "mamba.", kState, mamba), m);
}

// A mixer in every layer; before some of them one of a few shared transformer blocks, taken in turn, on twice the width: the
// residual stream and the embeddings. Each place where a block is used has adapters and a projection of its own. No other family
// knows attention of another width than the model's, so the blocks are declared here.
namespace {

struct Zamba2 {
  Layers hybrid, stored; // where blocks are used, and where the checkpoint keeps them
  std::uint64_t heads, kv_heads, head_elements, width, rank;
};

Zamba2 read_zamba2(const Config& config, const Model& model, Layers hybrid) {
  if (config.boolean("/use_shared_attention_adapter", false))
    throw Error(PLIMSOLL_E_UNSUPPORTED, "/use_shared_attention_adapter", "is true; only adapters of the FFN are known");
  const std::uint64_t shared = config.positive("/num_mem_blocks");
  if (shared > hybrid.size())
    throw Error(PLIMSOLL_E_CONFIG, "/num_mem_blocks", "is more than the " + std::to_string(hybrid.size()) + " layers that use them");
  Zamba2 z{};
  z.stored.assign(hybrid.begin(), hybrid.begin() + static_cast<std::ptrdiff_t>(shared));
  z.hybrid = std::move(hybrid);
  z.heads = config.positive("/num_attention_heads");
  z.kv_heads = config.has("/num_key_value_heads") ? config.positive("/num_key_value_heads") : z.heads;
  check_divides(z.kv_heads, z.heads, "/num_key_value_heads");
  const std::uint64_t wide = (Bytes(2) * Bytes(model.hidden)).value();
  const bool stated = config.find_u64_of({"/head_dim", "/attention_head_dim"}).has_value();
  if (!stated) check_divides(z.heads, wide, "/num_attention_heads");
  z.head_elements = stated ? config.positive_of({"/head_dim", "/attention_head_dim"}) : wide / z.heads;
  z.width = config.positive("/intermediate_size");
  z.rank = config.positive("/adapter_rank");
  return z;
}

void add_shared_attention(Model& model, const Zamba2& z) {
  const Bytes h = model.hidden, wide = Bytes(2) * h, q = Bytes(z.heads) * z.head_elements, kv = Bytes(z.kv_heads) * z.head_elements;
  const Place block(model, "model.layers.{layer}.shared_transformer.", "shared.", kAttention, z.stored);
  block.add(block.norm("input_layernorm", wide));
  block.add(block.norm("pre_ff_layernorm", h));
  block.add(block.linear("self_attn.q_proj", q, wide).heads(0, z.heads));
  block.add(block.linear("self_attn.k_proj", kv, wide).heads(0, z.kv_heads, true));
  block.add(block.linear("self_attn.v_proj", kv, wide).heads(0, z.kv_heads, true));
  block.add(block.linear("self_attn.o_proj", h, q).heads(1, z.heads));
  const Place bridge(model, "model.layers.{layer}.", "", kAttention, z.hybrid);
  bridge.add(bridge.linear("linear", h, h));
  KvGroup cache(KvKind::kFull, "attention", bridge.layers());
  cache.heads(z.kv_heads, z.heads, z.head_elements, z.head_elements);
  model.caches.push_back(std::move(cache));
}

void add_shared_ffn(Model& model, const Zamba2& z) {
  const Bytes h = model.hidden, both = Bytes(2) * Bytes(z.width);
  const Part half{z.width, 0};
  const Place ffn(model, "model.layers.{layer}.shared_transformer.feed_forward.", "shared.mlp.", kFfn, z.stored);
  ffn.add(ffn.linear("gate_up_proj", both, h).parts(0, {half, half}));
  ffn.add(ffn.linear("down_proj", h, z.width).split(1));
  for (std::size_t i = 0; i < z.hybrid.size(); ++i) { // named after the layer that stores the block
    const std::string owner = "model.layers." + std::to_string(z.hybrid[i % z.stored.size()]) + ".shared_transformer.feed_forward.";
    const Place adapter(model, owner + "gate_up_proj_adapter_list." + std::to_string(i) + ".", "shared.adapter.", kFfn, {z.hybrid[i]});
    adapter.add(adapter.linear("0", z.rank, h));
    adapter.add(adapter.linear("1", both, z.rank).parts(0, {half, half}));
  }
}

} // namespace

void fill_zamba2(const Config& config, Model& model) {
  const auto kinds = words(config, "/layers_block_type", model.layers, {"mamba", "hybrid"});
  const Zamba2 z = read_zamba2(config, model, where(kinds, {"hybrid"}));
  const Mamba2 m = read_mamba2(config, model.hidden);
  model.ask("dense", kEmbed | kHead);
  const std::string layer = "model.layers.{layer}.", inside = layer + "mamba_decoder.";
  for (const auto& [prefix, label, layers] :
       {std::tuple(layer, "mamba.", where(kinds, {"mamba"})), std::tuple(inside, "mamba_decoder.", z.hybrid)}) {
    const Place at(model, prefix, "", kAttention, layers);
    at.add(at.norm("input_layernorm", model.hidden));
    add_mamba2(Place(model, prefix + "mamba.", label, kState, layers), m);
  }
  add_shared_attention(model, z);
  add_shared_ffn(model, z);
}

} // namespace hybrid
