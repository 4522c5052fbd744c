#include "checkpoint/gguf_config.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <string_view>
#include <utility>
#include <vector>

#include "checkpoint/quoted_name.hpp"

namespace plimsoll {
namespace {

using Json = nlohmann::ordered_json;

// How a family of configs spells its experts: count, and the width of one.
enum class Experts { kNone, kNumExperts, kRouted, kLocalIntermediate };

struct Architecture {
  std::string_view ggml, hf_class, model_type;
  Experts experts = Experts::kNone;
};

// general.architecture -> architectures[0], model_type. Vision-language models store their text model here (the tower is a file of
// its own), so they map to the text class.
constexpr std::array kArchitectures{
    Architecture{"llama", "LlamaForCausalLM", "llama"},
    Architecture{"llama4", "Llama4ForCausalLM", "llama4_text", Experts::kLocalIntermediate},
    Architecture{"mistral3", "MistralForCausalLM", "mistral"},
    Architecture{"qwen", "QWenLMHeadModel", "qwen"},
    Architecture{"qwen2", "Qwen2ForCausalLM", "qwen2"},
    Architecture{"qwen2vl", "Qwen2ForCausalLM", "qwen2"},
    Architecture{"qwen2moe", "Qwen2MoeForCausalLM", "qwen2_moe", Experts::kNumExperts},
    Architecture{"qwen3", "Qwen3ForCausalLM", "qwen3"},
    Architecture{"qwen3vl", "Qwen3ForCausalLM", "qwen3"},
    Architecture{"qwen3moe", "Qwen3MoeForCausalLM", "qwen3_moe", Experts::kNumExperts},
    Architecture{"qwen3vlmoe", "Qwen3MoeForCausalLM", "qwen3_moe", Experts::kNumExperts},
    Architecture{"qwen3next", "Qwen3NextForCausalLM", "qwen3_next", Experts::kNumExperts},
    Architecture{"qwen35", "Qwen3_5ForCausalLM", "qwen3_5_text"},
    Architecture{"qwen35moe", "Qwen3_5MoeForCausalLM", "qwen3_5_moe_text", Experts::kNumExperts},
    Architecture{"gemma", "GemmaForCausalLM", "gemma"},
    Architecture{"gemma2", "Gemma2ForCausalLM", "gemma2"},
    Architecture{"gemma3", "Gemma3ForCausalLM", "gemma3_text"},
    Architecture{"gemma3n", "Gemma3nForCausalLM", "gemma3n_text"},
    Architecture{"gemma4", "Gemma4ForCausalLM", "gemma4_text", Experts::kNumExperts},
    Architecture{"phi2", "PhiForCausalLM", "phi"},
    Architecture{"phi3", "Phi3ForCausalLM", "phi3"},
    Architecture{"phimoe", "PhiMoEForCausalLM", "phimoe", Experts::kLocalIntermediate},
    Architecture{"deepseek", "DeepseekForCausalLM", "deepseek", Experts::kRouted},
    Architecture{"deepseek2", "DeepseekV2ForCausalLM", "deepseek_v2", Experts::kRouted},
    Architecture{"deepseek32", "DeepseekV32ForCausalLM", "deepseek_v32", Experts::kRouted},
    Architecture{"glm-dsa", "GlmMoeDsaForCausalLM", "glm_moe_dsa", Experts::kRouted},
    Architecture{"glm4", "Glm4ForCausalLM", "glm4"},
    Architecture{"glm4moe", "Glm4MoeForCausalLM", "glm4_moe", Experts::kRouted},
    Architecture{"chatglm", "ChatGLMModel", "chatglm"},
    Architecture{"gpt-oss", "GptOssForCausalLM", "gpt_oss", Experts::kLocalIntermediate},
    Architecture{"minimax-m2", "MiniMaxM2ForCausalLM", "minimax_m2", Experts::kLocalIntermediate},
    Architecture{"command-r", "CohereForCausalLM", "cohere"},
    Architecture{"cohere2", "Cohere2ForCausalLM", "cohere2"},
    Architecture{"falcon", "FalconForCausalLM", "falcon"},
    Architecture{"falcon-h1", "FalconH1ForCausalLM", "falcon_h1"},
    Architecture{"mamba", "MambaForCausalLM", "mamba"},
    Architecture{"mamba2", "Mamba2ForCausalLM", "mamba2"},
    Architecture{"jamba", "JambaForCausalLM", "jamba", Experts::kNumExperts},
    Architecture{"nemotron", "NemotronForCausalLM", "nemotron"},
    Architecture{"nemotron_h", "NemotronHForCausalLM", "nemotron_h"},
    Architecture{"nemotron_h_moe", "NemotronHForCausalLM", "nemotron_h", Experts::kRouted},
    Architecture{"deci", "DeciLMForCausalLM", "nemotron-nas"},
    Architecture{"granite", "GraniteForCausalLM", "granite"},
    Architecture{"granitemoe", "GraniteMoeForCausalLM", "granitemoe", Experts::kLocalIntermediate},
    Architecture{"granitehybrid", "GraniteMoeHybridForCausalLM", "granitemoehybrid", Experts::kLocalIntermediate},
    Architecture{"olmo", "OlmoForCausalLM", "olmo"},
    Architecture{"olmo2", "Olmo2ForCausalLM", "olmo2"},
    Architecture{"olmoe", "OlmoeForCausalLM", "olmoe", Experts::kNumExperts},
    Architecture{"starcoder2", "Starcoder2ForCausalLM", "starcoder2"},
    Architecture{"gpt2", "GPT2LMHeadModel", "gpt2"},
    Architecture{"gptneox", "GPTNeoXForCausalLM", "gpt_neox"},
    Architecture{"bloom", "BloomForCausalLM", "bloom"},
    Architecture{"mpt", "MPTForCausalLM", "mpt"},
    Architecture{"stablelm", "StableLmForCausalLM", "stablelm"},
    Architecture{"internlm2", "InternLM2ForCausalLM", "internlm2"},
    Architecture{"minicpm", "MiniCPMForCausalLM", "minicpm"},
    Architecture{"minicpm3", "MiniCPM3ForCausalLM", "minicpm3"},
    Architecture{"exaone", "ExaoneForCausalLM", "exaone"},
    Architecture{"exaone4", "Exaone4ForCausalLM", "exaone4"},
    Architecture{"dbrx", "DbrxForCausalLM", "dbrx", Experts::kNumExperts},
    Architecture{"baichuan", "BaichuanForCausalLM", "baichuan"},
    Architecture{"grok", "Grok1ModelForCausalLM", "grok-1", Experts::kLocalIntermediate},
    Architecture{"ernie4_5", "Ernie4_5ForCausalLM", "ernie4_5"},
    Architecture{"ernie4_5-moe", "Ernie4_5_MoeForCausalLM", "ernie4_5_moe", Experts::kNumExperts},
    Architecture{"hunyuan-dense", "HunYuanDenseV1ForCausalLM", "hunyuan_v1_dense"},
    Architecture{"hunyuan-moe", "HunYuanMoEV1ForCausalLM", "hunyuan_v1_moe", Experts::kNumExperts},
    Architecture{"smollm3", "SmolLM3ForCausalLM", "smollm3"},
    Architecture{"lfm2", "Lfm2ForCausalLM", "lfm2"},
    Architecture{"lfm2moe", "Lfm2MoeForCausalLM", "lfm2_moe", Experts::kNumExperts},
    Architecture{"seed_oss", "SeedOssForCausalLM", "seed_oss"},
    Architecture{"bailingmoe", "BailingMoeForCausalLM", "bailing_moe", Experts::kNumExperts},
    Architecture{"dots1", "Dots1ForCausalLM", "dots1", Experts::kRouted},
    Architecture{"kimi-linear", "KimiLinearForCausalLM", "kimi_linear", Experts::kNumExperts},
    Architecture{"arcee", "ArceeForCausalLM", "arcee"},
    Architecture{"apertus", "ApertusForCausalLM", "apertus"},
};

// Keys that pass over as they are, "<architecture>." in front on the left.
struct KeyPair {
  std::string_view ggml, hf;
};
constexpr std::array kPlainKeys{
    KeyPair{"context_length", "max_position_embeddings"},
    KeyPair{"attention.layer_norm_rms_epsilon", "rms_norm_eps"},
    KeyPair{"attention.layer_norm_epsilon", "layer_norm_eps"},
    KeyPair{"rope.freq_base", "rope_theta"},
    KeyPair{"attention.sliding_window", "sliding_window"},
    KeyPair{"attention.chunk_size", "attention_chunk_size"},
    KeyPair{"attention.q_lora_rank", "q_lora_rank"},
    KeyPair{"attention.kv_lora_rank", "kv_lora_rank"},
    KeyPair{"attention.indexer.head_count", "index_n_heads"},
    KeyPair{"attention.indexer.key_length", "index_head_dim"},
    KeyPair{"attention.indexer.top_k", "index_topk"},
    KeyPair{"attention.shared_kv_layers", "num_kv_shared_layers"},
    KeyPair{"attn_logit_softcapping", "attn_logit_softcapping"},
    KeyPair{"final_logit_softcapping", "final_logit_softcapping"},
    KeyPair{"logit_scale", "logit_scale"},
    KeyPair{"expert_used_count", "num_experts_per_tok"},
    KeyPair{"expert_group_count", "n_group"},
    KeyPair{"expert_group_used_count", "topk_group"},
    KeyPair{"expert_weights_scale", "routed_scaling_factor"},
    KeyPair{"expert_weights_norm", "norm_topk_prob"},
    KeyPair{"leading_dense_block_count", "first_k_dense_replace"},
    KeyPair{"interleave_moe_layer_step", "interleave_moe_layer_step"},
    KeyPair{"full_attention_interval", "full_attention_interval"},
    KeyPair{"nextn_predict_layers", "num_nextn_predict_layers"},
    KeyPair{"shortconv.l_cache", "conv_L_cache"},
};

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

class Mapping {
public:
  Mapping(const GgufMetadata& metadata, const GgufTensorFacts& facts, std::string architecture)
      : metadata_(metadata), facts_(facts), architecture_(std::move(architecture)) {}

