#include "support/tiny_gguf.hpp"

#include <cmath>
#include <map>
#include <stdexcept>
#include <utility>

#include <nlohmann/json.hpp>

#include "support/sparse_checkpoint.hpp"
#include "support/tiny_gguf_tensors.hpp"
#include "support/tiny_hybrid_gguf.hpp"
#include "support/tiny_hybrid_weights.hpp"
#include "support/tiny_vocabulary.hpp"

namespace plimsoll::test {
namespace {

using nlohmann::json;
using Shape = std::vector<std::uint64_t>;

class Converter {
public:
  Converter(const TinyModel& model, TinyFormat format, PackTensor pack = {})
      : model_(model), format_(format), pack_(std::move(pack)), config_(json::parse(model.config)) {}

  std::string bytes();

private:
  std::uint64_t count(const char* key, std::uint64_t otherwise = 0) const {
    const auto found = config_.find(key);
    return found == config_.end() || found->is_null() ? otherwise : found->get<std::uint64_t>();
  }
  bool is(std::string_view type) const { return type_ == type; }
  bool latent() const { return count("kv_lora_rank") > 0; }
  std::uint64_t experts() const { return count("num_experts") + count("num_local_experts") + count("n_routed_experts"); }

  std::string architecture() const;
  void metadata();
  void sizes();
  void window_layers();
  void routing();
  void rope();
  void sections(const json& section);
  void long_rope();
  void multipliers();
  void states();
  void delta_states();

  void number(const std::string& key, std::uint64_t value) { file_.u32(at_ + key, static_cast<std::uint32_t>(value)); }
  void real(const std::string& key, double value) { file_.f32(at_ + key, static_cast<float>(value)); }
  void copy(const char* from, const std::string& to) {
    if (const std::uint64_t value = count(from)) number(to, value);
  }

