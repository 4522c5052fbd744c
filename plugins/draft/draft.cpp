// See draft.hpp. Files of the speculators library keep the sizes of layers in `transformer_layer_config`, all others at the top; `Keys`
// looks there first. Names are looked up in the checkpoint where there is one: `midlayer.` or `layers.0.`, with `model.` in front or not.
#include "draft.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace draft {

using plimsoll::Config;

namespace {

constexpr std::array<std::pair<std::string_view, Kind>, 25> kKinds{{{"EagleLlamaForCausalLM", Kind::kEagle},
                                                                    {"LlamaForCausalLMEagle", Kind::kEagle},
                                                                    {"Qwen2ForCausalLMEagle", Kind::kEagle},
                                                                    {"EagleMistralForCausalLM", Kind::kEagle},
                                                                    {"MistralForCausalLMEagle", Kind::kEagle},
                                                                    {"EAGLEModel", Kind::kEagle},
                                                                    {"EagleSpeculator", Kind::kEagle},
                                                                    {"LlamaForCausalLMEagle3", Kind::kEagle3},
                                                                    {"Eagle3LlamaForCausalLM", Kind::kEagle3},
                                                                    {"Eagle3Qwen2_5vlForCausalLM", Kind::kEagle3},
                                                                    {"Eagle3Qwen3vlForCausalLM", Kind::kEagle3},
                                                                    {"Eagle3MiniMaxM2ForCausalLM", Kind::kEagle3},
                                                                    {"Eagle3Speculator", Kind::kEagle3},
                                                                    {"Eagle3DraftModel", Kind::kEagle3},
                                                                    {"PEagleDraftModel", Kind::kEagle3},
                                                                    {"PeagleLlamaForCausalLM", Kind::kEagle3},
                                                                    {"DFlashDraftModel", Kind::kDFlash},
                                                                    {"DFlashQwen3ForCausalLM", Kind::kDFlash},
                                                                    {"DSparkDraftModel", Kind::kDSpark},
                                                                    {"Eagle3Qwen3ForCausalLM", Kind::kEagle3},
                                                                    {"PeagleQwen3ForCausalLM", Kind::kEagle3},
                                                                    {"MuseGlimmerAssistantModel", Kind::kDFlash},
                                                                    {"DFlashMuseGlimmerAssistantModel", Kind::kDFlash},
                                                                    {"Qwen3DSparkModel", Kind::kDSpark},
                                                                    {"MedusaModel", Kind::kMedusa}}};

constexpr FamilyKind kMistralEagle{.layers_as = "mistral_large_3", .norms = {"norm"}};
constexpr FamilyKind kLatentEagle3{
    .layers_as = "deepseek_eagle3", .norms = {"norm"}, .joins_states = true, .hidden_norm = true, .own_head = true};
constexpr std::array<std::pair<std::string_view, FamilyKind>, 11> kFamilies{
    {{"EagleDeepSeekMTPModel", {.layers_as = "deepseek_v3", .norms = {"enorm", "hnorm", "norm"}}},
     {"EagleMistralLarge3ForCausalLM", kMistralEagle},
     {"MistralLarge3ForCausalLMEagle", kMistralEagle},
     {"EagleCohereForCausalLM", {.layers_as = "cohere", .norms = {"norm"}, .join_bias = true}},
     {"EagleLlama4ForCausalLM", {.layers_as = "llama4_text", .norms = {"norm"}}},
     {"EagleMiniCPMForCausalLM",
      {.layers_as = "minicpm", .norms = {"input_norm1", "input_norm2", "norm"}, .layer = "eagle_layers.{layer}."}},
     {"Eagle3DeepseekV2ForCausalLM", kLatentEagle3},
     {"Eagle3DeepseekV3ForCausalLM", kLatentEagle3},
     {"K3DSparkModel",
      {.layers_as = "k3_dspark", .norms = {"context_norm", "final_norm"}, .join = "context_proj", .joins_states = true, .markov = true}},
     {"Gemma4DSparkModel", {.layers_as = "gemma4_dspark", .norms = {"hidden_norm", "norm"}, .joins_states = true, .markov = true}},
     {"DFlashLagunaForCausalLM",
      {.layers_as = "laguna_dflash", .norms = {"hidden_norm", "norm"}, .joins_states = true, .feature_norms = true}}}};

constexpr std::uint64_t kUsualFeatures = 3; // hidden states that EAGLE-3 joins

} // namespace

const FamilyKind* family_kind_of(std::string_view architecture) {
  const auto found = std::find_if(kFamilies.begin(), kFamilies.end(), [&](const auto& row) { return row.first == architecture; });
  return found == kFamilies.end() ? nullptr : &found->second;
}

std::optional<Kind> kind_of(std::string_view architecture) {
  if (family_kind_of(architecture) != nullptr) return Kind::kFamily;
  const auto found = std::find_if(kKinds.begin(), kKinds.end(), [&](const auto& row) { return row.first == architecture; });
  return found == kKinds.end() ? std::nullopt : std::optional(found->second);
}

