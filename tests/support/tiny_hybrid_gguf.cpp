#include "support/tiny_hybrid_gguf.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <stdexcept>
#include <utility>

namespace plimsoll::test {
namespace hybrid_gguf {

using nlohmann::json;
using Shape = std::vector<std::uint64_t>;

// Of names inside a layer, without ".weight" and ".bias", and behind the mixer's own prefix.
const std::map<std::string_view, std::string_view> kNames{
    {"norm", "attn_norm"},
    {"input_layernorm", "attn_norm"},
    {"operator_norm", "attn_norm"},
    {"pre_ff_layernorm", "ffn_norm"},
    {"post_attention_layernorm", "ffn_norm"},
    {"ffn_norm", "ffn_norm"},
    {"mixer.in_proj", "ssm_in"},
    {"mixer.conv1d", "ssm_conv1d"},
    {"mixer.x_proj", "ssm_x"},
    {"mixer.dt_proj", "ssm_dt"},
    {"mixer.dt_layernorm", "ssm_dt_norm"},
    {"mixer.b_layernorm", "ssm_b_norm"},
    {"mixer.c_layernorm", "ssm_c_norm"},
    {"mixer.norm", "ssm_norm"},
    {"mixer.out_proj", "ssm_out"},
    {"mixer.up_proj", "ffn_up"},
    {"mixer.down_proj", "ffn_down"},
    {"mixer.gate", "ffn_gate_inp"},
    {"mixer.fc1_latent_proj", "ffn_latent_down"},
    {"mixer.fc2_latent_proj", "ffn_latent_up"},
    {"mixer.shared_experts.up_proj", "ffn_up_shexp"},
    {"mixer.shared_experts.down_proj", "ffn_down_shexp"},
    {"conv.in_proj", "shortconv.in_proj"},
    {"conv.conv", "shortconv.conv"},
    {"conv.out_proj", "shortconv.out_proj"},
    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},
    {"self_attn.o_proj", "attn_output"},
    {"self_attn.out_proj", "attn_output"},
    {"self_attn.q_layernorm", "attn_q_norm"},
    {"self_attn.k_layernorm", "attn_k_norm"},
    {"self_attn.q_conv1d", "ssm_conv1d_q"},
    {"self_attn.k_conv1d", "ssm_conv1d_k"},
    {"self_attn.v_conv1d", "ssm_conv1d_v"},
    {"self_attn.f_a_proj", "ssm_f_a"},
    {"self_attn.f_b_proj", "ssm_f_b"},
    {"self_attn.b_proj", "ssm_beta"},
    {"self_attn.g_a_proj", "ssm_g_a"},
    {"self_attn.g_b_proj", "ssm_g_b"},
    {"self_attn.o_norm", "ssm_norm"},
    {"self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa"},
    {"self_attn.kv_a_layernorm", "attn_kv_a_norm"},
    {"feed_forward.gate_proj", "ffn_gate"},
    {"feed_forward.up_proj", "ffn_up"},
    {"feed_forward.down_proj", "ffn_down"},
    {"feed_forward.w1", "ffn_gate"},
    {"feed_forward.w3", "ffn_up"},
    {"feed_forward.w2", "ffn_down"},
    {"feed_forward.router", "ffn_gate_inp"},
    {"feed_forward.gate", "ffn_gate_inp"},
    {"self_attn.q_norm", "attn_q_norm"},
    {"self_attn.k_norm", "attn_k_norm"},
    {"linear_attn.in_proj_qkv", "attn_qkv"},
    {"linear_attn.in_proj_z", "attn_gate"},
    {"linear_attn.in_proj_b", "ssm_beta"},
    {"linear_attn.in_proj_a", "ssm_alpha"},
    {"linear_attn.conv1d", "ssm_conv1d"},
    {"linear_attn.norm", "ssm_norm"},
    {"linear_attn.out_proj", "ssm_out"},
    {"mlp.gate", "ffn_gate_inp"},
    {"mlp.shared_expert.gate_proj", "ffn_gate_shexp"},
    {"mlp.shared_expert.up_proj", "ffn_up_shexp"},
    {"mlp.shared_expert.down_proj", "ffn_down_shexp"},
    {"mlp.gate_proj", "ffn_gate"},
    {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
    {"block_sparse_moe.gate", "ffn_gate_inp"},
    {"block_sparse_moe.router.layer", "ffn_gate_inp"},
    {"block_sparse_moe.output_linear", "ffn_down_exps"},
    {"block_sparse_moe.shared_experts.gate_proj", "ffn_gate_shexp"},
    {"block_sparse_moe.shared_experts.up_proj", "ffn_up_shexp"},
    {"block_sparse_moe.shared_experts.down_proj", "ffn_down_shexp"},
    {"shared_mlp.output_linear", "ffn_down_shexp"},
};
const std::map<std::string_view, std::string_view> kParts{{"gate_proj", "gate"}, {"up_proj", "up"}, {"down_proj", "down"},
                                                          {"w1", "gate"},        {"w3", "up"},      {"w2", "down"}};

std::uint64_t count(const json& config, const char* key, std::uint64_t otherwise = 0) {
  const auto found = config.find(key);
  return found == config.end() || found->is_null() ? otherwise : found->get<std::uint64_t>();
}

class Renamer {
public:
  explicit Renamer(const json& config) : config_(config) {}
  void convert(const TinyTensor& tensor);
  std::vector<TinyTensor> take() { return std::move(tensors_); }

private:
  bool is(std::string_view type) const { return type_ == type; }
  void in_layer(const std::string& layer, std::string name, const TinyTensor& tensor);
  bool states(const std::string& layer, std::string_view name, const TinyTensor& tensor);
  void latent(const std::string& layer, const TinyTensor& tensor);
  void stack(const std::string& name, const TinyTensor& tensor);
  void keep(std::string name, Shape shape, std::vector<float> values) {
    tensors_.push_back({std::move(name), std::move(shape), std::move(values)});
  }
  void halves(const std::string& layer, const char* suffix, const TinyTensor& tensor);
  std::vector<float> neighbours(const TinyTensor& tensor) const;
  std::vector<float> dealt(const std::string& to, const TinyTensor& tensor) const;
  std::vector<float> multiplied(std::string_view name, const TinyTensor& tensor) const;
  std::uint64_t groups() const { return count(config_, config_.contains("mamba_n_groups") ? "mamba_n_groups" : "n_groups", 1); }

