// The rows of forward.hpp. Each was read in the model's class of the transformers library (its modeling file), and Llama, Mistral,
// Qwen, Gemma 2 and 3, Phi-3 and gpt-oss in llama.cpp too. Numbers that a configuration may leave out (epsilon, base, caps) are class
// defaults of models.json.
#include "forward.hpp"

#include <algorithm>
#include <iterator>
#include <string>

namespace dense {

using plimsoll::Activation;
using plimsoll::Config;
using plimsoll::Error;
using plimsoll::KvKind;
using plimsoll::RopeFrequencies;
using plimsoll::RopeKeys;

namespace {

// What GptOssConfig has where no scaling is stated.
constexpr plimsoll::rope::Yarn kGptOssYarn{.factor = 32, .original_tokens = 4096, .truncate = false};
constexpr std::string_view kGeluTanh = "gelu_pytorch_tanh";

// clang-format off
constexpr Forward kForwards[] = {
  {.model_type = "llama"},
  {.model_type = "mistral"},
  {.model_type = "mixtral"},
  {.model_type = "qwen2"},
  {.model_type = "qwen2_moe"},
  {.model_type = "qwen3"},
  {.model_type = "qwen3_moe"},
  // The three positions of multimodal rope are one for text.
  {.model_type = "qwen2_vl", .sections = true},
  {.model_type = "qwen2_vl_text", .sections = true},
  {.model_type = "qwen2_5_vl"},
  {.model_type = "qwen2_5_vl_text"},
  {.model_type = "qwen3_vl_text"},
  {.model_type = "glm4_moe", .partial_rotation = true},
  {.model_type = "phi3", .partial_rotation = true},
  {.model_type = "qwen3_next", .plus_one = true, .partial_rotation = true},
  {.model_type = "qwen3_5_text", .plus_one = true, .partial_rotation = true},
  {.model_type = "gpt_oss", .yarn = &kGptOssYarn},
  {.model_type = "seed_oss"},
  {.model_type = "olmo2", .order = Order::kAfter},
  {.model_type = "olmoe"},
  {.model_type = "granite", .multipliers = true},
  {.model_type = "granitemoehybrid", .multipliers = true, .optional_rope = true},
  {.model_type = "gemma", .activation = "/hidden_activation", .activation_otherwise = kGeluTanh, .plus_one = true, .scaled_embedding = true},
  {.model_type = "gemma2", .order = Order::kAround, .activation = "/hidden_activation", .activation_otherwise = kGeluTanh, .plus_one = true, .scaled_embedding = true, .score_elements = "/query_pre_attn_scalar", .score_cap = "/attn_logit_softcapping", .final_cap = "/final_logit_softcapping"},
  {.model_type = "gemma3_text", .order = Order::kAround, .activation = "/hidden_activation", .activation_otherwise = kGeluTanh, .plus_one = true, .scaled_embedding = true, .window_rope = true, .score_elements = "/query_pre_attn_scalar", .score_cap = "/attn_logit_softcapping", .final_cap = "/final_logit_softcapping"},
};

// Keys that change what a model computes, wherever they are more than off.
constexpr std::string_view kModifiers[] = {
  "/attn_logit_softcapping", "/final_logit_softcapping", "/query_pre_attn_scalar", "/embedding_multiplier", "/residual_multiplier",
  "/attention_multiplier", "/logits_scaling", "/logit_scale", "/scale_emb", "/scale_depth", "/clip_qkv", "/alibi", "/no_rope_layers",
  "/use_bidirectional_attention", "/attention_chunk_size", "/sparse_attention_config", "/index_n_heads", "/parallel_attn",
  "/use_parallel_residual", "/attn_temperature_tuning", "/cross_attention_layers", "/embedding_scale",
};
// clang-format on

// Those that a Granite's row stands for.
constexpr std::string_view kMultipliers[] = {"/embedding_multiplier", "/residual_multiplier", "/attention_multiplier", "/logits_scaling"};

// There, and neither null, false, 0 nor an empty list.
bool is_on(const Config& config, std::string_view pointer) {
  if (!config.has(pointer)) return false;
  const std::string text = config.find_json(pointer).value_or("null");
  return text != "false" && text != "0" && text != "0.0" && text != "[]" && text != "{}" && text != "null";
}

bool states(const Config& config, std::string_view key) {
  const auto keys = config.keys("");
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

} // namespace

const Forward& forward_of(const Config& config) {
  const std::string_view model_type = config.model_type();
  const auto* row = std::find_if(std::begin(kForwards), std::end(kForwards), [&](const Forward& f) { return f.model_type == model_type; });
  if (row == std::end(kForwards)) plimsoll::no_pipeline("/model_type", "for model_type " + std::string(model_type.substr(0, 60)));
  for (const std::string_view key : kModifiers)
    if (key != row->score_elements && key != row->score_cap && key != row->final_cap && is_on(config, key) &&
        !(row->multipliers && std::find(std::begin(kMultipliers), std::end(kMultipliers), key) != std::end(kMultipliers)))
      plimsoll::no_pipeline(std::string(key), "for a " + std::string(model_type) + " with this key");
  return *row;
}

Activation activation_of(const Config& config, const Forward& forward) {
  const std::string_view name = config.str(forward.activation, forward.activation_otherwise);
  if (name == "silu" || name == "swish") return Activation::kSilu;
  if (name == "gelu") return Activation::kGelu;
  if (name == kGeluTanh || name == "gelu_new") return Activation::kGeluTanh;
  if (name == "relu") return Activation::kRelu;
  plimsoll::no_pipeline(std::string(forward.activation), "with the activation " + std::string(name.substr(0, 60)));
}

Multipliers multipliers_of(const Config& config, const Forward& forward) {
  if (!forward.multipliers) return {};
  if (config.str("/quantization_config/quant_method", "") == "gguf" && !config.has(kMultipliers[2]))
    plimsoll::no_pipeline(std::string(kMultipliers[2]), "for a GGUF file that does not say how scores are scaled");
  const auto read = [&](std::string_view key) {
    const double value = config.find_f64(key).value_or(1);
    if (value > 0) return value;
    throw Error(PLIMSOLL_E_CONFIG, std::string(key), "is not above 0");
  };
  return {read(kMultipliers[0]), read(kMultipliers[1]), 1 / read(kMultipliers[3]), read(kMultipliers[2])};
}

bool turns(const Config& config, const Forward& forward) {
  if (!forward.optional_rope) return true;
  const std::string_view kind = config.str("/position_embedding_type", "rope");
  if (kind != "rope" && kind != "nope")
    plimsoll::no_pipeline("/position_embedding_type", "for positions of the kind " + std::string(kind.substr(0, 60)));
  return kind == "rope";
}

std::optional<std::array<std::uint64_t, 3>> sections_of(const Config& config, const Forward& forward, std::uint64_t pairs) {
  if (!forward.sections) return std::nullopt;
  for (const std::string key : {"/rope_scaling/mrope_section", "/rope_parameters/mrope_section"}) {
    if (!config.find_len(key)) continue;
    std::array<std::uint64_t, 3> out{};
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i] = config.find_u64(key + "/" + std::to_string(i)).value_or(0);
      sum += out[i];
    }
    if (config.find_len(key) != out.size() || sum != pairs)
      throw Error(PLIMSOLL_E_CONFIG, key, "three numbers were expected, " + std::to_string(pairs) + " together, for half of a head");
    return out;
  }
  return std::nullopt;
}

