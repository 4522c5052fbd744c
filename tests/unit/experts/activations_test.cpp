// Expert-parallel buffers, workspace and the up-projection against the documented worked examples: totals over all ranks.
#include <yaml-cpp/yaml.h>

#include "unit/experts/family.hpp"

namespace plimsoll::testing {
namespace {

Json to_json(const YAML::Node& node) {
  if (node.IsMap()) {
    Json out = Json::object();
    for (const auto& pair : node) out[pair.first.Scalar()] = to_json(pair.second);
    return out;
  }
  return Json::parse(node.Scalar(), nullptr, false);
}

// The planner section of the engine that these examples document.
const Json& max_engine() {
  static const Json section = to_json(YAML::LoadFile(std::string(PLIMSOLL_SOURCE_DIR) + "/core/catalogue/engines/max.yaml")["planner"]);
  return section;
}

Json deepseek_v3() {
  return Json::parse(R"({"model_type": "deepseek_v3", "num_attention_heads": 128, "qk_nope_head_dim": 128, "n_routed_experts": 256,
    "moe_intermediate_size": 2048, "hidden_size": 7168, "num_experts_per_tok": 8, "num_hidden_layers": 61, "first_k_dense_replace": 3,
    "num_nextn_predict_layers": 1, "vocab_size": 129280, "n_shared_experts": 1, "kv_lora_rank": 512, "qk_rope_head_dim": 64,
    "v_head_dim": 128, "q_lora_rank": 1536, "intermediate_size": 18432})");
}

Json kimi_text() {
  Json config = deepseek_v3();
  config["num_attention_heads"] = 64;
  config["n_routed_experts"] = 384;
  config["first_k_dense_replace"] = 1;
  config["num_nextn_predict_layers"] = 0;
  config["vocab_size"] = 163840;
  return config;
}

// The parts of these two that an expert FFN does not need are filled with small numbers.
Json minimax_m2() {
  return Json::parse(R"({"model_type": "minimax_m2", "architectures": ["MiniMaxM2ForCausalLM"], "num_local_experts": 256,
    "intermediate_size": 1536, "hidden_size": 3072, "num_experts_per_tok": 8, "num_hidden_layers": 2, "num_attention_heads": 48,
    "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 1000})");
}

Json gpt_oss() {
  return Json::parse(R"({"model_type": "gpt_oss", "architectures": ["GptOssForCausalLM"], "num_local_experts": 128, "hidden_size": 2880,
    "intermediate_size": 2880, "num_experts_per_tok": 4, "num_hidden_layers": 2, "num_attention_heads": 64, "num_key_value_heads": 8,
    "head_dim": 64, "sliding_window": 128, "layer_types": ["sliding_attention", "full_attention"], "vocab_size": 1000})");
}

struct Example {
  const char* name;
  Json config;
  ActivationRequest ask;
  std::uint64_t all_ranks;
};

TEST(Activations, MeetTheDocumentedTotals) {
  const std::vector<Example> examples{
      {"v3-act-decode", deepseek_v3(), {8, 8, 8, 1048576, 128, true}, 5225054208},
      {"v3-act-prefill", deepseek_v3(), {8, 8, 8, 1048576, 128}, 551759642624},
      {"v3-weights-tp-ep", deepseek_v3(), {8, 1, 8, 4096, 128}, 2532179968},
      {"v3-weights-ep16", deepseek_v3(), {8, 8, 16, 4096, 128}, 5162663936},
      {"model-v3-8xh200", deepseek_v3(), {8, 8, 8, 163840, 512, true}, 14457765888},
      {"model-v3-8xh200-prefill", deepseek_v3(), {8, 8, 8, 163840, 8192}, 214144385024},
      {"kimi-k25", kimi_text(), {8, 8, 8, 262144, 8192, true, true}, 180115996672},
      {"minimax-m2", minimax_m2(), {8, 8, 8, 4096, 8192}, 144284057600},
      // The documented 28,918,677,504 less 6 GiB, which the profile reserves for every precision.
      {"gpt-oss-fp4-tp4", gpt_oss(), {4, 1, 1, 4096, 8192, false, true}, 28918677504 - 6442450944},
  };
  for (const Example& e : examples) {
    const auto tree = tree_of(e.config);
    ASSERT_NE(tree, nullptr) << e.name;
    EXPECT_EQ(activations(*tree, e.ask, max_engine()).per_rank() * e.ask.ranks, e.all_ranks) << e.name;
  }
}

TEST(Activations, AreNothingWithoutExpertParallelismWhenDecoding) {
  const auto tree = tree_of(deepseek_v3());
  ASSERT_NE(tree, nullptr);
  EXPECT_EQ(activations(*tree, {8, 8, 1, 4096, 128, true}, max_engine()).per_rank(), 0U);
}