  Result<Json> run(const std::string& path) {
    name_architecture();
    basics();
    for (const KeyPair& pair : kPlainKeys)
      if (const Json* found = value(pair.ggml)) config_[std::string(pair.hf)] = *found;
    attention();
    experts();
    rope();
    states();
    layer_kinds();
    config_["tie_word_embeddings"] = !facts_.has_output;
    config_["quantization_config"] = {{"quant_method", "gguf"}};
    for (const std::string_view needed : {"num_hidden_layers", "hidden_size"})
      if (!config_.contains(needed))
        return fail(ErrorCode::kBadConfig,
                    fmt::format("the file does not say {} ('{}.{}'); it holds no whole model", needed, architecture_,
                                needed == "hidden_size" ? "embedding_length" : "block_count"),
                    path);
    return std::move(config_);
  }

private:
  const Json* value(std::string_view key) const {
    const auto found = metadata_.values.find(fmt::format("{}.{}", architecture_, key));
    return found == metadata_.values.end() || found->second.is_null() ? nullptr : &found->second;
  }
  std::optional<std::uint64_t> number(std::string_view key) const {
    const Json* found = value(key);
    if (found == nullptr) return std::nullopt;
    return as_number(*found);
  }
  static std::optional<std::uint64_t> as_number(const Json& json) {
    if (json.is_number_unsigned()) return json.get<std::uint64_t>();
    if (json.is_number_integer() && json.get<std::int64_t>() >= 0) return static_cast<std::uint64_t>(json.get<std::int64_t>());
    return std::nullopt;
  }
  // One number per layer, where the file has that.
  std::vector<std::uint64_t> per_layer(std::string_view key) const {
    std::vector<std::uint64_t> numbers;
    const Json* found = value(key);
    if (found == nullptr || !found->is_array()) return numbers;
    for (const Json& item : *found) numbers.push_back(as_number(item).value_or(0));
    return numbers;
  }
  std::uint64_t config_number(const char* key) const {
    const auto found = config_.find(key);
    return found == config_.end() ? 0 : as_number(*found).value_or(0);
  }
  void set(const char* key, std::optional<std::uint64_t> number) {
    if (number) config_[key] = *number;
  }
  void set_positive(const char* key, std::uint64_t number) {
    if (number > 0) config_[key] = number;
  }
  // A copy first: an ordered object moves its members when it grows.
  void copy(const char* from, const char* to) {
    if (!config_.contains(from)) return;
    Json value = config_[from];
    config_[to] = std::move(value);
  }
  bool model_is(std::initializer_list<std::string_view> types) const { return is_one_of(model_type_, types); }

