#include "support/tiny_heads.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>
#include <utility>

#include <nlohmann/json.hpp>

#include "support/tiny_configs.hpp"
#include "support/tiny_random.hpp"

namespace plimsoll::test {
namespace {

constexpr std::string_view kGlm4Moe = R"({
  "architectures": ["Glm4MoeForCausalLM"], "model_type": "glm4_moe", "attention_bias": true, "attention_out_bias": false,
  "bos_token_id": 1, "eos_token_id": 2, "first_k_dense_replace": 1, "head_dim": 16, "hidden_act": "silu", "hidden_size": 64,
  "intermediate_size": 64, "max_position_embeddings": 131072, "moe_intermediate_size": 12, "n_group": 1, "n_routed_experts": 8,
  "n_shared_experts": 1, "norm_topk_prob": true, "num_attention_heads": 4, "num_experts_per_tok": 2, "num_hidden_layers": 3,
  "num_key_value_heads": 2, "partial_rotary_factor": 0.5, "rms_norm_eps": 1e-05, "rope_scaling": null, "rope_theta": 10000.0,
  "routed_scaling_factor": 1.5, "tie_word_embeddings": false, "topk_group": 1, "topk_method": "noaux_tc", "use_qk_norm": false,
  "vocab_size": 320})";

constexpr std::string_view kMimo = R"({
  "architectures": ["MiMoForCausalLM"], "model_type": "mimo", "attention_bias": true, "attention_out_bias": false, "bos_token_id": 1,
  "eos_token_id": 2, "head_dim": 16, "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 96, "max_position_embeddings": 512,
  "max_window_layers": 2, "num_attention_heads": 4, "num_hidden_layers": 2, "num_key_value_heads": 2, "rms_norm_eps": 1e-05,
  "rope_scaling": null, "rope_theta": 640000.0, "sliding_window": 32768, "tie_word_embeddings": false, "use_sliding_window": false,
  "vocab_size": 320})";

// How a maker stores a head: what its layer and the joining part begin with, norms of the token, of the model, and the last.
struct HeadNames {
  std::string_view name, config; // empty: of the tiny model of that type
  std::string_view of;
  std::string_view layer, joining; // empty: the layer that follows the model's
  std::array<std::string_view, 3> norms;
  std::string_view projection;
  bool model_first = false, copies = false;
  std::string_view count_key = "num_nextn_predict_layers";
};
constexpr std::array<HeadNames, 4> kHeads{
    {{"head_deepseek_v3", "", "deepseek_v3", "", "", {"enorm", "hnorm", "shared_head.norm"}, "eh_proj", false, true},
     {"head_glm4_moe", kGlm4Moe, "", "", "", {"enorm", "hnorm", "shared_head.norm"}, "eh_proj", false, true},
     {"head_mimo",
      kMimo,
      "",
      "model.mtp_layers.0.",
      "model.mtp_layers.0.",
      {"token_layernorm", "hidden_layernorm", "final_layernorm"},
      "input_proj",
      true},
     {"head_qwen3_next",
      "",
      "qwen3_next",
      "mtp.layers.0.",
      "mtp.",
      {"pre_fc_norm_embedding", "pre_fc_norm_hidden", "norm"},
      "fc",
      false,
      false,
      "mtp_num_hidden_layers"}}};

const HeadNames& names_of(std::string_view name) {
  const auto* const found = std::find_if(kHeads.begin(), kHeads.end(), [&](const HeadNames& head) { return head.name == name; });
  if (found == kHeads.end()) throw std::runtime_error("no tiny head is named " + std::string(name));
  return *found;
}

std::string config_of(const HeadNames& names) {
  if (!names.config.empty()) return std::string(names.config);
  for (const TinyConfig& config : tiny_configs())
    if (config.name == names.of) return std::string(config.json);
  throw std::runtime_error("no tiny model is named " + std::string(names.of));
}

TinyTensor& tensor_of(TinyModel& model, const std::string& name) {
  const auto found = std::find_if(model.tensors.begin(), model.tensors.end(), [&](const TinyTensor& t) { return t.name == name; });
  if (found == model.tensors.end()) throw std::runtime_error("no tensor is named " + name);
  return *found;
}

// What a layer adds to the residual stream, times a factor.
void scale_layers(TinyModel& model, std::string_view prefix, float by) {
  for (TinyTensor& tensor : model.tensors) {
    const std::string_view name = tensor.name;
    if (!name.starts_with(prefix)) continue;
    for (const std::string_view out : {"o_proj.weight", "down_proj.weight", "out_proj.weight"})
      if (name.ends_with(out))
        for (float& value : tensor.values) value *= by;
  }
}

} // namespace

std::vector<std::string> tiny_head_names() {
  std::vector<std::string> out;
  for (const HeadNames& head : kHeads) out.emplace_back(head.name);
  return out;
}

TinyModel tiny_head(std::string_view name, const TinyHead& head) {
  const HeadNames& names = names_of(name);
  nlohmann::ordered_json config = nlohmann::ordered_json::parse(config_of(names));
  const std::uint64_t layers = config.at("num_hidden_layers"), hidden = config.at("hidden_size");
  nlohmann::ordered_json with_layer = config;
  with_layer["num_hidden_layers"] = layers + 1;
  if (config.contains("layer_types")) with_layer["layer_types"].push_back("full_attention");
  TinyModel model = tiny_model_of(with_layer.dump(), head.seed);
  config[std::string(names.count_key)] = 1;
  model.config = config.dump();

  const std::string behind = "model.layers." + std::to_string(layers) + ".";
  const std::string layer = names.layer.empty() ? behind : std::string(names.layer);
  const std::string joining = names.joining.empty() ? behind : std::string(names.joining);
  for (TinyTensor& tensor : model.tensors)
    if (tensor.name.starts_with(behind)) tensor.name = layer + tensor.name.substr(behind.size());
  scale_layers(model, "model.layers.", head.of_layers);
  if (head.knows) scale_layers(model, layer, 0);

  const TinyTensor last_norm = tensor_of(model, "model.norm.weight");
  const bool less_one = names.of == "qwen3_next"; // norms store their gain less 1
  for (std::size_t i = 0; i < names.norms.size(); ++i) {
    const std::string full = joining + std::string(names.norms[i]) + ".weight";
    std::vector<float> gains = draw_around(head.seed, full, hidden, less_one ? 0 : 1, 100);
    if (head.knows) gains = i == 2 ? last_norm.values : std::vector<float>(hidden, less_one ? 0.0F : 1.0F);
    model.tensors.push_back({full, {hidden}, std::move(gains)});
  }
  const std::string projection = joining + std::string(names.projection) + ".weight";
  std::vector<float> join = draw_uniform(head.seed, projection, 2 * hidden * hidden, std::sqrt(3.0F / static_cast<float>(2 * hidden)));
  if (head.knows)
    for (std::uint64_t row = 0; row < hidden; ++row)
      for (std::uint64_t column = 0; column < 2 * hidden; ++column)
        join[row * 2 * hidden + column] = column == row + (names.model_first ? hidden : 0) ? 1.0F : 0.0F;
  model.tensors.push_back({projection, {hidden, 2 * hidden}, std::move(join)});
  if (!names.copies) return model;
  for (const auto& [from, to] :
       {std::pair("model.embed_tokens.weight", "embed_tokens.weight"), std::pair("lm_head.weight", "shared_head.head.weight")}) {
    TinyTensor copy = tensor_of(model, from);
    copy.name = joining + to;
    model.tensors.push_back(std::move(copy));
  }
  return model;
}

} // namespace plimsoll::test
