// The numbers in the ops: what is scaled, capped, turned and chosen, model by model; and what is refused because nobody here knows it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "recorder.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::HasSubstr;

Json small(const char* type, const char* more = "{}") {
  Json config = Json::parse(R"({"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 320, "max_position_embeddings": 512, "rms_norm_eps": 1e-5})");
  config["model_type"] = type;
  config.update(Json::parse(more));
  return config;
}
Json latent(const char* type, const char* more = "{}") {
  Json config =
      Json::parse(R"({"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 320,
    "q_lora_rank": 24, "kv_lora_rank": 32, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 12, "n_routed_experts": 8,
    "num_experts_per_tok": 2, "moe_intermediate_size": 8, "n_shared_experts": 1, "first_k_dense_replace": 1, "n_group": 1,
    "topk_group": 1})");
  config["model_type"] = type;
  config.update(Json::parse(more));
  return config;
}

const OpSeen& find(const Pass& pass, std::uint32_t kind, std::uint32_t layer = 0) {
  static const OpSeen none;
  for (const OpSeen& op : pass.ops)
    if (op.kind == kind && op.layer == layer) return op;
  ADD_FAILURE() << "no " << kind_name(kind) << " in layer " << layer;
  return none;
}
Pass described(const Json& config) {
  Pass pass = record(config);
  EXPECT_EQ(pass.status, PLIMSOLL_OK) << pass.where << " " << pass.message;
  EXPECT_THAT(pass.faults, ::testing::IsEmpty());
  return pass;
}
// The table that the first rotation of a layer turns by.
const TableSeen& table(const Pass& pass, std::uint32_t layer) {
  return pass.tables.at(static_cast<std::size_t>(find(pass, PLIMSOLL_OP_ROPE, layer).i[5]));
}

TEST(Maths, OfLlama) {
  const Pass pass =
      described(small("llama", R"({"rope_theta": 500000, "rope_scaling": {"rope_type": "llama3", "factor": 32, "low_freq_factor": 1,
    "high_freq_factor": 4, "original_max_position_embeddings": 64}})"));
  EXPECT_EQ(find(pass, PLIMSOLL_OP_NORM).f[0], 1e-5);
  EXPECT_EQ(find(pass, PLIMSOLL_OP_NORM).i[5], 0U);
  EXPECT_EQ(find(pass, PLIMSOLL_OP_ATTEND).f[0], 0.25); // 1 / sqrt 16
  EXPECT_EQ(find(pass, PLIMSOLL_OP_GATE).i[0], std::uint64_t{PLIMSOLL_ACT_SILU});
  EXPECT_EQ(find(pass, PLIMSOLL_OP_EMBED, PLIMSOLL_NO_LAYER).f[0], 1);
  ASSERT_EQ(pass.tables.size(), 1U);
  EXPECT_EQ(pass.tables[0].inverse.size(), 8U);
  EXPECT_EQ(pass.tables[0].inverse[0], 1); // a wave of 6.3 tokens stays
  EXPECT_NEAR(pass.tables[0].inverse[7], std::pow(500000, -14.0 / 16) / 32, 1e-15);
}

TEST(Maths, OfWindows) {
  const Pass mistral = described(small("mistral", R"({"sliding_window": 24})"));
  EXPECT_EQ(find(mistral, PLIMSOLL_OP_ATTEND, 3).i[4], 24U);
  EXPECT_EQ(find(mistral, PLIMSOLL_OP_ATTEND, 3).kv_group, "attention.window");
  const Pass qwen = described(small("qwen2", R"({"sliding_window": 24, "use_sliding_window": false})"));
  EXPECT_EQ(find(qwen, PLIMSOLL_OP_ATTEND, 3).i[4], 0U);
  const Pass upper = described(small("qwen2", R"({"sliding_window": 24, "use_sliding_window": true, "max_window_layers": 2})"));
  EXPECT_EQ(find(upper, PLIMSOLL_OP_ATTEND, 1).i[4], 0U);
  EXPECT_EQ(find(upper, PLIMSOLL_OP_ATTEND, 2).i[4], 24U);
}

