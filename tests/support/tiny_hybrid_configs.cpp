#include "support/tiny_configs.hpp"

#include <array>

namespace plimsoll::test {
namespace hybrid_configs {

constexpr std::string_view kMamba = R"({
  "architectures": ["MambaForCausalLM"], "model_type": "mamba", "bos_token_id": 1, "conv_kernel": 4, "eos_token_id": 2, "expand": 2,
  "hidden_act": "silu", "hidden_size": 32, "intermediate_size": 64, "layer_norm_epsilon": 1e-05, "num_hidden_layers": 3,
  "residual_in_fp32": true, "state_size": 8, "tie_word_embeddings": true, "time_step_rank": 4, "use_bias": false, "use_conv_bias": true,
  "vocab_size": 320})";

// Steps, b and c are normed without gains.
constexpr std::string_view kFalconMamba = R"({
  "architectures": ["FalconMambaForCausalLM"], "model_type": "falcon_mamba", "bos_token_id": 1, "conv_kernel": 4, "eos_token_id": 2,
  "expand": 2, "hidden_act": "silu", "hidden_size": 32, "intermediate_size": 64, "layer_norm_epsilon": 1e-05, "mixer_rms_eps": 1e-06,
  "num_hidden_layers": 3, "residual_in_fp32": true, "state_size": 8, "tie_word_embeddings": false, "time_step_rank": 4,
  "use_bias": false, "use_conv_bias": true, "vocab_size": 320})";

// Groups of two heads, whose channels are normed together.
constexpr std::string_view kMamba2 = R"({
  "architectures": ["Mamba2ForCausalLM"], "model_type": "mamba2", "bos_token_id": 1, "chunk_size": 256, "conv_kernel": 4,
  "eos_token_id": 2, "expand": 2, "head_dim": 8, "hidden_act": "silu", "hidden_size": 32, "layer_norm_epsilon": 1e-05, "n_groups": 4,
  "norm_before_gate": false, "num_heads": 8, "num_hidden_layers": 3, "residual_in_fp32": true, "rms_norm": true, "state_size": 8,
  "tie_word_embeddings": false, "use_bias": false, "use_conv_bias": true, "vocab_size": 320})";

// Layer 2 has attention without positions, layers 1 and 3 experts whose weights do not add up to 1.
constexpr std::string_view kJamba = R"({
  "architectures": ["JambaForCausalLM"], "model_type": "jamba", "attn_layer_offset": 2, "attn_layer_period": 4, "bos_token_id": 1,
  "eos_token_id": 2, "expert_layer_offset": 1, "expert_layer_period": 2, "hidden_act": "silu", "hidden_size": 32,
  "intermediate_size": 24, "mamba_conv_bias": true, "mamba_d_conv": 4, "mamba_d_state": 8, "mamba_dt_rank": 4, "mamba_expand": 2,
  "mamba_proj_bias": false, "max_position_embeddings": 512, "num_attention_heads": 4, "num_experts": 4, "num_experts_per_tok": 2,
  "num_hidden_layers": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-06, "tie_word_embeddings": false, "vocab_size": 320})";

// Half of each head turns.
constexpr std::string_view kBamba = R"({
  "architectures": ["BambaForCausalLM"], "model_type": "bamba", "attention_bias": false, "attn_layer_indices": [1],
  "attn_rotary_emb": 4, "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu", "hidden_size": 32, "intermediate_size": 48,
  "mamba_chunk_size": 256, "mamba_conv_bias": true, "mamba_d_conv": 4, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_expand": 2,
  "mamba_n_groups": 1, "mamba_n_heads": 8, "mamba_proj_bias": false, "max_position_embeddings": 512, "mlp_bias": false,
  "num_attention_heads": 4, "num_hidden_layers": 3, "num_key_value_heads": 2, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
  "tie_word_embeddings": false, "vocab_size": 320})";