TEST(Activations, AreNothingInAnEngineWithoutTheRule) {
  const auto tree = tree_of(deepseek_v3());
  ASSERT_NE(tree, nullptr);
  EXPECT_EQ(activations(*tree, {8, 8, 8, 4096, 128}, Json::object()).per_rank(), 0U);
}

// The documented buffers of FP8 on one node and of FP4 on two, where each rank also stages combine rows for the other node.
TEST(Activations, StageRowsForOtherNodes) {
  const auto tree = tree_of(deepseek_v3());
  ASSERT_NE(tree, nullptr);
  const auto buffers = [&](const ActivationRequest& ask) {
    const ItemSum sum = activations(*tree, ask, max_engine());
    return sum.bytes.at("experts.dispatch_buffers") + sum.bytes.at("experts.combine_buffers");
  };
  ActivationRequest one{8, 8, 8, 4096, 128, true};
  EXPECT_EQ(buffers(one), 250478592U);
  ActivationRequest two{16, 16, 16, 4096, 128, true, true};
  two.nodes = 2;
  EXPECT_EQ(buffers(two), 382197760U);
  two.nodes = 1;
  EXPECT_EQ(buffers(two), 382197760U - 128U * 14336 * 128); // the same ranks in one machine
  two.ep = 8;
  two.dp = 8;
  two.nodes = 2;
  EXPECT_EQ(buffers(two), buffers(one) - 257U * 128 * (7168 - 4032)); // groups of eight stay inside a node
}

// V3.2 does not divide tokens over a replica's ranks: tau is 128, not 128 / 8.
TEST(Activations, DispatchAllTokensWhereTheProfileSaysSo) {
  Json v32 = deepseek_v3();
  v32["model_type"] = "deepseek_v32";
  v32["index_n_heads"] = 64;
  v32["index_head_dim"] = 128;
  const auto tree = tree_of(v32);
  ASSERT_NE(tree, nullptr);
  const ItemSum sum = activations(*tree, {8, 1, 8, 4096, 128, true}, max_engine());
  EXPECT_EQ(sum.bytes.at("experts.dispatch_buffers") + sum.bytes.at("experts.combine_buffers"), 250478592U);
}

// 64 ranks ask for 512 experts of a token, the model has 256: 128 x 256 rows, not 128 x 512.
TEST(Activations, RouteATokenToNoMoreExpertsThanThereAre) {
  const auto tree = tree_of(deepseek_v3());
  ASSERT_NE(tree, nullptr);
  const ItemSum sum = activations(*tree, {64, 64, 64, 4096, 128, true}, max_engine());
  EXPECT_EQ(sum.bytes.at("experts.workspace"), 32768U * 2048 + 32768U * 14336 + (256U << 20));
}

// V3.2 in FP4 adds results up inside the kernel where it prefills; a node that only decodes keeps them.
TEST(Activations, KeepResultsWhereTheCombineIsNotFused) {
  Json v32 = deepseek_v3();
  v32["model_type"] = "deepseek_v32";
  v32["index_n_heads"] = 64;
  v32["index_head_dim"] = 128;
  const auto tree = tree_of(v32);
  ASSERT_NE(tree, nullptr);
  ActivationRequest ask{8, 8, 8, 4096, 128, true, true};
  EXPECT_EQ(activations(*tree, ask, max_engine()).bytes.at("experts.workspace"), 8192U * 2048 + 8192U * 14336 + (256U << 20));
  ask.decode_only = false;
  EXPECT_EQ(activations(*tree, ask, max_engine()).bytes.at("experts.workspace"), 8192U * 2048 + (256U << 20));
  v32["shared_expert_intermediate_size"] = 0; // no shared expert whose result could be added, whatever their number says
  const auto unshared = tree_of(v32);
  ASSERT_NE(unshared, nullptr);
  EXPECT_EQ(activations(*unshared, ask, max_engine()).bytes.at("experts.workspace"), 8192U * 2048 + 8192U * 14336 + (256U << 20));
}

// A draft from the same checkpoint makes an FP4 target dispatch bf16 rows.
TEST(Activations, WidenTheRowsOfAnFp4TargetThatDrafts) {
  const auto tree = tree_of(deepseek_v3());
  ASSERT_NE(tree, nullptr);
  ActivationRequest ask{8, 8, 8, 4096, 128, true, true};
  EXPECT_EQ(activations(*tree, ask, max_engine()).bytes.at("experts.dispatch_buffers"), 257U * 128 * 4032);
  ask.num_draft_tokens = 1;
  EXPECT_EQ(activations(*tree, ask, max_engine()).bytes.at("experts.dispatch_buffers"), 257U * 128 * 14336);
}

} // namespace
} // namespace plimsoll::testing