class Draft::Keys {
public:
  explicit Keys(const Config& config) : config_(config) {
    for (const char* part : {"/transformer_layer_config", "/model"})
      if (config.find_len(part)) part_ = part;
  }

  const Config& config() const { return config_; }
  // Layers of Qwen3, which norm queries and keys: the class says so, or the layers' own model_type.
  bool of_qwen3() const {
    const std::string_view name = config_.str("/architectures/0", "");
    return name == "Eagle3Qwen3ForCausalLM" || name == "PeagleQwen3ForCausalLM" ||
           (speculators() && config_.str("/transformer_layer_config/model_type", "") == "qwen3");
  }
  bool speculators() const { return part_ == "/transformer_layer_config"; }
  // Where a key stands: of the layers, else at the top.
  std::string at(std::string_view key) const {
    const std::string inside = part_ + std::string(key);
    return !part_.empty() && (config_.has(inside) || !config_.has(key)) ? inside : std::string(key);
  }
  std::optional<std::uint64_t> find(std::string_view key) const { return config_.find_u64(at(key)); }
  std::uint64_t positive(std::string_view key) const { return config_.positive(at(key)); }
  bool boolean(std::string_view key, bool fallback) const { return config_.boolean(at(key), fallback); }
  // The first list of these that is there.
  std::optional<std::uint64_t> length_of(std::initializer_list<std::string_view> keys) const {
    for (const std::string_view key : keys)
      if (const auto n = config_.find_len(key); n && *n > 0) return n;
    return std::nullopt;
  }
  bool stored(const std::string& name) const { return config_.find_tensor(name).has_value(); }

private:
  const Config& config_;
  std::string part_;
};

Draft::Draft(const Config& config, Kind which, const FamilyKind* of_family) : kind(which), family(of_family) {
  const Keys keys(config);
  read_sizes(keys);
  if (kind == Kind::kMedusa) {
    read_medusa(keys);
    return;
  }
  read_join(keys);
  read_layers(keys);
  read_names(keys);
  read_vocabulary(keys);
  if (kind == Kind::kDSpark || (family != nullptr && family->markov)) read_spark(keys);
}

void Draft::read_sizes(const Keys& keys) {
  hidden = keys.positive("/hidden_size");
  vocab = keys.positive("/vocab_size");
  max_length = keys.find("/max_position_embeddings").value_or(0);
  target_hidden = keys.find("/target_hidden_size").value_or(hidden);
}

void Draft::read_layers(const Keys& keys) {
  const std::uint32_t n = plimsoll::checked_layers(keys.find("/num_hidden_layers").value_or(1), keys.at("/num_hidden_layers"));
  layers = plimsoll::layers_from(0, n);
  first = {0};
  others = plimsoll::layers_from(1, n - 1);
  full = layers;
  if (kind == Kind::kFamily) return;
  heads = keys.positive("/num_attention_heads");
  kv_heads = keys.find("/num_key_value_heads").value_or(heads);
  if (kv_heads == 0) keys.positive("/num_key_value_heads");
  head_elements = keys.find("/head_dim").value_or(0);
  if (head_elements == 0) {
    plimsoll::check_divides(heads, hidden, keys.at("/num_attention_heads"));
    head_elements = hidden / heads;
  }
  ffn_width = keys.positive("/intermediate_size");
  const bool bias = keys.boolean("/attention_bias", false);
  qkv_bias = bias || (kind == Kind::kEagle && keys.boolean("/qkv_bias", false));
  o_bias = bias;
  ffn_bias = keys.boolean("/mlp_bias", false);
  qk_norm = kind == Kind::kDFlash || kind == Kind::kDSpark || keys.of_qwen3();
  if (kind != Kind::kDFlash && kind != Kind::kDSpark) return;
  sinks = keys.config().boolean("/dflash_config/attention_sink_bias", keys.boolean("/add_swa_attention_sink_bias", false));
  const std::vector<std::string_view> types = keys.config().str_list(keys.at("/layer_types"));
  const bool all = keys.config().boolean("/dflash_config/use_swa", false);
  const bool some = std::find(types.begin(), types.end(), "sliding_attention") != types.end();
  full.clear();
  for (std::uint32_t at = 0; at < n; ++at)
    ((some ? at < types.size() && types[at] == "sliding_attention" : all) ? windowed : full).push_back(at);
  if (!windowed.empty()) window_tokens = keys.config().find_u64("/dflash_config/swa_window_size").value_or(0);
  if (!windowed.empty() && window_tokens == 0) window_tokens = keys.positive("/sliding_window");
}