// Attention beside a Mamba-2 in every layer, a factor on everything and none of them 1.
constexpr std::string_view kFalconH1 = R"({
  "architectures": ["FalconH1ForCausalLM"], "model_type": "falcon_h1", "attention_bias": false, "attention_in_multiplier": 0.75,
  "attention_out_multiplier": 1.25, "bos_token_id": 1, "embedding_multiplier": 1.5, "eos_token_id": 2, "head_dim": 8,
  "hidden_act": "silu", "hidden_size": 32, "intermediate_size": 48, "key_multiplier": 0.625, "lm_head_multiplier": 0.875,
  "mamba_chunk_size": 256, "mamba_conv_bias": true, "mamba_d_conv": 4, "mamba_d_head": 8, "mamba_d_ssm": 64, "mamba_d_state": 8,
  "mamba_expand": 2, "mamba_n_groups": 4, "mamba_n_heads": 8, "mamba_norm_before_gate": false, "mamba_proj_bias": false,
  "mamba_rms_norm": true, "max_position_embeddings": 512, "mlp_bias": false, "mlp_multipliers": [1.25, 0.75], "num_attention_heads": 4,
  "num_hidden_layers": 2, "num_key_value_heads": 2, "projectors_bias": false, "rms_norm_eps": 1e-05, "rope_scaling": null,
  "rope_theta": 100000.0, "ssm_in_multiplier": 1.25, "ssm_multipliers": [0.75, 1.125, 0.875, 1.25, 0.625], "ssm_out_multiplier": 0.875,
  "tie_word_embeddings": false, "vocab_size": 320})";

// Every layer is one block: Mamba-2, attention without positions, or an FFN of two matrices with a squared ReLU.
constexpr std::string_view kNemotronH = R"({
  "architectures": ["NemotronHForCausalLM"], "model_type": "nemotron_h", "attention_bias": false, "bos_token_id": 1, "chunk_size": 128,
  "conv_kernel": 4, "eos_token_id": 2, "expand": 2, "head_dim": 8, "hidden_size": 32, "hybrid_override_pattern": "M*-M-",
  "intermediate_size": 48, "layer_norm_epsilon": 1e-05, "mamba_head_dim": 8, "mamba_hidden_act": "silu", "mamba_num_heads": 8,
  "mamba_proj_bias": false, "max_position_embeddings": 512, "mlp_bias": false, "mlp_hidden_act": "relu2", "n_groups": 2,
  "num_attention_heads": 4, "num_hidden_layers": 5, "num_key_value_heads": 2, "ssm_state_size": 8, "tie_word_embeddings": false,
  "use_bias": false, "use_conv_bias": true, "vocab_size": 320})";

constexpr std::string_view kNemotronMoe = R"({
  "architectures": ["NemotronHForCausalLM"], "model_type": "nemotron_h", "attention_bias": false, "bos_token_id": 1, "chunk_size": 128,
  "conv_kernel": 4, "eos_token_id": 2, "expand": 2, "head_dim": 8, "hidden_size": 32, "hybrid_override_pattern": "ME*E",
  "intermediate_size": 24, "layer_norm_epsilon": 1e-05, "mamba_head_dim": 8, "mamba_hidden_act": "silu", "mamba_num_heads": 8,
  "mamba_proj_bias": false, "max_position_embeddings": 512, "mlp_bias": false, "mlp_hidden_act": "relu2", "moe_intermediate_size": 24,
  "moe_shared_expert_intermediate_size": 40, "n_group": 1, "n_groups": 4, "n_routed_experts": 8, "n_shared_experts": 1,
  "norm_topk_prob": true, "num_attention_heads": 4, "num_experts_per_tok": 2, "num_hidden_layers": 4, "num_key_value_heads": 2,
  "routed_scaling_factor": 2.5, "ssm_state_size": 8, "tie_word_embeddings": false, "topk_group": 1, "use_bias": false,
  "use_conv_bias": true, "vocab_size": 320})";

