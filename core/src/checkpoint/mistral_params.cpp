// See mistral_params.hpp. Source: how vLLM (and after it SGLang and TensorRT-LLM) translates such files.
#include "checkpoint/mistral_params.hpp"

#include <array>
#include <cstddef>
#include <fmt/format.h>
#include <string_view>
#include <utility>

namespace plimsoll {
namespace {

struct RenamedKey {
  std::string_view theirs, ours;
};
constexpr std::array kTopKeys{RenamedKey{"dim", "hidden_size"},
                              RenamedKey{"n_layers", "num_hidden_layers"},
                              RenamedKey{"n_heads", "num_attention_heads"},
                              RenamedKey{"n_kv_heads", "num_key_value_heads"},
                              RenamedKey{"hidden_dim", "intermediate_size"},
                              RenamedKey{"head_dim", "head_dim"},
                              RenamedKey{"norm_eps", "rms_norm_eps"},
                              RenamedKey{"vocab_size", "vocab_size"},
                              RenamedKey{"rope_theta", "rope_theta"},
                              RenamedKey{"tied_embeddings", "tie_word_embeddings"},
                              RenamedKey{"q_lora_rank", "q_lora_rank"},
                              RenamedKey{"kv_lora_rank", "kv_lora_rank"},
                              RenamedKey{"qk_nope_head_dim", "qk_nope_head_dim"},
                              RenamedKey{"qk_rope_head_dim", "qk_rope_head_dim"},
                              RenamedKey{"v_head_dim", "v_head_dim"}};
constexpr std::array kExpertKeys{
    RenamedKey{"num_experts_per_tok", "num_experts_per_tok"},     RenamedKey{"num_experts", "n_routed_experts"},
    RenamedKey{"expert_hidden_dim", "moe_intermediate_size"},     RenamedKey{"num_shared_experts", "n_shared_experts"},
    RenamedKey{"first_k_dense_replace", "first_k_dense_replace"}, RenamedKey{"route_every_n", "moe_layer_freq"},
    RenamedKey{"routed_scale", "routed_scaling_factor"},          RenamedKey{"num_expert_groups", "n_group"},
    RenamedKey{"num_expert_groups_per_tok", "topk_group"}};

constexpr std::array kEarKeys{RenamedKey{"dim", "hidden_size"},
                              RenamedKey{"n_layers", "num_hidden_layers"},
                              RenamedKey{"hidden_dim", "intermediate_size"},
                              RenamedKey{"n_heads", "num_attention_heads"},
                              RenamedKey{"max_source_positions", "max_source_positions"},
                              RenamedKey{"head_dim", "head_dim"}};
constexpr std::array kStreamingEarKeys{RenamedKey{"dim", "d_model"},
                                       RenamedKey{"n_layers", "encoder_layers"},
                                       RenamedKey{"hidden_dim", "encoder_ffn_dim"},
                                       RenamedKey{"n_heads", "encoder_attention_heads"},
                                       RenamedKey{"head_dim", "encoder_head_dim"},
                                       RenamedKey{"sliding_window", "sliding_window"}};

template <std::size_t n>
void copy(const Json& from, const std::array<RenamedKey, n>& keys, Json& to) {
  for (const RenamedKey& key : keys)
    if (const auto found = from.find(key.theirs); found != from.end() && !found->is_null()) to[std::string(key.ours)] = *found;
}

// [4096, null, null, null], over and over: layers with a window and layers without.
void read_windows(const Json& params, Json& config) {
  const auto window = params.find("sliding_window");
  if (window == params.end() || window->is_null()) return;
  if (!window->is_array()) {
    config["sliding_window"] = *window;
    return;
  }
  const Json& layers = config["num_hidden_layers"];
  if (window->empty() || !layers.is_number_unsigned() || layers.get<std::uint64_t>() > 65536) return;
  Json types = Json::array();
  for (std::uint64_t layer = 0; layer < layers.get<std::uint64_t>(); ++layer) {
    const Json& one = (*window)[layer % window->size()];
    types.push_back(one.is_null() ? "full_attention" : "sliding_attention");
    if (!one.is_null()) config["sliding_window"] = one;
  }
  config["layer_types"] = std::move(types);
}

Result<void> read_fp8(const Json& params, const std::string& where, Json& config) {
  const auto quantization = params.find("quantization");
  if (quantization == params.end() || !quantization->is_object() || quantization->empty()) return {};
  const Json* const format = find_pointer(*quantization, "/qformat_weight");
  if (format == nullptr || *format != "fp8_e4m3")
    return fail(ErrorCode::kBadConfig, "fp8_e4m3 was expected, the one format that such repositories have",
                where + ": /quantization/qformat_weight");
  const Json* const inputs = find_pointer(*quantization, "/qscheme_act");
  const bool dynamic = inputs != nullptr && *inputs == "NO_SCALES";
  config["quantization_config"] = Json{{"quant_method", "fp8"}, {"activation_scheme", dynamic ? "dynamic" : "static"}};
  return {};
}

// A model with a tower, as a config.json has it: the same layers under other names. `text` is the language model's part.
Result<Json> with_tower(Json text, const Json& encoder, const Json& names, const std::string& where) {
  const auto says = [&encoder](const char* key, const Json& what) {
    const auto found = encoder.find(key);
    return found != encoder.end() && *found == what;
  };
  const bool merges = says("mm_projector_id", "patch_merge");
  if (merges != says("add_pre_mm_projector_layer_norm", true))
    return fail(
        ErrorCode::kUnsupportedArchitecture,
        "a tower that joins patches and a norm behind it go together in all models that are known; give the folder with its tensors",
        where + ": /vision_encoder");
  Json config = names.value(merges ? "merging_tower" : "tower", Json::object());
  Json vision = Json{{"model_type", "pixtral"}};
  for (const char* key :
       {"hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "image_size", "num_channels", "patch_size"})
    if (const auto found = encoder.find(key); found != encoder.end()) vision[key] = *found;
  config["torch_dtype"] = text["torch_dtype"];
  config["multimodal_projector_bias"] = !says("adapter_bias", false);
  if (const auto merge = encoder.find("spatial_merge_size"); merge != encoder.end()) config["spatial_merge_size"] = *merge;
  if (const auto tied = text.find("tie_word_embeddings"); tied != text.end()) config["tie_word_embeddings"] = *tied;
  if (const auto settings = text.find("quantization_config"); settings != text.end()) {
    config["quantization_config"] = *settings;
    config["quantization_config"]["modules_to_not_convert"] = Json{"vision_tower", "multi_modal_projector"};
    text.erase("quantization_config");
  }
  config["text_config"] = std::move(text);
  config["vision_config"] = std::move(vision);
  return config;
}

// A model with an ear, as a config.json has it. One that looks back like a decoder keeps keys and values of what it hears.
Json with_ear(Json text, const Json& ear, const Json& params, const Json& names) {
  const Json encoder = ear.value("encoder_args", Json::object());
  const bool causal = encoder.value("causal", Json()) == true;
  Json config = names.value(causal ? "streaming_ear" : "ear", Json::object());
  Json audio = Json::object();
  copy(encoder, causal ? kStreamingEarKeys : kEarKeys, audio);
  if (const Json* mels = find_pointer(encoder, "/audio_encoding_args/num_mel_bins")) audio["num_mel_bins"] = *mels;
  if (const Json* joined = find_pointer(ear, "/downsample_args/downsample_factor")) audio["downsample_factor"] = *joined;
  if (const auto delay = params.find("ada_rms_norm_t_cond_dim"); delay != params.end()) text["ada_rms_norm_t_cond_dim"] = *delay;
  config["torch_dtype"] = text["torch_dtype"];
  if (const auto tied = text.find("tie_word_embeddings"); tied != text.end()) config["tie_word_embeddings"] = *tied;
  if (const auto settings = text.find("quantization_config"); settings != text.end()) {
    config["quantization_config"] = *settings;
    text.erase("quantization_config");
  }
  config["text_config"] = std::move(text);
  config["audio_config"] = std::move(audio);
  return config;
}

} // namespace

Result<Json> config_of_mistral_params(const Json& params, const Json& names, bool with_checkpoint, const std::string& where) {
  for (const char* key : {"dim", "n_layers", "n_heads"})
    if (const auto found = params.find(key); found == params.end() || !found->is_number_unsigned())
      return fail(ErrorCode::kBadConfig, "a whole number was expected, as params.json of Mistral's format has it",
                  fmt::format("{}: /{}", where, key));
  const auto has = [&](const char* key) {
    const auto found = params.find(key);
    return found != params.end() && found->is_object() && !found->empty();
  };
  const Json* const ear = find_pointer(params, "/multimodal/whisper_model_args");
  const bool hears = ear != nullptr && find_pointer(*ear, "/encoder_args/dim") != nullptr;
  if (!with_checkpoint && has("multimodal") && !hears)
    return fail(
        ErrorCode::kUnsupportedArchitecture,
        "the model has a tower, which counts as its tensors are stored, and there are none; give the folder with them, or a config.json",
        where);
  Json config = names.value("dense", Json::object());
  copy(params, kTopKeys, config);
  const auto length =
      params.find("max_position_embeddings") != params.end() ? params.find("max_position_embeddings") : params.find("max_seq_len");
  config["max_position_embeddings"] = length != params.end() && length->is_number_unsigned() ? *length : Json(128000);
  config["torch_dtype"] = "bfloat16";
  read_windows(params, config);
  if (has("moe")) {
    const Json& experts = params["moe"];
    const Json* const shared = find_pointer(experts, "/num_shared_experts");
    if (config.contains("kv_lora_rank") || (shared != nullptr && shared->is_number_unsigned() && shared->get<std::uint64_t>() > 0)) {
      config.update(names.value("latent_or_shared_experts", Json::object()));
      copy(experts, kExpertKeys, config);
    } else {
      config.update(names.value("experts", Json::object()));
      if (const Json* count = find_pointer(experts, "/num_experts")) config["num_local_experts"] = *count;
      if (const Json* used = find_pointer(experts, "/num_experts_per_tok")) config["num_experts_per_tok"] = *used;
    }
  }
  PLIMSOLL_TRY(read_fp8(params, where, config));
  const Json* const causal = hears ? find_pointer(*ear, "/encoder_args/causal") : nullptr;
  if (hears && (!with_checkpoint || (causal != nullptr && *causal == true))) return with_ear(std::move(config), *ear, params, names);
  if (!with_checkpoint && has("vision_encoder")) return with_tower(std::move(config), params["vision_encoder"], names, where);
  return config;
}

} // namespace plimsoll
