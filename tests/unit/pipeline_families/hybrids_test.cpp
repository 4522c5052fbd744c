// The ops of hybrids, and of the classes that norm, turn or route otherwise than Llama: what stands where, with which factors; and what is
// refused because it would be half a model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "recorder.hpp"

namespace plimsoll::testing::hybrids_test {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Json config_of(const char* type, const char* more) {
  Json config = Json::parse(R"({"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 320, "mamba_n_heads": 8, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_d_conv": 4,
    "mamba_n_groups": 2, "mamba_expand": 2})");
  config["model_type"] = type;
  config.update(Json::parse(more));
  return config;
}

Pass described(const Json& config) {
  Pass pass = record(config);
  EXPECT_EQ(pass.status, PLIMSOLL_OK) << pass.where << " " << pass.message;
  EXPECT_THAT(pass.faults, IsEmpty());
  return pass;
}

// Kinds of a layer's ops, in their order.
std::vector<std::string> kinds(const Pass& pass, std::uint32_t layer) {
  std::vector<std::string> out;
  for (const OpSeen* op : pass.of_layer(layer)) out.emplace_back(kind_name(op->kind));
  return out;
}

const OpSeen& with_weight(const Pass& pass, std::uint32_t layer, const std::string& label) {
  static const OpSeen none;
  for (const OpSeen* op : pass.of_layer(layer))
    if (!op->weights.empty() && op->weights[0] == label) return *op;
  ADD_FAILURE() << "no op with " << label;
  return none;
}

// Attention and a Mamba-2 read the same norm, and every projection has a factor.
TEST(Hybrids, FalconH1MultipliesEverything) {
  const char* factors = R"({"embedding_multiplier": 2, "lm_head_multiplier": 3, "key_multiplier": 0.5, "attention_in_multiplier": 4,
    "attention_out_multiplier": 5, "ssm_in_multiplier": 6, "ssm_out_multiplier": 7, "ssm_multipliers": [1, 2, 3, 4, 5], "mlp_multipliers": [8, 9]})";
  const Pass pass = described(config_of("falcon_h1", factors));
  EXPECT_EQ(with_weight(pass, PLIMSOLL_NO_LAYER, "embedding").f[0], 2);
  EXPECT_EQ(with_weight(pass, PLIMSOLL_NO_LAYER, "head").f[0], 3);
  EXPECT_EQ(with_weight(pass, 0, "attention.q_proj").f[0], 4);
  EXPECT_EQ(with_weight(pass, 0, "attention.k_proj").f[0], 2);
  EXPECT_EQ(with_weight(pass, 0, "attention.v_proj").f[0], 4);
  EXPECT_EQ(with_weight(pass, 0, "attention.o_proj").f[0], 5);
  EXPECT_EQ(with_weight(pass, 0, "mamba.out_proj").f[0], 7);
  EXPECT_EQ(with_weight(pass, 0, "mlp.gate_proj").f[0], 8);
  EXPECT_EQ(with_weight(pass, 0, "mlp.up_proj").f[0], 1);
  EXPECT_EQ(with_weight(pass, 0, "mlp.down_proj").f[0], 9);
  std::vector<double> parts;
  for (const OpSeen* op : pass.of_layer(0))
    if (!op->weights.empty() && op->weights[0] == "mamba.in_proj") parts.push_back(op->f[0]);
  EXPECT_THAT(parts, ElementsAre(6, 12, 18, 24, 30));
  EXPECT_EQ(with_weight(pass, 0, "attention.q_proj").in, with_weight(pass, 0, "mamba.in_proj").in);
}

TEST(Hybrids, FalconH1GatesBeforeOrBehindItsNorm) {
  for (const bool first : {true, false}) {
    Json config = config_of("falcon_h1", R"({"mamba_rms_norm": true})");
    config["mamba_norm_before_gate"] = first;
    const Pass pass = described(config);
    const auto ops = pass.of_layer(0);
    std::vector<std::string> behind_scan;
    for (std::size_t i = 0; i < ops.size(); ++i)
      if (ops[i]->kind == PLIMSOLL_OP_SSM_SCAN) behind_scan = {kind_name(ops.at(i + 1)->kind), kind_name(ops.at(i + 2)->kind)};
    EXPECT_THAT(behind_scan, first ? ElementsAre("norm", "gate") : ElementsAre("gate", "norm"));
    const OpSeen& norm = with_weight(pass, 0, "mamba.norm");
    EXPECT_EQ(norm.i[0], 2U); // groups
    EXPECT_EQ(norm.i[3], 64U);
  }
}

// Each layer is one block behind one norm; the fourth is experts in a width of their own.
TEST(Hybrids, NemotronHasOneBlockInALayer) {
  const Pass pass = described(config_of("nemotron_h", R"({"num_hidden_layers": 4, "hybrid_override_pattern": "M*-E", "mamba_num_heads": 8,
    "mamba_head_dim": 16, "n_groups": 2, "ssm_state_size": 8, "conv_kernel": 4, "n_routed_experts": 8, "num_experts_per_tok": 2,
    "moe_intermediate_size": 24, "moe_latent_size": 32, "moe_shared_expert_intermediate_size": 40, "layer_norm_epsilon": 1e-3})"));
  EXPECT_THAT(kinds(pass, 1), ElementsAre("norm", "linear", "linear", "linear", "attend", "linear", "add"));
  EXPECT_THAT(kinds(pass, 2), ElementsAre("norm", "linear", "gate", "linear", "add"));
  EXPECT_THAT(kinds(pass, 3), ElementsAre("norm", "route", "linear", "experts", "linear", "linear", "gate", "linear", "add"));
  EXPECT_EQ(pass.of_layer(2)[2]->i[0], std::uint64_t{PLIMSOLL_ACT_RELU_SQUARED});
  EXPECT_EQ(pass.of_layer(3)[3]->i[3], std::uint64_t{PLIMSOLL_ACT_RELU_SQUARED});
  EXPECT_EQ(with_weight(pass, 0, "norm").f[0], 1e-3);
  EXPECT_EQ(with_weight(pass, 0, "mamba.norm").f[0], 1e-3);
  EXPECT_EQ(with_weight(pass, 0, "mamba.norm").i[0], 2U);
}