// Experts in a width of their own, chosen within the best group.
constexpr std::string_view kNemotronLatent = R"({
  "architectures": ["NemotronHForCausalLM"], "model_type": "nemotron_h", "attention_bias": false, "bos_token_id": 1, "chunk_size": 128,
  "conv_kernel": 4, "eos_token_id": 2, "expand": 2, "head_dim": 8, "hidden_size": 32, "hybrid_override_pattern": "*EME",
  "intermediate_size": 24, "layer_norm_epsilon": 1e-05, "mamba_head_dim": 8, "mamba_hidden_act": "silu", "mamba_num_heads": 8,
  "mamba_proj_bias": false, "max_position_embeddings": 512, "mlp_bias": false, "mlp_hidden_act": "relu2", "moe_intermediate_size": 24,
  "moe_latent_size": 16, "moe_shared_expert_intermediate_size": 40, "n_group": 2, "n_groups": 4, "n_routed_experts": 8,
  "n_shared_experts": 1, "norm_topk_prob": true, "num_attention_heads": 4, "num_experts_per_tok": 2, "num_hidden_layers": 4,
  "num_key_value_heads": 2, "routed_scaling_factor": 2.5, "ssm_state_size": 8, "tie_word_embeddings": false, "topk_group": 1,
  "use_bias": false, "use_conv_bias": true, "vocab_size": 320})";

constexpr std::string_view kGraniteMoe = R"({
  "architectures": ["GraniteMoeForCausalLM"], "model_type": "granitemoe", "attention_bias": false, "attention_multiplier": 0.375,
  "bos_token_id": 1, "embedding_multiplier": 1.5, "eos_token_id": 2, "hidden_act": "silu", "hidden_size": 32, "intermediate_size": 16,
  "logits_scaling": 2.0, "max_position_embeddings": 512, "num_attention_heads": 4, "num_experts_per_tok": 2, "num_hidden_layers": 2,
  "num_key_value_heads": 2, "num_local_experts": 8, "output_router_logits": false, "residual_multiplier": 0.75, "rms_norm_eps": 1e-06,
  "rope_scaling": null, "rope_theta": 10000.0, "tie_word_embeddings": false, "vocab_size": 320})";

constexpr std::string_view kGraniteHybridMoe = R"({
  "architectures": ["GraniteMoeHybridForCausalLM"], "model_type": "granitemoehybrid", "attention_bias": false,
  "attention_multiplier": 0.375, "bos_token_id": 1, "embedding_multiplier": 1.5, "eos_token_id": 2, "hidden_act": "silu",
  "hidden_size": 32, "intermediate_size": 16, "layer_types": ["mamba", "attention", "mamba"], "logits_scaling": 2.0,
  "mamba_chunk_size": 256, "mamba_conv_bias": true, "mamba_d_conv": 4, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_expand": 2,
  "mamba_n_groups": 1, "mamba_n_heads": 8, "mamba_proj_bias": false, "max_position_embeddings": 512, "normalization_function": "rmsnorm",
  "num_attention_heads": 4, "num_experts_per_tok": 2, "num_hidden_layers": 3, "num_key_value_heads": 2, "num_local_experts": 8,
  "position_embedding_type": "nope", "residual_multiplier": 0.75, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
  "shared_intermediate_size": 24, "tie_word_embeddings": false, "vocab_size": 320})";

constexpr std::string_view kLfm2 = R"({
  "architectures": ["Lfm2ForCausalLM"], "model_type": "lfm2", "block_auto_adjust_ff_dim": false, "bos_token_id": 1, "conv_L_cache": 3,
  "conv_bias": false, "eos_token_id": 2, "full_attn_idxs": [2], "hidden_size": 32, "intermediate_size": 48,
  "max_position_embeddings": 512, "norm_eps": 1e-05, "num_attention_heads": 4, "num_hidden_layers": 4, "num_key_value_heads": 2,
  "rope_theta": 1000000.0, "tie_word_embeddings": true, "vocab_size": 320})";

