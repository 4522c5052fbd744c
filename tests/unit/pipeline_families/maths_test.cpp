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

TEST(Maths, OfLlama4) {
  const char* text = R"({"num_local_experts": 8, "num_experts_per_tok": 1, "interleave_moe_layer_step": 2, "intermediate_size_mlp": 128,
    "attention_chunk_size": 24, "floor_scale": 16, "attn_scale": 0.25})";
  const Pass pass = described(small("llama4_text", text));
  // Three layers of four turn, are chunked and norm without gains what has turned; the fourth grows.
  for (std::uint32_t layer = 0; layer < 4; ++layer) {
    const OpSeen& attend = find(pass, PLIMSOLL_OP_ATTEND, layer);
    EXPECT_EQ(attend.i[5], layer == 3 ? 0U : 24U);
    EXPECT_EQ(attend.kv_group, layer == 3 ? "attention" : "attention.chunk");
    EXPECT_EQ(attend.i[6], layer == 3 ? 16U : 0U);
    EXPECT_EQ(attend.f[2], layer == 3 ? 0.25 : 0);
    std::vector<std::uint32_t> kinds;
    for (const OpSeen* op : pass.of_layer(layer))
      if (op->kind == PLIMSOLL_OP_ROPE || (op->kind == PLIMSOLL_OP_NORM && op->weights.empty())) kinds.push_back(op->kind);
    const std::vector<std::uint32_t> turned{PLIMSOLL_OP_ROPE, PLIMSOLL_OP_NORM, PLIMSOLL_OP_ROPE, PLIMSOLL_OP_NORM};
    EXPECT_EQ(kinds, layer == 3 ? std::vector<std::uint32_t>{} : turned);
  }
  EXPECT_EQ(find(pass, PLIMSOLL_OP_ROPE).i[4], 1U); // neighbours
  EXPECT_EQ(find(pass, PLIMSOLL_OP_ROUTE, 1).i[4], std::uint64_t{PLIMSOLL_SCORE_SIGMOID_CHOSEN});
  EXPECT_EQ(find(pass, PLIMSOLL_OP_EXPERTS, 1).i[4], 1U); // gate before up
  EXPECT_EQ(find(pass, PLIMSOLL_OP_EXPERTS, 1).i[7], 1U);
  // Switches: off, and on as published configurations have it.
  const auto growth = [&](const char* key, const Json& value) {
    Json config = small("llama4_text", text);
    config[key] = value;
    return find(described(config), PLIMSOLL_OP_ATTEND, 3).f[2];
  };
  EXPECT_EQ(growth("attn_temperature_tuning", false), 0);
  EXPECT_EQ(growth("attn_temperature_tuning", 4), 0.25);
  EXPECT_EQ(growth("attn_scale", 0), 0);
  const auto refused = [&](const char* key, const Json& value) {
    Json config = small("llama4_text", text);
    config[key] = value;
    const Pass bad = record(config);
    EXPECT_EQ(bad.status, PLIMSOLL_E_CONFIG) << bad.message;
    EXPECT_EQ(bad.where, std::string("/") + key) << bad.message;
  };
  refused("attn_scale", -1);
  refused("attn_scale", nullptr);
  refused("floor_scale", 0);
}