RopeFrequencies rope_of(const Config& config, const Forward& forward, const Layer& layer) {
  const bool windowed = forward.window_rope && layer.span.kind == KvKind::kWindow;
  const std::uint64_t head = layer.attention.k_elements;
  // Older configurations of Gemma 3 have a base for window layers, which are not scaled, newer ones an object for each type.
  if (windowed && !config.find_len("/rope_parameters"))
    return plimsoll::rope::plain(config.find_f64("/rope_local_base_freq").value_or(0), head);
  const RopeKeys keys(config, !forward.window_rope ? "" : windowed ? "sliding_attention" : "full_attention");
  const auto rotary = forward.partial_rotation ? config.find_u64("/rotary_dim") : std::nullopt; // GGUF files count columns
  const std::uint64_t columns = rotary ? *rotary : keys.columns(head);
  if (columns > head) throw Error(PLIMSOLL_E_CONFIG, "/rotary_dim", "is more than a head has elements");
  if (columns != head && !forward.partial_rotation)
    plimsoll::no_pipeline("/partial_rotary_factor", "for a " + std::string(forward.model_type) + " with this key");
  if (forward.yarn != nullptr && !states(config, "rope_scaling") && !states(config, "rope_parameters"))
    return plimsoll::rope::yarn(keys.theta(), columns, *forward.yarn);
  return keys.frequencies(columns);
}

} // namespace dense