constexpr std::string_view kLfm2Moe = R"({
  "architectures": ["Lfm2MoeForCausalLM"], "model_type": "lfm2_moe", "bos_token_id": 1, "conv_L_cache": 3, "conv_bias": false,
  "eos_token_id": 2, "hidden_size": 32, "intermediate_size": 48, "layer_types": ["conv", "full_attention", "conv"],
  "max_position_embeddings": 512, "moe_intermediate_size": 16, "norm_eps": 1e-05, "norm_topk_prob": true, "num_attention_heads": 4,
  "num_dense_layers": 1, "num_experts": 8, "num_experts_per_tok": 2, "num_hidden_layers": 3, "num_key_value_heads": 2,
  "rope_theta": 1000000.0, "routed_scaling_factor": 1.0, "tie_word_embeddings": true, "use_expert_bias": true, "vocab_size": 320})";

// Delta nets whose projections are apart, and experts whose weights always add up to 1.
constexpr std::string_view kQwen35Moe = R"({
  "architectures": ["Qwen3_5MoeForCausalLM"], "model_type": "qwen3_5_moe_text", "attention_bias": false, "attn_output_gate": true,
  "bos_token_id": 1, "eos_token_id": 2, "full_attention_interval": 4, "head_dim": 16, "hidden_act": "silu", "hidden_size": 32,
  "layer_types": ["linear_attention", "linear_attention", "linear_attention", "full_attention"], "linear_conv_kernel_dim": 4,
  "linear_key_head_dim": 8, "linear_num_key_heads": 4, "linear_num_value_heads": 8, "linear_value_head_dim": 8,
  "mamba_ssm_dtype": "float32", "max_position_embeddings": 512, "moe_intermediate_size": 12, "mtp_num_hidden_layers": 0,
  "num_attention_heads": 4, "num_experts": 8, "num_experts_per_tok": 2, "num_hidden_layers": 4, "num_key_value_heads": 2,
  "output_router_logits": false, "partial_rotary_factor": 0.25, "rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 10000.0,
  "shared_expert_intermediate_size": 24, "tie_word_embeddings": false, "vocab_size": 320})";

// Kimi's delta rule, whose decay is a channel's own, and latent attention without positions.
constexpr std::string_view kKimiLinear = R"({
  "architectures": ["KimiLinearForCausalLM"], "model_type": "kimi_linear", "bos_token_id": 1, "eos_token_id": 2,
  "first_k_dense_replace": 1, "head_dim": 8, "hidden_act": "silu", "hidden_size": 32, "intermediate_size": 48, "kv_lora_rank": 16,
  "linear_attn_config": {"full_attn_layers": [2, 4], "head_dim": 8, "kda_layers": [1, 3], "num_heads": 4, "short_conv_kernel_size": 4},
  "mla_use_nope": true, "moe_intermediate_size": 12, "moe_layer_freq": 1, "moe_renormalize": true,
  "moe_router_activation_func": "sigmoid", "num_attention_heads": 4, "num_expert_group": 1, "num_experts": 8,
  "num_experts_per_token": 2, "num_hidden_layers": 4, "num_key_value_heads": 4, "num_nextn_predict_layers": 0, "num_shared_experts": 1,
  "q_lora_rank": null, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "rms_norm_eps": 1e-05, "rope_scaling": null, "rope_theta": 10000.0,
  "routed_scaling_factor": 2.446, "tie_word_embeddings": false, "topk_group": 1, "use_grouped_topk": true, "v_head_dim": 8,
  "vocab_size": 320})";

// Norms behind attention and FFN; layers with a window turn, the one without does not.
constexpr std::string_view kExaone4 = R"({
  "architectures": ["Exaone4ForCausalLM"], "model_type": "exaone4", "bos_token_id": 1, "eos_token_id": 2, "head_dim": 16,
  "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 96, "layer_types": ["sliding_attention", "full_attention",
    "sliding_attention"], "max_position_embeddings": 512, "num_attention_heads": 4, "num_hidden_layers": 3, "num_key_value_heads": 2,
  "rms_norm_eps": 1e-05, "rope_scaling": null, "rope_theta": 10000.0, "sliding_window": 20, "sliding_window_pattern": "LG",
  "tie_word_embeddings": false, "vocab_size": 320})";

