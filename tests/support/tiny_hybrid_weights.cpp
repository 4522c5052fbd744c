#include "support/tiny_hybrid_weights.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "support/tiny_random.hpp"

namespace plimsoll::test {
namespace hybrid_weights {

using nlohmann::json;

// Names of one model_type, where they are not those of Llama.
struct Words {
  std::string_view type;
  std::string_view layer = "model.layers.", embedding = "model.embed_tokens", final_norm = "model.norm";
  std::string_view mixer = "mamba.", attention = "self_attn.", output = "o_proj";
  std::string_view norm = "input_layernorm", ffn_norm = ""; // the second empty: a layer is one block
};
constexpr std::array<Words, 12> kWords{{
    {"mamba", "backbone.layers.", "backbone.embeddings", "backbone.norm_f", "mixer.", "mixer.", "o_proj", "norm"},
    {"falcon_mamba", "backbone.layers.", "backbone.embeddings", "backbone.norm_f", "mixer.", "mixer.", "o_proj", "norm"},
    {"mamba2", "backbone.layers.", "backbone.embeddings", "backbone.norm_f", "mixer.", "mixer.", "o_proj", "norm"},
    {"nemotron_h", "backbone.layers.", "backbone.embeddings", "backbone.norm_f", "mixer.", "mixer.", "o_proj", "norm"},
    {.type = "jamba", .final_norm = "model.final_layernorm", .ffn_norm = "pre_ff_layernorm"},
    {.type = "bamba", .final_norm = "model.final_layernorm", .ffn_norm = "pre_ff_layernorm"},
    {.type = "falcon_h1", .final_norm = "model.final_layernorm", .ffn_norm = "pre_ff_layernorm"},
    {.type = "granitemoehybrid", .ffn_norm = "post_attention_layernorm"},
    {.type = "granitemoe", .ffn_norm = "post_attention_layernorm"},
    {.type = "lfm2",
     .final_norm = "model.embedding_norm",
     .mixer = "conv.",
     .output = "out_proj",
     .norm = "operator_norm",
     .ffn_norm = "ffn_norm"},
    {.type = "lfm2_moe",
     .final_norm = "model.embedding_norm",
     .mixer = "conv.",
     .output = "out_proj",
     .norm = "operator_norm",
     .ffn_norm = "ffn_norm"},
    {.type = "qwen3_5_moe_text", .mixer = "linear_attn.", .ffn_norm = "post_attention_layernorm"},
}};
constexpr Words kKimi{.type = "kimi_linear", .mixer = "self_attn.", .ffn_norm = "post_attention_layernorm"};

const Words* find_words(std::string_view type) {
  if (type == kKimi.type) return &kKimi;
  const auto* const found = std::find_if(kWords.begin(), kWords.end(), [&](const Words& words) { return words.type == type; });
  return found == kWords.end() ? nullptr : found;
}

// Gains over 1 / sqrt(columns), as in tiny_weights.cpp.
constexpr float kHeadGain = 3, kRouterGain = 2, kQueryGain = 2;
constexpr float kTiedGain = 0.25F;
constexpr std::int64_t kTiedNorm = 12;

float variance_one(std::uint64_t columns) { return std::sqrt(3.0F / static_cast<float>(columns)); }

class Weights {
public:
  Weights(const json& config, std::uint64_t seed) : config_(config), seed_(seed) {}
  std::vector<TinyTensor> all();

private:
  std::uint64_t count(const char* key, std::uint64_t otherwise = 0) const {
    const auto found = config_.find(key);
    return found == config_.end() || found->is_null() ? otherwise : found->get<std::uint64_t>();
  }
  bool flag(const char* key, bool otherwise = false) const { return config_.value(key, otherwise); }
  bool is(std::string_view type) const { return words_.type == type; }

  void add(std::string name, std::vector<std::uint64_t> shape, float half_width);
  void around(const std::string& name, std::vector<std::uint64_t> shape, std::int64_t center, std::int64_t permille);
  void matrix(const std::string& name, std::uint64_t rows, std::uint64_t columns, float gain = 1) {
    add(name + ".weight", {rows, columns}, gain * variance_one(columns));
  }
  void bias(const std::string& name, std::uint64_t width) { add(name + ".bias", {width}, 0.5F); }
  void norm(const std::string& name, std::uint64_t width, std::int64_t center = 1);
  void conv(const std::string& name, std::uint64_t channels, std::uint64_t taps) {
    add(name + ".weight", {channels, 1, taps}, kQueryGain * variance_one(taps));
  }