TEST(Maths, OfGemma4) {
  const char* text = R"({"layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
    "sliding_window": 12, "global_head_dim": 32, "attention_k_eq_v": true, "num_global_key_value_heads": 1,
    "hidden_size_per_layer_input": 0, "final_logit_softcapping": 30, "use_bidirectional_attention": "vision"})";
  const Pass pass = described(small("gemma4_text", text));
  EXPECT_EQ(find(pass, PLIMSOLL_OP_NORM).i[5], 0U); // gains as they are
  EXPECT_EQ(find(pass, PLIMSOLL_OP_EMBED, PLIMSOLL_NO_LAYER).f[0], 8);
  for (const std::uint32_t layer : {0U, 1U}) {
    const OpSeen& attend = find(pass, PLIMSOLL_OP_ATTEND, layer);
    EXPECT_EQ(attend.f[0], 1); // scores as they are
    EXPECT_EQ(attend.i[1], layer == 0 ? 2U : 1U);
    EXPECT_EQ(attend.i[2], layer == 0 ? 16U : 32U);
    EXPECT_EQ(attend.kv_group, layer == 0 ? "attention.window" : "attention");
    EXPECT_EQ(find(pass, PLIMSOLL_OP_MULTIPLY, layer).weights, std::vector<std::string>{"layer_scalar"});
    EXPECT_EQ(find(pass, PLIMSOLL_OP_MULTIPLY, layer).out, find(pass, PLIMSOLL_OP_EMBED, PLIMSOLL_NO_LAYER).out);
  }
  // Windows turn whole by 10,000, the others a quarter of what a whole head has by 1,000,000.
  EXPECT_NEAR(table(pass, 0).inverse[7], std::pow(10000, -14.0 / 16), 1e-15);
  ASSERT_EQ(table(pass, 1).inverse.size(), 16U);
  EXPECT_NEAR(table(pass, 1).inverse[3], std::pow(1e6, -6.0 / 32), 1e-15);
  EXPECT_EQ(table(pass, 1).inverse[4], 0);
  // Values are the keys before their norm, in full layers alone.
  const auto projections = [&](std::uint32_t layer) {
    std::vector<std::string> out;
    for (const OpSeen* op : pass.of_layer(layer))
      if (op->kind == PLIMSOLL_OP_LINEAR && op->weights[0].rfind("attention.", 0) == 0) out.push_back(op->weights[0]);
    return out;
  };
  EXPECT_EQ(projections(0), (std::vector<std::string>{"attention.q_proj", "attention.k_proj", "attention.v_proj", "attention.o_proj"}));
  EXPECT_EQ(projections(1), (std::vector<std::string>{"attention.q_proj", "attention.k_proj", "attention.o_proj"}));
  EXPECT_EQ(pass.ops.back().f[0], 30);

  // The last two look into what the first two stored, and every layer has an input.
  Json borrows = small("gemma4_text", text);
  borrows.update(Json::parse(R"({"attention_k_eq_v": false, "num_kv_shared_layers": 2, "hidden_size_per_layer_input": 8,
    "vocab_size_per_layer_input": 320})"));
  const Pass shared = described(borrows);
  EXPECT_EQ(find(shared, PLIMSOLL_OP_ATTEND, 2).i[7], 1U);
  EXPECT_EQ(find(shared, PLIMSOLL_OP_ATTEND, 3).i[7], 2U);
  EXPECT_EQ(find(shared, PLIMSOLL_OP_ATTEND, 3).in.size(), 1U);
  EXPECT_EQ(find(shared, PLIMSOLL_OP_ATTEND, 1).i[7], 0U);
  EXPECT_EQ(find(shared, PLIMSOLL_OP_COLUMNS, 3).i[2], 24U); // of 32 columns
  borrows["num_kv_shared_layers"] = 3;
  const Pass bad = record(borrows);
  EXPECT_EQ(bad.status, PLIMSOLL_E_CONFIG);
  EXPECT_EQ(bad.where, "/num_kv_shared_layers");
  EXPECT_THAT(bad.message, HasSubstr("leaves layer 1 no cache of its kind"));

  Json experts = small("gemma4_text", text);
  experts.update(Json::parse(R"({"enable_moe_block": true, "num_experts": 8, "top_k_experts": 2, "moe_intermediate_size": 16})"));
  const Pass beside = described(experts);
  const OpSeen& route = find(beside, PLIMSOLL_OP_ROUTE);
  EXPECT_EQ(route.weights, (std::vector<std::string>{"router", "", "", "router.expert_scale"}));
  EXPECT_EQ(route.i[5], 1U);
  EXPECT_EQ(find(beside, PLIMSOLL_OP_EXPERTS).i[3], std::uint64_t{PLIMSOLL_ACT_GELU_TANH});
  EXPECT_EQ(find(beside, PLIMSOLL_OP_MULTIPLY).weights, std::vector<std::string>{"router.scale"});
  EXPECT_EQ(find(beside, PLIMSOLL_OP_MULTIPLY).f[0], 0.125);
}

