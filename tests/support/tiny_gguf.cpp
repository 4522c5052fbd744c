#include "support/tiny_gguf.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <stdexcept>
#include <utility>

#include <nlohmann/json.hpp>

#include "support/sparse_checkpoint.hpp"

namespace plimsoll::test {
namespace {

using nlohmann::json;
using Shape = std::vector<std::uint64_t>;

constexpr std::uint64_t kSpecial = 3, kBytes = 256; // <unk>, <s>, </s>, then every byte

// Of names inside a layer, without ".weight" and ".bias".
const std::map<std::string_view, std::string_view> kNames{
    {"input_layernorm", "attn_norm"},
    {"post_attention_layernorm", "ffn_norm"},
    {"post_feedforward_layernorm", "post_ffw_norm"},
    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},
    {"self_attn.qkv_proj", "attn_qkv"},
    {"self_attn.o_proj", "attn_output"},
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
    {"mlp.gate", "ffn_gate_inp"},
    {"mlp.router", "ffn_gate_inp"},
    {"block_sparse_moe.gate", "ffn_gate_inp"},
    {"mlp.shared_expert_gate", "ffn_gate_inp_shexp"},
};
const std::map<std::string_view, std::string_view> kParts{{"gate_proj", "gate"}, {"up_proj", "up"}, {"down_proj", "down"},
                                                          {"w1", "gate"},        {"w3", "up"},      {"w2", "down"}};

class Converter {
public:
  Converter(const TinyModel& model, TinyFormat format) : model_(model), format_(format), config_(json::parse(model.config)) {}

  std::string bytes();

private:
  std::uint64_t count(const char* key, std::uint64_t otherwise = 0) const {
    const auto found = config_.find(key);
    return found == config_.end() || found->is_null() ? otherwise : found->get<std::uint64_t>();
  }
  bool is(std::string_view type) const { return type_ == type; }
  bool gemma() const { return is("gemma2") || is("gemma3_text"); }
  bool latent() const { return count("kv_lora_rank") > 0; }
  std::uint64_t experts() const { return count("num_experts") + count("num_local_experts") + count("n_routed_experts"); }

  const char* architecture() const;
  void sizes();
  void routing();
  void rope();
  void rope_factors(const json& scaling);
  void vocabulary();

  void number(const std::string& key, std::uint64_t value) { file_.u32(at_ + key, static_cast<std::uint32_t>(value)); }
  void real(const std::string& key, double value) { file_.f32(at_ + key, static_cast<float>(value)); }
  void copy(const char* from, const std::string& to) {
    if (const std::uint64_t value = count(from)) number(to, value);
  }

  void convert(const TinyTensor& tensor);
  void convert_in_layer(const std::string& layer, std::string_view name, const TinyTensor& tensor);
  void keep(std::string name, Shape shape, std::vector<float> values);
  void stack(const std::string& name, const TinyTensor& tensor);
  void split_latent(const std::string& layer, const TinyTensor& tensor);
  void split_experts(const std::string& layer, const TinyTensor& tensor);
  std::vector<float> interleaved(const TinyTensor& tensor) const;