  std::string kind(std::uint64_t layer) const;
  void mixer(const std::string& at, const std::string& kind);
  void mamba1(const std::string& at);
  void mamba2(const std::string& at);
  void delta_net(const std::string& at);
  void kimi_delta(const std::string& at);
  void short_conv(const std::string& at);
  void attention(const std::string& at);
  void latent_attention(const std::string& at);
  void ffn(const std::string& at, std::uint64_t layer, const std::string& kind);
  void gated(const std::string& at, const std::array<const char*, 3>& names, std::uint64_t width);
  void stacked(const std::string& at, const char* in, const char* out, const char* suffix, std::uint64_t experts, std::uint64_t width);
  void nemotron_experts(const std::string& at);

  const json& config_;
  std::uint64_t seed_;
  const Words& words_ = *find_words(config_.at("model_type").get<std::string>());
  std::uint64_t hidden_ = config_.at("hidden_size"), heads_ = count("num_attention_heads", 1), kv_heads_ = count("num_key_value_heads", 1),
                head_dim_ = count("head_dim", hidden_ / heads_);
  std::vector<TinyTensor> out_;
};

void Weights::add(std::string name, std::vector<std::uint64_t> shape, float half_width) {
  std::uint64_t elements = 1;
  for (const std::uint64_t dim : shape) elements *= dim;
  std::vector<float> values = draw_uniform(seed_, name, elements, half_width);
  out_.push_back({std::move(name), std::move(shape), std::move(values)});
}

void Weights::around(const std::string& name, std::vector<std::uint64_t> shape, std::int64_t center, std::int64_t permille) {
  std::uint64_t elements = 1;
  for (const std::uint64_t dim : shape) elements *= dim;
  std::vector<float> values = draw_around(seed_, name, elements, center, permille);
  out_.push_back({name, std::move(shape), std::move(values)});
}

// Qwen's multiply by one plus what is stored, but for those of its delta nets.
void Weights::norm(const std::string& name, std::uint64_t width, std::int64_t center) {
  const bool less_one = is("qwen3_5_moe_text") && name.find("linear_attn") == std::string::npos;
  around(name + ".weight", {width}, less_one ? center - 1 : center, 100 * center);
}

// "attention", "mlp" and "moe" are those; all else is this family's recurrent mixer.
std::string Weights::kind(std::uint64_t layer) const {
  if (is("granitemoe")) return "attention";
  if (is("falcon_h1")) return "both";
  if (is("jamba")) return layer % count("attn_layer_period") == count("attn_layer_offset") ? "attention" : "mamba";
  if (const auto pattern = config_.find("hybrid_override_pattern"); pattern != config_.end()) {
    const char letter = pattern->get<std::string>()[layer];
    return letter == 'M' ? "mamba" : letter == '*' ? "attention" : letter == '-' ? "mlp" : "moe";
  }
  for (const char* list : {"attn_layer_indices", "full_attn_idxs"})
    if (const auto found = config_.find(list); found != config_.end())
      return std::find(found->begin(), found->end(), layer) != found->end() ? "attention" : "mamba";
  if (is("kimi_linear")) {
    const json& full = config_.at("linear_attn_config").at("full_attn_layers");
    return std::find(full.begin(), full.end(), layer + 1) != full.end() ? "attention" : "mamba";
  }
  if (const auto types = config_.find("layer_types"); types != config_.end())
    return types->at(layer).get<std::string>().find("attention") != std::string::npos && types->at(layer) != "linear_attention"
               ? "attention"
               : "mamba";
  return "mamba";
}

void Weights::mamba1(const std::string& at) {
  const bool jamba = is("jamba");
  const std::uint64_t inner = jamba ? count("mamba_expand") * hidden_ : count("intermediate_size");
  const std::uint64_t state = count(jamba ? "mamba_d_state" : "state_size"), rank = count(jamba ? "mamba_dt_rank" : "time_step_rank");
  matrix(at + "in_proj", 2 * inner, hidden_);
  conv(at + "conv1d", inner, count(jamba ? "mamba_d_conv" : "conv_kernel"));
  bias(at + "conv1d", inner);
  matrix(at + "x_proj", rank + 2 * state, inner);
  matrix(at + "dt_proj", inner, rank);
  around(at + "dt_proj.bias", {inner}, -2, 1500);
  around(at + "A_log", {inner, state}, 0, 1500);
  around(at + "D", {inner}, 1, 500);
  matrix(at + "out_proj", hidden_, inner);
  if (!jamba) return;
  norm(at + "dt_layernorm", rank);
  norm(at + "b_layernorm", state);
  norm(at + "c_layernorm", state);
}

// Two spellings of the sizes. States decay by a few percent to nearly all a token.
void Weights::mamba2(const std::string& at) {
  const bool spelled = config_.contains("mamba_n_heads"), nemotron = is("nemotron_h");
  const std::uint64_t heads = count(spelled ? "mamba_n_heads" : nemotron ? "mamba_num_heads" : "num_heads");
  const std::uint64_t inner = heads * count(spelled ? "mamba_d_head" : nemotron ? "mamba_head_dim" : "head_dim");
  const std::uint64_t state = count(spelled ? "mamba_d_state" : nemotron ? "ssm_state_size" : "state_size");
  const std::uint64_t channels = inner + 2 * count(spelled ? "mamba_n_groups" : "n_groups") * state;
  matrix(at + "in_proj", inner + channels + heads, hidden_);
  conv(at + "conv1d", channels, count(spelled ? "mamba_d_conv" : "conv_kernel"));
  bias(at + "conv1d", channels);
  around(at + "A_log", {heads}, 0, 1500);
  around(at + "D", {heads}, 1, 500);
  around(at + "dt_bias", {heads}, -2, 1500);
  if (flag("mamba_rms_norm", true)) norm(at + "norm", inner);
  matrix(at + "out_proj", hidden_, inner);
}

void Weights::delta_net(const std::string& at) {
  const std::uint64_t heads = count("linear_num_value_heads"), values = heads * count("linear_value_head_dim");
  const std::uint64_t keys = count("linear_num_key_heads") * count("linear_key_head_dim");
  matrix(at + "in_proj_qkv", 2 * keys + values, hidden_);
  matrix(at + "in_proj_z", values, hidden_);
  matrix(at + "in_proj_b", heads, hidden_);
  matrix(at + "in_proj_a", heads, hidden_);
  conv(at + "conv1d", 2 * keys + values, count("linear_conv_kernel_dim"));
  around(at + "A_log", {heads}, 0, 1500);
  around(at + "dt_bias", {heads}, -2, 1500);
  norm(at + "norm", count("linear_value_head_dim"));
  matrix(at + "out_proj", hidden_, values);
}

void Weights::kimi_delta(const std::string& at) {
  const json& linear = config_.at("linear_attn_config");
  const std::uint64_t heads = linear.at("num_heads"), head = linear.at("head_dim"), inner = heads * head,
                      taps = linear.at("short_conv_kernel_size");
  for (const char* part : {"q", "k", "v"}) {
    matrix(at + part + "_proj", inner, hidden_);
    conv(at + part + "_conv1d", inner, taps);
  }
  matrix(at + "f_a_proj", head, hidden_);
  matrix(at + "f_b_proj", inner, head);
  around(at + "A_log", {1, 1, heads, 1}, 0, 1500);
  around(at + "dt_bias", {inner}, -2, 1500);
  matrix(at + "b_proj", heads, hidden_);
  matrix(at + "g_a_proj", head, hidden_);
  matrix(at + "g_b_proj", inner, head);
  norm(at + "o_norm", head);
  matrix(at + "o_proj", hidden_, inner);
}

void Weights::short_conv(const std::string& at) {
  matrix(at + "in_proj", 3 * hidden_, hidden_);
  conv(at + "conv", hidden_, count("conv_L_cache"));
  matrix(at + "out_proj", hidden_, hidden_);
}

void Weights::attention(const std::string& at) {
  const std::uint64_t q = heads_ * head_dim_, kv = kv_heads_ * head_dim_;
  matrix(at + "q_proj", is("qwen3_5_moe_text") ? 2 * q : q, hidden_, kQueryGain);
  matrix(at + "k_proj", kv, hidden_);
  matrix(at + "v_proj", kv, hidden_);
  matrix(at + std::string(words_.output), hidden_, q);
  const bool lfm2 = is("lfm2") || is("lfm2_moe");
  if (!lfm2 && !is("qwen3_5_moe_text")) return;
  norm(at + (lfm2 ? "q_layernorm" : "q_norm"), head_dim_, 2);
  norm(at + (lfm2 ? "k_layernorm" : "k_norm"), head_dim_);
}

void Weights::latent_attention(const std::string& at) {
  const std::uint64_t nope = count("qk_nope_head_dim"), rope = count("qk_rope_head_dim"), value = count("v_head_dim");
  const std::uint64_t kv_rank = count("kv_lora_rank");
  matrix(at + "q_proj", heads_ * (nope + rope), hidden_, kQueryGain);
  matrix(at + "kv_a_proj_with_mqa", kv_rank + rope, hidden_);
  norm(at + "kv_a_layernorm", kv_rank);
  matrix(at + "kv_b_proj", heads_ * (nope + value), kv_rank);
  matrix(at + "o_proj", hidden_, heads_ * value);
}

void Weights::mixer(const std::string& at, const std::string& kind) {
  const std::string own = at + std::string(words_.mixer), attends = at + std::string(words_.attention);
  if (kind == "attention" || kind == "both") {
    if (is("kimi_linear")) latent_attention(attends);
    else attention(attends);
    if (kind == "attention") return;
  }
  if (is("mamba") || is("falcon_mamba") || is("jamba")) mamba1(own);
  else if (is("lfm2") || is("lfm2_moe")) short_conv(own);
  else if (is("qwen3_5_moe_text")) delta_net(own);
  else if (is("kimi_linear")) kimi_delta(own);
  else mamba2(own);
}

// Gate, up and down; an empty gate: none.
void Weights::gated(const std::string& at, const std::array<const char*, 3>& names, std::uint64_t width) {
  if (names[0][0] != '\0') matrix(at + names[0], width, hidden_);
  matrix(at + names[1], width, hidden_);
  matrix(at + names[2], hidden_, width);
}

void Weights::stacked(const std::string& at, const char* in, const char* out, const char* suffix, std::uint64_t experts,
                      std::uint64_t width) {
  add(at + in + suffix, {experts, 2 * width, hidden_}, variance_one(hidden_));
  add(at + out + suffix, {experts, hidden_, width}, variance_one(width));
}

// In a width of their own where there is one.
void Weights::nemotron_experts(const std::string& at) {
  const std::uint64_t experts = count("n_routed_experts"), width = count("moe_intermediate_size"),
                      latent = count("moe_latent_size", hidden_);
  matrix(at + "gate", experts, hidden_, kRouterGain);
  add(at + "gate.e_score_correction_bias", {experts}, 0.25F);
  if (latent != hidden_) {
    matrix(at + "fc1_latent_proj", latent, hidden_);
    matrix(at + "fc2_latent_proj", hidden_, latent);
  }
  for (std::uint64_t i = 0; i < experts; ++i) {
    const std::string expert = at + "experts." + std::to_string(i);
    matrix(expert + ".up_proj", width, latent);
    matrix(expert + ".down_proj", latent, width);
  }
  gated(at + "shared_experts.", {"", "up_proj", "down_proj"}, count("moe_shared_expert_intermediate_size"));
}

void Weights::ffn(const std::string& at, std::uint64_t layer, const std::string& kind) {
  constexpr std::array<const char*, 3> kProj{"gate_proj", "up_proj", "down_proj"}, kNumbered{"w1", "w3", "w2"};
  const std::uint64_t experts = count("num_experts", count("num_local_experts"));
  const auto each = [&](const std::string& prefix, const std::array<const char*, 3>& names, std::uint64_t width) {
    for (std::uint64_t i = 0; i < experts; ++i) gated(prefix + std::to_string(i) + ".", names, width);
  };
  if (kind == "moe") return nemotron_experts(at + "mixer.");
  if (is("nemotron_h")) return gated(at + "mixer.", {"", "up_proj", "down_proj"}, count("intermediate_size"));
  if (is("granitemoe") || is("granitemoehybrid")) {
    matrix(at + "block_sparse_moe.router.layer", experts, hidden_, kRouterGain);
    stacked(at + "block_sparse_moe.", "input_linear", "output_linear", ".weight", experts, count("intermediate_size"));
    if (is("granitemoe")) return;
    matrix(at + "shared_mlp.input_linear", 2 * count("shared_intermediate_size"), hidden_);
    return matrix(at + "shared_mlp.output_linear", hidden_, count("shared_intermediate_size"));
  }
  if (is("qwen3_5_moe_text")) {
    matrix(at + "mlp.gate", experts, hidden_, kRouterGain);
    stacked(at + "mlp.experts.", "gate_up_proj", "down_proj", "", experts, count("moe_intermediate_size"));
    gated(at + "mlp.shared_expert.", kProj, count("shared_expert_intermediate_size"));
    return matrix(at + "mlp.shared_expert_gate", 1, hidden_, kRouterGain);
  }
  if (is("kimi_linear") && layer >= count("first_k_dense_replace")) {
    matrix(at + "block_sparse_moe.gate", experts, hidden_, kRouterGain);
    add(at + "block_sparse_moe.gate.e_score_correction_bias", {experts}, 0.25F);
    each(at + "block_sparse_moe.experts.", kNumbered, count("moe_intermediate_size"));
    return gated(at + "block_sparse_moe.shared_experts.", kProj, count("num_shared_experts") * count("moe_intermediate_size"));
  }
  if (is("kimi_linear")) return gated(at + "mlp.", kProj, count("intermediate_size"));
  const std::string own = at + "feed_forward.";
  if (is("jamba") && layer % count("expert_layer_period") == count("expert_layer_offset")) {
    matrix(own + "router", experts, hidden_, kRouterGain);
    return each(own + "experts.", kProj, count("intermediate_size"));
  }
  if (is("lfm2_moe") && layer >= count("num_dense_layers")) {
    matrix(own + "gate", experts, hidden_, kRouterGain);
    add(own + "expert_bias", {experts}, 0.25F);
    return each(own + "experts.", kNumbered, count("moe_intermediate_size"));
  }
  gated(own, is("lfm2") || is("lfm2_moe") ? kNumbered : kProj, count("intermediate_size"));
}

std::vector<TinyTensor> Weights::all() {
  const std::uint64_t words = count("vocab_size");
  const bool tied = flag("tie_word_embeddings");
  add(std::string(words_.embedding) + ".weight", {words, hidden_}, tied ? kTiedGain * variance_one(hidden_) : variance_one(1));
  for (std::uint64_t layer = 0; layer < count("num_hidden_layers"); ++layer) {
    const std::string at = std::string(words_.layer) + std::to_string(layer) + ".", what = kind(layer);
    if (what != "mlp" && what != "moe") mixer(at, what);
    if (!words_.ffn_norm.empty() || what == "mlp" || what == "moe") ffn(at, layer, what);
    norm(at + std::string(words_.norm), hidden_);
    if (!words_.ffn_norm.empty()) norm(at + std::string(words_.ffn_norm), hidden_);
  }
  norm(std::string(words_.final_norm), hidden_, tied ? kTiedNorm : 1);
  if (!tied) matrix("lm_head", words, hidden_, kHeadGain);
  return std::move(out_);
}

} // namespace hybrid_weights

bool is_tiny_hybrid(const nlohmann::json& config) {
  const std::string type = config.at("model_type");
  if (type == "granitemoehybrid") return config.value("num_local_experts", 0) > 0; // without experts tiny_weights.cpp has it
  return hybrid_weights::find_words(type) != nullptr;
}

std::vector<TinyTensor> tiny_hybrid_weights(const nlohmann::json& config, std::uint64_t seed) {
  return hybrid_weights::Weights(config, seed).all();
}

} // namespace plimsoll::test