TEST(Maths, OfGemma2) {
  const Pass pass = described(small("gemma2", R"({"query_pre_attn_scalar": 4, "attn_logit_softcapping": 3, "final_logit_softcapping": 12,
    "sliding_window": 20})"));
  EXPECT_EQ(find(pass, PLIMSOLL_OP_EMBED, PLIMSOLL_NO_LAYER).f[0], 8); // sqrt 64
  EXPECT_EQ(find(pass, PLIMSOLL_OP_NORM).i[5], 1U);
  const OpSeen& attend = find(pass, PLIMSOLL_OP_ATTEND);
  EXPECT_EQ(attend.f[0], 0.5);
  EXPECT_EQ(attend.f[1], 3);
  EXPECT_EQ(attend.i[4], 20U);
  EXPECT_EQ(find(pass, PLIMSOLL_OP_ATTEND, 1).i[4], 0U);
  EXPECT_EQ(find(pass, PLIMSOLL_OP_GATE).i[0], std::uint64_t{PLIMSOLL_ACT_GELU_TANH});
  const OpSeen& cap = find(pass, PLIMSOLL_OP_GATE, PLIMSOLL_NO_LAYER);
  EXPECT_EQ(cap.i[0], std::uint64_t{PLIMSOLL_ACT_SOFT_CAP});
  EXPECT_EQ(cap.f[0], 12);
  EXPECT_EQ(pass.ops.back().out, pass.logits);
  // Null is none, absence is the class's own.
  const Pass bare = described(small("gemma2", R"({"attn_logit_softcapping": null, "final_logit_softcapping": null})"));
  EXPECT_EQ(find(bare, PLIMSOLL_OP_ATTEND).f[1], 0);
  EXPECT_EQ(bare.ops.back().kind, std::uint32_t{PLIMSOLL_OP_LINEAR});
  EXPECT_EQ(find(described(small("gemma2")), PLIMSOLL_OP_ATTEND).f[1], 50);
}

TEST(Maths, OfGemma3) {
  const Pass old = described(small("gemma3_text", R"({"sliding_window_pattern": 2, "sliding_window": 12, "rope_theta": 1000000,
    "rope_local_base_freq": 10000, "rope_scaling": {"rope_type": "linear", "factor": 8}, "query_pre_attn_scalar": 16})"));
  const Pass now = described(small("gemma3_text", R"({"layer_types": ["sliding_attention", "full_attention", "sliding_attention",
    "full_attention"], "sliding_window": 12, "query_pre_attn_scalar": 16, "rope_parameters": {
    "full_attention": {"rope_type": "linear", "factor": 8, "rope_theta": 1000000},
    "sliding_attention": {"rope_type": "default", "rope_theta": 10000}}})"));
  for (const Pass* pass : {&old, &now}) {
    ASSERT_EQ(pass->tables.size(), 2U);
    EXPECT_EQ(table(*pass, 0).inverse[0], 1); // windows are not scaled
    EXPECT_NEAR(table(*pass, 0).inverse[1], std::pow(10000, -1.0 / 8), 1e-15);
    EXPECT_EQ(table(*pass, 1).inverse[0], 0.125);
    EXPECT_EQ(find(*pass, PLIMSOLL_OP_ATTEND, 0).i[4], 12U);
    EXPECT_EQ(find(*pass, PLIMSOLL_OP_ATTEND, 1).i[4], 0U);
  }
  EXPECT_EQ(old.tables, now.tables);
}

// OLMo 2: attention and FFN read the residual stream as it is; norms stand behind them, and over whole projections.
TEST(Maths, OfPhi3) {
  const Pass pass = described(small("phi3", R"({"partial_rotary_factor": 0.75, "max_position_embeddings": 1024,
    "original_max_position_embeddings": 256, "rope_scaling": {"type": "longrope", "short_factor": [1, 1, 1, 1, 1, 2],
    "long_factor": [1, 2, 3, 4, 5, 8]}})"));
  const OpSeen& rope = find(pass, PLIMSOLL_OP_ROPE);
  EXPECT_EQ(rope.i[3], 12U); // of 16 columns
  EXPECT_EQ(rope.i[4], 0U);
  EXPECT_NEAR(table(pass, 0).attention_factor, std::sqrt(1 + std::log(4.0) / std::log(256.0)), 1e-15);
  EXPECT_EQ(table(pass, 0).long_beyond_tokens, 256U);
  EXPECT_NEAR(table(pass, 0).long_inverse[5], table(pass, 0).inverse[5] / 4, 1e-15);
  // Rows of queries, keys and values lie one after another.
  std::vector<std::uint64_t> parts;
  for (const OpSeen* op : pass.of_layer(0))
    if (!op->weights.empty() && op->weights[0] == "attention.qkv_proj") parts.push_back(op->i[0]);
  EXPECT_THAT(parts, ::testing::ElementsAre(0, 1, 2));
}