  void name_architecture() {
    Architecture found{architecture_, architecture_, architecture_};
    for (const Architecture& row : kArchitectures)
      if (row.ggml == architecture_) found = row;
    const bool has_experts = number("expert_count").value_or(0) > 0;
    if (found.model_type == "llama" && has_experts) found = {"llama", "MixtralForCausalLM", "mixtral", Experts::kLocalIntermediate};
    // DeepSeek-V2 gates with softmax (1), everything since V3 with a sigmoid (2).
    if (found.model_type == "deepseek_v2" && number("expert_gating_func") == 2U)
      found = {"deepseek2", "DeepseekV3ForCausalLM", "deepseek_v3", Experts::kRouted};
    model_type_ = found.model_type;
    experts_ = found.experts == Experts::kNone && has_experts ? Experts::kNumExperts : found.experts;
    config_["architectures"] = Json::array({std::string(found.hf_class)});
    config_["model_type"] = std::string(model_type_);
  }

  // A number for the whole model, or the largest of its layers and the list beside it.
  void scalar_and_list(std::string_view ggml, const std::string& hf) {
    if (const auto one = number(ggml)) {
      config_[hf] = *one;
      return;
    }
    const auto numbers = per_layer(ggml);
    if (numbers.empty()) return;
    config_[hf] = *std::max_element(numbers.begin(), numbers.end());
    if (std::adjacent_find(numbers.begin(), numbers.end(), std::not_equal_to<>()) != numbers.end()) config_[hf + "_per_layer"] = numbers;
  }