// Yarn in the layer without a window alone.
constexpr std::string_view kOlmo3 = R"({
  "architectures": ["Olmo3ForCausalLM"], "model_type": "olmo3", "attention_bias": false, "bos_token_id": 1, "eos_token_id": 2,
  "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 96, "layer_types": ["sliding_attention", "full_attention",
    "sliding_attention"], "max_position_embeddings": 512, "num_attention_heads": 4, "num_hidden_layers": 3, "num_key_value_heads": 2,
  "rms_norm_eps": 1e-06, "rope_scaling": {"attention_factor": 1.2, "beta_fast": 32, "beta_slow": 1, "factor": 8.0,
    "original_max_position_embeddings": 64, "rope_type": "yarn"}, "rope_theta": 10000.0, "sliding_window": 20,
  "tie_word_embeddings": false, "vocab_size": 320})";

// The second of three layers does not turn.
constexpr std::string_view kSmolLm3 = R"({
  "architectures": ["SmolLM3ForCausalLM"], "model_type": "smollm3", "attention_bias": false, "bos_token_id": 1, "eos_token_id": 2,
  "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 96, "max_position_embeddings": 512, "mlp_bias": false,
  "no_rope_layer_interval": 4, "no_rope_layers": [1, 0, 1], "num_attention_heads": 4, "num_hidden_layers": 3, "num_key_value_heads": 2,
  "rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 50000.0, "sliding_window": null, "tie_word_embeddings": true,
  "use_sliding_window": false, "vocab_size": 320})";

// Four norms; neighbours turn together, in half of each head; biases on queries, keys and values alone.
constexpr std::string_view kGlm4 = R"({
  "architectures": ["Glm4ForCausalLM"], "model_type": "glm4", "attention_bias": true, "bos_token_id": 1, "eos_token_id": 2,
  "head_dim": 16, "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 96, "max_position_embeddings": 512,
  "num_attention_heads": 4, "num_hidden_layers": 2, "num_key_value_heads": 2, "partial_rotary_factor": 0.5, "rms_norm_eps": 1e-05,
  "rope_scaling": null, "rope_theta": 10000.0, "tie_word_embeddings": false, "vocab_size": 320})";

// Attention and FFN beside one another behind one layer norm; neighbours turn together, in layers with a window alone.
constexpr std::string_view kCohere2 = R"({
  "architectures": ["Cohere2ForCausalLM"], "model_type": "cohere2", "attention_bias": false, "bos_token_id": 1, "eos_token_id": 2,
  "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 96, "layer_norm_eps": 1e-05, "layer_types": ["sliding_attention",
    "full_attention", "sliding_attention"], "logit_scale": 0.75, "max_position_embeddings": 512, "num_attention_heads": 4,
  "num_hidden_layers": 3, "num_key_value_heads": 2, "rope_scaling": null, "rope_theta": 50000.0, "sliding_window": 20,
  "tie_word_embeddings": true, "vocab_size": 320})";

// Norms over all queries and all keys; experts by sigmoid, whose weights always add up to 1.
constexpr std::string_view kMiniMaxM2 = R"({
  "architectures": ["MiniMaxM2ForCausalLM"], "model_type": "minimax_m2", "bos_token_id": 1, "eos_token_id": 2, "head_dim": 16,
  "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 16, "max_position_embeddings": 512, "num_attention_heads": 4,
  "num_experts_per_tok": 2, "num_hidden_layers": 2, "num_key_value_heads": 2, "num_local_experts": 8, "qk_norm_type": "per_layer",
  "rms_norm_eps": 1e-06, "rope_theta": 50000.0, "rotary_dim": 8, "scoring_func": "sigmoid", "tie_word_embeddings": false,
  "use_qk_norm": true, "use_routing_bias": true, "vocab_size": 320})";

