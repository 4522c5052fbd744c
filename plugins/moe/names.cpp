// The table of FFN names, one row for each way of them. Constant data, any thread.
//
// Sources: names and shapes in published checkpoints' indexes and model classes. An {expert} in a prefix means one
// tensor per expert; without it all experts of a layer are one tensor.
#include "names.hpp"

namespace moe {
namespace {

using plimsoll::ExpertStorage;

constexpr Projections mlp(std::string_view prefix) { return {prefix, "gate_proj", "up_proj", "down_proj"}; }

constexpr Projections ungated(std::string_view prefix) { return {prefix, "", "up_proj", "down_proj"}; }

constexpr Projections kAria{"mlp.experts.", "fc1", "", "fc2"};
constexpr Projections kPerExpert = mlp("mlp.experts.{expert}.");
constexpr Projections kStacked{"mlp.experts.", "gate_up_proj", "", "down_proj", ""};
constexpr Projections kMixtralExperts{"block_sparse_moe.experts.{expert}.", "w1", "w3", "w2"};
constexpr std::string_view kCorrection = "mlp.gate.e_score_correction_bias";
constexpr std::string_view kMixtralRouter = "block_sparse_moe.gate.weight", kMixtralCorrection = "block_sparse_moe.e_score_correction_bias";

// clang-format off
constexpr Names kTable[] = {
  // DeepSeek, GLM-4.5, Qwen3-MoE, OLMoE: the common case, and the answer for model types nobody listed.
  {.name = "mlp", .correction = kCorrection, .experts = kPerExpert, .shared = mlp("mlp.shared_experts."), .dense = mlp("mlp.")},
  // Qwen1.5/2-MoE, Qwen3-Next
  {.name = "mlp_one_shared", .correction = kCorrection, .experts = kPerExpert, .shared = mlp("mlp.shared_expert."), .shared_gate = "mlp.shared_expert_gate.weight", .dense = mlp("mlp.")},
  {.name = "ernie", .correction = "mlp.moe_statics.e_score_correction_bias", .experts = kPerExpert, .shared = mlp("mlp.shared_experts."), .dense = mlp("mlp."), .draft_layer = "model.mtp_block.{layer}.", .draft_dense = mlp("mlp.")},
  // Every layer: two dense FFNs beside the experts.
  {.name = "aria", .router = "mlp.router.weight", .experts = kAria, .expert_storage = ExpertStorage::kStacked, .experts_in_out = true, .down_in_out = true, .shared = mlp("mlp.shared_experts.")},
  {.name = "longcat", .router = "mlp.router.classifier.weight", .correction = "mlp.router.e_score_correction_bias", .experts = kPerExpert, .dense = mlp("mlps.{dense}."), .dense_per_layer = 2, .draft_layer = "model.mtp.layers.{layer}.", .draft_dense = mlp("transformer_layer.mlp.")},
  // MiMo-V2, K-EXAONE: draft modules with a dense FFN.
  {.name = "exaone", .correction = kCorrection, .experts = kPerExpert, .shared = mlp("mlp.shared_experts."), .dense = mlp("mlp."), .draft_layer = "mtp.layers.{layer}.", .draft_dense = mlp("mlp.")},
  {.name = "mimo", .correction = kCorrection, .experts = kPerExpert, .shared = mlp("mlp.shared_experts."), .dense = mlp("mlp."), .draft_layer = "model.mtp.layers.{layer}.", .draft_dense = mlp("mlp.")},
  // DeepSeek-V4: names of its own; the first layers look a token's experts up.
  {.name = "deepseek_v4", .layer = "layers.{layer}.", .router = "ffn.gate.weight", .correction = "ffn.gate.bias", .hash_table = "ffn.gate.tid2eid", .experts = {"ffn.experts.{expert}.", "w1", "w3", "w2"}, .shared = {"ffn.shared_experts.", "w1", "w3", "w2"}, .draft_layer = "mtp.{layer}."},
  // Qwen3-VL-MoE: experts stacked and transposed, no ".weight"; Qwen3.5 the same tensors, [out, in].
  {.name = "stacked_in_out", .correction = kCorrection, .experts = kStacked, .expert_storage = ExpertStorage::kStacked, .experts_in_out = true, .down_in_out = true, .shared = mlp("mlp.shared_experts."), .dense = mlp("mlp.")},
  {.name = "stacked", .correction = kCorrection, .experts = kStacked, .expert_storage = ExpertStorage::kStacked, .shared = mlp("mlp.shared_expert."), .shared_gate = "mlp.shared_expert_gate.weight", .dense = mlp("mlp.")},
  // gpt-oss: [in, out] as its class has it, [out, in] in the packed checkpoints; gate and up alternate.
  {.name = "gpt_oss", .router = "mlp.router.weight", .router_bias = ".bias", .experts = kStacked, .expert_storage = ExpertStorage::kStacked, .experts_in_out = true, .down_in_out = true, .packed_out_in = true, .expert_bias = "_bias", .dense = mlp("mlp.")},
  // Ling (bailing), Hunyuan, Trinity (afmoe): the common case but for the router and its bias.
  {.name = "bailing", .correction = "mlp.gate.expert_bias", .experts = kPerExpert, .shared = mlp("mlp.shared_experts."), .dense = mlp("mlp.")},
  {.name = "hunyuan", .router = "mlp.gate.wg.weight", .experts = kPerExpert, .shared = mlp("mlp.shared_mlp."), .dense = mlp("mlp.")},
  {.name = "afmoe", .router = "mlp.router.gate.weight", .correction = "mlp.expert_bias", .experts = kPerExpert, .shared = mlp("mlp.shared_experts."), .dense = mlp("mlp.")},
  // Gemma 4: every layer a dense FFN beside the experts; a router with scales.
  {.name = "gemma4", .router = "router.proj.weight", .router_scales = {"router.scale", "router.per_expert_scale"}, .experts = {"experts.", "gate_up_proj", "", "down_proj", ""}, .expert_storage = ExpertStorage::kStacked, .dense = mlp("mlp."), .dense_per_layer = 1},
  // Step-3.5 and 3.7: gate and up stacked apart; draft layers follow the model's own and have a dense FFN.
  {.name = "step", .router = "moe.gate.weight", .correction = "moe.router_bias", .experts = mlp("moe."), .expert_storage = ExpertStorage::kStacked, .shared = mlp("share_expert."), .dense = mlp("mlp."), .draft_layer = "model.layers.{layer}.", .draft_dense = mlp("mlp.")},
  // Hy3, Laguna, Pangu, Xverse: the common case but for the router, its bias and the shared experts.
  {.name = "hy_v3", .router = "mlp.router.gate.weight", .correction = "mlp.expert_bias", .experts = kPerExpert, .shared = mlp("mlp.shared_mlp."), .dense = mlp("mlp.")},
  {.name = "laguna", .correction = "mlp.experts.e_score_correction_bias", .experts = kPerExpert, .shared = mlp("mlp.shared_expert."), .dense = mlp("mlp.")},
  {.name = "pangu", .correction = "mlp.e_score_correction_bias", .experts = kPerExpert, .shared = mlp("mlp.shared_experts."), .dense = mlp("mlp.")},
  {.name = "xverse", .router = "mlp.router.weight", .experts = kPerExpert, .shared = mlp("mlp.shared_experts."), .dense = mlp("mlp.")},
  // Arctic: beside the experts of every layer a dense FFN as wide as the model. Grok-2: one of its own width.
  {.name = "arctic", .router = kMixtralRouter, .experts = kMixtralExperts, .dense = {"residual_mlp.", "w1", "w3", "w2"}, .dense_per_layer = 1, .dense_as_hidden = true},
  {.name = "grok2", .router = kMixtralRouter, .experts = kMixtralExperts, .dense = mlp("mlp."), .dense_per_layer = 1},
  // Mixtral, MiniMax-M2 and M3, Phi-3.5-MoE; only M3 has shared experts and dense layers.
  {.name = "mixtral", .router = kMixtralRouter, .correction = kMixtralCorrection, .experts = kMixtralExperts, .shared = mlp("block_sparse_moe.shared_experts."), .dense = mlp("mlp.")},
  {.name = "granite", .router = "block_sparse_moe.router.layer.weight", .experts = {"block_sparse_moe.", "input_linear", "", "output_linear"}, .expert_storage = ExpertStorage::kStacked, .shared = {"shared_mlp.", "input_linear", "", "output_linear"}, .dense = mlp("mlp.")},
  {.name = "llama4", .router = "feed_forward.router.weight", .experts = {"feed_forward.experts.", "gate_up_proj", "", "down_proj", ""}, .expert_storage = ExpertStorage::kStacked, .experts_in_out = true, .down_in_out = true, .shared = mlp("feed_forward.shared_expert."), .dense = mlp("feed_forward.")},
  // DBRX: all experts of a layer concatenated along the rows; w2 is stored [in, out].
  {.name = "dbrx", .layer = "transformer.blocks.{layer}.", .router = "ffn.router.layer.weight", .experts = {"ffn.experts.mlp.", "w1", "v1", "w2", ""}, .expert_storage = ExpertStorage::kConcatenated, .down_in_out = true},
  // The experts of hybrids: LFM2, Jamba, Nemotron-3 (two matrices, a latent width in some), Kimi-Linear and K3 (latent in K3, whose
  // projections no export packs, though its list of exceptions may not name them).
  {.name = "lfm2", .router = "feed_forward.gate.weight", .correction = "feed_forward.expert_bias", .experts = {"feed_forward.experts.{expert}.", "w1", "w3", "w2"}, .dense = {"feed_forward.", "w1", "w3", "w2"}},
  {.name = "jamba", .router = "feed_forward.router.weight", .experts = mlp("feed_forward.experts.{expert}."), .dense = mlp("feed_forward.")},
  {.name = "nemotron_h", .layer = "backbone.layers.{layer}.", .router = "mixer.gate.weight", .correction = "mixer.gate.e_score_correction_bias", .experts = ungated("mixer.experts.{expert}."), .latent = {"mixer.fc1_latent_proj", "mixer.fc2_latent_proj"}, .shared = ungated("mixer.shared_experts."), .shared_width_each = true},
  {.name = "kimi_linear", .router = kMixtralRouter, .correction = "block_sparse_moe.gate.e_score_correction_bias", .experts = kMixtralExperts, .latent = {"block_sparse_moe.routed_expert_down_proj", "block_sparse_moe.routed_expert_up_proj", "block_sparse_moe.routed_expert_norm", false}, .shared = mlp("block_sparse_moe.shared_experts."), .dense = mlp("mlp.")},
  {.name = "grok", .router = "moe_block.gate.weight", .experts = {"moe_block.experts.{expert}.", "linear", "linear_v", "linear_1"}},
};
// clang-format on

} // namespace

const Names* find_names(std::string_view name) {
  for (const Names& names : kTable)
    if (names.name == name) return &names;
  return nullptr;
}

std::string all_names() {
  std::string out;
  for (const Names& names : kTable) out.append(out.empty() ? "" : ", ").append(names.name);
  return out;
}

} // namespace moe