  void basics() {
    auto hidden = number("embedding_length");
    if (!hidden) hidden = facts_.embedding_columns;
    set("hidden_size", hidden);
    scalar_and_list("feed_forward_length", "intermediate_size");
    if (auto layers = number("block_count")) {
      // ggml counts the multi-token-prediction layers in, transformers does not.
      const std::uint64_t extra = number("nextn_predict_layers").value_or(0);
      config_["num_hidden_layers"] = *layers > extra ? *layers - extra : *layers;
    }
    scalar_and_list("attention.head_count", "num_attention_heads");
    scalar_and_list("attention.head_count_kv", "num_key_value_heads");
    if (!config_.contains("num_key_value_heads")) copy("num_attention_heads", "num_key_value_heads");
    auto vocabulary = facts_.embedding_rows;
    if (!vocabulary) vocabulary = number("vocab_size");
    if (const auto tokens = metadata_.array_counts.find("tokenizer.ggml.tokens"); !vocabulary && tokens != metadata_.array_counts.end())
      vocabulary = tokens->second;
    set("vocab_size", vocabulary);
  }

  void attention() {
    const auto key_width = number("attention.key_length"), value_width = number("attention.value_length");
    if (!number("attention.kv_lora_rank")) {
      set("head_dim", key_width);
      if (value_width && key_width && *value_width != *key_width) config_["v_head_dim"] = *value_width;
      return;
    }
    // MLA. Newer files give the widths of the absorbed form in key_length and those of a head in key_length_mla.
    const auto head_key = number("attention.key_length_mla") ? number("attention.key_length_mla") : key_width;
    const auto head_value = number("attention.value_length_mla") ? number("attention.value_length_mla") : value_width;
    const auto rope_width = number("rope.dimension_count");
    set("qk_rope_head_dim", rope_width);
    if (head_key && rope_width && *head_key >= *rope_width) config_["qk_nope_head_dim"] = *head_key - *rope_width;
    set("v_head_dim", head_value);
    if (!config_.contains("q_lora_rank")) config_["q_lora_rank"] = nullptr;
    // The absorbed form has one latent head; transformers counts the heads it serves.
    if (number("attention.key_length_mla")) copy("num_attention_heads", "num_key_value_heads");
  }

