#include "support/tiny_configs.hpp"

#include <array>
#include <vector>

namespace plimsoll::test {
namespace {

constexpr std::string_view kLlama = R"({
  "architectures": ["LlamaForCausalLM"], "model_type": "llama", "attention_bias": false, "bos_token_id": 1, "eos_token_id": 2,
  "head_dim": 16, "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 128, "max_position_embeddings": 512, "mlp_bias": false,
  "num_attention_heads": 4, "num_hidden_layers": 2, "num_key_value_heads": 2, "rms_norm_eps": 1e-05, "rope_scaling": null,
  "rope_theta": 10000.0, "tie_word_embeddings": false, "vocab_size": 320})";

constexpr std::string_view kLlamaBiased = R"({
  "architectures": ["LlamaForCausalLM"], "model_type": "llama", "attention_bias": true, "bos_token_id": 1, "eos_token_id": 2,
  "head_dim": 16, "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 96, "max_position_embeddings": 512, "mlp_bias": true,
  "num_attention_heads": 4, "num_hidden_layers": 2, "num_key_value_heads": 1, "rms_norm_eps": 1e-05, "rope_scaling": null,
  "rope_theta": 10000.0, "tie_word_embeddings": false, "vocab_size": 320})";

// Llama 3.2: tied, and four bands of frequencies at a 128th of its lengths.
constexpr std::string_view kLlama3 = R"({
  "architectures": ["LlamaForCausalLM"], "model_type": "llama", "attention_bias": false, "bos_token_id": 1, "eos_token_id": 2,
  "head_dim": 16, "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 96, "max_position_embeddings": 2048, "mlp_bias": false,
  "num_attention_heads": 4, "num_hidden_layers": 3, "num_key_value_heads": 2, "rms_norm_eps": 1e-05,
  "rope_scaling": {"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 64,
    "rope_type": "llama3"},
  "rope_theta": 500000.0, "tie_word_embeddings": true, "vocab_size": 320})";

constexpr std::string_view kMistral = R"({
  "architectures": ["MistralForCausalLM"], "model_type": "mistral", "bos_token_id": 1, "eos_token_id": 2,
  "head_dim": 16, "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 128, "max_position_embeddings": 512,
  "num_attention_heads": 4, "num_hidden_layers": 2, "num_key_value_heads": 2, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
  "sliding_window": 24, "tie_word_embeddings": false, "vocab_size": 320})";

constexpr std::string_view kQwen2 = R"({
  "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu",
  "hidden_size": 64, "intermediate_size": 128, "max_position_embeddings": 512, "max_window_layers": 2, "num_attention_heads": 4,
  "num_hidden_layers": 2, "num_key_value_heads": 2, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "sliding_window": 16,
  "tie_word_embeddings": false, "use_sliding_window": false, "vocab_size": 320})";

constexpr std::string_view kQwen2Yarn = R"({
  "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu",
  "hidden_size": 64, "intermediate_size": 128, "max_position_embeddings": 512, "max_window_layers": 2, "num_attention_heads": 4,
  "num_hidden_layers": 2, "num_key_value_heads": 2, "rms_norm_eps": 1e-06,
  "rope_scaling": {"factor": 4.0, "original_max_position_embeddings": 128, "type": "yarn"},
  "rope_theta": 10000.0, "sliding_window": null, "tie_word_embeddings": false, "use_sliding_window": false, "vocab_size": 320})";

// Heads wider than hidden_size / heads, as in Qwen3's small models.
constexpr std::string_view kQwen3 = R"({
  "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "attention_bias": false, "bos_token_id": 1, "eos_token_id": 2,
  "head_dim": 32, "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 96, "max_position_embeddings": 512,
  "max_window_layers": 2, "num_attention_heads": 4, "num_hidden_layers": 2, "num_key_value_heads": 2, "rms_norm_eps": 1e-06,
  "rope_scaling": null, "rope_theta": 1000000.0, "sliding_window": null, "tie_word_embeddings": false, "use_sliding_window": false,
  "vocab_size": 320})";

