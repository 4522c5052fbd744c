#include "support/tiny_weights.hpp"

#include <cmath>
#include <tuple>
#include <utility>

#include "support/tiny_hybrid_weights.hpp"
#include "support/tiny_late_weights.hpp"
#include "support/tiny_random.hpp"

namespace plimsoll::test {
namespace {

using nlohmann::json;

// Gains over 1 / sqrt(columns), chosen so that greedy texts have wide margins and special arithmetic really happens.
constexpr float kHeadGain = 3, kRouterGain = 2;
constexpr float kQueryGain = 2, kFusedGain = 1.5F; // attention that chooses: an average over all keys would be one constant vector
constexpr float kClampedGain = 4;                  // of gpt-oss experts: one value in twelve beyond the clamp at 7
constexpr float kBias = 0.5F, kSink = 2;
// A tied head would repeat the last token for ever if its embedding stood out of the sum of the layers: it is drawn small, and the last
// norm brings logits back to size.
constexpr float kTiedGain = 0.25F;
constexpr std::int64_t kTiedNorm = 12;

class Weights {
public:
  Weights(const json& config, std::uint64_t seed) : config_(config), seed_(seed) {}

  std::uint64_t count(const char* key, std::uint64_t otherwise = 0) const {
    const auto found = config_.find(key);
    return found == config_.end() || found->is_null() ? otherwise : found->get<std::uint64_t>();
  }
  bool flag(const char* key, bool otherwise = false) const { return config_.value(key, otherwise); }
  bool is(std::string_view type) const { return type_ == type; }
  bool gemma() const { return is("gemma2") || is("gemma3_text"); }
  bool biased() const { return is("phi") || is("starcoder2"); } // everything
  bool normed_behind() const { return is("olmo2") || is("olmo3") || is("exaone4"); }

  std::vector<TinyTensor> all();

private:
  void add(std::string name, std::vector<std::uint64_t> shape, float half_width);
  void matrix(const std::string& name, std::uint64_t rows, std::uint64_t columns, float gain = 1);
  void bias(const std::string& name, std::uint64_t width, float half_width = kBias) { add(name + ".bias", {width}, half_width); }
  void norm(const std::string& name, std::uint64_t width, std::int64_t center = 1);
  void attention(const std::string& at);
  void latent_attention(const std::string& at);
  void mamba2(const std::string& at);
  void delta_net(const std::string& at);
  bool recurrent(std::uint64_t layer) const;
  void gated(const std::string& at, std::uint64_t width);
  void experts(const std::string& at);
  void stacked_experts(const std::string& at);
  void llama4_experts(const std::string& at);
  void factors(const std::string& name, std::uint64_t width);
  void gemma4_inputs();
  void gemma4_layer(const std::string& at, std::uint64_t layer);
  bool sparse(std::uint64_t layer) const;