  const json& config_;
  std::string type_ = config_.at("model_type");
  std::uint64_t heads_ = count(config_, "num_attention_heads", 1),
                head_ = count(config_, "head_dim", count(config_, "hidden_size") / heads_);
  std::vector<TinyTensor> tensors_;
};

// llama.cpp's graph for Granite turns channels 2i and 2i + 1 of a head together, transformers i and i + half.
std::vector<float> Renamer::neighbours(const TinyTensor& tensor) const {
  const std::uint64_t width = tensor.shape[1], half = head_ / 2;
  std::vector<float> out(tensor.values.size());
  for (std::uint64_t row = 0; row < tensor.shape[0]; ++row) {
    const std::uint64_t in_head = row % head_, to = row - in_head + 2 * (in_head % half) + in_head / half;
    std::copy_n(tensor.values.begin() + static_cast<std::ptrdiff_t>(row * width), width,
                out.begin() + static_cast<std::ptrdiff_t>(to * width));
  }
  return out;
}

// Qwen3.5's heads of values come hand by hand where they belong to keys one after another: first the first head of each key. Of rows behind
// those of queries and keys, or of columns.
std::vector<float> Renamer::dealt(const std::string& to, const TinyTensor& tensor) const {
  const bool fused = to == "attn_qkv" || to == "ssm_conv1d", columns = to == "ssm_out";
  const std::uint64_t keys = count(config_, "linear_num_key_heads"), heads = count(config_, "linear_num_value_heads"),
                      of_key = heads / keys;
  const std::uint64_t first = fused ? 2 * keys * count(config_, "linear_key_head_dim") : 0;
  const std::uint64_t n = columns ? tensor.shape[1] : tensor.shape[0] - first, width = n / heads;
  const std::uint64_t row = tensor.values.size() / tensor.shape[0], rows = columns ? tensor.shape[0] : 1, step = columns ? 1 : row;
  std::vector<float> out = tensor.values;
  for (std::uint64_t i = 0; i < n; ++i) {
    const std::uint64_t head = i / width, to_head = head % of_key * keys + head / of_key, at = to_head * width + i % width;
    for (std::uint64_t r = 0; r < rows; ++r)
      std::copy_n(tensor.values.begin() + static_cast<std::ptrdiff_t>(r * row + (first + i) * step), step,
                  out.begin() + static_cast<std::ptrdiff_t>(r * row + (first + at) * step));
  }
  return out;
}

// Falcon-H1's factors go into what they scale.
std::vector<float> Renamer::multiplied(std::string_view name, const TinyTensor& tensor) const {
  std::vector<float> values = tensor.values;
  if (!is("falcon_h1")) return values;
  const auto real = [&](const char* key) { return config_.at(key).get<double>(); };
  const auto by = [&](double factor) {
    for (float& value : values) value = static_cast<float>(value * factor);
  };
  if (name.ends_with("down_proj.weight")) by(config_["mlp_multipliers"][1]);
  else if (name.ends_with("gate_proj.weight")) by(config_["mlp_multipliers"][0]);
  else if (name.ends_with("k_proj.weight")) by(real("key_multiplier") * real("attention_in_multiplier"));
  else if (name.ends_with("q_proj.weight") || name.ends_with("v_proj.weight")) by(real("attention_in_multiplier"));
  else if (name.ends_with("o_proj.weight")) by(real("attention_out_multiplier"));
  else if (name.ends_with("out_proj.weight")) by(real("ssm_out_multiplier"));
  else if (name == "lm_head.weight") by(real("lm_head_multiplier"));
  else if (name.ends_with("embed_tokens.weight")) by(real("embedding_multiplier"));
  if (!name.ends_with("in_proj.weight")) return values;
  const std::uint64_t inner = count(config_, "mamba_d_ssm"), group = groups() * count(config_, "mamba_d_state");
  const std::uint64_t ends[]{inner, 2 * inner, 2 * inner + group, 2 * inner + 2 * group, tensor.shape[0]};
  std::size_t part = 0;
  for (std::uint64_t row = 0; row < tensor.shape[0]; ++row) {
    while (row >= ends[part]) ++part;
    const double factor = real("ssm_in_multiplier") * config_["ssm_multipliers"][part].get<double>();
    for (std::uint64_t i = 0; i < tensor.shape[1]; ++i) {
      float& value = values[row * tensor.shape[1] + i];
      value = static_cast<float>(value * factor);
    }
  }
  return values;
}

// The next of the equal matrices that GGUF keeps in one tensor.
void Renamer::stack(const std::string& name, const TinyTensor& tensor) {
  const auto found = std::find_if(tensors_.begin(), tensors_.end(), [&](const TinyTensor& other) { return other.name == name; });
  if (found == tensors_.end()) return keep(name, {1, tensor.shape[0], tensor.shape[1]}, tensor.values);
  ++found->shape[0];
  found->values.insert(found->values.end(), tensor.values.begin(), tensor.values.end());
}

// Gate and up in one tensor become two; of one expert after another where there are several.
void Renamer::halves(const std::string& layer, const char* suffix, const TinyTensor& tensor) {
  const bool experts = tensor.shape.size() == 3;
  const std::uint64_t rows = tensor.shape[experts ? 1 : 0], width = tensor.shape.back(), half = rows / 2 * width;
  for (const std::size_t part : {0U, 1U}) {
    std::vector<float> values;
    for (std::uint64_t at = part * half; at < tensor.values.size(); at += 2 * half)
      values.insert(values.end(), tensor.values.begin() + static_cast<std::ptrdiff_t>(at),
                    tensor.values.begin() + static_cast<std::ptrdiff_t>(at + half));
    Shape shape = tensor.shape;
    shape[experts ? 1 : 0] = rows / 2;
    keep(layer + (part == 0 ? "ffn_gate" : "ffn_up") + suffix, std::move(shape), std::move(values));
  }
}

// kv_b_proj [heads (nope + value), latent] becomes k_b [heads, latent, nope] and v_b [heads, value, latent].
void Renamer::latent(const std::string& layer, const TinyTensor& tensor) {
  const std::uint64_t nope = count(config_, "qk_nope_head_dim"), value = count(config_, "v_head_dim"),
                      rank = count(config_, "kv_lora_rank");
  std::vector<float> keys, values;
  for (std::uint64_t head = 0; head < heads_; ++head) {
    const float* const rows = tensor.values.data() + head * (nope + value) * rank;
    for (std::uint64_t column = 0; column < rank; ++column)
      for (std::uint64_t row = 0; row < nope; ++row) keys.push_back(rows[row * rank + column]);
    values.insert(values.end(), rows + nope * rank, rows + (nope + value) * rank);
  }
  keep(layer + "attn_k_b.weight", {heads_, rank, nope}, std::move(keys));
  keep(layer + "attn_v_b.weight", {heads_, value, rank}, std::move(values));
}

// Of a recurrence what is no matrix.
bool Renamer::states(const std::string& layer, std::string_view name, const TinyTensor& tensor) {
  const bool delta = is("qwen3_5_moe_text");
  std::vector<float> values = delta && name.starts_with("linear_attn.") && tensor.shape.size() == 1 && !name.ends_with("norm.weight")
                                  ? dealt("", tensor)
                                  : tensor.values;
  const bool of_heads = tensor.shape.size() == 1 && !is("mamba") && !is("falcon_mamba") && !is("jamba") && !delta;
  if (name.ends_with("A_log")) {
    for (float& value : values) value = -std::exp(value);
    if (is("kimi_linear")) keep(layer + "ssm_a", {tensor.shape[2], 1}, std::move(values));
    else keep(layer + "ssm_a", of_heads ? Shape{tensor.shape[0], 1} : tensor.shape, std::move(values));
  } else if (name.ends_with(".D")) {
    keep(layer + "ssm_d", of_heads ? Shape{tensor.shape[0], 1} : tensor.shape, std::move(values));
  } else if (name.ends_with("dt_bias")) {
    keep(layer + "ssm_dt.bias", tensor.shape, std::move(values));
  } else if (name.ends_with("e_score_correction_bias") || name.ends_with("expert_bias")) {
    keep(layer + "exp_probs_b.bias", tensor.shape, std::move(values));
  } else {
    return false;
  }
  return true;
}

void Renamer::in_layer(const std::string& layer, std::string name, const TinyTensor& tensor) {
  if (states(layer, name, tensor)) return;
  if (name == "self_attn.kv_b_proj.weight") return latent(layer, tensor);
  if (name == "block_sparse_moe.input_linear.weight") return halves(layer, "_exps.weight", tensor);
  if (name == "shared_mlp.input_linear.weight") return halves(layer, "_shexp.weight", tensor);
  if (name == "mlp.experts.gate_up_proj") return halves(layer, "_exps.weight", tensor);
  if (name == "mlp.experts.down_proj") return keep(layer + "ffn_down_exps.weight", tensor.shape, tensor.values);
  if (name == "mlp.shared_expert_gate.weight") return keep(layer + "ffn_gate_inp_shexp.weight", {tensor.shape[1]}, tensor.values);
  if (name.starts_with("mamba.")) name = "mixer." + name.substr(6);
  for (const char* part : {"q_proj", "k_proj", "v_proj", "o_proj"})
    if (name == std::string("mixer.") + part + ".weight") name = "self_attn." + name.substr(6);
  const std::size_t dot = name.rfind('.');
  const std::string owner = name.substr(0, dot), kind = name.substr(dot);
  if (owner.find("experts.") != std::string::npos && owner.find("shared_experts.") == std::string::npos)
    return stack(layer + "ffn_" + std::string(kParts.at(std::string_view(owner).substr(owner.rfind('.') + 1))) + "_exps.weight", tensor);
  const bool delta = is("qwen3_5_moe_text");
  const std::string to(delta && owner == "post_attention_layernorm" ? "post_attention_norm" : kNames.at(owner));
  Shape shape = tensor.shape;
  if (shape.size() == 3 && to.starts_with("ssm_conv1d_")) shape = {tensor.shape[0], 1, tensor.shape[2]};
  else if (shape.size() == 3 && shape[1] == 1) shape = {tensor.shape[0], tensor.shape[2]};
  if (to == "ssm_norm" && !is("kimi_linear") && !delta) shape = {groups(), tensor.shape[0] / groups()};
  const bool bare = is("falcon_h1") && to == "ffn_norm"; // llama.cpp asks for it without an ending
  const bool turned = (is("granitemoe") || is("bamba")) && (to == "attn_q" || to == "attn_k");
  std::vector<float> values = turned ? neighbours(tensor) : multiplied(tensor.name, tensor);
  if (delta && owner.starts_with("linear_attn.") && to != "ssm_norm") values = dealt(to, tensor);
  if (delta && to.ends_with("norm") && to != "ssm_norm")
    for (float& value : values) value += 1;
  keep(layer + to + (bare ? std::string() : kind), std::move(shape), std::move(values));
}

void Renamer::convert(const TinyTensor& tensor) {
  const std::string& name = tensor.name;
  const std::size_t layers = name.find("layers.");
  if (layers == std::string::npos) {
    const bool embedding = name.find("embed_tokens") != std::string::npos || name.find("embeddings") != std::string::npos;
    const bool lfm2 = is("lfm2") || is("lfm2_moe");
    std::vector<float> values = multiplied(name, tensor);
    if (is("qwen3_5_moe_text") && name.ends_with("norm.weight"))
      for (float& value : values) value += 1;
    return keep(embedding                  ? "token_embd.weight"
                : name == "lm_head.weight" ? "output.weight"
                : lfm2                     ? "token_embd_norm.weight"
                                           : "output_norm.weight",
                tensor.shape, std::move(values));
  }
  const std::size_t begin = layers + 7, dot = name.find('.', begin);
  in_layer("blk." + name.substr(begin, dot - begin) + ".", name.substr(dot + 1), tensor);
}

// Metadata of one architecture.
class Metadata {
public:
  Metadata(const json& config, GgufWriter& file) : config_(config), file_(file) {}
  void add();

private:
  bool is(std::string_view type) const { return type_ == type; }
  std::uint64_t of(const char* key, std::uint64_t otherwise = 0) const { return count(config_, key, otherwise); }
  void number(const char* key, std::uint64_t value) { file_.u32(at_ + key, static_cast<std::uint32_t>(value)); }
  void real(const char* key, double value) { file_.f32(at_ + key, static_cast<float>(value)); }
  // `value` in the layers that `has` says, 0 in others.
  template <class Has>
  void layers(const char* key, std::uint64_t value, Has has) {
    std::vector<std::uint32_t> out;
    for (std::uint64_t i = 0; i < of("num_hidden_layers"); ++i) out.push_back(has(i) ? static_cast<std::uint32_t>(value) : 0);
    file_.u32s(at_ + key, out);
  }
  bool attends(std::uint64_t layer) const;
  void attention();
  void states();
  void experts();

