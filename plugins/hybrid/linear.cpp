// Hybrids and recurrent models whose layers are recurrent but for each n-th, or all: OLMo-Hybrid, Ling-2.5 and 3.0, PLaMo 2, RWKV-7.
// Any thread.
//
// Examples: PLaMo-2-1b, 8 mamba and 8 attention layers: 1,291,441,920 parameters; RWKV-7 1.5B, 24 layers: 1,527,404,544; both as published.
// Ling-2.5's 80 layers are 70 of lightning and 10 of latent attention.
#include "models.hpp"

#include <algorithm>
#include <cmath>

namespace hybrid {
namespace {

constexpr const char* kLingMixer = "model.layers.{layer}.attention.";

// A width that the class works out where the configuration is silent: a multiple of the root of the model's width, in steps of 32.
std::uint64_t low_rank(const Config& config, const char* pointer, double factor, std::uint64_t hidden) {
  if (const auto stated = config.find_u64(pointer)) return *stated == 0 ? config.positive(pointer) : *stated;
  const double width = std::nearbyint(factor * std::sqrt(static_cast<double>(hidden)) / 32) * 32;
  return std::max<std::uint64_t>(32, static_cast<std::uint64_t>(width));
}

// Each n-th layer has attention, and so have those behind the last whole group.
Layers grouped_attention(const Config& config, std::uint32_t n, bool rest) {
  const std::uint64_t group = config.positive("/layer_group_size");
  Layers out;
  for (std::uint32_t i = 0; i < n; ++i)
    if ((i + 1) % group == 0 || (rest && i >= n / group * group)) out.push_back(i);
  return out;
}

// The draft layers of `mla` and `moe` end in a norm of this name.
void add_ling_draft(const Config& config, Model& model) {
  const std::uint64_t n =
      plimsoll::bounded(config.u64("/num_nextn_predict_layers", 0), plimsoll::kMaxDraftLayers, "/num_nextn_predict_layers");
  model.draft_layers = n;
  if (n == 0) return;
  const Place draft(model, "model.layers.{layer}.", "", kAttention, plimsoll::layers_from(model.layers, n), true);
  draft.add(draft.norm("final_layernorm", model.hidden));
}

} // namespace

void fill_olmo_hybrid(const Config& config, Model& model) {
  const std::uint64_t h = model.hidden, heads = config.positive("/num_attention_heads");
  const Layers attention =
      config.has("/layer_types")
          ? where(words(config, "/layer_types", model.layers, {"linear_attention", "full_attention"}), {"full_attention"})
          : periodic(model.layers, 4, 3);
  const Layers recurrent = without(model.layers, attention);
  const std::uint64_t key_heads = config.find_u64("/linear_num_key_heads").value_or(heads);
  if (key_heads == 0) config.positive("/linear_num_key_heads");
  DeltaNet m{};
  m.hidden = h;
  m.key_heads = key_heads;
  m.value_heads = config.find_u64("/linear_num_value_heads").value_or(heads);
  m.key_elements = config.find_u64("/linear_key_head_dim").value_or((Bytes(3) * Bytes(h) / Bytes(4) / Bytes(key_heads)).value());
  m.value_elements = config.find_u64("/linear_value_head_dim").value_or((Bytes(2) * Bytes(m.key_elements)).value());
  m.kernel = config.has("/linear_conv_kernel_dim") ? config.positive("/linear_conv_kernel_dim") : 4;
  m.projections = DeltaProjections::kApart;
  m.state_dtype = read_state_dtype(config);
  check_divides(m.key_heads, m.value_heads, "/linear_num_key_heads");
  model.ask_dense(attention, kFfn);
  // Norms stand before the parts of a recurrent layer and behind those of an attention layer.
  const Place before(model, "model.layers.{layer}.", "", kAttention, recurrent),
      behind(model, "model.layers.{layer}.", "", kAttention, attention);
  for (const char* name : {"input_layernorm", "post_attention_layernorm"}) before.add(before.norm(name, h));
  for (const char* name : {"post_attention_layernorm", "post_feedforward_layernorm"}) behind.add(behind.norm(name, h));
  add_delta_net(Place(model, "model.layers.{layer}.linear_attn.", "delta_net.", kState, recurrent), m);
}

// Ling-2.5: lightning attention; 3.0: Kimi's delta rule, told by its convolution. Latent attention in the other layers.
void fill_ling(const Config& config, Model& model) {
  const std::uint64_t h = model.hidden, heads = config.positive("/num_attention_heads");
  const bool delta = config.has("/short_conv_kernel_size");
  const Layers attention = grouped_attention(config, model.layers, delta), recurrent = without(model.layers, attention);
  if (!config.has("/head_dim")) check_divides(heads, h, "/num_attention_heads");
  const std::uint64_t head_elements = config.has("/head_dim") ? config.positive("/head_dim") : h / heads;
  model.ask("dense", kEmbed | kHead);
  model.ask("mla", kAttention | kFfn, {{{kAttention, "", attention}}, attention});
  const Place norms(model, "model.layers.{layer}.", "", kAttention, recurrent);
  for (const char* name : {"input_layernorm", "post_attention_layernorm"}) norms.add(norms.norm(name, h));
  if (delta) {
    add_kimi_delta(Place(model, kLingMixer, "delta.", kState, recurrent),
                   {h, heads, head_elements, config.positive("/short_conv_kernel_size"), KimiGates::kFull});
  } else {
    Lightning m{h, heads, head_elements, "query_key_value", "g_proj", "g_norm", "dense"};
    m.output_bias = config.boolean("/use_bias", false);
    m.qkv_bias = m.output_bias || config.boolean("/use_qkv_bias", false);
    m.qk_norm = config.boolean("/use_qk_norm", false);
    add_lightning(Place(model, kLingMixer, "lightning.", kState, recurrent), m);
  }
  add_ling_draft(config, model);
}

void fill_plamo2(const Config& config, Model& model) {
  const std::uint64_t h = model.hidden, step = config.positive("/mamba_step");
  if (step < 2) throw Error(PLIMSOLL_E_CONFIG, "/mamba_step", "is 1; 2 or more was expected");
  const Layers attention = model.layers <= step / 2 ? Layers{model.layers - 1} : periodic(model.layers, step, step / 2);
  const Layers recurrent = without(model.layers, attention);
  const std::uint64_t head_elements = config.positive("/hidden_size_per_head");
  model.ask_dense(attention, kFfn, "mixer.");
  const std::uint64_t heads = config.positive("/num_attention_heads");
  const std::uint64_t kv_heads = config.find_u64("/num_key_value_heads").value_or(heads);
  const Place norms(model, "model.layers.layers.{layer}.mixer.", "attention.", kAttention, attention);
  norms.add(norms.weight("q_weight", {heads, head_elements}).heads(0, heads));
  norms.add(norms.weight("k_weight", {kv_heads, head_elements}).heads(0, kv_heads, true));
  add_plamo_mamba(Place(model, "model.layers.layers.{layer}.mixer.", "mamba.", kState, recurrent),
                  {h, config.positive("/mamba_num_heads"), head_elements, config.positive("/mamba_d_state"),
                   std::max<std::uint64_t>(64, h / 16), config.positive("/mamba_d_conv"), read_state_dtype(config)});
}

void fill_rwkv7(const Config& config, Model& model) {
  const std::uint64_t h = model.hidden;
  const std::uint64_t head_elements = config.has("/head_dim") ? config.positive("/head_dim") : 64;
  check_divides(head_elements, h, "/head_dim");
  const double wide = static_cast<double>(head_elements) / 64; // heads above 64 elements widen the ranks
  const Rwkv7 m{h,
                h / head_elements,
                head_elements,
                config.find_u64("/value_dim").value_or(h),
                low_rank(config, "/decay_low_rank_dim", 2.5 * wide, h),
                low_rank(config, "/gate_low_rank_dim", 5, h),
                low_rank(config, "/a_low_rank_dim", 2.5 * wide, h),
                low_rank(config, "/v_low_rank_dim", 1.7 * wide, h)};
  model.ask("dense", kEmbed | kAttention | kFfn | kHead);
  const Place all(model, "model.layers.{layer}.", "rwkv.", kState, model.all());
  add_rwkv7(all, Place(model, "model.layers.{layer}.", "rwkv.", kState, plimsoll::layers_from(1, model.layers - 1)), m);
  if (!config.boolean("/norm_first", true)) return;
  const Place first(model, "model.layers.{layer}.", "", kAttention, {0});
  for (const char* part : {"pre_norm.weight", "pre_norm.bias"}) first.add(first.weight(part, {h}));
}

} // namespace hybrid
