#include "support/tiny_configs.hpp"

#include <array>

namespace plimsoll::test {
namespace late_configs {

// Three of four layers attend to chunks and turn, and norm what has turned; the fourth does neither, and its queries grow. Experts in every
// second layer, one of them for a token; chunks and steps that the longest prompt crosses several times.
constexpr std::string_view kLlama4 = R"({
  "architectures": ["Llama4ForCausalLM"], "model_type": "llama4_text", "attention_bias": false, "attention_chunk_size": 16,
  "attn_scale": 0.5, "attn_temperature_tuning": true, "bos_token_id": 1, "eos_token_id": 2, "floor_scale": 8, "head_dim": 16,
  "hidden_act": "silu", "hidden_size": 64, "interleave_moe_layer_step": 2, "intermediate_size": 32, "intermediate_size_mlp": 96,
  "max_position_embeddings": 512, "no_rope_layer_interval": 4, "no_rope_layers": [], "num_attention_heads": 4, "num_experts_per_tok": 1,
  "num_hidden_layers": 4, "num_key_value_heads": 2, "num_local_experts": 4, "rms_norm_eps": 1e-05,
  "rope_scaling": {"factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 64,
    "rope_type": "llama3"},
  "rope_theta": 500000.0, "tie_word_embeddings": false, "use_qk_norm": true, "vocab_size": 320})";

// Behind a tower for images, as published: no norms, two experts a token in every layer, layers by list, and a number in place of a switch.
constexpr std::string_view kLlama4Lists = R"({
  "architectures": ["Llama4ForCausalLM"], "model_type": "llama4_text", "attention_bias": false, "attention_chunk_size": 24,
  "attn_scale": 0.1, "attn_temperature_tuning": 4, "bos_token_id": 1, "eos_token_id": 2, "floor_scale": 16, "head_dim": 16,
  "hidden_act": "silu", "hidden_size": 64, "interleave_moe_layer_step": 1, "intermediate_size": 16, "intermediate_size_mlp": 96,
  "layer_types": ["full_attention", "chunked_attention", "chunked_attention"], "max_position_embeddings": 512,
  "no_rope_layers": [0, 1, 1], "num_attention_heads": 4, "num_experts_per_tok": 2, "num_hidden_layers": 3, "num_key_value_heads": 2,
  "num_local_experts": 4, "rms_norm_eps": 1e-05, "rope_scaling": null, "rope_theta": 500000.0, "tie_word_embeddings": false,
  "use_qk_norm": false, "vocab_size": 320})";

// Full layers have heads of their own size, whose values are their keys, and of which a quarter turns.
constexpr std::string_view kGemma4 = R"({
  "architectures": ["Gemma4ForCausalLM"], "model_type": "gemma4_text", "attention_bias": false, "attention_k_eq_v": true,
  "bos_token_id": 1, "enable_moe_block": false, "eos_token_id": 2, "final_logit_softcapping": 12.0, "global_head_dim": 32, "head_dim": 16,
  "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 64, "hidden_size_per_layer_input": 0, "intermediate_size": 96,
  "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention"], "max_position_embeddings": 512,
  "num_attention_heads": 4, "num_global_key_value_heads": 1, "num_hidden_layers": 4, "num_key_value_heads": 2, "num_kv_shared_layers": 0,
  "rms_norm_eps": 1e-06,
  "rope_parameters": {
    "full_attention": {"partial_rotary_factor": 0.25, "rope_theta": 1000000.0, "rope_type": "proportional"},
    "sliding_attention": {"rope_theta": 10000.0, "rope_type": "default"}},
  "sliding_window": 12, "tie_word_embeddings": true, "use_bidirectional_attention": "vision", "vocab_size": 320})";

// Gemma 4's small ones: the last three of five layers look into the caches of the first two, layers have inputs of their own, and the
// FFNs of those that borrow are twice as wide. Frequencies are the class's.
constexpr std::string_view kGemma4Inputs = R"({
  "architectures": ["Gemma4ForCausalLM"], "model_type": "gemma4_text", "attention_bias": false, "attention_k_eq_v": false,
  "bos_token_id": 1, "enable_moe_block": false, "eos_token_id": 2, "final_logit_softcapping": null, "global_head_dim": 32, "head_dim": 16,
  "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 64, "hidden_size_per_layer_input": 8, "intermediate_size": 48,
  "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "sliding_attention", "full_attention"],
  "max_position_embeddings": 512, "num_attention_heads": 4, "num_hidden_layers": 5, "num_key_value_heads": 2, "num_kv_shared_layers": 3,
  "rms_norm_eps": 1e-06, "sliding_window": 20, "tie_word_embeddings": true, "use_double_wide_mlp": true, "vocab_size": 320,
  "vocab_size_per_layer_input": 320})";

