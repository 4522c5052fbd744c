#include "checkpoint/gguf_names.hpp"

#include <array>
#include <cstddef>

namespace plimsoll {
namespace {

// One pair of names. `{}` is a number (the layer, then the expert); ".weight", ".bias" and ".scale" follow by themselves unless the
// right side is `bare`. The first row that fits counts, so the rows of single model types stand before the general ones.
struct Row {
  std::string_view model_types; // separated by spaces; empty: all
  std::string_view gguf;        // inside "blk.N." for layer rows
  std::string_view hf;          // inside the layer's prefix for layer rows
  bool bare = false;            // the right side has no suffix: A_log, dt_bias, sinks
};

constexpr std::string_view kMamba = "mamba mamba2 nemotron_h falcon_mamba";

constexpr std::array kGlobal{
    Row{kMamba, "token_embd", "backbone.embeddings"},
    Row{kMamba, "output_norm", "backbone.norm_f"},
    Row{"gpt2", "token_embd", "wte"},
    Row{"gpt2", "position_embd", "wpe"},
    Row{"gpt2", "output_norm", "ln_f"},
    Row{"falcon bloom", "token_embd", "transformer.word_embeddings"},
    Row{"falcon bloom", "output_norm", "transformer.ln_f"},
    Row{"bloom", "token_embd_norm", "transformer.word_embeddings_layernorm"},
    Row{"lfm2 lfm2_moe", "token_embd_norm", "model.embedding_norm"},
    Row{"", "token_embd", "model.embed_tokens"},
    Row{"", "position_embd", "model.embed_positions"},
    Row{"", "output_norm", "model.norm"},
    Row{"", "output", "lm_head"},
};

constexpr std::string_view kFourNorms = "gemma2 gemma3_text gemma3n_text gemma4_text";
constexpr std::string_view kDelta = "qwen3_next qwen3_5_text qwen3_5_moe_text";
constexpr std::string_view kLayerMamba = "jamba granitemoehybrid bamba falcon_h1";

constexpr std::array kLayer{
    // norms
    Row{kMamba, "attn_norm", "norm"},
    Row{"falcon", "attn_norm_2", "ln_attn"},
    Row{"lfm2 lfm2_moe", "attn_norm", "operator_norm"},
    Row{"lfm2 lfm2_moe", "ffn_norm", "ffn_norm"},
    Row{kFourNorms, "ffn_norm", "pre_feedforward_layernorm"},
    Row{"jamba falcon_h1", "ffn_norm", "pre_ff_layernorm"},
    Row{"glm4", "post_attention_norm", "post_self_attn_layernorm"},
    Row{"glm4", "post_ffw_norm", "post_mlp_layernorm"},
    Row{"", "attn_norm", "input_layernorm"},
    Row{"", "ffn_norm", "post_attention_layernorm"},
    Row{"", "post_attention_norm", "post_attention_layernorm"},
    Row{"", "post_ffw_norm", "post_feedforward_layernorm"},
    // linear attention of the Qwen hybrids
    Row{kDelta, "attn_qkv", "linear_attn.in_proj_qkv"},
    Row{kDelta, "attn_gate", "linear_attn.in_proj_z"},
    Row{kDelta, "ssm_in", "linear_attn.in_proj_qkvz"},
    Row{kDelta, "ssm_ba", "linear_attn.in_proj_ba"},
    Row{kDelta, "ssm_beta_alpha", "linear_attn.in_proj_ba"},
    Row{kDelta, "ssm_alpha", "linear_attn.in_proj_a"},
    Row{kDelta, "ssm_beta", "linear_attn.in_proj_b"},
    Row{kDelta, "ssm_conv1d", "linear_attn.conv1d"},
    Row{kDelta, "ssm_a", "linear_attn.A_log", true},
    Row{kDelta, "ssm_dt", "linear_attn.dt_bias", true},
    Row{kDelta, "ssm_norm", "linear_attn.norm"},
    Row{kDelta, "ssm_out", "linear_attn.out_proj"},
    // state spaces
    Row{kLayerMamba, "ssm_in", "mamba.in_proj"},
    Row{kLayerMamba, "ssm_conv1d", "mamba.conv1d"},
    Row{kLayerMamba, "ssm_x", "mamba.x_proj"},
    Row{"jamba", "ssm_dt", "mamba.dt_proj"},
    Row{kLayerMamba, "ssm_dt", "mamba.dt_bias", true},
    Row{kLayerMamba, "ssm_dt_norm", "mamba.dt_layernorm"},
    Row{kLayerMamba, "ssm_b_norm", "mamba.b_layernorm"},
    Row{kLayerMamba, "ssm_c_norm", "mamba.c_layernorm"},
    Row{kLayerMamba, "ssm_a", "mamba.A_log", true},
    Row{kLayerMamba, "ssm_d", "mamba.D", true},
    Row{kLayerMamba, "ssm_norm", "mamba.norm"},
    Row{kLayerMamba, "ssm_out", "mamba.out_proj"},
    Row{"mamba falcon_mamba", "ssm_dt", "mixer.dt_proj"},
    Row{"", "ssm_in", "mixer.in_proj"},
    Row{"", "ssm_conv1d", "mixer.conv1d"},
    Row{"", "ssm_x", "mixer.x_proj"},
    Row{"", "ssm_dt", "mixer.dt_bias", true},
    Row{"", "ssm_a", "mixer.A_log", true},
    Row{"", "ssm_d", "mixer.D", true},
    Row{"", "ssm_norm", "mixer.norm"},
    Row{"", "ssm_out", "mixer.out_proj"},
    Row{"", "shortconv.conv", "conv.conv"},
    Row{"", "shortconv.in_proj", "conv.in_proj"},
    Row{"", "shortconv.out_proj", "conv.out_proj"},
    // attention
    Row{"nemotron_h", "attn_q", "mixer.q_proj"},
    Row{"nemotron_h", "attn_k", "mixer.k_proj"},
    Row{"nemotron_h", "attn_v", "mixer.v_proj"},
    Row{"nemotron_h", "attn_output", "mixer.o_proj"},
    Row{"falcon bloom", "attn_qkv", "self_attention.query_key_value"},
    Row{"falcon bloom", "attn_output", "self_attention.dense"},
    Row{"gpt2", "attn_qkv", "attn.c_attn"},
    Row{"gpt2", "attn_output", "attn.c_proj"},
    Row{"lfm2 lfm2_moe", "attn_output", "self_attn.out_proj"},
    Row{"lfm2 lfm2_moe", "attn_q_norm", "self_attn.q_layernorm"},
    Row{"lfm2 lfm2_moe", "attn_k_norm", "self_attn.k_layernorm"},
    Row{"", "attn_q", "self_attn.q_proj"},
    Row{"", "attn_k", "self_attn.k_proj"},
    Row{"", "attn_v", "self_attn.v_proj"},
    Row{"", "attn_qkv", "self_attn.qkv_proj"},
    Row{"", "attn_output", "self_attn.o_proj"},
    Row{"", "attn_q_norm", "self_attn.q_norm"},
    Row{"", "attn_k_norm", "self_attn.k_norm"},
    Row{"", "attn_sinks", "self_attn.sinks", true},
    Row{"", "attn_q_a", "self_attn.q_a_proj"},
    Row{"", "attn_q_a_norm", "self_attn.q_a_layernorm"},
    Row{"", "attn_q_b", "self_attn.q_b_proj"},
    Row{"", "attn_kv_a_mqa", "self_attn.kv_a_proj_with_mqa"},
    Row{"", "attn_kv_a_norm", "self_attn.kv_a_layernorm"},
    Row{"", "attn_kv_b", "self_attn.kv_b_proj"}, // one matrix, as transformers stores it ...
    Row{"", "attn_k_b", "self_attn.k_b_proj"},   // ... or cut in two for the absorbed form
    Row{"", "attn_v_b", "self_attn.v_b_proj"},
    Row{"", "indexer.k_norm", "self_attn.indexer.k_norm"},
    Row{"", "indexer.proj", "self_attn.indexer.weights_proj"},
    Row{"", "indexer.attn_k", "self_attn.indexer.wk"},
    Row{"", "indexer.attn_q_b", "self_attn.indexer.wq_b"},
    // experts
    Row{"mixtral", "ffn_gate.{}", "block_sparse_moe.experts.{}.w1"},
    Row{"mixtral", "ffn_down.{}", "block_sparse_moe.experts.{}.w2"},
    Row{"mixtral", "ffn_up.{}", "block_sparse_moe.experts.{}.w3"},
    Row{"mixtral minimax_m2", "ffn_gate_inp", "block_sparse_moe.gate"},
    Row{"mixtral minimax_m2", "ffn_gate_exps", "block_sparse_moe.experts.w1"},
    Row{"mixtral minimax_m2", "ffn_down_exps", "block_sparse_moe.experts.w2"},
    Row{"mixtral minimax_m2", "ffn_up_exps", "block_sparse_moe.experts.w3"},
    Row{"minimax_m2", "exp_probs_b", "block_sparse_moe.e_score_correction_bias", true},
    Row{"gpt_oss", "ffn_gate_inp", "mlp.router"},
    Row{"llama4_text", "ffn_gate_inp", "feed_forward.router"},
    Row{"llama4_text", "ffn_gate_exps", "feed_forward.experts.gate_proj"},
    Row{"llama4_text", "ffn_up_exps", "feed_forward.experts.up_proj"},
    Row{"llama4_text", "ffn_down_exps", "feed_forward.experts.down_proj"},
    Row{"llama4_text", "ffn_gate_shexp", "feed_forward.shared_expert.gate_proj"},
    Row{"llama4_text", "ffn_up_shexp", "feed_forward.shared_expert.up_proj"},
    Row{"llama4_text", "ffn_down_shexp", "feed_forward.shared_expert.down_proj"},
    Row{"llama4_text", "ffn_gate", "feed_forward.gate_proj"},
    Row{"llama4_text", "ffn_up", "feed_forward.up_proj"},
    Row{"llama4_text", "ffn_down", "feed_forward.down_proj"},
    Row{"nemotron_h", "ffn_gate_inp", "mixer.gate"},
    Row{"nemotron_h", "exp_probs_b", "mixer.gate.e_score_correction_bias", true},
    Row{"nemotron_h", "ffn_up_exps", "mixer.experts.up_proj"},
    Row{"nemotron_h", "ffn_down_exps", "mixer.experts.down_proj"},
    Row{"nemotron_h", "ffn_up_shexp", "mixer.shared_experts.up_proj"},
    Row{"nemotron_h", "ffn_down_shexp", "mixer.shared_experts.down_proj"},
    Row{"nemotron_h", "ffn_up", "mixer.up_proj"},
    Row{"nemotron_h", "ffn_down", "mixer.down_proj"},
    Row{"qwen2_moe qwen3_next qwen3_5_moe_text", "ffn_gate_shexp", "mlp.shared_expert.gate_proj"},
    Row{"qwen2_moe qwen3_next qwen3_5_moe_text", "ffn_up_shexp", "mlp.shared_expert.up_proj"},
    Row{"qwen2_moe qwen3_next qwen3_5_moe_text", "ffn_down_shexp", "mlp.shared_expert.down_proj"},
    Row{"", "ffn_gate_inp_shexp", "mlp.shared_expert_gate"},
    Row{"", "ffn_gate_inp", "mlp.gate"},
    Row{"", "exp_probs_b", "mlp.gate.e_score_correction_bias", true},
    Row{"", "ffn_gate_exps", "mlp.experts.gate_proj"},
    Row{"", "ffn_up_exps", "mlp.experts.up_proj"},
    Row{"", "ffn_gate_up_exps", "mlp.experts.gate_up_proj"},
    Row{"", "ffn_down_exps", "mlp.experts.down_proj"},
    Row{"", "ffn_gate_shexp", "mlp.shared_experts.gate_proj"},
    Row{"", "ffn_up_shexp", "mlp.shared_experts.up_proj"},
    Row{"", "ffn_down_shexp", "mlp.shared_experts.down_proj"},
    Row{"", "ffn_gate.{}", "mlp.experts.{}.gate_proj"},
    Row{"", "ffn_up.{}", "mlp.experts.{}.up_proj"},
    Row{"", "ffn_down.{}", "mlp.experts.{}.down_proj"},
    // feed-forward
    Row{"falcon bloom", "ffn_up", "mlp.dense_h_to_4h"},
    Row{"falcon bloom", "ffn_down", "mlp.dense_4h_to_h"},
    Row{"gpt2", "ffn_up", "mlp.c_fc"},
    Row{"gpt2", "ffn_down", "mlp.c_proj"},
    Row{"lfm2 lfm2_moe", "ffn_gate", "feed_forward.w1"},
    Row{"lfm2 lfm2_moe", "ffn_up", "feed_forward.w3"},
    Row{"lfm2 lfm2_moe", "ffn_down", "feed_forward.w2"},
    Row{"jamba falcon_h1", "ffn_gate", "feed_forward.gate_proj"},
    Row{"jamba falcon_h1", "ffn_up", "feed_forward.up_proj"},
    Row{"jamba falcon_h1", "ffn_down", "feed_forward.down_proj"},
    Row{"phi3 glm4", "ffn_up", "mlp.gate_up_proj"}, // gate and up in one
    Row{"", "ffn_gate", "mlp.gate_proj"},
    Row{"", "ffn_up", "mlp.up_proj"},
    Row{"", "ffn_down", "mlp.down_proj"},
    // multi-token prediction
    Row{"", "nextn.eh_proj", "eh_proj"},
    Row{"", "nextn.enorm", "enorm"},
    Row{"", "nextn.hnorm", "hnorm"},
    Row{"", "nextn.embed_tokens", "embed_tokens"},
    Row{"", "nextn.shared_head_head", "shared_head.head"},
    Row{"", "nextn.shared_head_norm", "shared_head.norm"},
};

constexpr std::string_view kLayerPrefix = "blk.";

bool contains_word(std::string_view words, std::string_view word) {
  while (!words.empty()) {
    const std::size_t space = words.find(' ');
    if (words.substr(0, space) == word) return true;
    if (space == std::string_view::npos) return false;
    words.remove_prefix(space + 1);
  }
  return false;
}

std::string_view layers_prefix(std::string_view model_type) {
  if (contains_word(kMamba, model_type)) return "backbone.layers.";
  if (model_type == "gpt2") return "h.";
  if (contains_word("falcon bloom", model_type)) return "transformer.h.";
  return "model.layers.";
}

// Takes the number at the start of `text`; empty where there is none.
std::string_view leading_number(std::string_view text) {
  std::size_t digits = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
  return text.substr(0, digits);
}

// "x.weight" into "x" and ".weight"; other names have no suffix.
std::string_view take_suffix(std::string_view& name) {
  for (const std::string_view suffix : {".weight", ".bias", ".scale"})
    if (name.size() > suffix.size() && name.ends_with(suffix)) {
      name.remove_suffix(suffix.size());
      return suffix;
    }
  return {};
}

// Does `name` fit `pattern`? `number` is what stands for its `{}`.
bool fits(std::string_view pattern, std::string_view name, std::string_view& number) {
  const std::size_t hole = pattern.find("{}");
  if (hole == std::string_view::npos) return pattern == name;
  if (!name.starts_with(pattern.substr(0, hole))) return false;
  number = leading_number(name.substr(hole));
  return !number.empty() && hole + number.size() == name.size();
}

template <std::size_t kRows>
bool translate(const std::array<Row, kRows>& rows, std::string_view name, std::string_view model_type, std::string& out) {
  const std::string_view suffix = take_suffix(name);
  for (const Row& row : rows) {
    std::string_view number;
    if (!fits(row.gguf, name, number) || (!row.model_types.empty() && !contains_word(row.model_types, model_type))) continue;
    const std::size_t hole = row.hf.find("{}");
    out += row.hf.substr(0, hole);
    if (hole != std::string_view::npos) {
      out += number;
      out += row.hf.substr(hole + 2);
    }
    if (!row.bare) out += suffix;
    return true;
  }
  return false;
}

} // namespace

void translate_gguf_name(std::string_view stored, std::string_view model_type, std::string& out) {
  out.clear();
  if (!stored.starts_with(kLayerPrefix)) {
    if (!translate(kGlobal, stored, model_type, out)) out = stored;
    return;
  }
  const std::string_view layer = leading_number(stored.substr(kLayerPrefix.size()));
  const std::string_view rest = stored.substr(kLayerPrefix.size() + layer.size());
  out += layers_prefix(model_type);
  out += layer;
  out += '.';
  if (layer.empty() || !rest.starts_with('.') || !translate(kLayer, rest.substr(1), model_type, out)) out = stored;
}

bool is_gguf_table(std::string_view stored) {
  if (stored.starts_with(kLayerPrefix)) {
    stored.remove_prefix(kLayerPrefix.size());
    stored.remove_prefix(leading_number(stored).size());
    if (!stored.starts_with('.')) return false;
    stored.remove_prefix(1);
  }
  return stored == "rope_freqs.weight" || stored == "rope_factors_long.weight" || stored == "rope_factors_short.weight" ||
         stored == "attn_rot_embd.weight";
}

} // namespace plimsoll
