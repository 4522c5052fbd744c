// What the moe family declares: which layers have experts, widths, names, quantisation, and what it refuses. All of it
// below latent attention, whose FFN it counts.
#include "unit/experts/family.hpp"

namespace plimsoll::testing {
namespace {

using Layers = std::vector<std::uint32_t>;

Layers sparse_layers(const Json& changes) {
  Json config = small_mla();
  config.erase("first_k_dense_replace");
  config.update(changes);
  const DeclaredConfig d = declared(config);
  const WeightClass* c = find_class(d, "experts.up_proj");
  return c == nullptr ? Layers{} : c->layers;
}

struct RuleCase {
  const char* name;
  Json changes;
  Layers layers;
};

TEST(ExpertLayers, FollowTheRuleThatTheConfigurationStates) {
  const std::vector<RuleCase> cases{
      {"none: all", Json::object(), {0, 1, 2, 3}},
      {"DeepSeek", {{"first_k_dense_replace", 2}}, {2, 3}},
      {"DeepSeek, every second", {{"first_k_dense_replace", 1}, {"moe_layer_freq", 2}}, {2}},
      {"a flag per layer", {{"moe_layer_freq", {0, 1, 0, 1}}}, {1, 3}},
      {"a name per layer", {{"mlp_layer_types", {"dense", "sparse", "sparse", "dense"}}, {"first_k_dense_replace", 3}}, {1, 2}},
      {"Qwen", {{"decoder_sparse_step", 2}, {"mlp_only_layers", {3}}}, {1}},
      {"Qwen, only dense layers named", {{"mlp_only_layers", {0, 2, 17}}}, {1, 3}},
      {"Llama-4", {{"interleave_moe_layer_step", 2}}, {1, 3}},
      {"Llama-4, numbered", {{"moe_layers", {2}}, {"interleave_moe_layer_step", 1}}, {2}},
      {"ERNIE", {{"moe_layer_start_index", 1}, {"moe_layer_end_index", -1}, {"moe_layer_interval", 1}}, {1, 2, 3}},
      {"ERNIE, bounded", {{"moe_layer_start_index", 1}, {"moe_layer_end_index", 2}}, {1, 2}},
  };
  for (const RuleCase& c : cases) EXPECT_EQ(sparse_layers(c.changes), c.layers) << c.name;
}

TEST(Ffn, GivesDenseLayersTheirOwnWidth) {
  const DeclaredConfig d = declared(small_mla());
  EXPECT_EQ(find_class(d, "mlp.up_proj")->dims[0], 512U);
  EXPECT_EQ(find_class(d, "mlp.up_proj")->layers, Layers{0});
  EXPECT_EQ(find_class(d, "experts.up_proj")->dims[0], 64U);
}

TEST(Ffn, ReadsSharedExpertsAsCountOrWidth) {
  Json config = small_mla();
  config["n_shared_experts"] = 2;
  EXPECT_EQ(find_class(declared(config), "shared_experts.up_proj")->dims[0], 128U);
  config["shared_expert_intermediate_size"] = 320;
  EXPECT_EQ(find_class(declared(config), "shared_experts.up_proj")->dims[0], 320U);
  config["shared_expert_intermediate_size"] = 0;
  EXPECT_EQ(find_class(declared(config), "shared_experts.up_proj"), nullptr);
}

TEST(Ffn, StoresTheCorrectionBiasAsFloat32) {
  Json config = small_mla();
  const DeclaredConfig with = declared(config);
  ASSERT_NE(find_class(with, "router.correction_bias"), nullptr) << "a class default of this model type";
  EXPECT_EQ(find_class(with, "router.correction_bias")->dtype.name, "float32");
  config["topk_method"] = "greedy";
  EXPECT_EQ(find_class(declared(config), "router.correction_bias"), nullptr);
}

TEST(Ffn, NeverQuantisesRoutersAndDoesQuantiseExperts) {
  Json config = small_mla();
  config["quantization_config"] = {{"quant_method", "fp8"}, {"weight_block_size", {128, 128}}};
  const DeclaredConfig d = declared(config);
  EXPECT_TRUE(find_class(d, "router")->variants.at(0).storage->is_plain());
  EXPECT_FALSE(find_class(d, "experts.up_proj")->variants.at(0).storage->is_plain());
  EXPECT_FALSE(find_class(d, "mlp.down_proj")->variants.at(0).storage->is_plain());
  EXPECT_TRUE(find_class(d, "head")->variants.at(0).storage->is_plain());
}

struct LayoutCase {
  const char* names;
  const char* label;
  const char* name; // layer 1, expert 5
  std::uint64_t rows, columns;
  std::uint32_t shard_dim, in_dim, storage;
};

TEST(Layouts, NameAndOrderTensorsAsCheckpointsDo) {
  const std::vector<LayoutCase> cases{
      {"mlp", "experts.down_proj", "model.layers.1.mlp.experts.5.down_proj.weight", 256, 64, 1, 1, PLIMSOLL_EXPERTS_SEPARATE},
      {"mixtral", "experts.gate_proj", "model.layers.1.block_sparse_moe.experts.5.w1.weight", 64, 256, 0, 1, PLIMSOLL_EXPERTS_SEPARATE},
      {"mixtral", "experts.down_proj", "model.layers.1.block_sparse_moe.experts.5.w2.weight", 256, 64, 1, 1, PLIMSOLL_EXPERTS_SEPARATE},
      {"gpt_oss", "experts.gate_up_proj", "model.layers.1.mlp.experts.gate_up_proj", 256, 128, 1, 0, PLIMSOLL_EXPERTS_STACKED},
      {"gpt_oss", "experts.gate_up_proj.bias", "model.layers.1.mlp.experts.gate_up_proj_bias", 128, 0, 0, 0, PLIMSOLL_EXPERTS_STACKED},
      {"gpt_oss", "experts.down_proj.bias", "model.layers.1.mlp.experts.down_proj_bias", 256, 0, UINT32_MAX, 0, PLIMSOLL_EXPERTS_STACKED},
      {"stacked_in_out", "experts.gate_up_proj", "model.layers.1.mlp.experts.gate_up_proj", 256, 128, 1, 0, PLIMSOLL_EXPERTS_STACKED},
      {"llama4", "experts.down_proj", "model.layers.1.feed_forward.experts.down_proj", 64, 256, 0, 0, PLIMSOLL_EXPERTS_STACKED},
      {"granite", "experts.gate_up_proj", "model.layers.1.block_sparse_moe.input_linear.weight", 128, 256, 0, 1, PLIMSOLL_EXPERTS_STACKED},
      {"dbrx", "experts.down_proj", "transformer.blocks.1.ffn.experts.mlp.w2", 64, 256, 0, 0, PLIMSOLL_EXPERTS_CONCATENATED},
      {"gemma4", "experts.gate_up_proj", "model.layers.1.experts.gate_up_proj", 128, 256, 0, 1, PLIMSOLL_EXPERTS_STACKED},
      {"step", "experts.up_proj", "model.layers.1.moe.up_proj.weight", 64, 256, 0, 1, PLIMSOLL_EXPERTS_STACKED},
      {"bailing", "experts.up_proj", "model.layers.1.mlp.experts.5.up_proj.weight", 64, 256, 0, 1, PLIMSOLL_EXPERTS_SEPARATE},
      {"grok", "experts.up_proj", "model.layers.1.moe_block.experts.5.linear_v.weight", 64, 256, 0, 1, PLIMSOLL_EXPERTS_SEPARATE},
  };
  for (const LayoutCase& c : cases) {
    Json config = small_mla();
    config["ffn_names"] = c.names;
    config["n_shared_experts"] = 0;
    config["first_k_dense_replace"] = 0;
    const DeclaredConfig d = declared(config);
    const WeightClass* w = find_class(d, c.label);
    ASSERT_NE(w, nullptr) << c.names << " " << c.label;
    EXPECT_EQ(tensor_name(w->pattern, 1, 5), c.name);
    EXPECT_EQ(w->dims[0], c.rows) << c.name;
    EXPECT_EQ(w->dims[1], c.columns) << c.name;
    EXPECT_EQ(w->shard_dim, c.shard_dim) << c.name;
    EXPECT_EQ(w->in_dim, c.in_dim) << c.name;
    EXPECT_EQ(w->expert_storage, c.storage) << c.name;
    EXPECT_EQ(w->experts, 16U) << c.name;
  }
}

// Hunyuan writes one number per layer, Step the numbers of its layers as a text.
TEST(Ffn, ReadsListsAndTextsWhereOthersHaveNumbers) {
  Json config = small_mla();
  config["moe_intermediate_size"] = {64, 64, 64, 64};
  config["num_experts_per_tok"] = {2, 2, 2, 2};
  config["moe_layers_enum"] = "1,3";
  const DeclaredConfig d = declared(config);
  EXPECT_EQ(find_class(d, "experts.up_proj")->layers, (std::vector<std::uint32_t>{1, 3}));
  EXPECT_EQ(find_class(d, "experts.up_proj")->dims[0], 64U);
  config["moe_intermediate_size"] = {64, 64, 32, 64};
  EXPECT_FALSE(try_tree(config).has_value()) << "widths that differ are more than this plans";
}

TEST(Ffn, OfAModelThatSaysItHasNoExpertsIsDense) {
  Json config{{"model_type", "gemma4_text"}, {"hidden_size", 64},        {"num_hidden_layers", 2},
              {"num_attention_heads", 4},    {"head_dim", 16},           {"num_key_value_heads", 2},
              {"vocab_size", 100},           {"intermediate_size", 128}, {"hidden_size_per_layer_input", 0}};
  const DeclaredConfig without = declared(config);
  EXPECT_EQ(find_class(without, "experts.down_proj"), nullptr);
  ASSERT_NE(find_class(without, "mlp.down_proj"), nullptr);
  config.update({{"enable_moe_block", true}, {"num_experts", 8}, {"top_k_experts", 2}, {"moe_intermediate_size", 32}});
  const DeclaredConfig with = declared(config);
  ASSERT_NE(find_class(with, "experts.down_proj"), nullptr);
  EXPECT_EQ(find_class(with, "mlp.down_proj")->layers.size(), 2U) << "beside the experts";
  EXPECT_EQ(find_class(with, "router.expert_scale")->dims[0], 8U);
}

TEST(Ffn, RefusesWhatItCannotSize) {
  const std::vector<Refusal> refusals{
      {"more experts per token than experts", {{"num_experts_per_tok", 17}}, "/num_experts_per_tok"},
      {"too many experts", {{"n_routed_experts", 1000000000}}, "/n_routed_experts"},
      {"no experts per token", {{"num_experts_per_tok", 0}}, "/num_experts_per_tok"},
      {"a list of the wrong length", {{"mlp_layer_types", {"dense"}}}, "/mlp_layer_types"},
      {"an unknown kind of layer", {{"mlp_layer_types", {"dense", "sparse", "spare", "sparse"}}}, "/mlp_layer_types/2"},
      {"a step of 0", {{"decoder_sparse_step", 0}}, "/decoder_sparse_step"},
      {"a layer number beyond the model", {{"moe_layers", {4}}}, "/moe_layers/0"},
      {"a negative last layer", {{"moe_layer_start_index", 0}, {"moe_layer_end_index", -2}}, "/moe_layer_end_index"},
      {"a layer number beyond the model, in a text", {{"moe_layers_enum", "1,2,4"}}, "/moe_layers_enum/2"},
      {"a text that lists no numbers", {{"moe_layers_enum", "1;2"}}, "/moe_layers_enum"},
      {"unknown names", {{"ffn_names", "cubist"}}, "/ffn_names"},
      {"dense layers without a width", {{"intermediate_size", nullptr}}, "intermediate_size"},
  };
  for (const Refusal& r : refusals) {
    Json config = small_mla();
    config.update(r.changes);
    const auto tree = try_tree(config);
    ASSERT_FALSE(tree.has_value()) << r.what;
    EXPECT_EQ(tree.error().code, ErrorCode::kBadConfig) << r.what << ": " << tree.error().message;
    EXPECT_NE(tree.error().where.find(r.pointer), std::string::npos) << r.what << ": " << tree.error().where;
  }
}

} // namespace
} // namespace plimsoll::testing