// Experts beside the FFN of every layer.
constexpr std::string_view kGemma4Moe = R"({
  "architectures": ["Gemma4ForCausalLM"], "model_type": "gemma4_text", "attention_bias": false, "attention_k_eq_v": true,
  "bos_token_id": 1, "enable_moe_block": true, "eos_token_id": 2, "final_logit_softcapping": 12.0, "global_head_dim": 32, "head_dim": 16,
  "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 64, "hidden_size_per_layer_input": 0, "intermediate_size": 48,
  "layer_types": ["sliding_attention", "sliding_attention", "full_attention"], "max_position_embeddings": 512,
  "moe_intermediate_size": 16, "num_attention_heads": 4, "num_experts": 8, "num_global_key_value_heads": 2, "num_hidden_layers": 3,
  "num_key_value_heads": 2, "num_kv_shared_layers": 0, "rms_norm_eps": 1e-06, "sliding_window": 20, "tie_word_embeddings": true,
  "top_k_experts": 2, "vocab_size": 320})";

// Learnt positions; layer norms with biases; ReLU.
constexpr std::string_view kOpt = R"({
  "architectures": ["OPTForCausalLM"], "model_type": "opt", "activation_function": "relu", "bos_token_id": 1, "do_layer_norm_before": true,
  "enable_bias": true, "eos_token_id": 2, "ffn_dim": 96, "hidden_size": 64, "max_position_embeddings": 512, "num_attention_heads": 4,
  "num_hidden_layers": 2, "tie_word_embeddings": true, "vocab_size": 320, "word_embed_proj_dim": 64})";

// ALiBi over twelve heads, which are no power of two; a norm behind the embedding; one tensor with query, key and value head by head.
constexpr std::string_view kBloom = R"({
  "architectures": ["BloomForCausalLM"], "model_type": "bloom", "apply_residual_connection_post_layernorm": false, "bos_token_id": 1,
  "eos_token_id": 2, "hidden_size": 96, "layer_norm_epsilon": 1e-05, "n_head": 12, "n_layer": 2, "seq_length": 512,
  "tie_word_embeddings": true, "vocab_size": 320})";

// ALiBi with slopes of its own, no biases anywhere.
constexpr std::string_view kMpt = R"({
  "architectures": ["MptForCausalLM"], "model_type": "mpt", "attn_config": {"alibi": true, "alibi_bias_max": 4, "clip_qkv": null,
    "prefix_lm": false, "qk_ln": false, "softmax_scale": null}, "bos_token_id": 1, "d_model": 64, "eos_token_id": 2, "expansion_ratio": 2,
  "layer_norm_epsilon": 1e-05, "max_seq_len": 512, "n_heads": 4, "n_layers": 2, "no_bias": true, "tie_word_embeddings": true,
  "vocab_size": 320})";

// Attention and FFN side by side behind one layer norm; all heads share a key.
constexpr std::string_view kFalcon = R"({
  "architectures": ["FalconForCausalLM"], "model_type": "falcon", "alibi": false, "bias": false, "bos_token_id": 1, "eos_token_id": 2,
  "ffn_hidden_size": 96, "hidden_size": 64, "layer_norm_epsilon": 1e-05, "max_position_embeddings": 512, "multi_query": true,
  "new_decoder_architecture": false, "num_attention_heads": 4, "num_hidden_layers": 2, "parallel_attn": true, "rope_theta": 10000.0,
  "tie_word_embeddings": false, "vocab_size": 320})";

// Layer norms without gains or biases.
constexpr std::string_view kOlmo = R"({
  "architectures": ["OlmoForCausalLM"], "model_type": "olmo", "attention_bias": false, "bos_token_id": 1, "clip_qkv": null,
  "eos_token_id": 2, "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 96, "max_position_embeddings": 512,
  "num_attention_heads": 4, "num_hidden_layers": 2, "num_key_value_heads": 2, "rope_scaling": null, "rope_theta": 10000.0,
  "tie_word_embeddings": false, "vocab_size": 320})";

// Neighbours turn together in half of each head; queries, keys and values in one tensor with a bias.
constexpr std::string_view kChatGlm = R"({
  "architectures": ["ChatGLMModel"], "model_type": "chatglm", "add_bias_linear": false, "add_qkv_bias": true,
  "apply_residual_connection_post_layernorm": false, "bos_token_id": 1, "eos_token_id": 2, "ffn_hidden_size": 96, "hidden_size": 64,
  "kv_channels": 16, "layernorm_epsilon": 1e-05, "multi_query_attention": true, "multi_query_group_num": 2, "num_attention_heads": 4,
  "num_layers": 2, "padded_vocab_size": 320, "rmsnorm": true, "rope_ratio": 1, "seq_length": 512, "tie_word_embeddings": false})";

constexpr std::array kConfigs{
    TinyConfig{"llama4", 2, kLlama4},        TinyConfig{"llama4_lists", 1, kLlama4Lists},
    TinyConfig{"gemma4", 5, kGemma4},        TinyConfig{"gemma4_inputs", 1, kGemma4Inputs},
    TinyConfig{"gemma4_moe", 2, kGemma4Moe}, TinyConfig{"opt", 8, kOpt},
    TinyConfig{"bloom", 36, kBloom},         TinyConfig{"mpt", 2, kMpt},
    TinyConfig{"falcon", 6, kFalcon},        TinyConfig{"olmo", 1, kOlmo},
    TinyConfig{"chatglm", 6, kChatGlm},
};

} // namespace late_configs

std::span<const TinyConfig> tiny_late_configs() { return late_configs::kConfigs; }

} // namespace plimsoll::test
