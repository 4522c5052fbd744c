// Reads the sizes of an expert model's FFN. Refuses what cannot be sized with the JSON pointer at fault; never guesses a width.
// Any thread.
//
// Traps that this file exists for: the expert width is `moe_intermediate_size` or, without that key, plain
// `intermediate_size` (Mixtral, OLMoE, gpt-oss, Llama-4, whose dense layers have `intermediate_size_mlp`). Shared
// experts come as a count (DeepSeek: n x expert width), as a width (Qwen2-MoE: 20480), or as a fixed one (Llama-4).
#include "shape.hpp"

#include "layer_rule.hpp"

#include <algorithm>
#include <optional>

namespace moe {
namespace {

using plimsoll::bounded;
using plimsoll::Bytes;
using plimsoll::Config;
using plimsoll::Error;
using plimsoll::kMaxExperts;

const Names* read_names(const Config& config) {
  const std::string_view name = config.str("/ffn_names", "mlp");
  if (const Names* names = find_names(name)) return names;
  throw Error(PLIMSOLL_E_CONFIG, "/ffn_names", "is \"" + std::string(name) + "\"; one of " + all_names() + " was expected");
}

// The first spelling that is there. Hunyuan writes one number per layer; only equal ones can be planned. ERNIE-4.5-VL writes two, for text
// and for what is seen: the first is planned here.
std::optional<std::uint64_t> find_uniform(const Config& config, std::initializer_list<std::string_view> pointers) {
  for (const std::string_view pointer : pointers) {
    if (config.is_u64(pointer)) return config.u64(pointer);
    const auto list = config.u64_list(pointer);
    if (list.empty()) continue;
    if (config.boolean("/experts_of_two_kinds", false)) return list.front();
    if (std::any_of(list.begin(), list.end(), [&](std::uint64_t n) { return n != list.front(); }))
      throw Error(PLIMSOLL_E_UNSUPPORTED, std::string(pointer), "differs from layer to layer; one number for all was expected");
    return list.front();
  }
  return std::nullopt;
}

std::uint64_t uniform(const Config& config, std::initializer_list<std::string_view> pointers) {
  if (const std::uint64_t value = find_uniform(config, pointers).value_or(0); value > 0) return value;
  throw Error(PLIMSOLL_E_CONFIG, std::string(*pointers.begin()), "is missing or 0; a positive number was expected");
}

std::uint64_t experts_of(const Config& config) {
  if (config.find_len("/moe_num_experts")) return find_uniform(config, {"/moe_num_experts"}).value_or(0);
  return plimsoll::find_experts(config).value_or(0);
}

void read_widths(const Config& config, Shape& s) {
  s.expert_width = uniform(config, {"/moe_intermediate_size", "/expert_ffn_hidden_size", "/expert_hidden_dim",
                                    "/ffn_config/ffn_hidden_size", "/intermediate_size"});
  const auto width = config.find_u64_of(
      {"/shared_expert_intermediate_size", "/moe_shared_expert_intermediate_size", "/shared_intermediate_size", "/share_expert_dim"});
  const auto count = find_uniform(config, {"/n_shared_experts", "/moe_num_shared_experts", "/num_shared_experts", "/num_shared_expert"});
  if (width) {
    s.shared_experts = *width == 0 ? 0 : bounded(count.value_or(1), kMaxExperts, "/n_shared_experts");
    s.shared_width = s.names->shared_width_each ? (Bytes(s.shared_experts) * Bytes(*width)).value() : *width;
  } else {
    s.shared_experts = bounded(count.value_or(0), kMaxExperts, "/n_shared_experts");
    s.shared_width = (Bytes(s.shared_experts) * Bytes(s.expert_width)).value();
  }
  if (s.names->shared.prefix.empty() && s.shared_width > 0)
    throw Error(PLIMSOLL_E_UNSUPPORTED, "/ffn_names",
                "is \"" + std::string(s.names->name) + "\", which names no shared experts, but the configuration sizes some");
}

// ERNIE-4.5-VL routes what is seen to experts of its own, in the same layers.
void read_seen(const Config& config, Shape& s) {
  if (!config.boolean("/experts_of_two_kinds", false)) return;
  s.seen_experts = bounded(config.positive("/moe_num_experts/1"), kMaxExperts, "/moe_num_experts/1");
  s.seen_width = config.positive("/moe_intermediate_size/1");
}

void read_layers(const Config& config, Shape& s) {
  const std::uint32_t n = plimsoll::layer_count(config);
  const std::vector<bool> sparse = expert_layers(config, n);
  const bool beside = s.names->dense_per_layer > 0 && config.boolean("/residual_moe", true); // a dense FFN, in every layer
  for (std::uint32_t i = 0; i < n; ++i) {
    if (sparse[i]) s.sparse_layers.push_back(i);
    if (beside || !sparse[i]) s.dense_layers.push_back(i);
  }
  if (s.names->dense_as_hidden && s.sparse_layers.size() != n)
    throw Error(PLIMSOLL_E_UNSUPPORTED, "/moe_layer_frequency", "leaves some layers without experts; those of such models are not known");
  if (!s.dense_layers.empty())
    s.dense_width = s.names->dense_as_hidden
                        ? s.hidden
                        : config.positive_of({"/intermediate_size_mlp", "/dense_intermediate_size", "/prefix_dense_intermediate_size",
                                              "/ffn_hidden_size", "/intermediate_size"});
  if (!s.dense_layers.empty() && s.names->dense.prefix.empty())
    throw Error(PLIMSOLL_E_UNSUPPORTED, "/ffn_names",
                "is \"" + std::string(s.names->name) + "\", which names no dense layers, but the configuration has some");
  const std::uint64_t hashed = s.names->hash_table.empty() ? 0 : config.u64("/num_hash_layers", 0);
  for (const std::uint32_t layer : s.sparse_layers) (layer < hashed ? s.hash_layers : s.scored_layers).push_back(layer);
  if (!s.hash_layers.empty()) s.vocab = config.positive("/vocab_size");
  const std::string_view drafts_as = config.str("/mtp_names", "layers");
  if (drafts_as == "none") return;
  const std::uint64_t drafts = bounded(config.u64("/num_nextn_predict_layers", 0), plimsoll::kMaxDraftLayers, "/num_nextn_predict_layers");
  for (std::uint32_t i = 0; i < drafts; ++i) {
    const bool from_zero = drafts_as == "module" || (drafts_as == "layers" && !s.names->draft_layer.empty());
    (drafts_as == "layers" ? s.draft_layers : s.draft_modules).push_back(from_zero ? i : n + i);
  }
}

void read_latent(const Config& config, Shape& s) {
  s.expert_hidden = s.hidden;
  if (s.names->latent.in.empty()) return;
  const char* key = config.has("/moe_latent_size") ? "/moe_latent_size" : "/routed_expert_hidden_size";
  if (config.has(key)) s.expert_hidden = config.positive(key);
  s.latent_norm = config.boolean("/latent_moe_use_norm", false);
}

} // namespace

Shape read_shape(const Config& config) {
  Shape s;
  s.names = read_names(config);
  s.hidden = config.positive_of({"/hidden_size", "/d_model"});
  s.experts = bounded(experts_of(config), kMaxExperts, "/n_routed_experts");
  if (s.experts == 0) throw Error(PLIMSOLL_E_CONFIG, "/n_routed_experts", "is missing; the number of experts was expected");
  s.zero_experts = bounded(config.u64("/zero_expert_num", 0), kMaxExperts, "/zero_expert_num");
  s.experts_per_token = uniform(config, {"/num_experts_per_tok", "/num_experts_per_token", "/experts_per_token", "/moe_topk", "/moe_k",
                                         "/moe_top_k", "/top_k_experts", "/ffn_config/moe_top_k"});
  if (s.experts_per_token > s.experts + s.zero_experts)
    throw Error(PLIMSOLL_E_CONFIG, "/num_experts_per_tok",
                "is " + std::to_string(s.experts_per_token) + "; at most the number of experts (" +
                    std::to_string(s.experts + s.zero_experts) + ") was expected");
  read_widths(config, s);
  read_seen(config, s);
  read_latent(config, s);
  read_layers(config, s);
  s.correction = config.str("/topk_method", "") == "noaux_tc" || config.boolean("/use_routing_bias", false) ||
                 config.boolean("/use_moe_router_bias", false) || config.boolean("/moe_router_enable_expert_bias", false) ||
                 config.boolean("/use_expert_bias", false) || config.boolean("/router_enable_expert_bias", false);
  const std::string_view packing = config.str("/quantization_config/quant_method", "");
  const bool out_in = s.names->packed_out_in && packing == "mxfp4";
  s.experts_in_out = s.names->experts_in_out && !out_in;
  s.down_in_out = s.names->down_in_out && !out_in;
  if (packing == "fp8") {
    s.linear_format = config.str("/fp8_storage_format", "");
    if (!config.has("/expert_dtype")) s.expert_format = s.linear_format; // else experts have a format of their own
  }
  s.router_dtype = config.str("/router_stored_dtype", "");
  // Kimi-K3, whose class stores it in the model's type, keeps it in float32 like all other experts of a latent width.
  s.correction_dtype = s.expert_hidden != s.hidden ? "float32" : config.str("/correction_stored_dtype", "float32");
  return s;
}

} // namespace moe
