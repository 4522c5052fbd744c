#include "support/tiny_gguf_tensors.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <utility>

#include <nlohmann/json.hpp>

#include "support/tiny_hybrid_gguf.hpp"
#include "support/tiny_hybrid_weights.hpp"

namespace plimsoll::test {
namespace {

using nlohmann::json;
using Shape = std::vector<std::uint64_t>;

// Of names inside a layer, without ".weight" and ".bias".
const std::map<std::string_view, std::string_view> kNames{
    {"input_layernorm", "attn_norm"},
    {"post_attention_layernorm", "ffn_norm"},
    {"post_feedforward_layernorm", "post_ffw_norm"},
    {"post_self_attn_layernorm", "post_attention_norm"},
    {"post_mlp_layernorm", "post_ffw_norm"},
    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},
    {"self_attn.qkv_proj", "attn_qkv"},
    {"self_attn.o_proj", "attn_output"},
    {"self_attn.dense", "attn_output"},
    {"self_attn.q_norm", "attn_q_norm"},
    {"self_attn.k_norm", "attn_k_norm"},
    {"self_attn.q_a_proj", "attn_q_a"},
    {"self_attn.q_a_layernorm", "attn_q_a_norm"},
    {"self_attn.q_b_proj", "attn_q_b"},
    {"self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa"},
    {"self_attn.kv_a_layernorm", "attn_kv_a_norm"},
    {"mlp.gate_proj", "ffn_gate"},
    {"mlp.up_proj", "ffn_up"},
    {"mlp.gate_up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
    {"mlp.fc1", "ffn_up"},
    {"mlp.fc2", "ffn_down"},
    {"mlp.c_fc", "ffn_up"},
    {"mlp.c_proj", "ffn_down"},
    {"mlp.gate", "ffn_gate_inp"},
    {"mlp.router", "ffn_gate_inp"},
    {"block_sparse_moe.gate", "ffn_gate_inp"},
    {"mlp.shared_expert_gate", "ffn_gate_inp_shexp"},
    {"shared_mlp.output_linear", "ffn_down"},
    {"mamba.in_proj", "ssm_in"},
    {"mamba.out_proj", "ssm_out"},
    {"linear_attn.in_proj_qkvz", "ssm_in"},
    {"linear_attn.in_proj_ba", "ssm_ba"},
    {"linear_attn.norm", "ssm_norm"},
    {"linear_attn.out_proj", "ssm_out"},
};
const std::map<std::string_view, std::string_view> kParts{{"gate_proj", "gate"}, {"up_proj", "up"}, {"down_proj", "down"},
                                                          {"w1", "gate"},        {"w3", "up"},      {"w2", "down"}};

class Renamer {
public:
  explicit Renamer(const json& config) : config_(config) {}

  void rope_factors();
  void convert(const TinyTensor& tensor);
  std::vector<TinyTensor> take() { return std::move(tensors_); }

private:
  std::uint64_t count(const char* key, std::uint64_t otherwise = 0) const {
    const auto found = config_.find(key);
    return found == config_.end() || found->is_null() ? otherwise : found->get<std::uint64_t>();
  }
  bool is(std::string_view type) const { return type_ == type; }
  bool gemma() const { return is("gemma2") || is("gemma3_text"); }
  // llama.cpp's graph for these turns channels 2i and 2i + 1 of a head together, transformers i and i + half.
  bool neighbours_turn() const {
    return is("llama") || is("mistral") || is("mixtral") || is("granite") || is("granitemoehybrid") || is("smollm3");
  }
  bool normed_behind() const { return is("olmo2") || is("olmo3") || is("exaone4"); }

  void convert_in_layer(const std::string& layer, std::string_view name, const TinyTensor& tensor);
  void keep(std::string name, Shape shape, std::vector<float> values);
  void stack(const std::string& name, const TinyTensor& tensor);
  void split_latent(const std::string& layer, const TinyTensor& tensor);
  void split_experts(const std::string& layer, const TinyTensor& tensor);
  void convert_states(const std::string& layer, std::string_view name, const TinyTensor& tensor);
  void convert_delta(const std::string& layer, std::string_view name, const TinyTensor& tensor);
  void halves(const std::string& layer, const TinyTensor& tensor);
  void split_heads(const std::string& layer, const TinyTensor& tensor);
  std::vector<float> interleaved(const TinyTensor& tensor) const;

