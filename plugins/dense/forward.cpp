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
constexpr std::string_view kLayerNormEpsilon = "/layer_norm_epsilon";

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
  {.model_type = "qwen2_5_vl", .sections = true},
  {.model_type = "qwen2_5_vl_text", .sections = true},
  {.model_type = "qwen3_vl_text"},
  {.model_type = "qwen3_vl_moe_text"},
  {.model_type = "glm4_moe", .drafts = Drafts::kTokenFirst, .partial_rotation = true},
  {.model_type = "mimo", .drafts = Drafts::kModelFirst},
  {.model_type = "phi3", .partial_rotation = true},
  {.model_type = "qwen3_next", .plus_one = true, .partial_rotation = true},
  {.model_type = "qwen3_5_text", .plus_one = true, .partial_rotation = true},
  {.model_type = "qwen3_5_moe_text", .plus_one = true, .partial_rotation = true},
  {.model_type = "gpt_oss", .yarn = &kGptOssYarn},
  {.model_type = "seed_oss"},
  // Its norms have no gains.
  {.model_type = "olmo", .mean = true, .epsilon = "/layer_norm_eps"},
  {.model_type = "opt", .activation = "/activation_function", .activation_otherwise = "relu", .mean = true, .turning = Turning::kNever, .epsilon = "/layer_norm_eps", .needs = {"/do_layer_norm_before", "/layer_norm_elementwise_affine"}, .positions = true, .own_extras = true},
  {.model_type = "bloom", .activation_otherwise = kGeluTanh, .mean = true, .turning = Turning::kNever, .epsilon = kLayerNormEpsilon, .leaning = true, .normed_embedding = true, .own_extras = true},
  {.model_type = "mpt", .activation_otherwise = "gelu", .mean = true, .turning = Turning::kNever, .epsilon = kLayerNormEpsilon, .needs = {"/attn_config/alibi", "/no_bias"}, .leaning = true},
  // Of its generations the one whose heads share a key, which alone has queries, keys and values one after another.
  {.model_type = "falcon", .order = Order::kBeside, .activation = "/activation", .activation_otherwise = "gelu", .mean = true, .epsilon = kLayerNormEpsilon, .needs = {"/multi_query", "/parallel_attn"}},
  {.model_type = "RefinedWebModel", .order = Order::kBeside, .activation = "/activation", .activation_otherwise = "gelu", .mean = true, .epsilon = kLayerNormEpsilon, .needs = {"/multi_query", "/parallel_attn"}},
  {.model_type = "chatglm", .neighbours = true, .partial_rotation = true, .epsilon = "/layernorm_epsilon", .needs = {"/multi_query_attention"}, .own_extras = true},
  {.model_type = "olmo2", .order = Order::kAfter},
  {.model_type = "olmo3", .order = Order::kAfter, .plain_windows = true},
  {.model_type = "olmoe"},
  {.model_type = "exaone4", .order = Order::kAfter, .turning = Turning::kWindowsIfAny},
  {.model_type = "exaone4_5_text", .order = Order::kAfter, .turning = Turning::kWindowsIfAny},
  {.model_type = "smollm3", .turning = Turning::kByLayer},
  {.model_type = "llama4_text", .neighbours = true, .turning = Turning::kByLayer, .chunked = true},
  {.model_type = "glm", .neighbours = true, .partial_rotation = true},
  {.model_type = "glm4", .order = Order::kAround, .neighbours = true, .partial_rotation = true},
  {.model_type = "cohere", .order = Order::kBeside, .mean = true, .neighbours = true, .factors = Factors::kCohere, .epsilon = "/layer_norm_eps"},
  {.model_type = "cohere2", .order = Order::kBeside, .mean = true, .neighbours = true, .factors = Factors::kCohere, .turning = Turning::kWindows, .epsilon = "/layer_norm_eps"},
  {.model_type = "phi", .order = Order::kBeside, .activation_otherwise = "gelu_new", .mean = true, .partial_rotation = true, .epsilon = "/layer_norm_eps"},
  {.model_type = "starcoder2", .activation_otherwise = kGeluTanh, .mean = true, .epsilon = "/norm_epsilon"},
  {.model_type = "minimax_m2", .partial_rotation = true},
  {.model_type = "granite", .factors = Factors::kGranite},
  {.model_type = "granitemoe", .factors = Factors::kGranite},
  {.model_type = "granitemoeshared", .factors = Factors::kGranite},
  {.model_type = "granitemoehybrid", .factors = Factors::kGranite, .turning = Turning::kByKey},
  // Of these the layers are `hybrid`'s to write; here are both ends, attention and dense FFNs.
  {.model_type = "mamba", .turning = Turning::kNever, .epsilon = kLayerNormEpsilon},
  {.model_type = "falcon_mamba", .turning = Turning::kNever, .epsilon = kLayerNormEpsilon},
  {.model_type = "mamba2", .turning = Turning::kNever, .epsilon = kLayerNormEpsilon},
  {.model_type = "jamba", .turning = Turning::kNever},
  {.model_type = "bamba", .partial_rotation = true},
  {.model_type = "nemotron_h", .activation = "/mlp_hidden_act", .activation_otherwise = "relu2", .turning = Turning::kNever, .epsilon = kLayerNormEpsilon},
  {.model_type = "falcon_h1", .factors = Factors::kFalconH1},
  {.model_type = "lfm2", .epsilon = "/norm_eps"},
  {.model_type = "lfm2_moe", .epsilon = "/norm_eps"},
  {.model_type = "gemma", .activation = "/hidden_activation", .activation_otherwise = kGeluTanh, .plus_one = true, .scaled_embedding = true},
  {.model_type = "gemma2", .order = Order::kAround, .activation = "/hidden_activation", .activation_otherwise = kGeluTanh, .plus_one = true, .scaled_embedding = true, .score_elements = "/query_pre_attn_scalar", .score_cap = "/attn_logit_softcapping", .final_cap = "/final_logit_softcapping"},
  {.model_type = "gemma3_text", .order = Order::kAround, .activation = "/hidden_activation", .activation_otherwise = kGeluTanh, .plus_one = true, .scaled_embedding = true, .window_rope = true, .score_elements = "/query_pre_attn_scalar", .score_cap = "/attn_logit_softcapping", .final_cap = "/final_logit_softcapping"},
  {.model_type = "gemma4_text", .order = Order::kAround, .activation = "/hidden_activation", .activation_otherwise = kGeluTanh, .scaled_embedding = true, .window_rope = true, .final_cap = "/final_logit_softcapping", .scaled_layers = true},
  {.model_type = "gemma4_unified_text", .order = Order::kAround, .activation = "/hidden_activation", .activation_otherwise = kGeluTanh, .scaled_embedding = true, .window_rope = true, .final_cap = "/final_logit_softcapping", .scaled_layers = true},
};

