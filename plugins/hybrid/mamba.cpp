// Models around Mamba mixers: Mamba, Mamba-2, Jamba, Bamba, Falcon-H1, Granite-4-H, Zamba2. Called by the planner. Any thread.
//
// Examples (parameters as published): mamba-2.8b 2,768,345,600; Jamba-1.5-Mini 51,570,323,328; Bamba-9B 9,780,235,392;
// Zamba2-7B 7,356,749,648.
#include "models.hpp"

namespace hybrid {
namespace {

Place layers_of(Model& model, const char* prefix = "model.layers.{layer}.") {
  return {model, prefix, "", PLIMSOLL_ASPECT_ATTENTION, model.all()};
}

void add_two_norms(const Place& layer, const char* second) {
  add_norm(layer, "input_layernorm", layer.model.hidden);
  add_norm(layer, second, layer.model.hidden);
}

std::uint64_t inner_width(const Config& config, std::uint64_t hidden, const char* own, const char* factor) {
  if (own != nullptr && config.has(own)) return config.positive(own);
  return (Bytes(config.positive(factor)) * Bytes(hidden)).value();
}

void add_full_attention(const Config& config, const Place& layer, const List& layers) {
  if (layers->empty()) return;
  Attention a = read_attention(config, layer.model.hidden);
  a.bias = a.out_bias = config.boolean("/attention_bias", false);
  add_attention(layer.at("self_attn.", "attention.", PLIMSOLL_ASPECT_ATTENTION, layers), a);
  add_attention_cache(layer.model, a, layers);
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

void fill_mamba(const Config& config, Model& model) {
  read_common(config, model, layer_count(config));
  Mamba1 m{};
  m.hidden = model.hidden;
  m.inner = inner_width(config, model.hidden, "/intermediate_size", "/expand");
  m.state = config.positive("/state_size");
  m.rank = config.is_u64("/time_step_rank") ? config.positive("/time_step_rank") : (model.hidden + 15) / 16;
  m.kernel = config.positive("/conv_kernel");
  m.conv_bias = config.boolean("/use_conv_bias", true);
  m.state_dtype = read_state_dtype(config);
  m.proj_bias = config.boolean("/use_bias", false);
  add_ends(
      model,
      {.embedding = "backbone.embeddings.weight", .norm = "backbone.norm_f.weight", .tied = config.boolean("/tie_word_embeddings", true)});
  const Place layer = layers_of(model, "backbone.layers.{layer}.");
  add_norm(layer, "norm", model.hidden);
  add_mamba1(layer.at("mixer.", "mamba.", PLIMSOLL_ASPECT_STATE, layer.layers), m);
}

void fill_mamba2(const Config& config, Model& model) {
  read_common(config, model, layer_count(config));
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
  add_ends(
      model,
      {.embedding = "backbone.embeddings.weight", .norm = "backbone.norm_f.weight", .tied = config.boolean("/tie_word_embeddings", false)});
  const Place layer = layers_of(model, "backbone.layers.{layer}.");
  add_norm(layer, "norm", model.hidden);
  add_mamba2(layer.at("mixer.", "mamba.", PLIMSOLL_ASPECT_STATE, layer.layers), m);
}

void fill_jamba(const Config& config, Model& model) {
  read_common(config, model, layer_count(config));
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
  const List attention = periodic(model.layers, config.positive("/attn_layer_period"), config.u64("/attn_layer_offset"));
  const std::uint64_t experts = config.u64("/num_experts", 0), width = config.positive("/intermediate_size");
  check_experts(experts, "/num_experts");
  const List sparse =
      experts <= 1 ? list({}) : periodic(model.layers, config.positive("/expert_layer_period"), config.u64("/expert_layer_offset"));

  add_ends(model, {.norm = "model.final_layernorm.weight", .tied = config.boolean("/tie_word_embeddings", false)});
  const Place layer = layers_of(model);
  add_two_norms(layer, "pre_ff_layernorm");
  add_full_attention(config, layer, attention);
  add_mamba1(layer.at("mamba.", "mamba.", PLIMSOLL_ASPECT_STATE, without(model.layers, attention)), m);
  add_gated(layer.at("feed_forward.", "mlp.", PLIMSOLL_ASPECT_FFN, without(model.layers, sparse)), h, width);
  if (sparse->empty()) return;
  const Place moe = layer.at("feed_forward.", "", PLIMSOLL_ASPECT_FFN, sparse);
  moe.add(moe.weight("router.weight", {experts, h}));
  add_gated_experts(moe.at("experts.", "experts.", PLIMSOLL_ASPECT_FFN, sparse), h, width, experts);
  model.facts.experts = experts;
  model.facts.experts_per_token = config.positive("/num_experts_per_tok");
}

void fill_bamba(const Config& config, Model& model) {
  read_common(config, model, layer_count(config));
  const List attention = numbers(config, "/attn_layer_indices", model.layers);
  add_ends(model, {.norm = "model.final_layernorm.weight", .tied = config.boolean("/tie_word_embeddings", false)});
  const Place layer = layers_of(model);
  add_two_norms(layer, "pre_ff_layernorm");
  add_full_attention(config, layer, attention);
  add_mamba2(layer.at("mamba.", "mamba.", PLIMSOLL_ASPECT_STATE, without(model.layers, attention)), read_mamba2(config, model.hidden));
  add_gated(layer.at("feed_forward.", "mlp.", PLIMSOLL_ASPECT_FFN, layer.layers), model.hidden, config.positive("/intermediate_size"), {},
            config.boolean("/mlp_bias", false));
}

// Attention and a mixer side by side in every layer.
void fill_falcon_h1(const Config& config, Model& model) {
  read_common(config, model, layer_count(config));
  Mamba2 m = read_mamba2(config, model.hidden);
  m.norm = config.boolean("/mamba_rms_norm", false);
  add_ends(model, {.norm = "model.final_layernorm.weight", .tied = config.boolean("/tie_word_embeddings", false)});
  const Place layer = layers_of(model);
  add_two_norms(layer, "pre_ff_layernorm");
  add_full_attention(config, layer, layer.layers);
  add_mamba2(layer.at("mamba.", "mamba.", PLIMSOLL_ASPECT_STATE, layer.layers), m);
  add_gated(layer.at("feed_forward.", "mlp.", PLIMSOLL_ASPECT_FFN, layer.layers), model.hidden, config.positive("/intermediate_size"), {},
            config.boolean("/mlp_bias", false));
}

void fill_granite(const Config& config, Model& model) {
  read_common(config, model, layer_count(config));
  const std::uint64_t h = model.hidden, shared = config.positive("/shared_intermediate_size");
  const std::uint64_t experts = config.u64("/num_local_experts", 0);
  check_experts(experts, "/num_local_experts");
  const auto kinds = words(config, "/layer_types", model.layers, {"mamba", "attention"});
  const List mamba = where(kinds, {"mamba"});
  add_ends(model, {.tied = config.boolean("/tie_word_embeddings", false)});
  const Place layer = layers_of(model);
  add_two_norms(layer, "post_attention_layernorm");
  add_full_attention(config, layer, where(kinds, {"attention"}));
  if (!mamba->empty()) add_mamba2(layer.at("mamba.", "mamba.", PLIMSOLL_ASPECT_STATE, mamba), read_mamba2(config, h));
  const Place mlp = layer.at("shared_mlp.", "mlp.", PLIMSOLL_ASPECT_FFN, layer.layers);
  mlp.add(mlp.linear("input_linear", Bytes(2) * Bytes(shared), h).parts(0, {Part{shared, 0}, Part{shared, 0}}));
  mlp.add(mlp.linear("output_linear", h, shared).split(1));
  if (experts == 0) return;
  const std::uint64_t width = config.positive("/intermediate_size");
  const Place moe = layer.at("block_sparse_moe.", "experts.", PLIMSOLL_ASPECT_FFN, layer.layers);
  moe.add(moe.weight("router.layer.weight", {experts, h}));
  moe.add(moe.linear("input_linear", Bytes(2) * Bytes(width), h)
              .parts(0, {Part{width, 0}, Part{width, 0}})
              .experts(experts, 0, PLIMSOLL_EXPERTS_STACKED));
  moe.add(moe.linear("output_linear", h, width).experts(experts, 1, PLIMSOLL_EXPERTS_STACKED));
  model.facts.experts = experts;
  model.facts.experts_per_token = config.positive("/num_experts_per_tok");
}

// A mixer in every layer; before some of them one of a few shared transformer blocks, taken in turn, on twice the width: the
// residual stream and the embeddings. Each place where a block is used has adapters and a projection of its own.
void fill_zamba2(const Config& config, Model& model) {
  read_common(config, model, layer_count(config));
  const Bytes h = model.hidden, wide = Bytes(2) * h;
  const auto kinds = words(config, "/layers_block_type", model.layers, {"mamba", "hybrid"});
  const List hybrid = where(kinds, {"hybrid"}), plain = where(kinds, {"mamba"});
  const std::uint64_t shared = config.positive("/num_mem_blocks"), width = config.positive("/intermediate_size");
  const std::uint64_t rank = config.positive("/adapter_rank");
  if (config.boolean("/use_shared_attention_adapter", false))
    throw Error(PLIMSOLL_E_UNSUPPORTED, "/use_shared_attention_adapter", "is true; only adapters of the FFN are known");
  if (shared > hybrid->size())
    throw Error(PLIMSOLL_E_CONFIG, "/num_mem_blocks", "is more than the " + std::to_string(hybrid->size()) + " layers that use them");
  const Mamba2 m = read_mamba2(config, model.hidden);

  add_ends(model, {.norm = "model.final_layernorm.weight", .tied = config.boolean("/tie_word_embeddings", true)});
  const Place layer = layers_of(model);
  const Place inside = layer.at("mamba_decoder.", "", PLIMSOLL_ASPECT_ATTENTION, hybrid);
  for (const Place& at : {layer.at("", "", PLIMSOLL_ASPECT_ATTENTION, plain), inside}) {
    add_norm(at, "input_layernorm", model.hidden);
    Place mixer = at.at("mamba.", at.layers == plain ? "mamba." : "mamba_decoder.", PLIMSOLL_ASPECT_STATE, at.layers);
    add_mamba2(mixer, m);
  }
  const Place bridge = layer.at("", "", PLIMSOLL_ASPECT_ATTENTION, hybrid);
  bridge.add(bridge.linear("linear", h, h));

  Attention a = read_attention(config, wide.value());
  a.hidden = model.hidden, a.input = wide.value();
  const List stored = list({hybrid->begin(), hybrid->begin() + static_cast<std::ptrdiff_t>(shared)});
  const Place block = layer.at("shared_transformer.", "shared.", PLIMSOLL_ASPECT_ATTENTION, stored);
  add_norm(block, "input_layernorm", wide.value());
  add_norm(block, "pre_ff_layernorm", model.hidden);
  add_attention(block.at("self_attn.", "shared.attention.", PLIMSOLL_ASPECT_ATTENTION, stored), a);
  add_attention_cache(model, a, hybrid);
  const Part half{width, 0};
  const Place ffn = layer.at("shared_transformer.feed_forward.", "shared.mlp.", PLIMSOLL_ASPECT_FFN, stored);
  ffn.add(ffn.linear("gate_up_proj", Bytes(2) * Bytes(width), h).parts(0, {half, half}));
  ffn.add(ffn.linear("down_proj", h, width).split(1));
  for (std::size_t i = 0; i < hybrid->size(); ++i) { // named after the layer that stores the block
    const std::string owner = "model.layers." + std::to_string((*hybrid)[i % shared]) + ".shared_transformer.feed_forward.";
    const Place adapter{model, owner + "gate_up_proj_adapter_list." + std::to_string(i) + ".", "shared.adapter.", PLIMSOLL_ASPECT_FFN,
                        list({(*hybrid)[i]})};
    adapter.add(adapter.linear("0", rank, h));
    adapter.add(adapter.linear("1", Bytes(2) * Bytes(width), rank).parts(0, {half, half}));
  }
}

} // namespace hybrid