  const TinyModel& model_;
  TinyFormat format_;
  PackTensor pack_;
  json config_;
  std::string type_ = config_.at("model_type"), at_ = architecture() + ".";
  std::uint64_t heads_ = count("num_attention_heads", 1), head_dim_ = count("head_dim", count("hidden_size") / heads_);
  GgufWriter file_;
};

std::string Converter::architecture() const {
  if (is_tiny_hybrid(config_)) return tiny_hybrid_architecture(config_);
  static const std::map<std::string_view, const char*> names{{"llama", "llama"},
                                                             {"mistral", "llama"},
                                                             {"mixtral", "llama"},
                                                             {"qwen2", "qwen2"},
                                                             {"qwen3", "qwen3"},
                                                             {"phi3", "phi3"},
                                                             {"gemma2", "gemma2"},
                                                             {"gemma3_text", "gemma3"},
                                                             {"qwen2_moe", "qwen2moe"},
                                                             {"qwen3_moe", "qwen3moe"},
                                                             {"gpt_oss", "gpt-oss"},
                                                             {"deepseek_v2", "deepseek2"},
                                                             {"deepseek_v3", "deepseek2"},
                                                             {"granite", "granite"},
                                                             {"seed_oss", "seed_oss"},
                                                             {"olmo2", "olmo2"},
                                                             {"olmoe", "olmoe"},
                                                             {"granitemoehybrid", "granitehybrid"},
                                                             {"qwen3_next", "qwen3next"},
                                                             {"exaone4", "exaone4"},
                                                             {"olmo3", "olmo2"},
                                                             {"smollm3", "smollm3"},
                                                             {"glm4", "glm4"},
                                                             {"cohere2", "cohere2"},
                                                             {"minimax_m2", "minimax-m2"},
                                                             {"phi", "phi2"},
                                                             {"starcoder2", "starcoder2"},
                                                             {"qwen3_vl_moe_text", "qwen3vlmoe"}};
  const auto found = names.find(type_);
  if (found == names.end()) throw std::runtime_error("no GGUF architecture is known for model_type " + type_);
  return found->second;
}

void Converter::metadata() {
  file_.text("general.architecture", architecture());
  file_.u32("general.file_type", format_ == TinyFormat::kF32 ? 0 : format_ == TinyFormat::kF16 ? 1 : 32);
  if (is_tiny_hybrid(config_)) return add_tiny_hybrid_metadata(config_, file_);
  sizes();
  routing();
  rope();
  multipliers();
  states();
}

void Converter::sizes() {
  number("context_length", count("max_position_embeddings"));
  number("embedding_length", count("hidden_size"));
  number("block_count", count("num_hidden_layers"));
  number("feed_forward_length", count("intermediate_size"));
  number("vocab_size", count("vocab_size"));
  number("attention.head_count", heads_);
  if (config_.contains("rms_norm_eps")) real("attention.layer_norm_rms_epsilon", config_["rms_norm_eps"]);
  for (const char* epsilon : {"layer_norm_eps", "norm_epsilon"})
    if (config_.contains(epsilon)) real("attention.layer_norm_epsilon", config_[epsilon]);
  // Qwen2's window counts for nothing unless the configuration says so.
  if (config_.value("use_sliding_window", true)) copy("sliding_window", "attention.sliding_window");
  if (is("exaone4") || is("olmo3")) window_layers();
  for (const char* cap : {"attn_logit_softcapping", "final_logit_softcapping"})
    if (config_.contains(cap) && !config_[cap].is_null()) real(cap, config_[cap]);
  if (!latent()) {
    if (!config_.contains("mamba_n_heads")) number("attention.head_count_kv", count("num_key_value_heads"));
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

// Flags, which llama.cpp takes a number for.
void Converter::window_layers() {
  if (count("sliding_window") == 0) return;
  std::string flags;
  for (const json& kind : config_.at("layer_types")) flags += kind == "sliding_attention" ? '\1' : '\0';
  file_.raw(at_ + "attention.sliding_window_pattern", little_endian(9, 4) + little_endian(7, 4) + little_endian(flags.size(), 8) + flags);
}

void Converter::routing() {
  if (experts() == 0) return;
  number("expert_count", experts());
  copy("num_experts_per_tok", "expert_used_count");
  if (!is("mixtral")) number("expert_feed_forward_length", count("moe_intermediate_size", count("intermediate_size")));
  copy("shared_expert_intermediate_size", "expert_shared_feed_forward_length");
  if (is("minimax_m2")) number("expert_gating_func", 2);
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
         latent() ? count("qk_rope_head_dim") : count("rotary_dim", static_cast<std::uint64_t>(partial * static_cast<double>(head_dim_))));
  real("rope.freq_base", config_.at("rope_theta"));
  if (config_.contains("rope_local_base_freq")) real("rope.freq_base_swa", config_["rope_local_base_freq"]);
  if (!config_.contains("rope_scaling") || config_["rope_scaling"].is_null()) return;
  const json& scaling = config_["rope_scaling"];
  const std::string kind = scaling.value("rope_type", scaling.value("type", ""));
  if (kind == "llama3") return; // all in a tensor
  if (kind == "default") return sections(scaling.at("mrope_section"));
  if (kind == "longrope") return long_rope();
  file_.text(at_ + "rope.scaling.type", kind);
  real("rope.scaling.factor", scaling.at("factor"));
  if (kind != "yarn") return;
  number("rope.scaling.original_context_length", scaling.at("original_max_position_embeddings"));
  // llama.cpp wants a tenth of it, and divides again.
  if (scaling.contains("mscale_all_dim")) real("rope.scaling.yarn_log_multiplier", 0.1 * scaling["mscale_all_dim"].get<double>());
}

// Pairs that turn by each of four positions, which are one in a text.
void Converter::sections(const json& section) {
  std::vector<std::uint32_t> pairs = section;
  pairs.push_back(0);
  file_.u32s(at_ + "rope.dimension_sections", pairs);
  number("n_deepstack_layers", 3);
}

void Converter::long_rope() {
  const double trained = config_.at("original_max_position_embeddings"), longest = config_.at("max_position_embeddings");
  number("rope.scaling.original_context_length", count("original_max_position_embeddings"));
  real("rope.scaling.attn_factor", std::sqrt(1 + std::log(longest / trained) / std::log(trained)));
}

void Converter::multipliers() {
  for (const auto& [from, to] : {std::pair("embedding_multiplier", "embedding_scale"), std::pair("residual_multiplier", "residual_scale"),
                                 std::pair("attention_multiplier", "attention.scale"), std::pair("logits_scaling", "logit_scale"),
                                 std::pair("logit_scale", "logit_scale")})
    if (config_.contains(from)) real(to, config_[from]);
}

// A delta net, in Mamba's words.
void Converter::delta_states() {
  number("ssm.conv_kernel", count("linear_conv_kernel_dim"));
  number("ssm.inner_size", count("linear_num_value_heads") * count("linear_value_head_dim"));
  number("ssm.state_size", count("linear_key_head_dim"));
  number("ssm.time_step_rank", count("linear_num_value_heads"));
  number("ssm.group_count", count("linear_num_key_heads"));
  number("full_attention_interval", count("full_attention_interval"));
}

// Mamba-2; a layer without KV heads is one of these. llama.cpp's name for no positions is a scaling that nobody tuned.
void Converter::states() {
  if (config_.contains("linear_num_key_heads")) return delta_states();
  if (!config_.contains("mamba_n_heads")) return;
  std::string heads;
  for (const json& kind : config_.at("layer_types")) heads += little_endian(kind == "mamba" ? 0 : count("num_key_value_heads"), 4);
  const std::string array = little_endian(9, 4) + little_endian(5, 4), length = little_endian(config_.at("layer_types").size(), 8);
  file_.raw(at_ + "attention.head_count_kv", array + length + heads);
  number("ssm.conv_kernel", count("mamba_d_conv"));
  number("ssm.inner_size", count("mamba_expand") * count("hidden_size"));
  number("ssm.state_size", count("mamba_d_state"));
  number("ssm.time_step_rank", count("mamba_n_heads"));
  number("ssm.group_count", count("mamba_n_groups"));
  file_.flag(at_ + "rope.scaling.finetuned", config_.value("position_embedding_type", "rope") == "rope");
}

std::string Converter::bytes() {
  metadata();
  write_tiny_vocabulary(count("vocab_size"), file_);
  std::string data;
  for (const TinyTensor& tensor : tiny_gguf_tensors(model_)) {
    const bool plain = tensor.shape.size() == 1 || tensor.name.find("ffn_gate_inp") != std::string::npos || tensor.name.ends_with(".bias");
    const TinyFormat format = plain ? TinyFormat::kF32 : format_;
    const std::uint32_t type = format == TinyFormat::kF32 ? 0 : format == TinyFormat::kF16 ? 1 : 30;
    std::optional<PackedTensor> stored = pack_ ? pack_(tensor) : std::nullopt;
    if (!stored) stored = PackedTensor{type, tiny_bytes(tensor.values, format)};
    file_.tensor(tensor.name, stored->type, Shape(tensor.shape.rbegin(), tensor.shape.rend()), stored->bytes.size());
    data += stored->bytes;
    data.resize((data.size() + 31) / 32 * 32, '\0');
  }
  return file_.start() + data;
}

} // namespace

void write_tiny_gguf(const TinyModel& model, const std::string& path, TinyFormat format) {
  write_text(path, Converter(model, format).bytes());
}

void write_tiny_gguf(const TinyModel& model, const std::string& path, const PackTensor& pack) {
  write_text(path, Converter(model, TinyFormat::kF32, pack).bytes());
}

} // namespace plimsoll::test