  void experts() {
    const auto count = number("expert_count");
    if (!count || *count == 0) return;
    const auto width = number("expert_feed_forward_length");
    switch (experts_) {
    case Experts::kNone:
    case Experts::kNumExperts: config_["num_experts"] = *count; break;
    case Experts::kRouted: config_["n_routed_experts"] = *count; break;
    case Experts::kLocalIntermediate: config_["num_local_experts"] = *count; break;
    }
    if (experts_ == Experts::kLocalIntermediate) {
      // intermediate_size is the expert here; Llama-4 names the dense layers' width apart.
      if (model_is({"llama4_text"})) copy("intermediate_size", "intermediate_size_mlp");
      if (width) config_["intermediate_size"] = *width;
    } else {
      set("moe_intermediate_size", width);
    }
    if (const auto shared = number("expert_shared_count"))
      config_[experts_ == Experts::kRouted ? "n_shared_experts" : "num_shared_experts"] = *shared;
    set(shared_width_key(), number("expert_shared_feed_forward_length"));
    if (const auto gate = number("expert_gating_func"); gate && experts_ == Experts::kRouted) {
      config_["scoring_func"] = *gate == 2 ? "sigmoid" : "softmax";
      if (*gate == 2) config_["topk_method"] = "noaux_tc";
    }
    if (experts_ == Experts::kRouted && !config_.contains("moe_layer_freq")) config_["moe_layer_freq"] = 1;
  }

  const char* shared_width_key() const {
    if (model_is({"nemotron_h"})) return "moe_shared_expert_intermediate_size";
    return model_is({"granitemoe", "granitemoehybrid"}) ? "shared_intermediate_size" : "shared_expert_intermediate_size";
  }

  void rope() {
    const Json* kind = value("rope.scaling.type");
    if (kind == nullptr || !kind->is_string() || *kind == "none") return;
    Json scaling = {{"rope_type", *kind}};
    if (const Json* factor = value("rope.scaling.factor")) scaling["factor"] = *factor;
    if (const Json* original = value("rope.scaling.original_context_length")) scaling["original_max_position_embeddings"] = *original;
    config_["rope_scaling"] = std::move(scaling);
  }

  // State-space and linear-attention sizes, under the names that each family's config has for them.
  void states() {
    const auto inner = number("ssm.inner_size"), state = number("ssm.state_size"), kernel = number("ssm.conv_kernel");
    const auto heads = number("ssm.time_step_rank"), groups = number("ssm.group_count");
    if (!inner && !state && !kernel) return;
    const std::uint64_t hidden = config_number("hidden_size");
    const std::uint64_t head_width = inner.value_or(0) / std::max<std::uint64_t>(heads.value_or(0), 1);
    const std::uint64_t expand = hidden > 0 && inner.value_or(0) % hidden == 0 ? inner.value_or(0) / hidden : 0;
    if (model_is({"qwen3_next", "qwen3_5_text", "qwen3_5_moe_text"})) {
      set("linear_conv_kernel_dim", kernel);
      set("linear_key_head_dim", state);
      set("linear_num_key_heads", groups);
      set("linear_num_value_heads", heads);
      set_positive("linear_value_head_dim", head_width);
      if (!config_.contains("full_attention_interval"))
        config_["full_attention_interval"] = 4; // the class default, which older files leave out
    } else if (model_is({"mamba"})) {
      set("state_size", state);
      set("conv_kernel", kernel);
      set("intermediate_size", inner);
      set("time_step_rank", heads);
    } else if (model_is({"nemotron_h"})) {
      set("ssm_state_size", state);
      set("conv_kernel", kernel);
      set("mamba_num_heads", heads);
      set_positive("mamba_head_dim", head_width);
      set("n_groups", groups);
    } else if (model_is({"mamba2"})) {
      set("state_size", state);
      set("conv_kernel", kernel);
      set("num_heads", heads);
      set_positive("head_dim", head_width);
      set("n_groups", groups);
      set_positive("expand", expand);
    } else {
      set("mamba_d_state", state);
      set("mamba_d_conv", kernel);
      set_positive("mamba_expand", expand);
      if (model_is({"jamba"})) {
        set("mamba_dt_rank", heads);
      } else {
        set("mamba_d_ssm", inner);
        set("mamba_n_heads", heads);
        set_positive("mamba_d_head", head_width);
        set("mamba_n_groups", groups);
      }
    }
  }

