// Hybrids without Mamba mixers, and the table of layouts: LFM2, RecurrentGemma, MiniMax-Text-01. Called by the planner. Any thread.
//
// Examples: LFM2-1.2B, 10 convolution and 6 attention layers: 1,170,340,608 parameters, as published; LFM2-8B-A1B 8,339,930,560.
// MiniMax-Text-01, 70 lightning and 10 attention layers: 456,089,655,296.
#include "models.hpp"

#include <array>

namespace hybrid {
namespace {

struct Row {
  const char* layout;
  Fill fill;
};
constexpr std::array<Row, 14> kLayouts{{{"qwen", fill_qwen},
                                        {"nemotron_h", fill_nemotron},
                                        {"mamba", fill_mamba},
                                        {"mamba2", fill_mamba2},
                                        {"jamba", fill_jamba},
                                        {"bamba", fill_bamba},
                                        {"falcon_h1", fill_falcon_h1},
                                        {"granitemoehybrid", fill_granite},
                                        {"zamba2", fill_zamba2},
                                        {"lfm2", fill_lfm2},
                                        {"lfm2_moe", fill_lfm2_moe},
                                        {"recurrent_gemma", fill_recurrent_gemma},
                                        {"minimax_text_01", fill_minimax},
                                        {"kimi_linear", fill_kimi}}};

// Two thirds of the stated width, rounded up to a multiple: 12288 gives 8192.
std::uint64_t lfm2_width(const Config& config) {
  const std::uint64_t stated = config.positive_of({"/block_ff_dim", "/intermediate_size"});
  if (!config.boolean("/block_auto_adjust_ff_dim", true)) return stated;
  if (stated > (std::uint64_t{1} << 32)) throw Error(PLIMSOLL_E_CONFIG, "/block_ff_dim", "is above 2^32; a width was expected");
  const double factor = config.find_f64("/block_ffn_dim_multiplier").value_or(1.0);
  if (!(factor > 0.0 && factor < 1024.0))
    throw Error(PLIMSOLL_E_CONFIG, "/block_ffn_dim_multiplier", "is out of range; a factor above 0 and below 1024 was expected");
  const auto width = static_cast<std::uint64_t>(factor * static_cast<double>(stated * 2 / 3));
  const std::uint64_t multiple = config.has("/block_multiple_of") ? config.positive("/block_multiple_of") : 256;
  return (plimsoll::ceil_div(width, multiple) * Bytes(multiple)).value();
}

List lfm2_attention(const Config& config, std::uint32_t n) {
  if (config.has("/layer_types")) return where(words(config, "/layer_types", n, {"conv", "full_attention"}), {"full_attention"});
  if (!config.has("/full_attn_idxs"))
    throw Error(PLIMSOLL_E_CONFIG, "/layer_types", "key is missing, and full_attn_idxs too; one must say which layers have attention");
  return numbers(config, "/full_attn_idxs", n);
}

} // namespace

Fill find_layout(std::string_view layout) {
  std::string known;
  for (const Row& row : kLayouts) {
    if (layout == row.layout) return row.fill;
    known += (known.empty() ? "" : ", ") + std::string(row.layout);
  }
  throw Error(PLIMSOLL_E_CONFIG, "/hybrid_layout", "is \"" + std::string(layout.substr(0, 64)) + "\"; expected one of " + known);
}

namespace {

// Embedding, norms, mixers and their caches: what both kinds of LFM2 share. Returns the place of all layers.
Place add_lfm2_mixers(const Config& config, Model& model) {
  read_common(config, model, layer_count(config));
  const List attention = lfm2_attention(config, model.layers);
  Attention a = read_attention(config, model.hidden);
  a.q_norm = "q_layernorm", a.k_norm = "k_layernorm", a.out = "out_proj";
  add_ends(model, {.norm = "model.embedding_norm.weight", .tied = config.boolean("/tie_word_embeddings", true)});
  Place layer{model, "model.layers.{layer}.", "", PLIMSOLL_ASPECT_ATTENTION, model.all()};
  add_norm(layer, "operator_norm", model.hidden);
  add_norm(layer, "ffn_norm", model.hidden);
  add_attention(layer.at("self_attn.", "attention.", PLIMSOLL_ASPECT_ATTENTION, attention), a);
  add_attention_cache(model, a, attention);
  add_short_conv(layer.at("conv.", "conv.", PLIMSOLL_ASPECT_STATE, without(model.layers, attention)),
                 {model.hidden, config.positive("/conv_L_cache"), config.boolean("/conv_bias", false)});
  return layer;
}

} // namespace

void fill_lfm2(const Config& config, Model& model) {
  const Place layer = add_lfm2_mixers(config, model);
  add_gated(layer.at("feed_forward.", "mlp.", PLIMSOLL_ASPECT_FFN, layer.layers), model.hidden, lfm2_width(config), {"w1", "w3", "w2"});
}

// The first layers have a dense FFN of the stated width, the rest experts.
void fill_lfm2_moe(const Config& config, Model& model) {
  const Place layer = add_lfm2_mixers(config, model);
  const std::uint64_t h = model.hidden, experts = config.positive("/num_experts"), dense = config.u64("/num_dense_layers", 0);
  check_experts(experts, "/num_experts");
  std::vector<std::uint32_t> with_experts;
  for (std::uint32_t i = 0; i < model.layers; ++i)
    if (i >= dense) with_experts.push_back(i);
  const List sparse = list(std::move(with_experts)), plain = without(model.layers, sparse);
  if (!plain->empty())
    add_gated(layer.at("feed_forward.", "mlp.", PLIMSOLL_ASPECT_FFN, plain), h, config.positive("/intermediate_size"), {"w1", "w3", "w2"});
  if (sparse->empty()) return;
  const Place moe = layer.at("feed_forward.", "", PLIMSOLL_ASPECT_FFN, sparse);
  moe.add(moe.weight("gate.weight", {experts, h}));
  if (config.boolean("/use_expert_bias", true)) moe.add(moe.weight("expert_bias", {experts}).dtype("float32"));
  add_gated_experts(layer.at("feed_forward.experts.", "experts.", PLIMSOLL_ASPECT_FFN, sparse), h,
                    config.positive("/moe_intermediate_size"), experts, {"w1", "w3", "w2"});
  model.facts.experts = experts;
  model.facts.experts_per_token = config.positive("/num_experts_per_tok");
}

void fill_recurrent_gemma(const Config& config, Model& model) {
  read_common(config, model, layer_count(config));
  const std::uint64_t h = model.hidden;
  const auto cycle = config.str_list("/block_types");
  if (cycle.empty()) throw Error(PLIMSOLL_E_CONFIG, "/block_types", "is missing or empty; recurrent and attention were expected, in turn");
  std::vector<std::string> kinds;
  for (std::uint32_t i = 0; i < model.layers; ++i) kinds.emplace_back(cycle[i % cycle.size()]);
  const List attention = where(kinds, {"attention"}), recurrent = where(kinds, {"recurrent"});
  if (attention->size() + recurrent->size() != model.layers)
    throw Error(PLIMSOLL_E_CONFIG, "/block_types", "has an entry that is neither recurrent nor attention");
  Attention a = read_attention(config, h);
  a.window = config.positive("/attention_window_size");
  a.bias = config.boolean("/attention_bias", false), a.out_bias = true;
  const std::uint64_t width = config.has("/lru_width") ? config.positive("/lru_width") : h;
  add_ends(model, {.norm = "model.final_norm.weight", .tied = config.boolean("/tie_word_embeddings", true)});
  const Place layer{model, "model.layers.{layer}.", "", PLIMSOLL_ASPECT_ATTENTION, model.all()};
  add_norm(layer, "temporal_pre_norm", h);
  add_norm(layer, "channel_pre_norm", h);
  add_attention(layer.at("temporal_block.", "attention.", PLIMSOLL_ASPECT_ATTENTION, attention), a);
  add_attention_cache(model, a, attention);
  add_gated_lru(layer.at("temporal_block.", "recurrent.", PLIMSOLL_ASPECT_STATE, recurrent),
                {h, width, a.heads, config.positive("/conv1d_width")});
  // intermediate_size is twice the width of each matrix
  add_gated(layer.at("mlp_block.", "mlp.", PLIMSOLL_ASPECT_FFN, layer.layers), h, config.positive("/intermediate_size") / 2, {}, true);
}

void fill_minimax(const Config& config, Model& model) {
  read_common(config, model, layer_count(config));
  const std::uint64_t h = model.hidden, experts = config.positive("/num_local_experts"), width = config.positive("/intermediate_size");
  check_experts(experts, "/num_local_experts");
  const auto types = config.u64_list("/attn_type_list");
  if (types.size() != model.layers)
    throw Error(PLIMSOLL_E_CONFIG, "/attn_type_list",
                "has " + std::to_string(types.size()) + " entries; " + std::to_string(model.layers) + " were expected, one per layer");
  std::vector<std::uint32_t> full;
  for (std::uint32_t i = 0; i < types.size(); ++i)
    if (types[i] != 0) full.push_back(i);
  const List attention = list(std::move(full));
  const Attention a = read_attention(config, h);
  add_ends(model, {.tied = config.boolean("/tie_word_embeddings", false)});
  const Place layer{model, "model.layers.{layer}.", "", PLIMSOLL_ASPECT_ATTENTION, model.all()};
  add_norm(layer, "input_layernorm", h);
  add_norm(layer, "post_attention_layernorm", h);
  add_attention(layer.at("self_attn.", "attention.", PLIMSOLL_ASPECT_ATTENTION, attention), a);
  add_attention_cache(model, a, attention);
  add_lightning(layer.at("self_attn.", "lightning.", PLIMSOLL_ASPECT_STATE, without(model.layers, attention)),
                {h, a.heads, a.head_elements});
  const Place moe = layer.at("block_sparse_moe.", "", PLIMSOLL_ASPECT_FFN, layer.layers);
  moe.add(moe.weight("gate.weight", {experts, h}).dtype("float32"));
  add_gated_experts(moe.at("experts.", "experts.", PLIMSOLL_ASPECT_FFN, layer.layers), h, width, experts, {"w1", "w3", "w2"});
  model.facts.experts = experts;
  model.facts.experts_per_token = config.positive("/num_experts_per_tok");
}

} // namespace hybrid