  const json& config_;
  std::string type_ = config_.at("model_type");
  std::uint64_t heads_ = count("num_attention_heads"), head_dim_ = count("head_dim", count("hidden_size") / heads_);
  std::vector<TinyTensor> tensors_;
};

// What each frequency is divided by stands in a tensor, for Llama 3 and for Phi's two ranges.
void Renamer::rope_factors() {
  const json scaling = config_.value("rope_scaling", json());
  if (!scaling.is_object()) return;
  if (scaling.contains("long_factor")) {
    for (const char* range : {"long", "short"}) {
      std::vector<float> factors = scaling.at(std::string(range) + "_factor");
      const std::uint64_t pairs = factors.size();
      keep(std::string("rope_factors_") + range + ".weight", {pairs}, std::move(factors));
    }
    return;
  }
  if (!scaling.contains("low_freq_factor")) return;
  const double factor = scaling.at("factor"), low = scaling.at("low_freq_factor"), high = scaling.at("high_freq_factor");
  const double trained = scaling.at("original_max_position_embeddings"), theta = config_.at("rope_theta");
  std::vector<float> factors;
  for (std::uint64_t i = 0; i < head_dim_ / 2; ++i) {
    const double turns = trained / (2 * std::numbers::pi * std::pow(theta, 2 * static_cast<double>(i) / static_cast<double>(head_dim_)));
    const double kept = std::clamp((turns - low) / (high - low), 0.0, 1.0);
    factors.push_back(static_cast<float>(1 / ((1 - kept) / factor + kept)));
  }
  keep("rope_freqs.weight", {head_dim_ / 2}, std::move(factors));
}

void Renamer::keep(std::string name, Shape shape, std::vector<float> values) {
  tensors_.push_back({std::move(name), std::move(shape), std::move(values)});
}

// The next of the equal matrices that GGUF keeps in one tensor.
void Renamer::stack(const std::string& name, const TinyTensor& tensor) {
  const auto found = std::find_if(tensors_.begin(), tensors_.end(), [&](const TinyTensor& other) { return other.name == name; });
  if (found == tensors_.end()) return keep(name, {1, tensor.shape[0], tensor.shape[1]}, tensor.values);
  ++found->shape[0];
  found->values.insert(found->values.end(), tensor.values.begin(), tensor.values.end());
}

// Row 2i of a head is its row i, row 2i + 1 the one half a head further: then neighbours turn where halves did.
std::vector<float> Renamer::interleaved(const TinyTensor& tensor) const {
  const std::uint64_t width = tensor.values.size() / tensor.shape[0], half = head_dim_ / 2;
  std::vector<float> out(tensor.values.size());
  for (std::uint64_t row = 0; row < tensor.shape[0]; ++row) {
    const std::uint64_t head = row / head_dim_, in_head = row % head_dim_;
    const std::uint64_t to = head * head_dim_ + 2 * (in_head % half) + in_head / half;
    std::copy_n(tensor.values.begin() + static_cast<std::ptrdiff_t>(row * width), width,
                out.begin() + static_cast<std::ptrdiff_t>(to * width));
  }
  return out;
}

// kv_b_proj [heads (nope + value), latent] becomes k_b [heads, latent, nope] and v_b [heads, value, latent].
void Renamer::split_latent(const std::string& layer, const TinyTensor& tensor) {
  const std::uint64_t nope = count("qk_nope_head_dim"), value = count("v_head_dim"), latent = count("kv_lora_rank");
  std::vector<float> keys, values;
  for (std::uint64_t head = 0; head < heads_; ++head) {
    const float* const rows = tensor.values.data() + head * (nope + value) * latent;
    for (std::uint64_t column = 0; column < latent; ++column)
      for (std::uint64_t row = 0; row < nope; ++row) keys.push_back(rows[row * latent + column]);
    values.insert(values.end(), rows + nope * latent, rows + (nope + value) * latent);
  }
  keep(layer + "attn_k_b.weight", {heads_, latent, nope}, std::move(keys));
  keep(layer + "attn_v_b.weight", {heads_, value, latent}, std::move(values));
}

// [experts, inputs, outputs] becomes [experts, outputs, inputs]; gate and up become two tensors, of gpt-oss in turn, else the first half
// and the second. Biases have no inputs.
void Renamer::split_experts(const std::string& layer, const TinyTensor& tensor) {
  const bool bias = tensor.name.ends_with("_bias"), joined = tensor.name.find("gate_up") != std::string::npos;
  const std::uint64_t experts = tensor.shape[0], inputs = bias ? 1 : tensor.shape[1], outputs = tensor.shape.back();
  const std::uint64_t parts = joined ? 2 : 1;
  for (std::uint64_t part = 0; part < parts; ++part) {
    std::vector<float> values;
    for (std::uint64_t expert = 0; expert < experts; ++expert)
      for (std::uint64_t i = 0; i < outputs / parts; ++i) {
        const std::uint64_t output = is("gpt_oss") ? i * parts + part : part * (outputs / parts) + i;
        for (std::uint64_t input = 0; input < inputs; ++input)
          values.push_back(tensor.values[(expert * inputs + input) * outputs + output]);
      }
    const std::string name = layer + (!joined ? "ffn_down" : part == 0 ? "ffn_gate" : "ffn_up") + "_exps";
    if (bias) keep(name + ".bias", {experts, outputs / parts}, std::move(values));
    else keep(name + ".weight", {experts, outputs / parts, inputs}, std::move(values));
  }
}

// Of a Mamba-2 what is no matrix: a and d are columns, a as it is used, the convolution without its dimension of 1.
void Renamer::convert_states(const std::string& layer, std::string_view name, const TinyTensor& tensor) {
  std::vector<float> values = tensor.values;
  if (name == "dt_bias") return keep(layer + "ssm_dt.bias", tensor.shape, std::move(values));
  if (name == "D") return keep(layer + "ssm_d", {tensor.shape[0], 1}, std::move(values));
  if (name == "A_log") {
    for (float& value : values) value = -std::exp(value);
    return keep(layer + "ssm_a", {tensor.shape[0], 1}, std::move(values));
  }
  if (name == "conv1d.weight") return keep(layer + "ssm_conv1d.weight", {tensor.shape[0], tensor.shape[2]}, std::move(values));
  if (name == "norm.weight") return keep(layer + "ssm_norm.weight", {1, tensor.shape[0]}, std::move(values)); // a row for each group
  keep(layer + "ssm_" + std::string(name), tensor.shape, std::move(values));                                  // the convolution's bias
}

// Of a delta net what is no matrix, likewise; a is no column there.
void Renamer::convert_delta(const std::string& layer, std::string_view name, const TinyTensor& tensor) {
  std::vector<float> values = tensor.values;
  if (name == "dt_bias") return keep(layer + "ssm_dt.bias", tensor.shape, std::move(values));
  if (name == "conv1d.weight") return keep(layer + "ssm_conv1d.weight", {tensor.shape[0], tensor.shape[2]}, std::move(values));
  for (float& value : values) value = -std::exp(value);
  keep(layer + "ssm_a", tensor.shape, std::move(values));
}

// Of each head of keys its query, its key, its values and their gates, as later converters have them: all queries, then all keys, then all
// values; and the gates in a tensor of their own.
void Renamer::split_heads(const std::string& layer, const TinyTensor& tensor) {
  const std::uint64_t heads = count("linear_num_key_heads"), key = count("linear_key_head_dim"), width = tensor.shape[1];
  const std::uint64_t value = count("linear_num_value_heads") / heads * count("linear_value_head_dim"), row = 2 * key + 2 * value;
  const auto rows = [&](std::uint64_t first, std::uint64_t n, std::vector<float>& out) {
    for (std::uint64_t head = 0; head < heads; ++head) {
      const auto begin = tensor.values.begin() + static_cast<std::ptrdiff_t>((head * row + first) * width);
      out.insert(out.end(), begin, begin + static_cast<std::ptrdiff_t>(n * width));
    }
  };
  std::vector<float> qkv, gates;
  rows(0, key, qkv);
  rows(key, key, qkv);
  rows(2 * key, value, qkv);
  rows(2 * key + value, value, gates);
  keep(layer + "attn_qkv.weight", {heads * (2 * key + value), width}, std::move(qkv));
  keep(layer + "attn_gate.weight", {heads * value, width}, std::move(gates));
}

// Gate and up in one tensor become two.
void Renamer::halves(const std::string& layer, const TinyTensor& tensor) {
  const auto middle = tensor.values.begin() + static_cast<std::ptrdiff_t>(tensor.values.size() / 2);
  const Shape shape{tensor.shape[0] / 2, tensor.shape[1]};
  keep(layer + "ffn_gate.weight", shape, {tensor.values.begin(), middle});
  keep(layer + "ffn_up.weight", shape, {middle, tensor.values.end()});
}

void Renamer::convert_in_layer(const std::string& layer, std::string_view name, const TinyTensor& tensor) {
  if (name == "self_attn.sinks") return keep(layer + "attn_sinks.weight", tensor.shape, tensor.values);
  if (name.ends_with(".e_score_correction_bias")) return keep(layer + "exp_probs_b.bias", tensor.shape, tensor.values);
  if (name.starts_with("mamba.") && tensor.shape.size() != 2) return convert_states(layer, name.substr(6), tensor);
  if (name == "linear_attn.dt_bias" || name == "linear_attn.A_log" || name == "linear_attn.conv1d.weight")
    return convert_delta(layer, name.substr(12), tensor);
  if (name == "linear_attn.in_proj_qkvz.weight" && config_.value("gguf_projections", "") == "apart") return split_heads(layer, tensor);
  if (name == "shared_mlp.input_linear.weight") return halves(layer, tensor);
  if ((is("gpt_oss") || is("qwen3_vl_moe_text")) && name.starts_with("mlp.experts.")) return split_experts(layer, tensor);
  const std::size_t dot = name.rfind('.');
  const std::string_view owner = name.substr(0, dot), kind = name.substr(dot);
  if (owner == "self_attn.kv_b_proj") return split_latent(layer, tensor);
  if (owner == "mlp.shared_expert_gate") return keep(layer + "ffn_gate_inp_shexp.weight", {tensor.shape[1]}, tensor.values);
  if (owner.find("expert") != std::string_view::npos) {
    const std::string part = "ffn_" + std::string(kParts.at(owner.substr(owner.rfind('.') + 1)));
    if (owner.find(".experts.") != std::string_view::npos) return stack(layer + part + "_exps.weight", tensor);
    return keep(layer + part + "_shexp.weight", tensor.shape, tensor.values);
  }
  std::string to;
  if (owner == "pre_feedforward_layernorm") to = "ffn_norm";
  else if (owner == "post_attention_layernorm" && (gemma() || is("gpt_oss") || is("seed_oss") || normed_behind() || is("qwen3_next")))
    to = "post_attention_norm";
  else to = kNames.at(owner);
  std::vector<float> values = tensor.values;
  if (neighbours_turn() && (to == "attn_q" || to == "attn_k")) values = interleaved(tensor);
  if ((gemma() || (is("qwen3_next") && to != "ssm_norm")) && to.ends_with("norm"))
    for (float& value : values) value += 1;
  if (is("gemma2") && to == "attn_q") {
    // llama.cpp scales by the head's width whatever the configuration says: the difference goes into the weights.
    const float scale = std::sqrt(static_cast<float>(head_dim_) / static_cast<float>(count("query_pre_attn_scalar")));
    for (float& value : values) value *= scale;
  }
  keep(layer + to + std::string(kind), tensor.shape, std::move(values));
}

void Renamer::convert(const TinyTensor& tensor) {
  constexpr std::string_view kLayers = "model.layers.";
  const std::string_view name = tensor.name;
  if (name == "model.embed_tokens.weight") return keep("token_embd.weight", tensor.shape, tensor.values);
  if (name == "lm_head.weight") return keep("output.weight", tensor.shape, tensor.values);
  if (name == "lm_head.bias") return keep("output.bias", tensor.shape, tensor.values);
  if (name.starts_with("model.norm.") || name.starts_with("model.final_layernorm.")) {
    std::vector<float> values = tensor.values;
    if (gemma() || is("qwen3_next"))
      for (float& value : values) value += 1;
    return keep("output_norm" + std::string(name.substr(name.rfind('.'))), tensor.shape, std::move(values));
  }
  const std::size_t dot = name.find('.', kLayers.size());
  const std::string layer = "blk." + std::string(name.substr(kLayers.size(), dot - kLayers.size())) + ".";
  convert_in_layer(layer, name.substr(dot + 1), tensor);
}

} // namespace

std::vector<TinyTensor> tiny_gguf_tensors(const TinyModel& model) {
  const json config = json::parse(model.config);
  if (is_tiny_hybrid(config)) return tiny_hybrid_gguf_tensors(model);
  Renamer renamer(config);
  renamer.rope_factors();
  for (const TinyTensor& tensor : model.tensors) renamer.convert(tensor);
  return renamer.take();
}

} // namespace plimsoll::test