void Draft::read_join(const Keys& keys) {
  features = 1;
  if (kind == Kind::kEagle) {
    join_bias = keys.config().boolean("/fusion_bias", false) || keys.stored("fc.bias");
    input_norms = keys.boolean("/add_para_norm", keys.config().boolean("/layernorms", false));
  } else if (kind == Kind::kEagle3) {
    features = keys.find("/num_aux_hidden_states")
                   .value_or(keys.length_of({"/eagle_config/eagle_aux_hidden_state_layer_ids", "/eagle_aux_hidden_state_layer_ids"})
                                 .value_or(kUsualFeatures));
    joins = keys.config().boolean("/eagle_config/use_aux_hidden_state", true);
    join_norms = keys.boolean("/fc_norm", false);
  } else if (kind != Kind::kFamily || family->joins_states) {
    features = keys.length_of({"/dflash_config/target_layer_ids", "/target_layer_ids", "/aux_hidden_state_layer_ids",
                               "/eagle_aux_hidden_state_layer_ids"})
                   .value_or(keys.find("/num_hidden_layers").value_or(1));
    joins = keys.config().boolean("/dflash_config/use_aux_hidden_state", true);
  }
  if (family != nullptr) {
    join = family->join;
    join_bias = family->join_bias;
    join_norms = family->feature_norms || keys.boolean("/fc_norm", false);
    if (family->own_head)
      features = keys.find("/num_aux_hidden_states")
                     .value_or(keys.length_of({"/eagle_config/eagle_aux_hidden_state_layer_ids"}).value_or(kUsualFeatures));
  }
  plimsoll::bounded(features, plimsoll::kMaxLayers, "/num_aux_hidden_states");
}

void Draft::read_names(const Keys& keys) {
  constexpr std::string_view kThere = "post_attention_layernorm.weight"; // that every layer has, and no format packs
  const bool one = layers.size() == 1;                                   // a name without a number is that of the only layer
  layer = family == nullptr ? "layers.{layer}." : family->layer;
  if (one && kind == Kind::kEagle3 && !keys.speculators()) layer = "midlayer.";
  if (one && kind == Kind::kEagle && keys.speculators()) layer = "transformer.";
  for (const char* front : {"", "model."})
    for (const auto& [stored, named] :
         {std::pair("midlayer.", "midlayer."), {"transformer.", "transformer."}, {"layers.0.", "layers.{layer}."}})
      if ((one || std::string_view(named) == "layers.{layer}.") && keys.stored(std::string(front) + stored + std::string(kThere))) {
        prefix = front;
        layer = named;
      }
  layer.insert(0, prefix);
  if (kind == Kind::kEagle && (keys.stored("fusion_fc.weight") || layer == "transformer.")) join = "fusion_fc";
}

// The embedding is the target's, which the engines share where both stand on one stage: an exporter's copy is never loaded. So is a head
// over the whole vocabulary, but for EAGLE-3 and Medusa, which learn theirs.
void Draft::read_vocabulary(const Keys& keys) {
  draft_vocab = keys.find("/draft_vocab_size").value_or(vocab);
  maps_tokens = draft_vocab != vocab;
  own_embedding = target_hidden != hidden || keys.boolean("/embed_requires_grad", false);
  const bool checkpoint = keys.stored(prefix + "norm.weight") || keys.stored("norm.weight") || keys.stored(join + ".weight");
  stores_embedding = checkpoint ? keys.stored(prefix + "embed_tokens.weight") : keys.speculators();
  stores_head = keys.stored("lm_head.weight");
  const bool learns_head = kind == Kind::kEagle3 || (family != nullptr && family->own_head);
  own_head = maps_tokens || (learns_head && (!checkpoint || stores_head));
}

void Draft::read_spark(const Keys& keys) {
  const Config& config = keys.config();
  markov_rank = config.find_u64_of({"/dflash_config/markov_rank", "/markov_rank"}).value_or(0);
  const std::string_view type = config.str("/dflash_config/markov_head_type", config.str("/markov_head_type", "vanilla"));
  gated_markov = type != "vanilla"; // of the others the larger one is counted
  confidence = config.boolean("/dflash_config/enable_confidence_head", config.boolean("/enable_confidence_head", false));
  confidence_with_markov =
      config.boolean("/dflash_config/confidence_head_with_markov", config.boolean("/confidence_head_with_markov", true));
}

void Draft::read_medusa(const Keys& keys) {
  const Config& config = keys.config();
  const std::uint64_t n = config.positive_of({"/num_heads", "/medusa_num_heads"});
  blocks = plimsoll::bounded(n, plimsoll::kMaxDraftLayers, "/num_heads");
  block_layers = plimsoll::bounded(config.find_u64_of({"/num_hidden_layers", "/medusa_num_layers"}).value_or(1), plimsoll::kMaxDraftLayers,
                                   "/num_hidden_layers");
  block_list = plimsoll::layers_from(0, blocks);
  draft_vocab = config.find_u64("/truncated_vocab_size").value_or(vocab);
  maps_tokens = draft_vocab != vocab;
  one_head = config.boolean("/original_lm_head", false);
  join_bias = config.boolean("/medusa_fc_bias", false);
}

} // namespace draft
