// The dense family's rules on small configurations: which layers attend to a window, who shares heads, what is tied, and
// what is refused where.
#include <gmock/gmock.h>

#include "golden/model_files.hpp"

namespace plimsoll::testing {
namespace {

using Layers = std::vector<std::uint32_t>;

// Eight layers, 4 heads of 16.
Json small(const char* model_type, const Json& changes) {
  Json config = {{"model_type", model_type}, {"hidden_size", 64},        {"num_hidden_layers", 8}, {"num_attention_heads", 4},
                 {"head_dim", 16},           {"num_key_value_heads", 2}, {"vocab_size", 100},      {"intermediate_size", 128}};
  config.update(changes);
  return {{"config", config}};
}

Declared declared(const char* model_type, const Json& changes) {
  const auto model = declare_model(small(model_type, changes));
  EXPECT_TRUE(model) << model_type << ": " << model.error().where << ": " << model.error().message;
  return model ? model->declared : Declared{};
}

struct Reach {
  std::uint64_t window_tokens = 0;
  Layers windowed;
};

Reach reach_of(const char* model_type, const Json& changes) {
  Reach reach;
  for (const KvGroup& group : declared(model_type, changes).kv)
    if (is_windowed(group.kind)) reach = {group.window_tokens, group.layers};
  return reach;
}

struct WindowCase {
  const char* model_type;
  Json changes;
  std::uint64_t window_tokens;
  Layers windowed;
};

TEST(Windows, AreWhereTheConfigurationPutsThem) {
  const Json slides = {"sliding_attention", "full_attention", "full_attention", "full_attention",
                       "sliding_attention", "full_attention", "full_attention", "full_attention"};
  const std::vector<WindowCase> cases{
      {"llama", {{"sliding_window", 32}}, 0, {}},
      {"mistral", {{"sliding_window", nullptr}}, 0, {}},
      {"mistral", {{"sliding_window", 32}}, 32, {0, 1, 2, 3, 4, 5, 6, 7}},
      {"qwen2", {{"sliding_window", 32}, {"use_sliding_window", false}, {"max_window_layers", 6}}, 0, {}},
      {"qwen2", {{"sliding_window", 32}, {"max_window_layers", 6}}, 0, {}},
      {"qwen2", {{"sliding_window", 32}, {"use_sliding_window", true}, {"max_window_layers", 6}}, 32, {6, 7}},
      {"qwen2", {{"sliding_window", 32}, {"use_sliding_window", true}, {"max_window_layers", 28}}, 0, {}},
      {"gemma2", {{"sliding_window", 32}}, 32, {0, 2, 4, 6}},
      {"gemma2", Json::object(), 4096, {0, 2, 4, 6}},
      {"gemma3_text", {{"sliding_window", 32}, {"sliding_window_pattern", 4}}, 32, {0, 1, 2, 4, 5, 6}},
      {"gemma3_text", {{"sliding_window", 32}, {"_sliding_window_pattern", 2}}, 32, {0, 2, 4, 6}},
      {"gemma3_text", {{"sliding_window", 32}}, 32, {0, 1, 2, 3, 4, 6, 7}},
      {"gemma3_text", {{"sliding_window", nullptr}}, 0, {}},
      {"gemma3_text", {{"sliding_window", 32}, {"layer_types", slides}}, 32, {0, 4}},
      {"exaone4", {{"sliding_window", 32}, {"sliding_window_pattern", "LLG"}}, 32, {0, 1, 3, 4, 6, 7}},
      {"exaone4", {{"sliding_window", nullptr}, {"sliding_window_pattern", nullptr}}, 0, {}},
      {"cohere2", {{"sliding_window", 32}}, 32, {0, 1, 2, 4, 5, 6}},
  };
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const Reach reach = reach_of(cases[i].model_type, cases[i].changes);
    EXPECT_EQ(reach.windowed, cases[i].windowed) << cases[i].model_type << " " << cases[i].changes;
    EXPECT_EQ(reach.window_tokens, cases[i].window_tokens) << cases[i].model_type << " " << cases[i].changes;
  }
}

const WeightClass* find_class(const Declared& declared, const std::string& label) {
  for (const WeightClass& weight : declared.weights)
    if (weight.label == label) return &weight;
  return nullptr;
}

TEST(Heads, AreTheUnitsThatSplit) {
  const Declared d = declared("llama", Json::object());
  const WeightClass* q = find_class(d, "attention.q_proj");
  const WeightClass* k = find_class(d, "attention.k_proj");
  const WeightClass* o = find_class(d, "attention.o_proj");
  ASSERT_TRUE(q != nullptr && k != nullptr && o != nullptr);
  EXPECT_EQ(q->parts.at(0).units, 4U);
  EXPECT_FALSE(q->parts.at(0).replicate);
  EXPECT_EQ(k->parts.at(0).units, 2U);
  EXPECT_TRUE(k->parts.at(0).replicate);
  EXPECT_EQ(o->shard_dim, 1U);
  EXPECT_EQ(o->parts.at(0).units, 4U);
}

TEST(Heads, OfAFusedProjectionSplitPartByPart) {
  const Declared d = declared("phi3", Json::object());
  const WeightClass* qkv = find_class(d, "attention.qkv_proj");
  ASSERT_NE(qkv, nullptr);
  ASSERT_EQ(qkv->parts.size(), 3U);
  EXPECT_EQ(qkv->dims[0], 64U + 32 + 32);
  EXPECT_EQ(qkv->parts[0].units, 4U);
  EXPECT_EQ(qkv->parts[2].extent, 32U);
  EXPECT_TRUE(qkv->parts[2].replicate);
}

TEST(Heads, OfFalconComeUnderOtherKeys) {
  const auto kv_heads = [](const Json& changes) {
    Json file = small("falcon", changes);
    file["config"].erase("num_key_value_heads");
    const auto model = declare_model(file);
    return model ? model->declared.kv.at(0).kv_heads : 0;
  };
  EXPECT_EQ(kv_heads({{"multi_query", true}}), 1U);
  EXPECT_EQ(kv_heads({{"multi_query", false}}), 4U);
  EXPECT_EQ(kv_heads({{"new_decoder_architecture", true}, {"num_kv_heads", 2}}), 2U);
}

TEST(Head, IsTiedWhereTheClassOrTheConfigurationSaysSo) {
  EXPECT_EQ(find_class(declared("llama", Json::object()), "head")->role, static_cast<std::uint32_t>(PLIMSOLL_ROLE_MODEL));
  EXPECT_EQ(find_class(declared("llama", {{"tie_word_embeddings", true}}), "head")->role, static_cast<std::uint32_t>(PLIMSOLL_ROLE_TIED));
  EXPECT_EQ(find_class(declared("gemma", Json::object()), "head")->role, static_cast<std::uint32_t>(PLIMSOLL_ROLE_TIED));
  EXPECT_EQ(find_class(declared("gemma", {{"tie_word_embeddings", false}}), "head")->role, static_cast<std::uint32_t>(PLIMSOLL_ROLE_MODEL));
}

TEST(Drafts, HaveClassesAndACacheOfTheirOwn) {
  const Declared d = declared("mimo", {{"num_nextn_predict_layers", 1}});
  const WeightClass* join = find_class(d, "draft.join_proj");
  ASSERT_NE(join, nullptr);
  EXPECT_EQ(join->role, static_cast<std::uint32_t>(PLIMSOLL_ROLE_DRAFT));
  EXPECT_EQ(join->pattern, "model.mtp_layers.{layer}.input_proj.weight");
  EXPECT_EQ(d.kv.back().role, static_cast<std::uint32_t>(PLIMSOLL_ROLE_DRAFT));
  EXPECT_EQ(d.kv.back().layers, Layers{8});
  EXPECT_EQ(d.facts.draft_layers, 1U);
}

// Full layers have wider heads and, where the key says so, fewer of them without values of their own; the last layers borrow.
TEST(Gemma4, HasTwoKindsOfHeadsAndLayersThatBorrow) {
  const Json changes{{"sliding_window", 32},        {"sliding_window_pattern", 4},     {"global_head_dim", 32},
                     {"attention_k_eq_v", true},    {"num_global_key_value_heads", 1}, {"num_kv_shared_layers", 3},
                     {"use_double_wide_mlp", true}, {"hidden_size_per_layer_input", 0}};
  const Declared d = declared("gemma4_text", changes);
  ASSERT_EQ(d.kv.size(), 2U);
  EXPECT_EQ(d.kv[0].kind, CacheKind::kWindow);
  EXPECT_EQ(d.kv[0].layers, (Layers{0, 1, 2, 4}));
  EXPECT_EQ(d.kv[0].k_elements, 16U);
  EXPECT_EQ(d.kv[1].layers, Layers{3});
  EXPECT_EQ(d.kv[1].kv_heads, 1U);
  EXPECT_EQ(d.kv[1].k_elements, 32U);
  EXPECT_EQ(d.kv[1].v_elements, 32U) << "the cache holds values though they are keys";
  std::uint64_t values = 0, wide_ffn = 0;
  for (const WeightClass& weight : d.weights) {
    if (weight.label == "attention.v_proj") values += weight.layers.size();
    if (weight.label == "mlp.up_proj" && weight.dims[0] == 256) wide_ffn += weight.layers.size();
  }
  EXPECT_EQ(values, 6U);
  EXPECT_EQ(wide_ffn, 3U);
  EXPECT_EQ(find_class(d, "embedding.per_layer"), nullptr);
  EXPECT_NE(find_class(declared("gemma4_text", Json::object()), "embedding.per_layer"), nullptr) << "the class has them";
}

// Most layers choose what they attend to by an index that every rank caches whole. Flags come as lists or as texts.
TEST(MiniMax, CachesTheKeysOfAnIndexBesideTheUsual) {
  const Json sparse{{"sparse_attention_freq", "[0, 1, 1, 1, 1, 1, 1, 1]"},
                    {"sparse_disable_index_value", {0, 1, 1, 1, 1, 1, 1, 0}},
                    {"sparse_index_dim", 24},
                    {"sparse_num_index_heads", 2}};
  const Declared d = declared("minimax_m3", {{"sparse_attention_config", sparse}, {"num_local_experts", 0}});
  ASSERT_EQ(d.kv.size(), 3U);
  EXPECT_EQ(d.kv[0].layers.size(), 8U);
  EXPECT_EQ(d.kv[1].kind, CacheKind::kLatent);
  EXPECT_EQ(d.kv[1].layers, (Layers{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(d.kv[1].k_elements, 24U);
  EXPECT_EQ(d.kv[1].v_elements, 0U);
  EXPECT_EQ(d.kv[2].layers, Layers{7});
  EXPECT_EQ(d.kv[2].v_elements, 24U);
  EXPECT_EQ(find_class(d, "attention.index_q_proj")->dims[0], 48U);
  EXPECT_EQ(declared("minimax_m3", {{"num_local_experts", 0}}).kv.size(), 1U);
}

struct BadCase {
  const char* model_type;
  Json changes;
  const char* where;
};

TEST(BadConfigurations, AreRefusedWithThePointerAtFault) {
  const std::vector<BadCase> cases{
      {"llama", {{"hidden_size", nullptr}}, "/hidden_size"},
      {"llama", {{"num_hidden_layers", 0}}, "/num_hidden_layers"},
      {"llama", {{"num_hidden_layers", 5000000}}, "/num_hidden_layers"},
      {"llama", {{"num_hidden_layers", -1}}, "/num_hidden_layers"},
      {"llama", {{"num_attention_heads", 0}}, "/num_attention_heads"},
      {"llama", {{"num_key_value_heads", 0}}, "/num_key_value_heads"},
      {"llama", {{"num_key_value_heads", 3}}, "/num_key_value_heads"},
      {"llama", {{"head_dim", nullptr}, {"hidden_size", 66}}, "/head_dim"},
      {"llama", {{"intermediate_size", nullptr}}, "/intermediate_size"},
      {"llama", {{"intermediate_size", 0}}, "/intermediate_size"},
      {"llama", {{"vocab_size", "many"}}, "/vocab_size"},
      {"gemma3_text", {{"layer_types", {"full_attention"}}}, "/layer_types"},
      {"exaone4", {{"sliding_window", 32}, {"sliding_window_pattern", "LXG"}}, "/sliding_window_pattern"},
      {"llama", {{"intermediate_size", {128, 128}}}, "/intermediate_size"},
      {"gemma4_text", {{"num_kv_shared_layers", 8}}, "/num_kv_shared_layers"},
      {"gemma3n_text", {{"altup_num_inputs", 1000000}}, "/altup_num_inputs"},
      {"minimax_m3",
       {{"num_local_experts", 0},
        {"sparse_attention_config", {{"sparse_attention_freq", {1}}, {"sparse_index_dim", 8}, {"sparse_num_index_heads", 1}}}},
       "sparse_attention_freq"},
      {"nemotron-nas", {{"block_configs", Json::array()}}, "/block_configs"},
      {"mimo", {{"num_nextn_predict_layers", 1000000}}, "/num_nextn_predict_layers"},
  };
  for (const BadCase& c : cases) {
    const auto model = declare_model(small(c.model_type, c.changes));
    ASSERT_FALSE(model) << c.model_type << " " << c.changes;
    EXPECT_THAT(model.error().where, ::testing::HasSubstr(c.where)) << c.changes << model.error().message;
  }
}

TEST(BadConfigurations, OverflowIsAnErrorAndNoSmallNumber) {
  const std::uint64_t big = std::uint64_t{1} << 40;
  const auto model = declare_model(small("llama", {{"num_attention_heads", big}, {"num_key_value_heads", big}, {"head_dim", big}}));
  EXPECT_FALSE(model);
}

} // namespace
} // namespace plimsoll::testing