// A step in few columns, b and c come from one sum; Falcon's norms have no gains and an epsilon of their own.
TEST(Hybrids, MambaTakesItsStepApart) {
  const char* sizes = R"({"state_size": 8, "time_step_rank": 4, "conv_kernel": 4, "mixer_rms_eps": 1e-2})";
  const Pass plain = described(config_of("mamba", sizes)), normed = described(config_of("falcon_mamba", sizes));
  EXPECT_THAT(kinds(plain, 0), ElementsAre("norm", "linear", "linear", "conv", "linear", "columns", "columns", "columns", "linear",
                                           "ssm_scan", "gate", "linear", "add"));
  EXPECT_EQ(with_weight(plain, 0, "mamba.x_proj").flags & PLIMSOLL_OP_REDUCE, std::uint32_t{PLIMSOLL_OP_REDUCE});
  std::vector<double> epsilons;
  for (const OpSeen* op : normed.of_layer(0))
    if (op->kind == PLIMSOLL_OP_NORM && (op->weights.empty() || op->weights[0].empty())) epsilons.push_back(op->f[0]);
  EXPECT_THAT(epsilons, ElementsAre(1e-2, 1e-2, 1e-2));
}

TEST(Hybrids, Cohere2ReadsOneNormTwiceAndTurnsInWindows) {
  const Pass pass = described(config_of("cohere2", R"({"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 8,
    "logit_scale": 0.25, "tie_word_embeddings": true})"));
  EXPECT_THAT(kinds(pass, 0), ElementsAre("norm", "linear", "linear", "gate", "linear", "linear", "linear", "linear", "rope", "rope",
                                          "attend", "linear", "add"));
  EXPECT_THAT(kinds(pass, 1), ::testing::Not(::testing::Contains("rope")));
  EXPECT_EQ(pass.of_layer(0)[0]->i[4], 1U); // the mean is taken off
  EXPECT_EQ(pass.of_layer(0)[8]->i[4], 1U); // neighbours
  EXPECT_EQ(pass.ops.back().f[0], 0.25);
}

TEST(Hybrids, OlmoThreeScalesOnlyWhatSeesEverything) {
  const Pass pass = described(config_of("olmo3", R"({"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 8,
    "rope_scaling": {"rope_type": "linear", "factor": 4}})"));
  EXPECT_EQ(pass.tables.at(0).inverse[0], 1);
  EXPECT_EQ(pass.tables.at(1).inverse[0], 0.25);
}

TEST(Hybrids, LayerNormsAndLinearLayersOfPhiHaveBiases) {
  const Pass pass = described(config_of("phi", R"({"num_key_value_heads": 4, "layer_norm_eps": 1e-5})"));
  EXPECT_THAT(kinds(pass, 0),
              ElementsAre("norm", "linear", "gate", "linear", "linear", "linear", "linear", "rope", "rope", "attend", "linear", "add"));
  for (const OpSeen& op : pass.ops) {
    if (op.kind != PLIMSOLL_OP_NORM && op.kind != PLIMSOLL_OP_LINEAR) continue;
    EXPECT_EQ(op.weights.at(1), op.weights.at(0) + ".bias");
    EXPECT_EQ(op.i[4], op.kind == PLIMSOLL_OP_NORM ? 1U : 0U);
  }
}

TEST(Hybrids, WhatWouldBeHalfAModelIsRefused) {
  struct Refused {
    Json config;
    const char *where, *message;
  };
  const std::vector<Refused> rows{
      {config_of("falcon_h1", R"({"mamba_proj_bias": true})"), "/model_type", "falcon_h1"},
      {config_of("falcon_h1", R"({"hidden_act": "gelu"})"), "/model_type", "falcon_h1"},
      {config_of("falcon_h1", R"({"attention_bias": true, "attention_in_multiplier": 2})"), "/attention_in_multiplier", "biases"},
      {config_of("bamba", R"({"attn_layer_indices": [1]})"), "", "for the mixer of layer 0"}, // two groups
      {config_of("exaone4", "{}"), "/sliding_window", "does not say"},
      {config_of("phi", R"({"qk_layernorm": true})"), "", "for layer norms on queries and keys"},
      {config_of("cohere", R"({"use_qk_norm": true})"), "", "norms on queries and keys of this shape"},
      {config_of("zamba2", R"({"layers_block_type": ["mamba", "hybrid"], "num_mem_blocks": 1, "adapter_rank": 8})"), "/model_type",
       "zamba2"},
  };
  for (const Refused& row : rows) {
    const Pass pass = record(row.config);
    EXPECT_EQ(pass.status, PLIMSOLL_E_UNSUPPORTED) << row.config.dump() << pass.message;
    EXPECT_EQ(pass.where, row.where) << pass.message;
    EXPECT_THAT(pass.message, HasSubstr(row.message));
  }
}

} // namespace plimsoll::testing::hybrids_test