  const json& config_;
  std::uint64_t seed_;
  std::string type_ = config_.at("model_type");
  bool tied_ = flag("tie_word_embeddings", gemma());
  std::uint64_t hidden_ = config_.at("hidden_size"), heads_ = config_.at("num_attention_heads"),
                kv_heads_ = config_.at("num_key_value_heads"), head_dim_ = count("head_dim", hidden_ / heads_);
  std::vector<TinyTensor> out_;
};

float variance_one(std::uint64_t columns) { return std::sqrt(3.0F / static_cast<float>(columns)); }

std::uint64_t elements(const std::vector<std::uint64_t>& shape) {
  std::uint64_t product = 1;
  for (const std::uint64_t dim : shape) product *= dim;
  return product;
}

void Weights::add(std::string name, std::vector<std::uint64_t> shape, float half_width) {
  std::vector<float> values = draw_uniform(seed_, name, elements(shape), half_width);
  out_.push_back({std::move(name), std::move(shape), std::move(values)});
}

void Weights::matrix(const std::string& name, std::uint64_t rows, std::uint64_t columns, float gain) {
  add(name + ".weight", {rows, columns}, gain * variance_one(columns));
}

// Gemma's norms, and Qwen3-Next's but for one, multiply by one plus what is stored.
void Weights::norm(const std::string& name, std::uint64_t width, std::int64_t center) {
  std::string weight = name + ".weight";
  const bool less_one = gemma() || (is("qwen3_next") && name.find("linear_attn") == std::string::npos);
  std::vector<float> values = draw_around(seed_, weight, width, less_one ? center - 1 : center, 100 * center);
  out_.push_back({std::move(weight), {width}, std::move(values)});
  if (biased()) bias(name, width);
}

void Weights::attention(const std::string& at) {
  const std::uint64_t q = heads_ * head_dim_, kv = kv_heads_ * head_dim_;
  const bool biases = flag("attention_bias") || biased(), qkv_biases = biases || is("qwen2") || is("qwen2_moe");
  const bool all_queries = is("olmo2") || is("olmo3") || is("olmoe") || is("minimax_m2");
  if (is("phi3")) {
    matrix(at + "qkv_proj", q + 2 * kv, hidden_, kFusedGain);
  } else {
    for (const auto& [part, rows, gain] :
         {std::tuple("q_proj", is("qwen3_next") ? 2 * q : q, kQueryGain), std::tuple("k_proj", kv, 1.0F), std::tuple("v_proj", kv, 1.0F)}) {
      matrix(at + part, rows, hidden_, gain);
      if (qkv_biases) bias(at + part, rows);
    }
  }
  const std::string out = at + (is("phi") ? "dense" : "o_proj");
  matrix(out, hidden_, q);
  if (flag("attention_out_bias", biases && !is("glm4"))) bias(out, hidden_);
  if (all_queries) {
    norm(at + "q_norm", q, 2);
    norm(at + "k_norm", kv);
  }
  if (is("qwen3") || is("qwen3_moe") || is("qwen3_next") || is("qwen3_vl_moe_text") || is("exaone4") || is("gemma3_text")) {
    norm(at + "q_norm", head_dim_, 2);
    norm(at + "k_norm", head_dim_);
  }
  if (is("gpt_oss")) add(at + "sinks", {heads_}, kSink);
}

void Weights::latent_attention(const std::string& at) {
  const std::uint64_t nope = count("qk_nope_head_dim"), rope = count("qk_rope_head_dim"), value = count("v_head_dim");
  const std::uint64_t q_rank = count("q_lora_rank"), kv_rank = count("kv_lora_rank");
  if (q_rank == 0) {
    matrix(at + "q_proj", heads_ * (nope + rope), hidden_, kQueryGain);
  } else {
    matrix(at + "q_a_proj", q_rank, hidden_);
    norm(at + "q_a_layernorm", q_rank);
    matrix(at + "q_b_proj", heads_ * (nope + rope), q_rank, kQueryGain);
  }
  matrix(at + "kv_a_proj_with_mqa", kv_rank + rope, hidden_);
  norm(at + "kv_a_layernorm", kv_rank);
  matrix(at + "kv_b_proj", heads_ * (nope + value), kv_rank);
  matrix(at + "o_proj", hidden_, heads_ * value);
}

bool Weights::recurrent(std::uint64_t layer) const {
  const auto kinds = config_.find("layer_types");
  return kinds != config_.end() && (kinds->at(layer) == "mamba" || kinds->at(layer) == "linear_attention");
}

// States that decay by a few percent to nearly all a token.
void Weights::mamba2(const std::string& at) {
  const std::uint64_t heads = count("mamba_n_heads"), inner = count("mamba_expand") * hidden_, taps = count("mamba_d_conv");
  const std::uint64_t channels = inner + 2 * count("mamba_n_groups") * count("mamba_d_state");
  matrix(at + "in_proj", inner + channels + heads, hidden_);
  add(at + "conv1d.weight", {channels, 1, taps}, kQueryGain * variance_one(taps));
  if (flag("mamba_conv_bias")) bias(at + "conv1d", channels);
  std::vector<float> logarithms = draw_around(seed_, at + "A_log", heads, 0, 1500);
  out_.push_back({at + "A_log", {heads}, std::move(logarithms)});
  std::vector<float> skips = draw_around(seed_, at + "D", heads, 1, 500);
  out_.push_back({at + "D", {heads}, std::move(skips)});
  std::vector<float> steps = draw_around(seed_, at + "dt_bias", heads, -2, 1500);
  out_.push_back({at + "dt_bias", {heads}, std::move(steps)});
  norm(at + "norm", inner);
  matrix(at + "out_proj", hidden_, inner);
}

// States that are forgotten within a few tokens, or hardly.
void Weights::delta_net(const std::string& at) {
  const std::uint64_t heads = count("linear_num_value_heads"), taps = count("linear_conv_kernel_dim");
  const std::uint64_t keys = count("linear_num_key_heads") * count("linear_key_head_dim"), values = heads * count("linear_value_head_dim");
  matrix(at + "in_proj_qkvz", 2 * keys + 2 * values, hidden_);
  matrix(at + "in_proj_ba", 2 * heads, hidden_);
  add(at + "conv1d.weight", {2 * keys + values, 1, taps}, kQueryGain * variance_one(taps));
  std::vector<float> logarithms = draw_around(seed_, at + "A_log", heads, 0, 1500);
  out_.push_back({at + "A_log", {heads}, std::move(logarithms)});
  std::vector<float> steps = draw_around(seed_, at + "dt_bias", heads, -2, 1500);
  out_.push_back({at + "dt_bias", {heads}, std::move(steps)});
  norm(at + "norm", count("linear_value_head_dim"));
  matrix(at + "out_proj", hidden_, values);
}

void Weights::gated(const std::string& at, std::uint64_t width) {
  const bool biases = flag("mlp_bias");
  if (is("granitemoehybrid")) {
    matrix(at + "input_linear", 2 * width, hidden_);
    matrix(at + "output_linear", hidden_, width);
    return;
  }
  if (is("phi3") || is("glm4")) {
    matrix(at + "gate_up_proj", 2 * width, hidden_);
    matrix(at + "down_proj", hidden_, width);
    return;
  }
  if (biased()) {
    const std::string into = at + (is("phi") ? "fc1" : "c_fc"), back = at + (is("phi") ? "fc2" : "c_proj");
    matrix(into, width, hidden_);
    bias(into, width);
    matrix(back, hidden_, width);
    return bias(back, hidden_);
  }
  for (const char* part : {"gate_proj", "up_proj"}) {
    matrix(at + part, width, hidden_);
    if (biases) bias(at + part, width);
  }
  matrix(at + "down_proj", hidden_, width);
  if (biases) bias(at + "down_proj", hidden_);
}

// gpt-oss: all experts in one tensor, inputs before outputs, gate and up in turn.
void Weights::stacked_experts(const std::string& at) {
  const std::uint64_t experts = count("num_local_experts"), width = count("intermediate_size");
  matrix(at + "router", experts, hidden_, kRouterGain);
  bias(at + "router", experts);
  add(at + "experts.gate_up_proj", {experts, hidden_, 2 * width}, kClampedGain * variance_one(hidden_));
  add(at + "experts.gate_up_proj_bias", {experts, 2 * width}, kBias);
  add(at + "experts.down_proj", {experts, width, hidden_}, variance_one(width) / kClampedGain);
  add(at + "experts.down_proj_bias", {experts, hidden_}, kBias);
}

// Llama 4: inputs before outputs, all of gate before all of up, and a shared expert that is as wide as each.
void Weights::llama4_experts(const std::string& at) {
  const std::uint64_t experts = count("num_local_experts"), width = count("intermediate_size");
  matrix(at + "router", experts, hidden_, kRouterGain);
  add(at + "experts.gate_up_proj", {experts, hidden_, 2 * width}, kQueryGain * variance_one(hidden_));
  add(at + "experts.down_proj", {experts, width, hidden_}, variance_one(width));
  gated(at + "shared_expert.", width);
}

// Between a half and one and a half.
void Weights::factors(const std::string& name, std::uint64_t width) {
  std::vector<float> values = draw_around(seed_, name, width, 1, 500);
  out_.push_back({name, {width}, std::move(values)});
}

// What layers are told of tokens besides.
void Weights::gemma4_inputs() {
  const std::uint64_t width = count("hidden_size_per_layer_input"), all = count("num_hidden_layers") * width;
  if (width == 0) return;
  add("model.embed_tokens_per_layer.weight", {count("vocab_size_per_layer_input"), all}, variance_one(width));
  matrix("model.per_layer_model_projection", all, hidden_);
  norm("model.per_layer_projection_norm", width);
}

void Weights::gemma4_layer(const std::string& at, std::uint64_t layer) {
  const bool full = config_.at("layer_types").at(layer) == "full_attention", keys_are_values = full && flag("attention_k_eq_v");
  const std::uint64_t head = full ? count("global_head_dim") : head_dim_, q = heads_ * head;
  const std::uint64_t kv = head * (keys_are_values ? count("num_global_key_value_heads") : kv_heads_);
  matrix(at + "self_attn.q_proj", q, hidden_);
  matrix(at + "self_attn.k_proj", kv, hidden_);
  if (!keys_are_values) matrix(at + "self_attn.v_proj", kv, hidden_);
  matrix(at + "self_attn.o_proj", hidden_, q);
  norm(at + "self_attn.q_norm", head);
  norm(at + "self_attn.k_norm", head);
  const bool borrows = layer + count("num_kv_shared_layers") >= count("num_hidden_layers");
  gated(at + "mlp.", count("intermediate_size") * (borrows && flag("use_double_wide_mlp") ? 2 : 1));
  for (const char* of : {"input", "post_attention", "pre_feedforward", "post_feedforward"}) norm(at + of + "_layernorm", hidden_);
  factors(at + "layer_scalar", 1);
  if (const std::uint64_t width = count("hidden_size_per_layer_input"); width > 0) {
    matrix(at + "per_layer_input_gate", width, hidden_);
    matrix(at + "per_layer_projection", hidden_, width);
    norm(at + "post_per_layer_input_norm", hidden_);
  }
  if (!flag("enable_moe_block")) return;
  const std::uint64_t experts = count("num_experts"), width = count("moe_intermediate_size");
  matrix(at + "router.proj", experts, hidden_, 2 * kRouterGain * std::sqrt(static_cast<float>(hidden_)));
  factors(at + "router.scale", hidden_);
  factors(at + "router.per_expert_scale", experts);
  add(at + "experts.gate_up_proj", {experts, 2 * width, hidden_}, variance_one(hidden_));
  add(at + "experts.down_proj", {experts, hidden_, width}, variance_one(width));
  for (const char* of : {"post_feedforward_layernorm_1", "post_feedforward_layernorm_2", "pre_feedforward_layernorm_2"})
    norm(at + of, hidden_);
}

void Weights::experts(const std::string& at) {
  if (is("llama4_text")) return llama4_experts(at);
  if (is("gpt_oss")) return stacked_experts(at);
  if (is("mixtral") || is("minimax_m2")) {
    const std::uint64_t experts = count("num_local_experts"), width = count("intermediate_size");
    matrix(at + "gate", experts, hidden_, kRouterGain);
    if (is("minimax_m2")) add(at + "e_score_correction_bias", {experts}, kBias / 2);
    for (std::uint64_t i = 0; i < experts; ++i) {
      const std::string expert = at + "experts." + std::to_string(i);
      matrix(expert + ".w1", width, hidden_);
      matrix(expert + ".w2", hidden_, width);
      matrix(expert + ".w3", width, hidden_);
    }
    return;
  }
  const std::uint64_t experts = count("n_routed_experts", count("num_experts"));
  const std::uint64_t width = count("moe_intermediate_size", count("intermediate_size"));
  matrix(at + "gate", experts, hidden_, kRouterGain);
  if (is("qwen3_vl_moe_text")) { // inputs before outputs
    add(at + "experts.gate_up_proj", {experts, hidden_, 2 * width}, variance_one(hidden_));
    return add(at + "experts.down_proj", {experts, width, hidden_}, variance_one(width));
  }
  if (config_.value("topk_method", "") == "noaux_tc") add(at + "gate.e_score_correction_bias", {experts}, kBias / 2);
  for (std::uint64_t i = 0; i < experts; ++i) gated(at + "experts." + std::to_string(i) + ".", width);
  if (const std::uint64_t shared = count("n_shared_experts")) gated(at + "shared_experts.", shared * width);
  if (const std::uint64_t shared = count("shared_expert_intermediate_size")) {
    gated(at + "shared_expert.", shared);
    matrix(at + "shared_expert_gate", 1, hidden_, kRouterGain);
  }
}

bool Weights::sparse(std::uint64_t layer) const {
  const bool experts = count("num_experts") + count("num_local_experts") + count("n_routed_experts") > 0;
  const std::uint64_t step = count("decoder_sparse_step", count("interleave_moe_layer_step", 1));
  return experts && layer >= count("first_k_dense_replace") && (layer + 1) % step == 0;
}

std::vector<TinyTensor> Weights::all() {
  const std::uint64_t words = count("vocab_size");
  // Gemma multiplies what it looks up by sqrt(hidden_size).
  const float embedding = tied_ ? kTiedGain * variance_one(hidden_) : variance_one(1);
  add("model.embed_tokens.weight", {words, hidden_}, embedding);
  for (std::uint64_t layer = 0; layer < count("num_hidden_layers"); ++layer) {
    const std::string at = "model.layers." + std::to_string(layer) + ".";
    if (is("gemma4_text")) {
      gemma4_layer(at, layer);
      continue;
    }
    if (recurrent(layer) && is("qwen3_next")) delta_net(at + "linear_attn.");
    else if (recurrent(layer)) mamba2(at + "mamba.");
    else if (count("kv_lora_rank") > 0) latent_attention(at + "self_attn.");
    else attention(at + "self_attn.");
    if (is("granitemoehybrid")) gated(at + "shared_mlp.", count("shared_intermediate_size"));
    else if (!sparse(layer))
      gated(at + (is("llama4_text") ? "feed_forward." : "mlp."), count("intermediate_size_mlp", count("intermediate_size")));
    else experts(at + (is("mixtral") || is("minimax_m2") ? "block_sparse_moe." : is("llama4_text") ? "feed_forward." : "mlp."));
    if (!normed_behind()) norm(at + "input_layernorm", hidden_);
    if (is("cohere2") || is("phi")) continue; // attention and FFN read the same
    norm(at + "post_attention_layernorm", hidden_);
    if (gemma()) norm(at + "pre_feedforward_layernorm", hidden_);
    if (gemma() || normed_behind()) norm(at + "post_feedforward_layernorm", hidden_);
    for (const char* behind : {"post_self_attn_layernorm", "post_mlp_layernorm"})
      if (is("glm4")) norm(at + behind, hidden_);
  }
  if (is("gemma4_text")) gemma4_inputs();
  norm(is("phi") ? "model.final_layernorm" : "model.norm", hidden_, tied_ ? kTiedNorm : 1);
  if (!tied_) matrix("lm_head", words, hidden_, kHeadGain);
  if (is("phi")) bias("lm_head", words);
  return std::move(out_);
}

} // namespace

std::vector<TinyTensor> tiny_weights(const json& config, std::uint64_t seed) {
  if (is_tiny_late(config)) return tiny_late_weights(config, seed);
  return is_tiny_hybrid(config) ? tiny_hybrid_weights(config, seed) : Weights(config, seed).all();
}

} // namespace plimsoll::test