  // Which layers attend, and how, where the file lists it.
  void layer_kinds() {
    if (const Json* pattern = value("attention.sliding_window_pattern")) {
      if (pattern->is_array()) config_["layer_types"] = listed(*pattern, "sliding_attention", "full_attention");
      else config_["sliding_window_pattern"] = *pattern;
    } else if (model_is({"gpt_oss"})) {
      Json types = Json::array();
      for (std::uint64_t i = 0; i < std::min<std::uint64_t>(config_number("num_hidden_layers"), kMostLayers); ++i)
        types.push_back(i % 2 == 0 ? "sliding_attention" : "full_attention");
      config_["layer_types"] = std::move(types);
    }
    const auto kv_heads = per_layer("attention.head_count_kv");
    if (kv_heads.empty()) return;
    if (model_is({"nemotron_h"})) nemotron_pattern(kv_heads);
    else if (model_is({"granitemoehybrid"})) config_["layer_types"] = listed(kv_heads, "attention", "mamba");
    else if (model_is({"jamba"})) config_["layers_block_type"] = listed(kv_heads, "attention", "mamba");
    else if (model_is({"lfm2", "lfm2_moe"})) config_["layer_types"] = listed(kv_heads, "full_attention", "conv");
    else if (model_is({"kimi_linear"})) {
      Json full = Json::array(), linear = Json::array();
      for (std::size_t i = 0; i < kv_heads.size(); ++i) (kv_heads[i] > 0 ? full : linear).push_back(i + 1);
      Json linear_config = {{"full_attn_layers", full}, {"kda_layers", linear}, {"num_heads", config_number("num_attention_heads")}};
      if (const auto width = number("kda.head_dim")) linear_config["head_dim"] = *width;
      if (const auto kernel = number("ssm.conv_kernel")) linear_config["short_conv_kernel_size"] = *kernel;
      config_["linear_attn_config"] = std::move(linear_config);
    }
  }

  template <class List>
  static Json listed(const List& flags, const char* yes, const char* no) {
    Json types = Json::array();
    for (const auto& flag : flags) types.push_back(truthy(flag) ? yes : no);
    return types;
  }
  static bool truthy(std::uint64_t number) { return number > 0; }
  static bool truthy(const Json& json) { return json.is_boolean() ? json.get<bool>() : as_number(json).value_or(0) > 0; }

  // "M" mamba, "*" attention, "E" experts, "-" dense: by which sizes a layer has.
  void nemotron_pattern(const std::vector<std::uint64_t>& kv_heads) {
    const auto widths = per_layer("feed_forward_length");
    std::string pattern;
    for (std::size_t i = 0; i < kv_heads.size(); ++i) {
      const bool feeds = i < widths.size() && widths[i] > 0;
      if (kv_heads[i] > 0) pattern += '*';
      else if (feeds) pattern += config_.contains("n_routed_experts") ? 'E' : '-';
      else pattern += 'M';
    }
    config_["hybrid_override_pattern"] = pattern;
  }

  static constexpr std::uint64_t kMostLayers = 4096;

  const GgufMetadata& metadata_;
  const GgufTensorFacts& facts_;
  std::string architecture_;
  std::string_view model_type_;
  Experts experts_ = Experts::kNone;
  Json config_ = Json::object();
};

} // namespace

GgufTensorFacts tensor_facts(const GgufHeader& header, GgufTensorFacts so_far) {
  for (const GgufTensor& tensor : header.tensors) {
    const std::string_view name = header.name(tensor);
    if (name == "output.weight") so_far.has_output = true;
    if (name == "token_embd.weight" && tensor.rank == 2) {
      so_far.embedding_columns = tensor.dims[0];
      so_far.embedding_rows = tensor.dims[1];
    }
  }
  return so_far;
}

Result<Json> gguf_config(const GgufMetadata& metadata, const GgufTensorFacts& facts, const std::string& path) {
  const auto found = metadata.values.find("general.architecture");
  if (found == metadata.values.end() || !found->second.is_string())
    return fail(ErrorCode::kBadConfig, "the file names no architecture, expected a string under 'general.architecture'", path);
  std::string architecture = found->second.get<std::string>();
  if (architecture.empty() || architecture.size() > 64)
    return fail(ErrorCode::kBadConfig, fmt::format("expected the name of an architecture, found {}", quoted_name(architecture)),
                path + ": 'general.architecture'");
  return Mapping(metadata, facts, std::move(architecture)).run(path);
}

} // namespace plimsoll