TEST(Maths, OfTheFirstGenerations) {
  const Pass bloom = described(small("bloom", R"({"num_key_value_heads": 4})"));
  EXPECT_EQ(find(bloom, PLIMSOLL_OP_ATTEND).f[3], 8);
  EXPECT_EQ(find(bloom, PLIMSOLL_OP_COLUMNS).i[1], 48U); // query, key and value of a head together
  EXPECT_EQ(find(bloom, PLIMSOLL_OP_NORM, PLIMSOLL_NO_LAYER).weights,
            (std::vector<std::string>{"embedding.norm.weight", "embedding.norm.bias"}));
  const Pass mpt = described(small("mpt", R"({"attn_config": {"alibi_bias_max": 4}})"));
  EXPECT_EQ(find(mpt, PLIMSOLL_OP_ATTEND).f[3], 4);
  EXPECT_EQ(find(mpt, PLIMSOLL_OP_GATE).i[0], std::uint64_t{PLIMSOLL_ACT_GELU});
  const Pass opt = described(small("opt", R"({"ffn_dim": 96})"));
  EXPECT_EQ(find(opt, PLIMSOLL_OP_EMBED_POSITION, PLIMSOLL_NO_LAYER).i[0], 2U);
  EXPECT_EQ(find(opt, PLIMSOLL_OP_GATE).i[0], std::uint64_t{PLIMSOLL_ACT_RELU});
  const Pass olmo = described(small("olmo"));
  EXPECT_TRUE(find(olmo, PLIMSOLL_OP_NORM).weights.empty() || find(olmo, PLIMSOLL_OP_NORM).weights[0].empty());
  EXPECT_EQ(find(olmo, PLIMSOLL_OP_NORM).i[4], 1U);
  const Pass falcon = described(small("falcon"));
  EXPECT_EQ(find(falcon, PLIMSOLL_OP_ATTEND).i[1], 1U);
  const Pass chatglm = described(small("chatglm", R"({"multi_query_attention": true, "multi_query_group_num": 2, "rope_ratio": 1})"));
  EXPECT_EQ(find(chatglm, PLIMSOLL_OP_ROPE).i[3], 8U); // of 16
  EXPECT_EQ(find(chatglm, PLIMSOLL_OP_ROPE).i[4], 1U);
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
      {small("helium"), "/model_type", "for model_type helium"},
      {small("olmo", R"({"clip_qkv": 8.0})"), "/clip_qkv", "for a olmo with this key"},
      {small("falcon", R"({"new_decoder_architecture": true})"), "/new_decoder_architecture", "for a falcon with this key"},
      {small("falcon", R"({"multi_query": false})"), "/multi_query", "for a falcon without this key"},
      {small("falcon", R"({"alibi": true})"), "/alibi", "for a falcon with this key"},
      {small("opt", R"({"do_layer_norm_before": false})"), "/do_layer_norm_before", "for a opt without this key"},
      {small("opt", R"({"word_embed_proj_dim": 32})"), "", "for an embedding of another width"},
      {small("mpt", R"({"attn_config": {"alibi": false}})"), "/attn_config/alibi", "for a mpt without this key"},
      {small("mpt", R"({"attn_config": {"clip_qkv": 6}})"), "/attn_config/clip_qkv", "for a mpt with this key"},
      {small("mpt", R"({"no_bias": false})"), "/no_bias", "for a mpt without this key"},
      {small("bloom", R"({"apply_residual_connection_post_layernorm": true})"), "/apply_residual_connection_post_layernorm",
       "for a bloom with this key"},
      {small("chatglm", R"({"multi_query_attention": true, "multi_query_group_num": 2, "rope_ratio": 50})"), "/rope_ratio",
       "for a chatglm with this key"},
      {small("chatglm"), "/multi_query_attention", "for a chatglm without this key"},
      {small("qwen"), "/model_type", "for model_type qwen"},
      {small("gemma4_text", R"({"use_bidirectional_attention": "all"})"), "/use_bidirectional_attention",
       "for a gemma4_text with this key"},
      {small("bloom"), "/num_key_value_heads", "for heads that share keys"},
      {small("gemma3n_text", R"({"num_kv_shared_layers": 0, "vocab_size_per_layer_input": 320})"), "/model_type",
       "for model_type gemma3n_text"},
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