  const json& config_;
  GgufWriter& file_;
  std::string type_ = config_.at("model_type"), at_ = tiny_hybrid_architecture(config_) + ".";
  std::uint64_t heads_ = of("num_attention_heads"), head_ = of("head_dim", heads_ == 0 ? 0 : of("hidden_size") / heads_);
};

bool Metadata::attends(std::uint64_t layer) const {
  if (is("jamba")) return layer % of("attn_layer_period") == of("attn_layer_offset");
  if (is("bamba")) return config_.at("attn_layer_indices").dump().find(std::to_string(layer)) != std::string::npos;
  if (is("nemotron_h")) return config_.at("hybrid_override_pattern").get<std::string>()[layer] == '*';
  if (is("lfm2")) return config_.at("full_attn_idxs").dump().find(std::to_string(layer)) != std::string::npos;
  if (is("kimi_linear"))
    return config_.at("linear_attn_config").at("full_attn_layers").dump().find(std::to_string(layer + 1)) != std::string::npos;
  if (config_.contains("layer_types")) return config_["layer_types"][layer].get<std::string>().find("attention") != std::string::npos;
  return true;
}

void Metadata::attention() {
  if (is("mamba") || is("falcon_mamba") || is("mamba2")) return number("attention.head_count", 0);
  number("attention.head_count", heads_);
  const auto attend = [&](std::uint64_t layer) { return attends(layer); };
  if (is("granitemoe") || is("falcon_h1") || is("qwen3_5_moe_text")) number("attention.head_count_kv", of("num_key_value_heads"));
  else layers("attention.head_count_kv", is("kimi_linear") ? 1 : of("num_key_value_heads"), attend);
  if (is("kimi_linear")) {
    number("attention.kv_lora_rank", of("kv_lora_rank"));
    number("attention.key_length", of("kv_lora_rank") + of("qk_rope_head_dim"));
    number("attention.value_length", of("kv_lora_rank"));
    number("attention.key_length_mla", of("qk_nope_head_dim") + of("qk_rope_head_dim"));
    number("attention.value_length_mla", of("v_head_dim"));
    number("rope.dimension_count", of("qk_rope_head_dim"));
    return;
  }
  number("attention.key_length", head_);
  number("attention.value_length", head_);
  const auto turning = static_cast<std::uint64_t>(config_.value("partial_rotary_factor", 1.0) * static_cast<double>(head_));
  number("rope.dimension_count", of("attn_rotary_emb", turning));
  if (is("qwen3_5_moe_text")) file_.u32s(at_ + "rope.dimension_sections", {1, 1, 0, 0});
  if (config_.contains("rope_theta")) real("rope.freq_base", config_["rope_theta"]);
}

void Metadata::states() {
  if (is("granitemoe")) return;
  if (is("lfm2") || is("lfm2_moe")) return number("shortconv.l_cache", of("conv_L_cache"));
  if (is("kimi_linear")) {
    number("ssm.conv_kernel", config_["linear_attn_config"]["short_conv_kernel_size"]);
    return number("kda.head_dim", config_["linear_attn_config"]["head_dim"]);
  }
  if (is("qwen3_5_moe_text")) {
    number("ssm.conv_kernel", of("linear_conv_kernel_dim"));
    number("ssm.inner_size", of("linear_num_value_heads") * of("linear_value_head_dim"));
    number("ssm.state_size", of("linear_key_head_dim"));
    number("ssm.time_step_rank", of("linear_num_value_heads"));
    number("ssm.group_count", of("linear_num_key_heads"));
    return number("full_attention_interval", of("full_attention_interval"));
  }
  const auto first = [&](std::initializer_list<const char*> keys) -> std::uint64_t {
    for (const char* key : keys)
      if (config_.contains(key)) return of(key);
    throw std::runtime_error("none of the keys of a state is there");
  };
  number("ssm.conv_kernel", first({"mamba_d_conv", "conv_kernel"}));
  number("ssm.state_size", first({"mamba_d_state", "state_size", "ssm_state_size"}));
  if (is("mamba") || is("falcon_mamba") || is("jamba")) {
    number("ssm.inner_size", 2 * of("hidden_size"));
    number("ssm.time_step_rank", first({"mamba_dt_rank", "time_step_rank"}));
    if (!is("jamba")) file_.flag(at_ + "ssm.dt_b_c_rms", is("falcon_mamba"));
    return;
  }
  const std::uint64_t heads = first({"mamba_n_heads", "mamba_num_heads", "num_heads"});
  number("ssm.inner_size", heads * first({"mamba_d_head", "mamba_head_dim", "head_dim"}));
  number("ssm.time_step_rank", heads);
  number("ssm.group_count", first({"mamba_n_groups", "n_groups"}));
  if (is("granitemoehybrid") || is("bamba")) file_.flag(at_ + "rope.scaling.finetuned", is("bamba"));
}

void Metadata::experts() {
  const std::uint64_t experts = of("num_experts", of("num_local_experts", of("n_routed_experts")));
  if (experts == 0) return;
  number("expert_count", experts);
  number("expert_used_count", of("num_experts_per_tok", of("num_experts_per_token")));
  if (const std::uint64_t width = of("moe_intermediate_size")) number("expert_feed_forward_length", width);
  if (is("granitemoehybrid")) number("expert_shared_feed_forward_length", of("shared_intermediate_size"));
  if (is("qwen3_5_moe_text")) number("expert_shared_feed_forward_length", of("shared_expert_intermediate_size"));
  if (is("lfm2_moe")) {
    number("leading_dense_block_count", of("num_dense_layers"));
    number("expert_gating_func", 2);
  } else if (is("kimi_linear")) {
    number("leading_dense_block_count", of("first_k_dense_replace"));
    number("expert_shared_count", of("num_shared_experts"));
    number("expert_gating_func", 2);
    real("expert_weights_scale", config_.at("routed_scaling_factor"));
  } else if (is("nemotron_h")) {
    number("expert_shared_feed_forward_length", of("moe_shared_expert_intermediate_size"));
    number("expert_shared_count", of("n_shared_experts"));
    file_.flag(at_ + "expert_weights_norm", config_.at("norm_topk_prob"));
    real("expert_weights_scale", config_.at("routed_scaling_factor"));
    number("expert_group_count", of("n_group"));
    if (of("n_group") > 1) number("expert_group_used_count", of("topk_group"));
    if (const std::uint64_t latent = of("moe_latent_size")) number("moe_latent_size", latent);
  }
}

void Metadata::add() {
  number("context_length", of("max_position_embeddings", 1U << 20));
  number("embedding_length", of("hidden_size"));
  number("block_count", of("num_hidden_layers"));
  number("vocab_size", of("vocab_size"));
  if (is("nemotron_h")) {
    const auto pattern = config_.at("hybrid_override_pattern").get<std::string>();
    const std::uint64_t moe = of("moe_intermediate_size");
    layers("feed_forward_length", moe != 0 ? moe : of("intermediate_size"),
           [&](std::uint64_t layer) { return pattern[layer] == '-' || pattern[layer] == 'E'; });
  } else if (!is("qwen3_5_moe_text")) {
    number("feed_forward_length", is("mamba") || is("falcon_mamba") || is("mamba2") ? 0 : of("intermediate_size"));
  }
  for (const char* epsilon : {"rms_norm_eps", "layer_norm_epsilon", "norm_eps"})
    if (config_.contains(epsilon)) real("attention.layer_norm_rms_epsilon", config_[epsilon]);
  if (is("nemotron_h")) real("attention.layer_norm_epsilon", config_.at("layer_norm_epsilon")); // it asks for either
  attention();
  states();
  experts();
  if (!config_.contains("residual_multiplier")) return;
  for (const auto& [from, to] : {std::pair("embedding_multiplier", "embedding_scale"), std::pair("residual_multiplier", "residual_scale"),
                                 std::pair("attention_multiplier", "attention.scale"), std::pair("logits_scaling", "logit_scale")})
    real(to, config_.at(from));
}

} // namespace hybrid_gguf

std::string tiny_hybrid_architecture(const nlohmann::json& config) {
  static const std::map<std::string_view, const char*> names{
      {"mamba", "mamba"},         {"falcon_mamba", "mamba"},    {"mamba2", "mamba2"},
      {"jamba", "jamba"},         {"bamba", "granitehybrid"},   {"qwen3_5_moe_text", "qwen35moe"},
      {"falcon_h1", "falcon-h1"}, {"granitemoe", "granitemoe"}, {"granitemoehybrid", "granitehybrid"},
      {"lfm2", "lfm2"},           {"lfm2_moe", "lfm2moe"},      {"kimi_linear", "kimi-linear"}};
  const std::string type = config.at("model_type");
  if (type == "nemotron_h") return config.contains("n_routed_experts") ? "nemotron_h_moe" : "nemotron_h";
  const auto found = names.find(type);
  if (found == names.end()) throw std::runtime_error("no GGUF architecture is known for model_type " + type);
  return found->second;
}

void add_tiny_hybrid_metadata(const nlohmann::json& config, GgufWriter& file) { hybrid_gguf::Metadata(config, file).add(); }

std::vector<TinyTensor> tiny_hybrid_gguf_tensors(const TinyModel& model) {
  const auto config = nlohmann::json::parse(model.config);
  hybrid_gguf::Renamer renamer(config);
  for (const TinyTensor& tensor : model.tensors) renamer.convert(tensor);
  return renamer.take();
}

} // namespace plimsoll::test