  const TinyModel& model_;
  TinyFormat format_;
  json config_;
  std::string type_ = config_.at("model_type"), at_ = std::string(architecture()) + ".";
  std::uint64_t heads_ = count("num_attention_heads"), head_dim_ = count("head_dim", count("hidden_size") / heads_);
  GgufWriter file_;
  std::vector<TinyTensor> tensors_;
};

const char* Converter::architecture() const {
  static const std::map<std::string_view, const char*> names{
      {"llama", "llama"},          {"mistral", "llama"},      {"mixtral", "llama"},   {"qwen2", "qwen2"},
      {"qwen3", "qwen3"},          {"phi3", "phi3"},          {"gemma2", "gemma2"},   {"gemma3_text", "gemma3"},
      {"qwen2_moe", "qwen2moe"},   {"qwen3_moe", "qwen3moe"}, {"gpt_oss", "gpt-oss"}, {"deepseek_v2", "deepseek2"},
      {"deepseek_v3", "deepseek2"}};
  const auto found = names.find(type_);
  if (found == names.end()) throw std::runtime_error("no GGUF architecture is known for model_type " + type_);
  return found->second;
}

// ---- metadata ----

void Converter::sizes() {
  file_.text("general.architecture", architecture());
  file_.u32("general.file_type", format_ == TinyFormat::kF32 ? 0 : format_ == TinyFormat::kF16 ? 1 : 32);
  number("context_length", count("max_position_embeddings"));
  number("embedding_length", count("hidden_size"));
  number("block_count", count("num_hidden_layers"));
  number("feed_forward_length", count("intermediate_size"));
  number("vocab_size", count("vocab_size"));
  number("attention.head_count", heads_);
  real("attention.layer_norm_rms_epsilon", config_.at("rms_norm_eps"));
  // Qwen2's window counts for nothing unless the configuration says so.
  if (config_.value("use_sliding_window", true)) copy("sliding_window", "attention.sliding_window");
  for (const char* cap : {"attn_logit_softcapping", "final_logit_softcapping"})
    if (config_.contains(cap) && !config_[cap].is_null()) real(cap, config_[cap]);
  if (!latent()) {
    number("attention.head_count_kv", count("num_key_value_heads"));
    number("attention.key_length", head_dim_);
    number("attention.value_length", head_dim_);
    return;
  }
  // The absorbed form: one latent head, whose keys are latents and rotated parts.
  number("attention.head_count_kv", 1);
  copy("q_lora_rank", "attention.q_lora_rank");
  number("attention.kv_lora_rank", count("kv_lora_rank"));
  number("attention.key_length", count("kv_lora_rank") + count("qk_rope_head_dim"));
  number("attention.value_length", count("kv_lora_rank"));
  number("attention.key_length_mla", count("qk_nope_head_dim") + count("qk_rope_head_dim"));
  number("attention.value_length_mla", count("v_head_dim"));
}

void Converter::routing() {
  if (experts() == 0) return;
  number("expert_count", experts());
  copy("num_experts_per_tok", "expert_used_count");
  if (!is("mixtral")) number("expert_feed_forward_length", count("moe_intermediate_size", count("intermediate_size")));
  copy("shared_expert_intermediate_size", "expert_shared_feed_forward_length");
  if (!latent()) return;
  number("leading_dense_block_count", count("first_k_dense_replace"));
  copy("n_shared_experts", "expert_shared_count");
  real("expert_weights_scale", config_.at("routed_scaling_factor"));
  file_.flag(at_ + "expert_weights_norm", config_.at("norm_topk_prob"));
  number("expert_gating_func", config_.at("scoring_func") == "sigmoid" ? 2 : 1);
  if (count("n_group") < 2) return;
  number("expert_group_count", count("n_group"));
  number("expert_group_used_count", count("topk_group"));
}

void Converter::rope() {
  const double partial = config_.value("partial_rotary_factor", 1.0);
  number("rope.dimension_count",
         latent() ? count("qk_rope_head_dim") : static_cast<std::uint64_t>(partial * static_cast<double>(head_dim_)));
  real("rope.freq_base", config_.at("rope_theta"));
  if (config_.contains("rope_local_base_freq")) real("rope.freq_base_swa", config_["rope_local_base_freq"]);
  if (!config_.contains("rope_scaling") || config_["rope_scaling"].is_null()) return;
  const json& scaling = config_["rope_scaling"];
  const std::string kind = scaling.value("rope_type", scaling.value("type", ""));
  if (kind == "llama3" || kind == "longrope") return rope_factors(scaling);
  file_.text(at_ + "rope.scaling.type", kind);
  real("rope.scaling.factor", scaling.at("factor"));
  if (kind != "yarn") return;
  number("rope.scaling.original_context_length", scaling.at("original_max_position_embeddings"));
  // llama.cpp wants a tenth of it, and divides again.
  if (scaling.contains("mscale_all_dim")) real("rope.scaling.yarn_log_multiplier", 0.1 * scaling["mscale_all_dim"].get<double>());
}

// What each frequency is divided by stands in a tensor.
void Converter::rope_factors(const json& scaling) {
  if (scaling.contains("long_factor")) {
    for (const char* range : {"long", "short"}) {
      std::vector<float> factors = scaling.at(std::string(range) + "_factor");
      const std::uint64_t pairs = factors.size();
      keep(std::string("rope_factors_") + range + ".weight", {pairs}, std::move(factors));
    }
    const double trained = config_.at("original_max_position_embeddings"), longest = config_.at("max_position_embeddings");
    number("rope.scaling.original_context_length", count("original_max_position_embeddings"));
    real("rope.scaling.attn_factor", std::sqrt(1 + std::log(longest / trained) / std::log(trained)));
    return;
  }
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

// SentencePiece's form, which must have a token for every byte.
void Converter::vocabulary() {
  std::vector<std::string> tokens{"<unk>", "<s>", "</s>"};
  std::string types, scores;
  for (std::uint64_t i = 0; i < count("vocab_size"); ++i) {
    if (i >= kSpecial) {
      char text[16];
      const bool byte = i < kSpecial + kBytes;
      std::snprintf(text, sizeof text, byte ? "<0x%02X>" : "t%u", static_cast<unsigned>(byte ? i - kSpecial : i));
      tokens.emplace_back(text);
    }
    types += little_endian(i == 0 ? 2 : i < kSpecial ? 3 : i < kSpecial + kBytes ? 6 : 1, 4);
    const float score = i < kSpecial + kBytes ? 0.0F : -static_cast<float>(i);
    scores += tiny_bytes({&score, 1}, TinyFormat::kF32);
  }
  file_.text("tokenizer.ggml.model", "llama").texts("tokenizer.ggml.tokens", tokens);
  const std::string array = little_endian(9, 4), length = little_endian(tokens.size(), 8);
  file_.raw("tokenizer.ggml.scores", array + little_endian(6, 4) + length + scores);
  file_.raw("tokenizer.ggml.token_type", array + little_endian(5, 4) + length + types);
  file_.u32("tokenizer.ggml.unknown_token_id", 0).u32("tokenizer.ggml.bos_token_id", 1).u32("tokenizer.ggml.eos_token_id", 2);
}

// ---- tensors ----

void Converter::keep(std::string name, Shape shape, std::vector<float> values) {
  tensors_.push_back({std::move(name), std::move(shape), std::move(values)});
}

// The next of the equal matrices that GGUF keeps in one tensor.
void Converter::stack(const std::string& name, const TinyTensor& tensor) {
  const auto found = std::find_if(tensors_.begin(), tensors_.end(), [&](const TinyTensor& other) { return other.name == name; });
  if (found == tensors_.end()) return keep(name, {1, tensor.shape[0], tensor.shape[1]}, tensor.values);
  ++found->shape[0];
  found->values.insert(found->values.end(), tensor.values.begin(), tensor.values.end());
}

// Row 2i of a head is its row i, row 2i + 1 the one half a head further: then neighbours turn where halves did.
std::vector<float> Converter::interleaved(const TinyTensor& tensor) const {
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
void Converter::split_latent(const std::string& layer, const TinyTensor& tensor) {
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

// gpt-oss: [experts, inputs, outputs] becomes [experts, outputs, inputs]; gate and up in turn become two tensors. Biases have no inputs.
void Converter::split_experts(const std::string& layer, const TinyTensor& tensor) {
  const bool bias = tensor.name.ends_with("_bias"), joined = tensor.name.find("gate_up") != std::string::npos;
  const std::uint64_t experts = tensor.shape[0], inputs = bias ? 1 : tensor.shape[1], outputs = tensor.shape.back();
  const std::uint64_t parts = joined ? 2 : 1;
  for (std::uint64_t part = 0; part < parts; ++part) {
    std::vector<float> values;
    for (std::uint64_t expert = 0; expert < experts; ++expert)
      for (std::uint64_t output = part; output < outputs; output += parts)
        for (std::uint64_t input = 0; input < inputs; ++input)
          values.push_back(tensor.values[(expert * inputs + input) * outputs + output]);
    const std::string name = layer + (!joined ? "ffn_down" : part == 0 ? "ffn_gate" : "ffn_up") + "_exps";
    if (bias) keep(name + ".bias", {experts, outputs / parts}, std::move(values));
    else keep(name + ".weight", {experts, outputs / parts, inputs}, std::move(values));
  }
}

void Converter::convert_in_layer(const std::string& layer, std::string_view name, const TinyTensor& tensor) {
  if (name == "self_attn.sinks") return keep(layer + "attn_sinks.weight", tensor.shape, tensor.values);
  if (name == "mlp.gate.e_score_correction_bias") return keep(layer + "exp_probs_b.bias", tensor.shape, tensor.values);
  if (is("gpt_oss") && name.starts_with("mlp.experts.")) return split_experts(layer, tensor);
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
  else if (owner == "post_attention_layernorm" && (gemma() || is("gpt_oss"))) to = "post_attention_norm";
  else to = kNames.at(owner);
  std::vector<float> values = tensor.values;
  if (std::string_view(architecture()) == "llama" && (to == "attn_q" || to == "attn_k")) values = interleaved(tensor);
  if (gemma() && to.ends_with("norm"))
    for (float& value : values) value += 1;
  if (is("gemma2") && to == "attn_q") {
    // llama.cpp scales by the head's width whatever the configuration says: the difference goes into the weights.
    const float scale = std::sqrt(static_cast<float>(head_dim_) / static_cast<float>(count("query_pre_attn_scalar")));
    for (float& value : values) value *= scale;
  }
  keep(layer + to + std::string(kind), tensor.shape, std::move(values));
}

void Converter::convert(const TinyTensor& tensor) {
  constexpr std::string_view kLayers = "model.layers.";
  const std::string_view name = tensor.name;
  if (name == "model.embed_tokens.weight") return keep("token_embd.weight", tensor.shape, tensor.values);
  if (name == "lm_head.weight") return keep("output.weight", tensor.shape, tensor.values);
  if (name == "model.norm.weight") {
    std::vector<float> values = tensor.values;
    if (gemma())
      for (float& value : values) value += 1;
    return keep("output_norm.weight", tensor.shape, std::move(values));
  }
  const std::size_t dot = name.find('.', kLayers.size());
  const std::string layer = "blk." + std::string(name.substr(kLayers.size(), dot - kLayers.size())) + ".";
  convert_in_layer(layer, name.substr(dot + 1), tensor);
}

std::string Converter::bytes() {
  sizes();
  routing();
  rope();
  vocabulary();
  for (const TinyTensor& tensor : model_.tensors) convert(tensor);
  std::string data;
  for (const TinyTensor& tensor : tensors_) {
    const bool plain = tensor.shape.size() == 1 || tensor.name.find("ffn_gate_inp") != std::string::npos || tensor.name.ends_with(".bias");
    const TinyFormat stored = plain ? TinyFormat::kF32 : format_;
    const std::string bytes = tiny_bytes(tensor.values, stored);
    const std::uint32_t type = stored == TinyFormat::kF32 ? 0 : stored == TinyFormat::kF16 ? 1 : 30;
    file_.tensor(tensor.name, type, Shape(tensor.shape.rbegin(), tensor.shape.rend()), bytes.size());
    data += bytes;
    data.resize((data.size() + 31) / 32 * 32, '\0');
  }
  return file_.start() + data;
}

} // namespace

void write_tiny_gguf(const TinyModel& model, const std::string& path, TinyFormat format) {
  write_text(path, Converter(model, format).bytes());
}

} // namespace plimsoll::test