constexpr std::string_view kPhi3 = R"({
  "architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "attention_bias": false, "bos_token_id": 1, "eos_token_id": 2,
  "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 128, "max_position_embeddings": 1024, "num_attention_heads": 4,
  "num_hidden_layers": 2, "num_key_value_heads": 4, "original_max_position_embeddings": 256, "rms_norm_eps": 1e-05,
  "rope_scaling": {
    "long_factor": [1.0, 1.25, 1.75, 2.5, 3.25, 3.75, 4.0, 4.5],
    "short_factor": [1.0, 1.0, 1.0625, 1.125, 1.25, 1.375, 1.5, 1.75],
    "type": "longrope"},
  "rope_theta": 10000.0, "sliding_window": 262144, "tie_word_embeddings": false, "vocab_size": 320})";

// Phi-4-mini: three quarters of a head rotate, fewer KV heads, a tied head.
constexpr std::string_view kPhi4 = R"({
  "architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "attention_bias": false, "bos_token_id": 1, "eos_token_id": 2,
  "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 96, "max_position_embeddings": 1024, "num_attention_heads": 4,
  "num_hidden_layers": 3, "num_key_value_heads": 2, "original_max_position_embeddings": 256, "partial_rotary_factor": 0.75,
  "rms_norm_eps": 1e-05,
  "rope_scaling": {
    "long_factor": [1, 1.125, 1.5, 2.25, 3.5, 4.0],
    "short_factor": [1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
    "type": "longrope"},
  "rope_theta": 10000.0, "sliding_window": 262144, "tie_word_embeddings": true, "vocab_size": 320})";

constexpr std::string_view kGemma2 = R"({
  "architectures": ["Gemma2ForCausalLM"], "model_type": "gemma2", "attention_bias": false, "attn_logit_softcapping": 3.0,
  "bos_token_id": 1, "eos_token_id": 2, "final_logit_softcapping": 12.0, "head_dim": 16, "hidden_act": "gelu_pytorch_tanh",
  "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 64, "intermediate_size": 64, "max_position_embeddings": 512,
  "num_attention_heads": 4, "num_hidden_layers": 4, "num_key_value_heads": 2, "query_pre_attn_scalar": 4, "rms_norm_eps": 1e-06,
  "rope_theta": 10000.0, "sliding_window": 20, "vocab_size": 320})";

// Five layers with a window, one without, and a seventh with.
constexpr std::string_view kGemma3 = R"({
  "architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", "attention_bias": false, "attn_logit_softcapping": null,
  "bos_token_id": 1, "eos_token_id": 2, "final_logit_softcapping": null, "head_dim": 16, "hidden_activation": "gelu_pytorch_tanh",
  "hidden_size": 32, "intermediate_size": 64, "max_position_embeddings": 1024, "num_attention_heads": 4, "num_hidden_layers": 7,
  "num_key_value_heads": 2, "query_pre_attn_scalar": 16, "rms_norm_eps": 1e-06, "rope_local_base_freq": 10000.0,
  "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "rope_theta": 1000000.0, "sliding_window": 12, "sliding_window_pattern": 6,
  "vocab_size": 320})";

constexpr std::string_view kMixtral = R"({
  "architectures": ["MixtralForCausalLM"], "model_type": "mixtral", "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu",
  "hidden_size": 64, "intermediate_size": 32, "max_position_embeddings": 512, "num_attention_heads": 4, "num_experts_per_tok": 2,
  "num_hidden_layers": 2, "num_key_value_heads": 2, "num_local_experts": 4, "output_router_logits": false, "rms_norm_eps": 1e-05,
  "rope_theta": 1000000.0, "sliding_window": null, "tie_word_embeddings": false, "vocab_size": 320})";