TEST(Maths, OfExperts) {
  const char* experts = R"({"num_experts": 8, "num_local_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 24})";
  const auto route = [&](const char* type, const char* more) {
    Json config = small(type, experts);
    config.update(Json::parse(more));
    return find(described(config), PLIMSOLL_OP_ROUTE);
  };
  EXPECT_EQ(route("mixtral", "{}").i[4], std::uint64_t{PLIMSOLL_SCORE_SOFTMAX_CHOSEN});
  EXPECT_EQ(route("qwen3_moe", R"({"norm_topk_prob": true})").i[5], 1U);
  EXPECT_EQ(route("qwen3_moe", R"({"norm_topk_prob": false})").i[5], 0U);
  const OpSeen qwen2 = route("qwen2_moe", R"({"shared_expert_intermediate_size": 40})");
  EXPECT_EQ(qwen2.i[4], std::uint64_t{PLIMSOLL_SCORE_SOFTMAX});
  EXPECT_EQ(qwen2.f[0], 1);
  // A layer without experts between others.
  const Pass mixed = described([&] {
    Json config = small("qwen3_moe", experts);
    config["mlp_only_layers"] = {1};
    return config;
  }());
  EXPECT_EQ(find(mixed, PLIMSOLL_OP_GATE, 1).layer, 1U);
  EXPECT_EQ(find(mixed, PLIMSOLL_OP_EXPERTS, 2).i[2], 24U);
}

TEST(Maths, OfGptOss) {
  const char* text =
      R"({"num_local_experts": 8, "num_experts_per_tok": 2, "attention_bias": true, "sliding_window": 16, "rope_theta": 150000})";
  const Pass pass = described(small("gpt_oss", text));
  const OpSeen& experts = find(pass, PLIMSOLL_OP_EXPERTS);
  EXPECT_EQ(experts.i[3], std::uint64_t{PLIMSOLL_ACT_SWIGLU_OAI});
  EXPECT_EQ(experts.i[4], 2U); // alternating
  EXPECT_EQ(experts.f[0], 7);
  EXPECT_EQ(experts.f[1], 1.702);
  EXPECT_EQ(find(pass, PLIMSOLL_OP_ROUTE).weights, (std::vector<std::string>{"router", "router.bias"}));
  EXPECT_EQ(find(pass, PLIMSOLL_OP_ATTEND).weights, std::vector<std::string>{"attention.sinks"});
  EXPECT_EQ(find(pass, PLIMSOLL_OP_ATTEND).i[4], 16U);
  EXPECT_EQ(find(pass, PLIMSOLL_OP_ATTEND, 1).i[4], 0U);
  EXPECT_NEAR(table(pass, 0).attention_factor, 0.1 * std::log(32.0) + 1, 1e-15); // the class's yarn, where nothing is stated
  Json stated = small("gpt_oss", text);
  stated["rope_scaling"] = nullptr;
  EXPECT_EQ(table(described(stated), 0).attention_factor, 1);
  // Experts lie [in, out], unless they are packed.
  const auto in_dim = [](const Pass& p) {
    for (const WeightSeen& w : p.weights)
      if (w.label == "experts.gate_up_proj") return w.in_dim;
    return 9U;
  };
  EXPECT_EQ(in_dim(pass), 0U);
  Json packed = small("gpt_oss", text);
  packed["quantization_config"] = {{"quant_method", "mxfp4"}};
  EXPECT_EQ(in_dim(described(packed)), 1U);
}

