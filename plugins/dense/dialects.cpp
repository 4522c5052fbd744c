// The table of dialects: one row for each model_type whose attention, embedding, head or dense FFN this plugin plans.
// To add a model, add a row; architectures and class defaults go to models.json. Facts come from published tensor
// names and shapes (README.md lists the models that were checked). Threads: constant data.
#include "dialect.hpp"

#include <algorithm>
#include <iterator>

#include "names.hpp"
#include "quirks.hpp"

namespace dense {
namespace {

constexpr Norms kNoNorms{};
constexpr Norms kOneNorm{"input_layernorm"};
constexpr Norms kSandwich{"input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm"};
constexpr Norms kAfterBlocks{"post_attention_layernorm", "post_feedforward_layernorm"};
constexpr Norms kGlm4Norms{"input_layernorm", "post_self_attn_layernorm", "post_attention_layernorm", "post_mlp_layernorm"};
constexpr Norms kAfmoeNorms{"input_layernorm", "post_attention_layernorm", "pre_mlp_layernorm", "post_mlp_layernorm"};
constexpr Norms kJambaNorms{"input_layernorm", "pre_ff_layernorm"};
constexpr Norms kLn12{"ln_1", "ln_2"};
constexpr Norms kPlamoNorms{"pre_mixer_norm", "post_mixer_norm", "pre_mlp_norm", "post_mlp_norm"};
constexpr Norms kGrokNorms{"pre_attn_norm", "post_attn_norm", "pre_moe_norm", "post_moe_norm"};

constexpr std::array<std::string_view, 2> kLongQk{"query_layernorm", "key_layernorm"};

constexpr Draft kGlmDraft{.layer = "model.layers.{layer}.",
                          .norms = {"enorm", "hnorm", "shared_head.norm"},
                          .projection = "eh_proj",
                          .embedding = "embed_tokens",
                          .head = "shared_head.head"};
constexpr Draft kMimoDraft{.layer = "model.mtp_layers.{layer}.",
                           .norms = {"token_layernorm", "hidden_layernorm", "final_layernorm"},
                           .projection = "input_proj",
                           .after_model = false};

constexpr Draft kMimoV2Draft{.layer = "model.mtp.layers.{layer}.",
                             .norms = {"enorm", "hnorm", "final_layernorm"},
                             .projection = "eh_proj",
                             .after_model = false,
                             .layer_norms = {"input_layernorm", "pre_mlp_layernorm"}};

constexpr Draft kErnieDraft{.layer = "model.mtp_block.{layer}.",
                            .norms = {"mtp_emb_norm.{layer}", "mtp_hidden_norm.{layer}"},
                            .projection = "mtp_linear_proj.{layer}",
                            .join = "model.",
                            .after_model = false};
constexpr Draft kExaoneDraft{.layer = "mtp.layers.{layer}.",
                             .norms = {"pre_fc_norm_embedding", "pre_fc_norm_hidden", "norm"},
                             .projection = "fc",
                             .join = "mtp.",
                             .after_model = false};
// Ling, and Hy3
constexpr Draft kBailingDraft{.layer = "model.layers.{layer}.", .norms = {"enorm", "hnorm", "final_layernorm"}, .projection = "eh_proj"};

constexpr Draft kStepDraft{.layer = "model.layers.{layer}.",
                           .norms = {"enorm", "hnorm", "transformer.shared_head.norm"},
                           .projection = "eh_proj",
                           .head = "transformer.shared_head.output"};

// clang-format off
constexpr Dialect kDialects[] = {
  // Llama and what shares its shapes
  {.model_type = "llama", .names = &kLlama, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .ffn_bias = "/mlp_bias"},
  {.model_type = "nemotron-nas", .names = &kLlama, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .ffn_bias = "/mlp_bias", .quirk = nemotron_nas},
  {.model_type = "Yi", .names = &kLlama},
  {.model_type = "xverse", .names = &kLlama},
  {.model_type = "aquila", .names = &kLlama},
  {.model_type = "internlm", .names = &kLlama, .qkv_bias = "/bias", .o_bias = "/bias"},
  {.model_type = "minicpm", .names = &kLlama, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias"},
  {.model_type = "minicpmv", .names = &kLlama, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .quirk = minicpmv},
  {.model_type = "granite", .names = &kLlama, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .ffn_bias = "/mlp_bias"},
  {.model_type = "granitemoe", .names = &kLlama, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias"},
  {.model_type = "granitemoeshared", .names = &kLlama, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias"},
  {.model_type = "smollm3", .names = &kLlama, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .ffn_bias = "/mlp_bias", .window = Window::kUpper},
  {.model_type = "helium", .names = &kLlama, .qkv_bias = "/attention_bias", .ffn_bias = "/mlp_bias"},
  {.model_type = "arcee", .names = &kUngated, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .ffn_bias = "/mlp_bias"},
  {.model_type = "seed_oss", .names = &kLlama, .qkv_bias = "/attention_bias", .o_bias = "/attention_out_bias", .ffn_bias = "/mlp_bias"},
  {.model_type = "ernie4_5", .names = &kLlama, .qkv_bias = "/use_bias", .o_bias = "/use_bias", .ffn_bias = "/use_bias"},
  {.model_type = "ernie4_5_moe_vl_text", .names = &kLlama, .qkv_bias = "/use_bias", .o_bias = "/use_bias", .ffn_bias = "/use_bias"},
  {.model_type = "ernie4_5_moe", .names = &kLlama, .qkv_bias = "/use_bias", .o_bias = "/use_bias", .ffn_bias = "/use_bias", .draft = &kErnieDraft},
  {.model_type = "internlm3", .names = &kLlama, .qkv_bias = "/qkv_bias", .o_bias = "/bias", .ffn_bias = "/bias"},
  {.model_type = "internlm2", .names = &kInternLm2, .norms = {"attention_norm", "ffn_norm"}, .qkv_bias = "/bias", .o_bias = "/bias"},
  {.model_type = "hunyuan_v1_dense", .names = &kLlama, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .ffn_bias = "/mlp_bias", .qk_norm = QkNorm::kHead, .qk_norm_on = "/use_qk_norm", .qk_norm_names = kLongQk},
  {.model_type = "hunyuan_v1_moe", .names = &kLlama, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .ffn_bias = "/mlp_bias", .qk_norm = QkNorm::kHead, .qk_norm_on = "/use_qk_norm", .qk_norm_names = kLongQk},
  {.model_type = "apertus", .names = &kUngated, .norms = {"attention_layernorm", "feedforward_layernorm"}, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .ffn_bias = "/mlp_bias", .qk_norm = QkNorm::kHead, .qk_norm_on = "/qk_norm", .quirk = apertus},
  {.model_type = "nemotron", .names = &kUngated, .norm_bias = true, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .ffn_bias = "/mlp_bias"},
  {.model_type = "orion", .names = &kLlama, .norm_bias = true},
  {.model_type = "stablelm", .names = &kLlama, .norm_bias = true, .qkv_bias = "/use_qkv_bias", .qk_norm = QkNorm::kPerHead, .qk_norm_on = "/qk_layernorm", .qk_norm_names = {"q_layernorm", "k_layernorm"}, .quirk = stablelm},
  {.model_type = "baichuan", .names = &kBaichuan},
  {.model_type = "olmo", .names = &kLlama, .norms = kNoNorms, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .quirk = no_final_norm},
  {.model_type = "olmo2", .names = &kLlama, .norms = kAfterBlocks, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .qk_norm = QkNorm::kProjection},
  {.model_type = "olmo3", .names = &kLlama, .norms = kAfterBlocks, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .qk_norm = QkNorm::kProjection, .window = Window::kPattern},
  {.model_type = "olmoe", .names = &kLlama, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .qk_norm = QkNorm::kProjection},
  {.model_type = "exaone", .names = &kExaone3, .norms = kLn12},
  {.model_type = "exaone4", .names = &kLlama, .norms = kAfterBlocks, .qk_norm = QkNorm::kHead, .window = Window::kPattern},
  {.model_type = "deepseek", .names = &kLlama, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias"},
  {.model_type = "solar", .names = &kLlama},
  {.model_type = "flex_olmo", .names = &kLlama, .norms = kAfterBlocks, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .qk_norm = QkNorm::kProjection},
  {.model_type = "exaone4_5_text", .names = &kLlama, .norms = kAfterBlocks, .qk_norm = QkNorm::kHead, .window = Window::kPattern, .draft = &kExaoneDraft},
  {.model_type = "exaone_moe", .names = &kLlama, .qk_norm = QkNorm::kHead, .window = Window::kPattern, .draft = &kExaoneDraft},
  {.model_type = "afmoe", .names = &kLlama, .norms = kAfmoeNorms, .qk_norm = QkNorm::kHead, .head_gate = "gate_proj", .head_gate_wide = true, .window = Window::kPattern},
  {.model_type = "bailing_moe", .names = &kBailing, .qkv_bias = "/use_qkv_bias", .o_bias = "/use_bias", .qk_norm = QkNorm::kHead, .qk_norm_on = "/use_qk_norm", .qk_norm_names = kLongQk, .draft = &kBailingDraft},
  {.model_type = "bailing_moe_v2", .names = &kBailing, .qkv_bias = "/use_qkv_bias", .o_bias = "/use_bias", .qk_norm = QkNorm::kHead, .qk_norm_on = "/use_qk_norm", .qk_norm_names = kLongQk, .draft = &kBailingDraft},
  {.model_type = "dots1", .names = &kLlama, .qkv_bias = "/attention_bias", .qk_norm = QkNorm::kHead},
  {.model_type = "cwm", .names = &kLlama, .ffn_bias = "/mlp_bias", .window = Window::kPattern},
  {.model_type = "step1", .names = &kLlama, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .ffn_bias = "/mlp_bias"},
  {.model_type = "hyperclovax", .names = &kLlama, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .ffn_bias = "/mlp_bias", .quirk = hyperclovax},
  {.model_type = "jais2", .names = &kUngated, .norm_bias = true, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .ffn_bias = "/mlp_bias"},
  {.model_type = "PanguEmbedded", .names = &kLlama, .ffn_bias = "/mlp_bias", .quirk = pangu},
  {.model_type = "telechat", .names = &kTeleChat, .o_bias = kAlways, .down_bias = kAlways},
  {.model_type = "plamo3", .names = &kPlamo, .norms = kPlamoNorms, .qk_norm = QkNorm::kHead, .window = Window::kPattern},
  {.model_type = "bitnet", .names = &kLlama, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .inner_norms = {"attn_sub_norm", "ffn_sub_norm"}},
  {.model_type = "iquestloopcoder", .names = &kLlama, .quirk = iquest_loop},
  {.model_type = "ouro", .names = &kLlama, .norms = {"input_layernorm", "input_layernorm_2", "post_attention_layernorm", "post_attention_layernorm_2"}, .window = Window::kUpper, .quirk = ouro},
  {.model_type = "MiniCPM3ForCausalLM", .names = &kLlama},
  {.model_type = "minicpm3", .names = &kLlama},

  {.model_type = "chameleon", .names = &kLlama, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .ffn_bias = "/mlp_bias", .qk_norm = QkNorm::kMatrix, .quirk = chameleon},

  // Mistral
  {.model_type = "mistral", .names = &kLlama, .window = Window::kAll},
  {.model_type = "ministral", .names = &kLlama, .window = Window::kAll},
  {.model_type = "ministral3", .names = &kLlama, .window = Window::kAll},
  {.model_type = "mixtral", .names = &kLlama, .window = Window::kAll},

  // Qwen
  {.model_type = "qwen", .names = &kQwen1, .norms = kLn12, .qkv_bias = kAlways, .quirk = qwen1},
  {.model_type = "qwen2", .names = &kLlama, .qkv_bias = kAlways, .window = Window::kUpper},
  {.model_type = "bagel_text", .names = &kLlama, .qkv_bias = kAlways, .qk_norm = QkNorm::kHead, .qk_norm_on = "/qk_norm", .window = Window::kUpper},
  {.model_type = "qwen2_moe", .names = &kLlama, .qkv_bias = "/qkv_bias", .window = Window::kUpper},
  {.model_type = "qwen2_vl", .names = &kLlama, .qkv_bias = kAlways, .window = Window::kUpper},
  {.model_type = "qwen2_vl_text", .names = &kLlama, .qkv_bias = kAlways, .window = Window::kUpper},
  {.model_type = "qwen2_5_vl", .names = &kLlama, .qkv_bias = kAlways, .window = Window::kUpper},
  {.model_type = "qwen2_5_vl_text", .names = &kLlama, .qkv_bias = kAlways, .window = Window::kUpper},
  {.model_type = "qwen2_5_omni_text", .names = &kLlama, .qkv_bias = kAlways, .window = Window::kUpper},
  {.model_type = "qwen3", .names = &kLlama, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .qk_norm = QkNorm::kHead, .window = Window::kUpper},
  {.model_type = "qwen3_moe", .names = &kLlama, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .qk_norm = QkNorm::kHead, .window = Window::kUpper},
  {.model_type = "qwen3_vl_text", .names = &kLlama, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .qk_norm = QkNorm::kHead},
  {.model_type = "qwen3_vl_moe_text", .names = &kLlama, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .qk_norm = QkNorm::kHead},
  {.model_type = "interns1_pro_text", .names = &kLlama, .qkv_bias = "/attention_bias", .qk_norm = QkNorm::kHead, .quirk = interns1_pro},
  {.model_type = "cosmos3_text", .names = &kCosmos3, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .qk_norm = QkNorm::kHead, .qk_norm_names = {"norm_q", "norm_k"}},
  {.model_type = "cosmos3_edge_text", .names = &kCosmos3Edge, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .ffn_bias = "/mlp_bias"},
  {.model_type = "qwen3_omni_moe_text", .names = &kLlama, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .qk_norm = QkNorm::kHead},
  {.model_type = "mellum", .names = &kLlama, .qkv_bias = "/attention_bias", .qk_norm = QkNorm::kHead, .window = Window::kPattern},
  {.model_type = "mimo", .names = &kLlama, .qkv_bias = "/attention_bias", .window = Window::kUpper, .draft = &kMimoDraft},

  // Diffusion language models: what they store is as in the models that they were made from
  {.model_type = "Dream", .names = &kLlama, .qkv_bias = kAlways, .cache_bound = true},
  {.model_type = "sdar", .names = &kLlama, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .qk_norm = QkNorm::kHead},
  {.model_type = "sdar_moe", .names = &kLlama, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .qk_norm = QkNorm::kHead},
  {.model_type = "llada", .names = &kLlada, .norms = {"attn_norm", "ff_norm"}, .o_bias = "/include_bias", .ffn_bias = "/include_bias", .cache_bound = true, .quirk = llada},
  {.model_type = "llada2_moe", .names = &kBailing, .qkv_bias = "/use_qkv_bias", .o_bias = "/use_bias", .qk_norm = QkNorm::kHead, .qk_norm_on = "/use_qk_norm", .qk_norm_names = kLongQk},

  // Gemma
  {.model_type = "gemma", .names = &kLlama, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias"},
  {.model_type = "gemma2", .names = &kLlama, .norms = kSandwich, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .window = Window::kEven},
  {.model_type = "gemma3_text", .names = &kLlama, .norms = kSandwich, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .qk_norm = QkNorm::kHead, .window = Window::kPattern},
  {.model_type = "gemma3n_text", .names = &kLlama, .norms = kSandwich, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .qk_norm = QkNorm::kHead, .window = Window::kPattern, .quirk = gemma3n},
  {.model_type = "gemma4_text", .names = &kLlama, .norms = kSandwich, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .qk_norm = QkNorm::kHead, .window = Window::kPattern, .quirk = gemma4},
  {.model_type = "gemma4_unified_text", .names = &kLlama, .norms = kSandwich, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .qk_norm = QkNorm::kHead, .window = Window::kPattern, .quirk = gemma4},
  {.model_type = "diffusion_gemma_text", .names = &kLlama, .norms = kSandwich, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .qk_norm = QkNorm::kHead, .window = Window::kPattern, .quirk = gemma4},
  {.model_type = "gemma4_dspark", .names = &kLlama, .norms = kSandwich, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .qk_norm = QkNorm::kHead, .window = Window::kPattern, .quirk = gemma4},

  {.model_type = "muse_glimmer_text", .names = &kLlama, .norms = kSandwich, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .head_gate = "gate_proj", .head_gate_wide = true, .head_gate_on = "/use_attn_output_gate", .window = Window::kPattern},
  {.model_type = "rnj1", .names = &kLlama, .norms = kSandwich, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .qk_norm = QkNorm::kHead, .window = Window::kPattern},
  {.model_type = "vaultgemma", .names = &kLlama, .norms = {"input_layernorm", "pre_feedforward_layernorm"}, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .window = Window::kEven},

  // Phi
  {.model_type = "phi", .names = &kPhi, .norms = kOneNorm, .norm_bias = true, .qkv_bias = kAlways, .o_bias = kAlways, .ffn_bias = kAlways, .head_bias = kAlways, .qk_norm = QkNorm::kHead, .qk_norm_on = "/qk_layernorm", .qk_norm_names = {"q_layernorm", "k_layernorm"}},
  {.model_type = "phi3", .names = &kFusedPhi3, .window = Window::kAll},
  {.model_type = "phi3_v", .names = &kFusedPhi3, .window = Window::kAll},
  {.model_type = "phi3small", .names = &kPhi3Small, .norm_bias = true, .qkv_bias = kAlways, .o_bias = kAlways, .ffn_bias = kAlways},
  {.model_type = "phi4mm", .names = &kPhi4Multimodal, .window = Window::kAll, .quirk = phi4mm},
  {.model_type = "phimoe", .names = &kLlama, .norm_bias = true, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .head_bias = "/lm_head_bias", .window = Window::kAll},

  // GLM
  {.model_type = "chatglm", .names = &kChatGlm, .qkv_bias = "/add_qkv_bias", .o_bias = "/add_bias_linear", .ffn_bias = "/add_bias_linear", .quirk = chatglm},
  {.model_type = "glm", .names = &kFusedGateUp, .qkv_bias = "/attention_bias"},
  {.model_type = "glm4", .names = &kFusedGateUp, .norms = kGlm4Norms, .qkv_bias = "/attention_bias"},
  {.model_type = "glm4v_text", .names = &kFusedGateUp, .norms = kGlm4Norms, .qkv_bias = "/attention_bias"},
  {.model_type = "glm_ocr_text", .names = &kFusedGateUp, .norms = kGlm4Norms, .qkv_bias = "/attention_bias", .draft = &kGlmDraft},
  {.model_type = "glm4_moe", .names = &kLlama, .qkv_bias = "/attention_bias", .qk_norm = QkNorm::kHead, .qk_norm_on = "/use_qk_norm", .draft = &kGlmDraft, .quirk = glm4_moe},
  {.model_type = "glm4v_moe_text", .names = &kLlama, .qkv_bias = "/attention_bias", .qk_norm = QkNorm::kHead, .qk_norm_on = "/use_qk_norm"},

  {.model_type = "glm_ocr_text", .names = &kFusedGateUp, .norms = kGlm4Norms, .qkv_bias = "/attention_bias", .draft = &kGlmDraft},

  // Fuyu's words are Persimmon's
  {.model_type = "fuyu", .names = &kPersimmon, .norm_bias = true, .qkv_bias = kAlways, .o_bias = kAlways, .ffn_bias = kAlways, .qk_norm = QkNorm::kHead, .qk_norm_on = "/qk_layernorm", .qk_norm_names = {"q_layernorm", "k_layernorm"}},

  // Whisper's decoder, without what looks at the encoder
  {.model_type = "whisper", .names = &kWhisper, .norms = {"self_attn_layer_norm", "final_layer_norm"}, .norm_bias = true, .qkv_bias = kAlways, .o_bias = kAlways, .ffn_bias = kAlways, .k_bias = false, .quirk = whisper},

  // Molmo
  {.model_type = "molmo", .names = &kMolmo, .norms = {"attn_norm", "ff_norm"}, .qkv_bias = "/qkv_bias", .qk_norm = QkNorm::kProjection, .qk_norm_on = "/attention_layer_norm", .quirk = molmo},
  {.model_type = "molmo2_text", .names = &kMolmo2, .norms = {"attn_norm", "ff_norm"}, .qkv_bias = "/qkv_bias", .qk_norm = QkNorm::kProjection, .qk_norm_on = "/use_qk_norm", .quirk = molmo2},

  // Cohere
  {.model_type = "cohere", .names = &kLlama, .norms = kOneNorm, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .qk_norm = QkNorm::kMatrix, .qk_norm_on = "/use_qk_norm"},
  {.model_type = "cohere2", .names = &kLlama, .norms = kOneNorm, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .window = Window::kPattern},

  {.model_type = "cohere2_moe", .names = &kLlama, .norms = kOneNorm, .window = Window::kPattern},

  // Mixtures of experts of other makers: their attention
  {.model_type = "gpt_oss", .names = &kLlama, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .sinks = "sinks", .window = Window::kEven},
  {.model_type = "minimax_m2", .names = &kLlama, .qk_norm = QkNorm::kProjection, .qk_norm_on = "/use_qk_norm", .quirk = minimax},
  {.model_type = "minimax_m3", .names = &kLlama, .qk_norm = QkNorm::kHead, .quirk = minimax},
  {.model_type = "minimax_m3_vl_text", .names = &kLlama, .qk_norm = QkNorm::kHead, .quirk = minimax},
  {.model_type = "MiniMaxM3SparseForCausalLM", .names = &kLlama, .qk_norm = QkNorm::kHead, .quirk = minimax},
  {.model_type = "step3p5", .names = &kLlama, .qkv_bias = "/attention_bias", .qk_norm = QkNorm::kHead, .head_gate = "g_proj", .head_gate_on = "/use_head_wise_attn_gate", .window = Window::kAll, .draft = &kStepDraft, .quirk = step},
  {.model_type = "step3p7", .names = &kLlama, .qkv_bias = "/attention_bias", .qk_norm = QkNorm::kHead, .head_gate = "g_proj", .head_gate_on = "/use_head_wise_attn_gate", .window = Window::kAll, .draft = &kStepDraft, .quirk = step},
  {.model_type = "mimo_v2_flash", .names = &kLlama, .qkv_bias = "/attention_bias", .sinks = "attention_sink_bias", .o_quantized = false, .draft = &kMimoV2Draft, .quirk = mimo_v2},
  {.model_type = "dbrx", .names = &kDbrx, .norms = {"norm_attn_norm.norm_1", "norm_attn_norm.norm_2"}},
  {.model_type = "llama4_text", .names = &kLlama4, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .window = Window::kChunk},
  {.model_type = "mimo_v2", .names = &kLlama, .qkv_bias = "/attention_bias", .sinks = "attention_sink_bias", .o_quantized = false, .draft = &kMimoV2Draft, .quirk = mimo_v2},
  {.model_type = "grok-1", .names = &kGrok1, .norms = kGrokNorms},
  {.model_type = "grok-2", .names = &kLlama, .norms = kGrokNorms},
  {.model_type = "arctic", .names = &kLlama, .norms = {"input_layernorm", "residual_layernorm", "post_attention_layernorm"}},
  {.model_type = "laguna", .names = &kLlama, .qkv_bias = "/qkv_bias", .o_bias = "/attention_bias", .qk_norm = QkNorm::kHead, .head_gate = "g_proj", .window = Window::kPattern, .quirk = laguna},
  {.model_type = "laguna_dflash", .names = &kLlama, .qkv_bias = "/qkv_bias", .o_bias = "/attention_bias", .qk_norm = QkNorm::kHead, .head_gate = "g_proj", .window = Window::kPattern, .quirk = laguna},
  {.model_type = "hy_v3", .names = &kLlama, .qk_norm = QkNorm::kHead, .qk_norm_on = "/qk_norm", .draft = &kBailingDraft},
  {.model_type = "sarvam_moe", .names = &kBailing, .qkv_bias = "/use_qkv_bias", .o_bias = "/use_bias", .qk_norm = QkNorm::kHead, .qk_norm_on = "/use_qk_norm", .qk_norm_names = kLongQk},
  {.model_type = "param2moe", .names = &kBailing, .qkv_bias = "/use_qkv_bias", .o_bias = "/use_bias", .qk_norm = QkNorm::kHead, .qk_norm_on = "/use_qk_norm", .qk_norm_names = kLongQk},
  {.model_type = "xverse_moe", .names = &kLlama},
  {.model_type = "step3_text", .names = &kLlama, .quirk = step3},
  {.model_type = "mllama_text_model", .names = &kLlama, .quirk = mllama},

  // Hybrids and state-space models: what is not recurrent. Which layers have it is known to the family that asks.
  {.model_type = "qwen3_next", .names = &kLlama, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .qk_norm = QkNorm::kHead, .gated_queries = "/attn_output_gate"},
  {.model_type = "qwen3_5_text", .names = &kLlama, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .qk_norm = QkNorm::kHead, .gated_queries = "/attn_output_gate"},
  {.model_type = "qwen3_5_moe_text", .names = &kLlama, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .qk_norm = QkNorm::kHead, .gated_queries = "/attn_output_gate"},
  {.model_type = "nemotron_h", .names = &kNemotronH, .norms = {"", "norm"}, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .ffn_bias = "/mlp_bias"},
  {.model_type = "nemotron_h_puzzle", .names = &kNemotronH, .norms = {"", "norm"}, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .ffn_bias = "/mlp_bias"},
  {.model_type = "mamba", .names = &kMamba, .norms = {"", "norm"}, .attention = false},
  {.model_type = "falcon_mamba", .names = &kMamba, .norms = {"", "norm"}, .attention = false},
  {.model_type = "mamba2", .names = &kMamba, .norms = {"", "norm"}, .attention = false},
  {.model_type = "jamba", .names = &kJamba, .norms = kJambaNorms, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias"},
  {.model_type = "bamba", .names = &kJamba, .norms = kJambaNorms, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .ffn_bias = "/mlp_bias"},
  {.model_type = "falcon_h1", .names = &kJamba, .norms = kJambaNorms, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .ffn_bias = "/mlp_bias"},
  {.model_type = "granitemoehybrid", .names = &kGraniteHybrid, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .quirk = granite_hybrid},
  {.model_type = "zamba2", .names = &kZamba2, .norms = kNoNorms},
  {.model_type = "lfm2", .names = &kLfm2, .norms = {"operator_norm", "ffn_norm"}, .qk_norm = QkNorm::kHead, .qk_norm_names = {"q_layernorm", "k_layernorm"}, .quirk = lfm2},
  {.model_type = "lfm2_moe", .names = &kLfm2, .norms = {"operator_norm", "ffn_norm"}, .qk_norm = QkNorm::kHead, .qk_norm_names = {"q_layernorm", "k_layernorm"}},
  {.model_type = "recurrent_gemma", .names = &kRecurrentGemma, .norms = {"temporal_pre_norm", "channel_pre_norm"}, .qkv_bias = "/attention_bias", .o_bias = kAlways, .ffn_bias = kAlways, .quirk = recurrent_gemma},
  {.model_type = "olmo_hybrid", .names = &kLlama, .norms = kNoNorms, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .qk_norm = QkNorm::kProjection},
  {.model_type = "bailing_hybrid", .names = &kBailing},
  {.model_type = "plamo2", .names = &kPlamo, .norms = kPlamoNorms},
  {.model_type = "rwkv7", .names = &kRwkv, .norms = {"", "ffn_norm"}, .norm_bias = true, .attention = false, .ffn_ratio = 4},
  {.model_type = "hrm_text", .names = &kLlama, .norms = kNoNorms, .quirk = no_final_norm},
  {.model_type = "minimax_text_01", .names = &kLlama},
  {.model_type = "minimax_m1", .names = &kLlama},
  {.model_type = "minimax", .names = &kLlama},

  // Older decoders
  {.model_type = "gpt2", .names = &kGpt2, .norms = kLn12, .norm_bias = true, .qkv_bias = kAlways, .o_bias = kAlways, .ffn_bias = kAlways, .ffn_ratio = 4, .quirk = gpt2},
  {.model_type = "gpt_bigcode", .names = &kGptBigCode, .norms = kLn12, .norm_bias = true, .qkv_bias = kAlways, .o_bias = kAlways, .ffn_bias = kAlways, .ffn_ratio = 4, .quirk = gpt_bigcode},
  {.model_type = "jais", .names = &kJais, .norms = kLn12, .norm_bias = true, .qkv_bias = kAlways, .o_bias = kAlways, .ffn_bias = kAlways, .ffn_ratio = 4, .quirk = jais},
  {.model_type = "persimmon", .names = &kPersimmon, .norm_bias = true, .qkv_bias = kAlways, .o_bias = kAlways, .ffn_bias = kAlways, .qk_norm = QkNorm::kHead, .qk_norm_on = "/qk_layernorm", .qk_norm_names = {"q_layernorm", "k_layernorm"}},
  {.model_type = "gptj", .names = &kGptJ, .norms = {"ln_1"}, .norm_bias = true, .ffn_bias = kAlways, .head_bias = kAlways, .ffn_ratio = 4},
  {.model_type = "gpt_neox", .names = &kGptNeoX, .norm_bias = true, .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .ffn_bias = kAlways},
  {.model_type = "opt", .names = &kOpt, .norms = {"self_attn_layer_norm", "final_layer_norm"}, .norm_bias = true, .qkv_bias = "/enable_bias", .o_bias = "/enable_bias", .ffn_bias = "/enable_bias", .quirk = opt},
  {.model_type = "bloom", .names = &kBloom, .norm_bias = true, .qkv_bias = kAlways, .o_bias = kAlways, .ffn_bias = kAlways, .ffn_ratio = 4, .quirk = bloom},
  {.model_type = "falcon", .names = &kFalcon, .norm_bias = true, .qkv_bias = "/bias", .o_bias = "/bias", .ffn_bias = "/bias", .ffn_ratio = 4, .quirk = falcon},
  {.model_type = "RefinedWeb", .names = &kFalcon, .norm_bias = true, .qkv_bias = "/bias", .o_bias = "/bias", .ffn_bias = "/bias", .ffn_ratio = 4, .quirk = refined_web},
  {.model_type = "RefinedWebModel", .names = &kFalcon, .norm_bias = true, .qkv_bias = "/bias", .o_bias = "/bias", .ffn_bias = "/bias", .ffn_ratio = 4, .quirk = falcon},
  {.model_type = "mpt", .names = &kMpt, .norms = {"norm_1", "norm_2"}, .ffn_ratio = 4, .quirk = mpt},
  {.model_type = "starcoder2", .names = &kStarCoder2, .norm_bias = true, .qkv_bias = "/use_bias", .o_bias = "/use_bias", .ffn_bias = "/use_bias", .window = Window::kAll},
};
// clang-format on

} // namespace

const Dialect& find_dialect(std::string_view model_type) {
  const auto row = std::find_if(std::begin(kDialects), std::end(kDialects), [&](const Dialect& d) { return d.model_type == model_type; });
  return row == std::end(kDialects) ? kDialects[0] : *row;
}

} // namespace dense