constexpr std::string_view kQwen2Moe = R"({
  "architectures": ["Qwen2MoeForCausalLM"], "model_type": "qwen2_moe", "bos_token_id": 1, "decoder_sparse_step": 1, "eos_token_id": 2,
  "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 64, "max_position_embeddings": 512, "max_window_layers": 2,
  "mlp_only_layers": [], "moe_intermediate_size": 12, "norm_topk_prob": false, "num_attention_heads": 4, "num_experts": 8,
  "num_experts_per_tok": 2, "num_hidden_layers": 2, "num_key_value_heads": 2, "output_router_logits": false, "rms_norm_eps": 1e-06,
  "rope_theta": 1000000.0, "shared_expert_intermediate_size": 40, "sliding_window": 16, "tie_word_embeddings": false,
  "use_sliding_window": false, "vocab_size": 320})";

constexpr std::string_view kQwen3Moe = R"({
  "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "attention_bias": false, "bos_token_id": 1,
  "decoder_sparse_step": 1, "eos_token_id": 2, "head_dim": 16, "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 96,
  "max_position_embeddings": 512, "max_window_layers": 2, "mlp_only_layers": [], "moe_intermediate_size": 16, "norm_topk_prob": true,
  "num_attention_heads": 4, "num_experts": 8, "num_experts_per_tok": 2, "num_hidden_layers": 2, "num_key_value_heads": 1,
  "output_router_logits": false, "rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 1000000.0, "sliding_window": null,
  "tie_word_embeddings": false, "use_sliding_window": false, "vocab_size": 320})";

// `truncate` stays away: the witness rounds the ends of the ramp. gpt_oss_exact has it as published.
constexpr std::string_view kGptOss = R"({
  "architectures": ["GptOssForCausalLM"], "model_type": "gpt_oss", "attention_bias": true, "bos_token_id": 1, "eos_token_id": 2,
  "experts_per_token": 2, "head_dim": 16, "hidden_act": "silu", "hidden_size": 64, "initial_context_length": 128,
  "intermediate_size": 16, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
  "max_position_embeddings": 1024, "num_attention_heads": 4, "num_experts_per_tok": 2, "num_hidden_layers": 3,
  "num_key_value_heads": 2, "num_local_experts": 4, "output_router_logits": false, "rms_norm_eps": 1e-05,
  "rope_scaling": {"beta_fast": 32.0, "beta_slow": 1.0, "factor": 8.0, "original_max_position_embeddings": 128, "rope_type": "yarn"},
  "rope_theta": 150000, "sliding_window": 16, "swiglu_limit": 7.0, "tie_word_embeddings": false, "vocab_size": 320})";

constexpr std::string_view kGptOssExact = R"({
  "architectures": ["GptOssForCausalLM"], "model_type": "gpt_oss", "attention_bias": true, "bos_token_id": 1, "eos_token_id": 2,
  "experts_per_token": 2, "head_dim": 16, "hidden_act": "silu", "hidden_size": 64, "initial_context_length": 128,
  "intermediate_size": 24, "layer_types": ["sliding_attention", "full_attention"], "max_position_embeddings": 1024,
  "num_attention_heads": 4, "num_experts_per_tok": 2, "num_hidden_layers": 2, "num_key_value_heads": 2, "num_local_experts": 4,
  "output_router_logits": false, "rms_norm_eps": 1e-05,
  "rope_scaling": {"beta_fast": 32.0, "beta_slow": 1.0, "factor": 8.0, "original_max_position_embeddings": 128, "rope_type": "yarn",
    "truncate": false},
  "rope_theta": 150000, "sliding_window": 16, "swiglu_limit": 7.0, "tie_word_embeddings": false, "vocab_size": 320})";

