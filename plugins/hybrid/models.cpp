// Hybrids without Mamba mixers, and the table of all: LFM2, RecurrentGemma, MiniMax-Text-01. Any thread.
//
// Examples: LFM2-1.2B, 10 convolution and 6 attention layers: 1,170,340,608 parameters, as published; LFM2-8B-A1B 8,339,930,560.
// MiniMax-Text-01, 70 lightning and 10 attention layers: 456,089,655,296.
#include "models.hpp"

#include <array>

namespace hybrid {
namespace {

struct Row {
  const char* names;
  Fill fill;
};
constexpr std::array<Row, 19> kRows{{{"qwen", fill_qwen},
                                     {"nemotron_h", fill_nemotron},
                                     {"mamba", fill_mamba},
                                     {"mamba2", fill_mamba2},
                                     {"jamba", fill_jamba},
                                     {"bamba", fill_bamba},
                                     {"falcon_h1", fill_falcon_h1},
                                     {"granitemoehybrid", fill_granite},
                                     {"zamba2", fill_zamba2},
                                     {"lfm2", fill_lfm2},
                                     {"lfm2_moe", fill_lfm2},
                                     {"recurrent_gemma", fill_recurrent_gemma},
                                     {"minimax_text_01", fill_minimax},
                                     {"olmo_hybrid", fill_olmo_hybrid},
                                     {"bailing_hybrid", fill_ling},
                                     {"plamo2", fill_plamo2},
                                     {"rwkv7", fill_rwkv7},
                                     {"hrm_text", fill_hrm},
                                     {"kimi_linear", fill_kimi}}};

Layers lfm2_attention(const Config& config, std::uint32_t n) {
  if (config.has("/layer_types")) return where(words(config, "/layer_types", n, {"conv", "full_attention"}), {"full_attention"});
  if (!config.has("/full_attn_idxs"))
    throw Error(PLIMSOLL_E_CONFIG, "/layer_types", "key is missing, and full_attn_idxs too; one must say which layers have attention");
  return numbers(config, "/full_attn_idxs", n);
}

} // namespace

Fill find_names(std::string_view names) {
  std::string known;
  for (const Row& row : kRows) {
    if (names == row.names) return row.fill;
    known += (known.empty() ? "" : ", ") + std::string(row.names);
  }
  throw Error(PLIMSOLL_E_CONFIG, "/hybrid_names", "is \"" + std::string(names.substr(0, 64)) + "\"; expected one of " + known);
}

// With experts the first layers have a dense FFN, which the family of experts counts too.
void fill_lfm2(const Config& config, Model& model) {
  const Layers attention = lfm2_attention(config, model.layers);
  const bool experts = plimsoll::find_experts(config).value_or(0) > 0;
  model.ask_dense(attention, experts ? kNothing : kFfn);
  if (experts) model.ask("moe", kFfn);
  model.frame = Frame{.mixer_norm = "operator_norm", .ffn_norm = "ffn_norm", .epsilon = "/norm_eps"};
  add_short_conv(Place(model, "model.layers.{layer}.conv.", "conv.", kState, without(model.layers, attention)),
                 {model.hidden, config.positive("/conv_L_cache"), config.boolean("/conv_bias", false)});
}

void fill_recurrent_gemma(const Config& config, Model& model) {
  const auto cycle = config.str_list("/block_types");
  if (cycle.empty()) throw Error(PLIMSOLL_E_CONFIG, "/block_types", "is missing or empty; recurrent and attention were expected, in turn");
  std::vector<std::string> kinds;
  for (std::uint32_t i = 0; i < model.layers; ++i) kinds.emplace_back(cycle[i % cycle.size()]);
  const Layers attention = where(kinds, {"attention"}), recurrent = where(kinds, {"recurrent"});
  if (attention.size() + recurrent.size() != model.layers)
    throw Error(PLIMSOLL_E_CONFIG, "/block_types", "has an entry that is neither recurrent nor attention");
  model.ask_dense(attention, kFfn, "temporal_block.");
  const std::uint64_t width = config.has("/lru_width") ? config.positive("/lru_width") : model.hidden;
  add_gated_lru(Place(model, "model.layers.{layer}.temporal_block.", "recurrent.", kState, recurrent),
                {model.hidden, width, config.positive("/num_attention_heads"), config.positive("/conv1d_width")});
}

void fill_minimax(const Config& config, Model& model) {
  const auto types = config.u64_list("/attn_type_list");
  if (types.size() != model.layers)
    throw Error(PLIMSOLL_E_CONFIG, "/attn_type_list",
                "has " + std::to_string(types.size()) + " entries; " + std::to_string(model.layers) + " were expected, one per layer");
  Layers attention;
  for (std::uint32_t i = 0; i < types.size(); ++i)
    if (types[i] != 0) attention.push_back(i);
  model.ask_dense(attention);
  model.ask("moe", kFfn);
  const std::uint64_t heads = config.positive("/num_attention_heads");
  if (!config.has("/head_dim")) check_divides(heads, model.hidden, "/num_attention_heads");
  add_lightning(Place(model, "model.layers.{layer}.self_attn.", "lightning.", kState, without(model.layers, attention)),
                {model.hidden, heads, config.has("/head_dim") ? config.positive("/head_dim") : model.hidden / heads});
}

} // namespace hybrid
