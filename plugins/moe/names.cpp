// The table of FFN layouts. Called once per loaded model through names.hpp. Constant data, any thread.
//
// Sources: names and shapes in published checkpoints' indexes and model classes. An {expert} in a prefix means one
// tensor per expert; without it all experts of a layer are one tensor.
#include "names.hpp"

#include <array>

#include <plimsoll/abi.h>

namespace moe {
namespace {

constexpr std::string_view kDecoder = "model.layers.{layer}.";
constexpr Projections kNone{};
constexpr Projections mlp(std::string_view prefix) { return {prefix, "gate_proj", "up_proj", "down_proj"}; }

// DeepSeek, GLM-4.5, Qwen-MoE, OLMoE: the common case, and the answer for model types nobody listed.
constexpr Names kMlp{"mlp",
                     kDecoder,
                     "mlp.gate.weight",
                     "",
                     "mlp.gate.e_score_correction_bias",
                     mlp("mlp.experts.{expert}."),
                     PLIMSOLL_EXPERTS_SEPARATE,
                     false,
                     false,
                     "",
                     mlp("mlp.shared_experts."),
                     "",
                     mlp("mlp."),
                     0,
                     kNone};

constexpr Names one_shared() {
  Names n = kMlp;
  n.layout = "mlp_one_shared"; // Qwen1.5/2-MoE, Qwen3-Next
  n.shared = mlp("mlp.shared_expert.");
  n.shared_gate = "mlp.shared_expert_gate.weight";
  return n;
}
constexpr Names ernie() {
  Names n = kMlp;
  n.layout = "ernie";
  n.correction = "mlp.moe_statics.e_score_correction_bias";
  return n;
}
constexpr Names longcat() {
  Names n = kMlp;
  n.layout = "longcat"; // every layer: two dense FFNs beside the experts
  n.router = "mlp.router.classifier.weight";
  n.correction = "mlp.router.e_score_correction_bias";
  n.shared = kNone;
  n.dense = mlp("mlps.{dense}.");
  n.dense_per_layer = 2;
  n.draft_dense = mlp("model.mtp.layers.{layer}.transformer_layer.mlp.");
  return n;
}
constexpr Names mimo() {
  Names n = kMlp;
  n.layout = "mimo"; // MiMo-V2: draft modules with a dense FFN
  n.draft_dense = mlp("model.mtp.layers.{layer}.mlp.");
  return n;
}
// Qwen3-VL-MoE: experts stacked and transposed, no ".weight".
constexpr Names stacked_in_out() {
  Names n = kMlp;
  n.layout = "stacked_in_out";
  n.experts = {"mlp.experts.", "gate_up_proj", "", "down_proj", ""};
  n.expert_storage = PLIMSOLL_EXPERTS_STACKED;
  n.experts_in_out = n.down_in_out = true;
  return n;
}
// Qwen3.5: the same tensors, [out, in].
constexpr Names stacked() {
  Names n = one_shared();
  n.layout = "stacked";
  n.experts = {"mlp.experts.", "gate_up_proj", "", "down_proj", ""};
  n.expert_storage = PLIMSOLL_EXPERTS_STACKED;
  return n;
}
constexpr Names gpt_oss() {
  Names n = stacked();
  n.layout = "gpt_oss";
  n.router = "mlp.router.weight";
  n.router_bias = ".bias";
  n.correction = "";
  n.expert_bias = "_bias";
  n.shared = kNone;
  n.shared_gate = "";
  return n;
}
// Mixtral, MiniMax-M2, Phi-3.5-MoE.
constexpr Names kMixtral{"mixtral",
                         kDecoder,
                         "block_sparse_moe.gate.weight",
                         "",
                         "block_sparse_moe.e_score_correction_bias",
                         {"block_sparse_moe.experts.{expert}.", "w1", "w3", "w2"},
                         PLIMSOLL_EXPERTS_SEPARATE,
                         false,
                         false,
                         "",
                         kNone,
                         "",
                         mlp("mlp."),
                         0,
                         kNone};
constexpr Names kGranite{"granite",
                         kDecoder,
                         "block_sparse_moe.router.layer.weight",
                         "",
                         "",
                         {"block_sparse_moe.", "input_linear", "", "output_linear"},
                         PLIMSOLL_EXPERTS_STACKED,
                         false,
                         false,
                         "",
                         {"shared_mlp.", "input_linear", "", "output_linear"},
                         "",
                         mlp("mlp."),
                         0,
                         kNone};
constexpr Names kLlama4{"llama4",
                        kDecoder,
                        "feed_forward.router.weight",
                        "",
                        "",
                        {"feed_forward.experts.", "gate_up_proj", "", "down_proj", ""},
                        PLIMSOLL_EXPERTS_STACKED,
                        true,
                        true,
                        "",
                        mlp("feed_forward.shared_expert."),
                        "",
                        mlp("feed_forward."),
                        0,
                        kNone};
// DBRX: all experts of a layer concatenated along the rows; w2 is stored [in, out].
constexpr Names kDbrx{"dbrx",
                      "transformer.blocks.{layer}.",
                      "ffn.router.layer.weight",
                      "",
                      "",
                      {"ffn.experts.mlp.", "w1", "v1", "w2", ""},
                      PLIMSOLL_EXPERTS_CONCATENATED,
                      false,
                      true,
                      "",
                      kNone,
                      "",
                      kNone,
                      0,
                      kNone};
constexpr Names kGrok{"grok",
                      kDecoder,
                      "moe_block.gate.weight",
                      "",
                      "",
                      {"moe_block.experts.{expert}.", "linear", "linear_v", "linear_1"},
                      PLIMSOLL_EXPERTS_SEPARATE,
                      false,
                      false,
                      "",
                      kNone,
                      "",
                      kNone,
                      0,
                      kNone};

constexpr std::array<Names, 13> kTable{kMlp,     one_shared(), ernie(), longcat(), mimo(), stacked_in_out(), stacked(), gpt_oss(),
                                       kMixtral, kGranite,     kLlama4, kDbrx,     kGrok};

} // namespace

const Names* find_names(std::string_view layout) {
  for (const Names& names : kTable)
    if (names.layout == layout) return &names;
  return nullptr;
}

const char* all_layouts() {
  return "mlp, mlp_one_shared, ernie, longcat, mimo, stacked_in_out, stacked, gpt_oss, mixtral, granite, llama4, dbrx or grok";
}

} // namespace moe