// DeepSeek-V2-Lite: no rank for queries, one group. The witness takes a deepseek2 of 27 layers, and hardly another, for one without the
// rank.
constexpr std::string_view kDeepseekV2 = R"({
  "architectures": ["DeepseekV2ForCausalLM"], "model_type": "deepseek_v2", "attention_bias": false, "bos_token_id": 1,
  "eos_token_id": 2, "first_k_dense_replace": 1, "hidden_act": "silu", "hidden_size": 32, "intermediate_size": 48, "kv_lora_rank": 16,
  "max_position_embeddings": 512, "moe_intermediate_size": 4, "moe_layer_freq": 1, "n_group": 1, "n_routed_experts": 4,
  "n_shared_experts": 2, "norm_topk_prob": false, "num_attention_heads": 2, "num_experts_per_tok": 2, "num_hidden_layers": 27,
  "num_key_value_heads": 2, "q_lora_rank": null, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "rms_norm_eps": 1e-06,
  "rope_scaling": {"beta_fast": 32, "beta_slow": 1, "factor": 4, "mscale": 0.707, "mscale_all_dim": 0.707,
    "original_max_position_embeddings": 128, "type": "yarn"},
  "rope_theta": 10000, "routed_scaling_factor": 1.0, "scoring_func": "softmax", "tie_word_embeddings": false, "topk_group": 1,
  "topk_method": "greedy", "v_head_dim": 8, "vocab_size": 320})";

// DeepSeek-V2: a rank for queries, experts chosen within the best groups.
constexpr std::string_view kDeepseekV2Groups = R"({
  "architectures": ["DeepseekV2ForCausalLM"], "model_type": "deepseek_v2", "attention_bias": false, "bos_token_id": 1,
  "eos_token_id": 2, "first_k_dense_replace": 1, "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 64, "kv_lora_rank": 32,
  "max_position_embeddings": 512, "moe_intermediate_size": 8, "moe_layer_freq": 1, "n_group": 4, "n_routed_experts": 8,
  "n_shared_experts": 2, "norm_topk_prob": false, "num_attention_heads": 4, "num_experts_per_tok": 3, "num_hidden_layers": 3,
  "num_key_value_heads": 4, "q_lora_rank": 24, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "rms_norm_eps": 1e-06,
  "rope_scaling": {"beta_fast": 32, "beta_slow": 1, "factor": 4, "mscale": 0.707, "mscale_all_dim": 0.707,
    "original_max_position_embeddings": 128, "type": "yarn"},
  "rope_theta": 10000, "routed_scaling_factor": 4.0, "scoring_func": "softmax", "tie_word_embeddings": false, "topk_group": 2,
  "topk_method": "group_limited_greedy", "v_head_dim": 16, "vocab_size": 320})";

constexpr std::string_view kDeepseekV3 = R"({
  "architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", "attention_bias": false, "bos_token_id": 1,
  "eos_token_id": 2, "first_k_dense_replace": 1, "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 64, "kv_lora_rank": 32,
  "max_position_embeddings": 512, "moe_intermediate_size": 8, "moe_layer_freq": 1, "n_group": 1, "n_routed_experts": 8,
  "n_shared_experts": 1, "norm_topk_prob": true, "num_attention_heads": 4, "num_experts_per_tok": 2, "num_hidden_layers": 3,
  "num_key_value_heads": 4, "num_nextn_predict_layers": 0, "q_lora_rank": 32, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8,
  "rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 10000, "routed_scaling_factor": 2.5, "scoring_func": "sigmoid",
  "tie_word_embeddings": false, "topk_group": 1, "topk_method": "noaux_tc", "v_head_dim": 16, "vocab_size": 320})";

constexpr std::string_view kDeepseekV3Groups = R"({
  "architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", "attention_bias": false, "bos_token_id": 1,
  "eos_token_id": 2, "first_k_dense_replace": 1, "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 64, "kv_lora_rank": 32,
  "max_position_embeddings": 512, "moe_intermediate_size": 8, "moe_layer_freq": 1, "n_group": 4, "n_routed_experts": 8,
  "n_shared_experts": 1, "norm_topk_prob": true, "num_attention_heads": 4, "num_experts_per_tok": 3, "num_hidden_layers": 3,
  "num_key_value_heads": 4, "num_nextn_predict_layers": 0, "q_lora_rank": 32, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8,
  "rms_norm_eps": 1e-06,
  "rope_scaling": {"beta_fast": 32, "beta_slow": 1, "factor": 4, "mscale": 1.0, "mscale_all_dim": 1.0,
    "original_max_position_embeddings": 128, "type": "yarn"},
  "rope_theta": 10000, "routed_scaling_factor": 2.5, "scoring_func": "sigmoid", "tie_word_embeddings": false, "topk_group": 2,
  "topk_method": "noaux_tc", "v_head_dim": 16, "vocab_size": 320})";