// Attention and FFN beside one another; layer norms and linear layers with biases, the head's too; half of each head turns.
constexpr std::string_view kPhi = R"({
  "architectures": ["PhiForCausalLM"], "model_type": "phi", "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "gelu_new",
  "hidden_size": 64, "intermediate_size": 96, "layer_norm_eps": 1e-05, "max_position_embeddings": 512, "num_attention_heads": 4,
  "num_hidden_layers": 2, "num_key_value_heads": 4, "partial_rotary_factor": 0.5, "qk_layernorm": false, "rope_scaling": null,
  "rope_theta": 10000.0, "tie_word_embeddings": false, "vocab_size": 320})";

// Likewise, one after the other; every layer has a window.
constexpr std::string_view kStarCoder2 = R"({
  "architectures": ["Starcoder2ForCausalLM"], "model_type": "starcoder2", "bos_token_id": 1, "eos_token_id": 2,
  "hidden_act": "gelu_pytorch_tanh", "hidden_size": 64, "intermediate_size": 96, "max_position_embeddings": 512, "norm_epsilon": 1e-05,
  "num_attention_heads": 4, "num_hidden_layers": 2, "num_key_value_heads": 2, "rope_theta": 50000.0, "sliding_window": 20,
  "tie_word_embeddings": false, "use_bias": true, "vocab_size": 320})";

// The text of one alone has no class of its own that generates.
constexpr std::string_view kQwen3VlMoe = R"({
  "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_vl_moe_text", "attention_bias": false, "bos_token_id": 1,
  "decoder_sparse_step": 1, "eos_token_id": 2, "head_dim": 16, "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 96,
  "max_position_embeddings": 512, "mlp_only_layers": [], "moe_intermediate_size": 16, "num_attention_heads": 4, "num_experts": 8,
  "num_experts_per_tok": 2, "num_hidden_layers": 2, "num_key_value_heads": 2, "rms_norm_eps": 1e-06,
  "rope_scaling": {"mrope_interleaved": true, "mrope_section": [4, 2, 2], "rope_type": "default"}, "rope_theta": 50000.0,
  "tie_word_embeddings": false, "vocab_size": 320})";

constexpr std::array kConfigs{
    TinyConfig{"mamba", 1, kMamba},
    TinyConfig{"falcon_mamba", 2, kFalconMamba},
    TinyConfig{"mamba2", 2, kMamba2},
    TinyConfig{"jamba", 1, kJamba},
    TinyConfig{"bamba", 1, kBamba},
    TinyConfig{"falcon_h1", 4, kFalconH1},
    TinyConfig{"nemotron_h", 2, kNemotronH},
    TinyConfig{"nemotron_h_moe", 3, kNemotronMoe},
    TinyConfig{"nemotron_h_latent", 2, kNemotronLatent},
    TinyConfig{"granitemoe", 5, kGraniteMoe},
    TinyConfig{"granite_hybrid_moe", 1, kGraniteHybridMoe},
    TinyConfig{"lfm2", 3, kLfm2},
    TinyConfig{"lfm2_moe", 1, kLfm2Moe},
    TinyConfig{"qwen3_5_moe", 1, kQwen35Moe},
    TinyConfig{"kimi_linear", 1, kKimiLinear},
    TinyConfig{"exaone4", 1, kExaone4},
    TinyConfig{"olmo3", 1, kOlmo3},
    TinyConfig{"smollm3", 5, kSmolLm3},
    TinyConfig{"glm4", 1, kGlm4},
    TinyConfig{"cohere2", 2, kCohere2},
    TinyConfig{"minimax_m2", 2, kMiniMaxM2},
    TinyConfig{"qwen3_vl_moe", 1, kQwen3VlMoe},
    TinyConfig{"phi", 1, kPhi},
    TinyConfig{"starcoder2", 3, kStarCoder2},
};

} // namespace hybrid_configs

std::span<const TinyConfig> tiny_hybrid_configs() { return hybrid_configs::kConfigs; }

} // namespace plimsoll::test