TEST(Maths, OfLatentAttention) {
  const double plain = 1 / std::sqrt(24.0);
  const Pass v3 = described(latent("deepseek_v3", R"({"n_group": 4, "topk_group": 2, "routed_scaling_factor": 2.5, "rope_scaling":
    {"type": "yarn", "factor": 40, "mscale": 1.0, "mscale_all_dim": 1.0, "original_max_position_embeddings": 128}})"));
  const double magnitude = 0.1 * std::log(40.0) + 1;
  EXPECT_NEAR(find(v3, PLIMSOLL_OP_ATTEND_LATENT).f[0], plain * magnitude * magnitude, 1e-15);
  EXPECT_EQ(table(v3, 0).attention_factor, 1);
  EXPECT_EQ(find(v3, PLIMSOLL_OP_ROPE).i[4], 1U); // pairs are neighbours
  EXPECT_EQ(find(v3, PLIMSOLL_OP_ROPE).i[2], 16U);
  const OpSeen& route = find(v3, PLIMSOLL_OP_ROUTE, 1);
  EXPECT_EQ(route.i, (std::array<std::uint64_t, PLIMSOLL_OP_MAX_INTEGERS>{8, 2, 4, 2, PLIMSOLL_SCORE_SIGMOID, 1, PLIMSOLL_GROUP_BEST_TWO}));
  EXPECT_EQ(route.f[0], 2.5);
  EXPECT_EQ(route.weights, (std::vector<std::string>{"router", "", "router.correction_bias"}));
  EXPECT_EQ(find(described(latent("deepseek_v3", R"({"rope_interleave": false})")), PLIMSOLL_OP_ROPE).i[4], 0U);

  const Pass v2 = described(latent("deepseek_v2", R"({"topk_method": "group_limited_greedy", "n_group": 4, "topk_group": 2,
    "q_lora_rank": null, "routed_scaling_factor": 16})"));
  EXPECT_NEAR(find(v2, PLIMSOLL_OP_ATTEND_LATENT).f[0], plain, 1e-15);
  EXPECT_EQ(find(v2, PLIMSOLL_OP_ROUTE, 1).i[6], std::uint64_t{PLIMSOLL_GROUP_BEST});
  EXPECT_EQ(find(v2, PLIMSOLL_OP_ROUTE, 1).i[5], 0U);
  EXPECT_EQ(find(v2, PLIMSOLL_OP_ROUTE, 1).f[0], 16);
  EXPECT_EQ(find(described(latent("deepseek_v2", R"({"n_group": 4, "topk_group": 2})")), PLIMSOLL_OP_ROUTE, 1).i[2], 0U); // greedy
}

struct Refusal {
  Json config;
  const char* where;
  const char* message;
};

TEST(Refusals, AreOfWhatNobodyHereKnows) {
  const std::vector<Refusal> rows{
      {small("olmo"), "/model_type", "for model_type olmo"},
      {small("llama", R"({"hidden_act": "xielu"})"), "/hidden_act", "with the activation xielu"},
      {small("llama", R"({"rope_scaling": {"type": "dynamic", "factor": 2}})"), "/rope_scaling/rope_type", "\"dynamic\""},
      {small("llama", R"({"rope_scaling": {"type": "linear", "factor": 2, "unheard": 1}})"), "/rope_scaling/unheard",
       "nothing that this rope type"},
      {small("llama", R"({"partial_rotary_factor": 0.5})"), "/partial_rotary_factor", "for a llama with this key"},
      {small("llama", R"({"attn_logit_softcapping": 30})"), "/attn_logit_softcapping", "for a llama with this key"},
      {small("llama", R"({"logit_scale": 0.0625})"), "/logit_scale", "for a llama with this key"},
      {small("qwen3", R"({"index_n_heads": 4})"), "/index_n_heads", "for a qwen3 with this key"},
      {small("mllama_text_model", R"({"cross_attention_layers": [1]})"), "/model_type", "mllama_text_model"},
      {small("mixtral", R"({"num_local_experts": 8, "num_experts_per_tok": 2, "hidden_act": "gelu"})"), "/hidden_act", "gelu"},
      {small("phimoe", R"({"num_experts": 8, "num_experts_per_tok": 2})"), "/model_type", "phimoe"},
      {latent("deepseek_v3", R"({"index_n_heads": 4, "index_head_dim": 16})"), "", "with an indexer"},
      {latent("deepseek_v32"), "/model_type", "deepseek_v32"},
      {latent("deepseek_v3", R"({"scoring_func": "softmax"})"), "/scoring_func", "scored by softmax"},
      {latent("deepseek_v3", R"({"topk_method": "greedy", "use_routing_bias": true})"), "/topk_method", "chosen by greedy"},
      {latent("deepseek_v2", R"({"norm_topk_prob": true})"), "/norm_topk_prob", "with this key"},
      {latent("deepseek_v3", R"({"quantization_config": {"quant_method": "gguf"}, "rope_scaling": {"rope_type": "yarn", "factor": 40,
        "original_max_position_embeddings": 128}})"),
       "/rope_scaling/mscale_all_dim", "for a GGUF file"},
  };
  for (const Refusal& row : rows) {
    const Pass pass = record(row.config);
    EXPECT_EQ(pass.status, PLIMSOLL_E_UNSUPPORTED) << row.message;
    EXPECT_EQ(pass.where, row.where) << pass.message;
    EXPECT_THAT(pass.message, HasSubstr(row.message));
    EXPECT_THAT(pass.faults, ::testing::IsEmpty());
  }
}

// What is off is no reason to refuse.
TEST(Refusals, AreNotOfWhatIsOff) {
  described(small("llama", R"({"attn_logit_softcapping": null, "no_rope_layers": [], "alibi": false, "clip_qkv": null, "scale_emb": 0})"));
}

} // namespace
} // namespace plimsoll::testing