constexpr std::string_view kSeedOss = R"({
  "architectures": ["SeedOssForCausalLM"], "model_type": "seed_oss", "attention_bias": true, "attention_out_bias": false,
  "bos_token_id": 1, "eos_token_id": 2, "head_dim": 16, "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 96,
  "max_position_embeddings": 512, "mlp_bias": false, "num_attention_heads": 4, "num_hidden_layers": 2, "num_key_value_heads": 2,
  "rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 10000.0, "tie_word_embeddings": false, "vocab_size": 320})";

// Norms behind attention and FFN, and over all queries and all keys.
constexpr std::string_view kOlmo2 = R"({
  "architectures": ["Olmo2ForCausalLM"], "model_type": "olmo2", "attention_bias": false, "bos_token_id": 1, "eos_token_id": 2,
  "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 96, "max_position_embeddings": 512, "num_attention_heads": 4,
  "num_hidden_layers": 3, "num_key_value_heads": 2, "rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 500000.0,
  "tie_word_embeddings": false, "vocab_size": 320})";

constexpr std::string_view kOlmoe = R"({
  "architectures": ["OlmoeForCausalLM"], "model_type": "olmoe", "attention_bias": false, "bos_token_id": 1, "clip_qkv": null,
  "eos_token_id": 2, "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 16, "max_position_embeddings": 512,
  "norm_topk_prob": false, "num_attention_heads": 4, "num_experts": 8, "num_experts_per_tok": 3, "num_hidden_layers": 2,
  "num_key_value_heads": 4, "output_router_logits": false, "rms_norm_eps": 1e-05, "rope_scaling": null, "rope_theta": 10000.0,
  "tie_word_embeddings": false, "vocab_size": 320})";

// Granite's factors, none of them 1.
constexpr std::string_view kGranite = R"({
  "architectures": ["GraniteForCausalLM"], "model_type": "granite", "attention_bias": false, "attention_multiplier": 0.375,
  "bos_token_id": 1, "embedding_multiplier": 1.5, "eos_token_id": 2, "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 96,
  "logits_scaling": 0.625, "max_position_embeddings": 512, "mlp_bias": false, "num_attention_heads": 4, "num_hidden_layers": 2,
  "num_key_value_heads": 2, "residual_multiplier": 0.75, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "tie_word_embeddings": false,
  "vocab_size": 320})";

// Granite-4-H: three layers of Mamba-2 and one of attention without positions, a gated FFN in each.
constexpr std::string_view kGraniteHybrid = R"({
  "architectures": ["GraniteMoeHybridForCausalLM"], "model_type": "granitemoehybrid", "attention_bias": false,
  "attention_multiplier": 0.375, "bos_token_id": 1, "embedding_multiplier": 1.5, "eos_token_id": 2, "hidden_act": "silu",
  "hidden_size": 64, "intermediate_size": 96, "layer_types": ["mamba", "mamba", "attention", "mamba"], "logits_scaling": 2.0,
  "mamba_chunk_size": 256, "mamba_conv_bias": true, "mamba_d_conv": 4, "mamba_d_head": 16, "mamba_d_state": 12, "mamba_expand": 2,
  "mamba_n_groups": 1, "mamba_n_heads": 8, "mamba_proj_bias": false, "max_position_embeddings": 512, "normalization_function": "rmsnorm",
  "num_attention_heads": 4, "num_experts_per_tok": 0, "num_hidden_layers": 4, "num_key_value_heads": 2, "num_local_experts": 0,
  "position_embedding_type": "nope", "residual_multiplier": 0.75, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
  "shared_intermediate_size": 96, "tie_word_embeddings": false, "vocab_size": 320})";