// Keys that change what a model computes, wherever they are more than off.
constexpr std::string_view kModifiers[] = {
  "/attn_logit_softcapping", "/final_logit_softcapping", "/query_pre_attn_scalar", "/embedding_multiplier", "/residual_multiplier",
  "/attention_multiplier", "/logits_scaling", "/logit_scale", "/scale_emb", "/scale_depth", "/clip_qkv", "/alibi", "/no_rope_layers",
  "/use_bidirectional_attention", "/attention_chunk_size", "/sparse_attention_config", "/index_n_heads", "/parallel_attn",
  "/use_parallel_residual", "/attn_temperature_tuning", "/cross_attention_layers", "/embedding_scale", "/new_decoder_architecture",
  "/apply_residual_connection_post_layernorm", "/_remove_final_layer_norm", "/rope_ratio", "/attn_config/clip_qkv", "/attn_config/qk_ln",
  "/attn_config/prefix_lm", "/attn_config/softmax_scale",
};
// clang-format on

// Those that a row's factors stand for.
constexpr std::string_view kGraniteKeys[] = {"/embedding_multiplier", "/residual_multiplier", "/attention_multiplier", "/logits_scaling"};

bool stands_for(const Config& config, const Forward& forward, std::string_view key) {
  if (key == "/no_rope_layers") return forward.turning == Turning::kByLayer;
  if (key == "/rope_ratio") return config.find_f64(key) == 1;
  if (std::find(forward.needs.begin(), forward.needs.end(), key) != forward.needs.end()) return true;
  if (key == "/use_bidirectional_attention") return forward.scaled_layers && config.find_json(key) == "\"vision\""; // of images alone
  if (key == "/attention_chunk_size" || key == "/attn_temperature_tuning") return forward.chunked;
  switch (forward.factors) {
  case Factors::kNone: return false;
  case Factors::kGranite: return std::find(std::begin(kGraniteKeys), std::end(kGraniteKeys), key) != std::end(kGraniteKeys);
  case Factors::kCohere: return key == "/logit_scale";
  case Factors::kFalconH1: return key == kGraniteKeys[0];
  }
  return false;
}

// A factor; 1 where the configuration has none.
double factor(const Config& config, const std::string& key) {
  const double value = config.find_f64(key).value_or(1);
  if (value > 0) return value;
  throw Error(PLIMSOLL_E_CONFIG, key, "is not above 0");
}

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
        !stands_for(config, *row, key))
      plimsoll::no_pipeline(std::string(key), "for a " + std::string(model_type) + " with this key");
  for (const std::string_view key : row->needs)
    if (!key.empty() && !config.boolean(std::string(key), true))
      plimsoll::no_pipeline(std::string(key), "for a " + std::string(model_type) + " without this key");
  return *row;
}