// Qwen3-Next: three delta-net layers and one of gated attention, of which a quarter of each head turns; experts in each.
constexpr std::string_view kQwen3Next = R"({
  "architectures": ["Qwen3NextForCausalLM"], "model_type": "qwen3_next", "attention_bias": false, "bos_token_id": 1,
  "decoder_sparse_step": 1, "eos_token_id": 2, "full_attention_interval": 4, "head_dim": 16, "hidden_act": "silu", "hidden_size": 64,
  "intermediate_size": 96, "layer_types": ["linear_attention", "linear_attention", "linear_attention", "full_attention"],
  "linear_conv_kernel_dim": 4, "linear_key_head_dim": 8, "linear_num_key_heads": 4, "linear_num_value_heads": 8,
  "linear_value_head_dim": 8, "max_position_embeddings": 512, "mlp_only_layers": [], "moe_intermediate_size": 12,
  "mtp_num_hidden_layers": 0, "norm_topk_prob": true, "num_attention_heads": 4, "num_experts": 8, "num_experts_per_tok": 2,
  "num_hidden_layers": 4, "num_key_value_heads": 2, "output_router_logits": false, "partial_rotary_factor": 0.25, "rms_norm_eps": 1e-06,
  "rope_scaling": null, "rope_theta": 10000.0, "shared_expert_intermediate_size": 24, "tie_word_embeddings": false, "vocab_size": 320})";

constexpr std::array kConfigs{
    TinyConfig{"llama", 2, kLlama},
    TinyConfig{"llama_biased", 6, kLlamaBiased},
    TinyConfig{"llama3", 7, kLlama3},
    TinyConfig{"mistral", 2, kMistral},
    TinyConfig{"qwen2", 11, kQwen2},
    TinyConfig{"qwen2_yarn", 43, kQwen2Yarn},
    TinyConfig{"qwen3", 16, kQwen3},
    TinyConfig{"phi3", 84, kPhi3},
    TinyConfig{"phi4", 9, kPhi4},
    TinyConfig{"gemma2", 127, kGemma2},
    TinyConfig{"gemma3", 46, kGemma3},
    TinyConfig{"mixtral", 12, kMixtral},
    TinyConfig{"qwen2_moe", 9, kQwen2Moe},
    TinyConfig{"qwen3_moe", 17, kQwen3Moe},
    TinyConfig{"gpt_oss", 5, kGptOss},
    TinyConfig{"gpt_oss_exact", 2, kGptOssExact},
    TinyConfig{"deepseek_v2", 15, kDeepseekV2},
    TinyConfig{"deepseek_v2_groups", 2, kDeepseekV2Groups},
    TinyConfig{"deepseek_v3", 3, kDeepseekV3},
    TinyConfig{"deepseek_v3_groups", 24, kDeepseekV3Groups},
    TinyConfig{"seed_oss", 9, kSeedOss},
    TinyConfig{"olmo2", 8, kOlmo2},
    TinyConfig{"olmoe", 4, kOlmoe},
    TinyConfig{"granite", 37, kGranite},
    TinyConfig{"granite_hybrid", 10, kGraniteHybrid},
    TinyConfig{"qwen3_next", 24, kQwen3Next},
};

} // namespace

std::span<const TinyConfig> tiny_configs() {
  static const std::vector<TinyConfig> all = [] {
    std::vector<TinyConfig> out(kConfigs.begin(), kConfigs.end());
    for (const std::span<const TinyConfig> more : {tiny_hybrid_configs(), tiny_late_configs()})
      out.insert(out.end(), more.begin(), more.end());
    return out;
  }();
  return all;
}

} // namespace plimsoll::test