double bias_of(const Config& config, const Forward& forward) {
  constexpr std::string_view kMost = "/attn_config/alibi_bias_max";
  if (!forward.leaning) return 0;
  const double most = config.find_f64(kMost).value_or(8);
  if (most > 0) return most;
  throw Error(PLIMSOLL_E_CONFIG, std::string(kMost), "is not above 0");
}

Activation activation_of(const Config& config, const Forward& forward) {
  const std::string_view name = config.str(forward.activation, forward.activation_otherwise);
  if (name == "silu" || name == "swish") return Activation::kSilu;
  if (name == "gelu") return Activation::kGelu;
  if (name == kGeluTanh || name == "gelu_new") return Activation::kGeluTanh;
  if (name == "relu") return Activation::kRelu;
  if (name == "relu2") return Activation::kReluSquared;
  plimsoll::no_pipeline(std::string(forward.activation), "with the activation " + std::string(name.substr(0, 60)));
}

Multipliers multipliers_of(const Config& config, const Forward& forward) {
  const auto read = [&](std::string_view key) { return factor(config, std::string(key)); };
  switch (forward.factors) {
  case Factors::kNone: return {};
  case Factors::kGranite:
    if (config.str("/quantization_config/quant_method", "") == "gguf" && !config.has(kGraniteKeys[2]))
      plimsoll::no_pipeline(std::string(kGraniteKeys[2]), "for a GGUF file that does not say how scores are scaled");
    return {.embedding = read(kGraniteKeys[0]),
            .residual = read(kGraniteKeys[1]),
            .logits = 1 / read(kGraniteKeys[3]),
            .scores = read(kGraniteKeys[2])};
  case Factors::kCohere: return {.logits = read("/logit_scale")};
  case Factors::kFalconH1:
    return {.embedding = read("/embedding_multiplier"),
            .logits = read("/lm_head_multiplier"),
            .inputs = read("/attention_in_multiplier"),
            .keys = read("/key_multiplier"),
            .context = read("/attention_out_multiplier"),
            .gate = read("/mlp_multipliers/0"),
            .down = read("/mlp_multipliers/1")};
  }
  return {};
}

double epsilon_of(const Config& config, const Forward& forward) { return config.find_f64(forward.epsilon).value_or(0); }

bool norms_turned(const Config& config, const Forward& forward) { return forward.chunked && is_on(config, "/use_qk_norm"); }

// A number under the key says that it is on, too: published configurations have a 4.
Growth growth_of(const Config& config, const Forward& forward) {
  if (!forward.chunked || !is_on(config, "/attn_temperature_tuning")) return {};
  const double by = config.find_f64("/attn_scale").value_or(-1);
  if (by >= 0) return {by, config.positive("/floor_scale")};
  throw Error(PLIMSOLL_E_CONFIG, "/attn_scale", "is missing or below 0; queries grow by it");
}

// Each n-th layer does not turn, unless a list says so of every layer.
bool turns_by_layer(const Config& config, std::uint32_t number) {
  const auto listed = config.u64_list("/no_rope_layers");
  if (listed.empty()) return (number + 1) % config.positive("/no_rope_layer_interval") != 0;
  if (number < listed.size()) return listed[number] != 0;
  throw Error(PLIMSOLL_E_CONFIG, "/no_rope_layers", "has " + std::to_string(listed.size()) + " entries; one for each layer was expected");
}

bool turns(const Config& config, const Forward& forward, const Layer& layer, std::uint32_t number) {
  switch (forward.turning) {
  case Turning::kAlways: return true;
  case Turning::kNever: return false;
  case Turning::kByLayer: return turns_by_layer(config, number);
  case Turning::kWindows: return layer.span.kind == KvKind::kWindow;
  case Turning::kWindowsIfAny:
    if (!states(config, "sliding_window")) // null says that there are none; silence is the class's 4,096
      plimsoll::no_pipeline("/sliding_window", "where this key does not say whether layers have a window");
    return layer.span.kind == KvKind::kWindow || !config.has("/sliding_window");
  case Turning::kByKey: break;
  }
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
  if (forward.plain_windows && layer.span.kind == KvKind::kWindow) return plimsoll::rope::plain(RopeKeys(config).theta(), head);
  const RopeKeys keys(config, !forward.window_rope ? "" : windowed ? "sliding_attention" : "full_attention");
  if (forward.scaled_layers && keys.type() == "proportional") return keys.proportional(head);
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
