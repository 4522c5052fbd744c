// What the mla family declares: KV groups, indexers, draft layers, tied heads, and which configurations it refuses.
#include "unit/experts/family.hpp"

namespace plimsoll::testing {
namespace {

TEST(LatentAttention, CachesOneVectorPerTokenWhateverTheKeyValueHeads) {
  Json config = small_mla();
  config["num_key_value_heads"] = 8;
  const DeclaredConfig d = declared(config);
  ASSERT_EQ(d.kv.size(), 1U);
  EXPECT_EQ(d.kv[0].kind, CacheKind::kLatent);
  EXPECT_EQ(d.kv[0].kv_heads, 1U);
  EXPECT_EQ(d.kv[0].k_elements, 80U);
  EXPECT_EQ(d.kv[0].v_elements, 0U);
  EXPECT_EQ(d.kv[0].query_heads, 8U);
  EXPECT_EQ(d.kv[0].layers.size(), 4U);
}

TEST(LatentAttention, StoresPlainQueriesWithoutARank) {
  Json config = small_mla();
  config["q_lora_rank"] = nullptr;
  const DeclaredConfig d = declared(config);
  ASSERT_NE(find_class(d, "attention.q_proj"), nullptr);
  EXPECT_EQ(find_class(d, "attention.q_a_proj"), nullptr);
  EXPECT_EQ(find_class(d, "attention.q_proj")->dims[0], 8U * 48);
}

TEST(LatentAttention, CopiesWhatIsNotPerHead) {
  const DeclaredConfig d = declared(small_mla());
  EXPECT_EQ(find_class(d, "attention.kv_a_proj")->placement, static_cast<std::uint32_t>(PLIMSOLL_PLACE_REPLICATE));
  EXPECT_EQ(find_class(d, "attention.q_a_proj")->placement, static_cast<std::uint32_t>(PLIMSOLL_PLACE_REPLICATE));
  EXPECT_EQ(find_class(d, "attention.kv_b_proj")->parts[0].units, 8U);
  EXPECT_EQ(find_class(d, "attention.o_proj")->shard_dim, 1U);
}

TEST(LatentAttention, AddsBiasesWhereTheClassHasThem) {
  Json config = small_mla();
  config["attention_bias"] = true;
  const std::uint64_t plain = parameters(declared(small_mla()));
  EXPECT_EQ(parameters(declared(config)) - plain, 4U * (96 + 80 + 256));
}

TEST(LatentAttention, KeepsDraftLayersApart) {
  Json config = small_mla();
  config["num_nextn_predict_layers"] = 1;
  const DeclaredConfig d = declared(config);
  const WeightClass* embedding = find_class(d, "draft.embedding");
  ASSERT_NE(embedding, nullptr);
  EXPECT_EQ(embedding->role, static_cast<std::uint32_t>(PLIMSOLL_ROLE_DRAFT));
  EXPECT_EQ(embedding->stage, static_cast<std::uint32_t>(PLIMSOLL_STAGE_LAST));
  EXPECT_EQ(tensor_name(embedding->pattern, embedding->layers.at(0), 0), "model.layers.4.embed_tokens.weight");
  ASSERT_NE(find_class(d, "draft.experts.gate_proj"), nullptr);
  const KvGroup* cache = find_group(d, "draft.latent");
  ASSERT_NE(cache, nullptr);
  EXPECT_EQ(cache->role, static_cast<std::uint32_t>(PLIMSOLL_ROLE_DRAFT));
  EXPECT_EQ(cache->layers, std::vector<std::uint32_t>{4});
}

Json with_indexer() {
  Json config = small_mla();
  config["model_type"] = "glm_moe_dsa", config["architectures"] = {"GlmMoeDsaForCausalLM"};
  config["index_n_heads"] = 4;
  config["index_head_dim"] = 128;
  config["num_nextn_predict_layers"] = 1;
  return config;
}

TEST(Indexer, CachesFp8KeysWithScales) {
  const DeclaredConfig d = declared(with_indexer());
  const KvGroup* group = find_group(d, "indexer");
  ASSERT_NE(group, nullptr);
  ASSERT_TRUE(group->k_type);
  EXPECT_EQ(group->k_type->name, "float8_e4m3fn");
  ASSERT_TRUE(group->scale_type);
  EXPECT_EQ(group->scale_type->name, "float32");
  EXPECT_EQ(group->k_elements, 128U);
  EXPECT_EQ(group->scale_elements, 128U);
  EXPECT_EQ(group->layers.size(), 4U);
  EXPECT_NE(find_group(d, "draft.indexer"), nullptr);
}

TEST(Indexer, LeavesOutLayersThatShareOne) {
  Json config = with_indexer();
  config["indexer_types"] = {"full", "shared", "shared", "full"};
  const DeclaredConfig d = declared(config);
  EXPECT_EQ(find_class(d, "indexer.wq_b")->layers, (std::vector<std::uint32_t>{0, 3}));
  EXPECT_EQ(find_group(d, "indexer")->layers, (std::vector<std::uint32_t>{0, 3}));
}

TEST(LongCat, HasTwoAttentionsAndTwoFfnsPerLayer) {
  const Json config = Json::parse(R"({"architectures": ["LongcatFlashForCausalLM"], "model_type": "longcat_flash", "vocab_size": 1000,
    "hidden_size": 256, "num_layers": 3, "num_attention_heads": 8, "ffn_hidden_size": 512, "q_lora_rank": 96, "kv_lora_rank": 64,
    "qk_nope_head_dim": 32, "qk_rope_head_dim": 16, "v_head_dim": 32, "moe_topk": 4, "n_routed_experts": 16, "zero_expert_num": 8,
    "expert_ffn_hidden_size": 64})");
  const DeclaredConfig d = declared(config);
  EXPECT_NE(find_group(d, "latent.0"), nullptr);
  EXPECT_NE(find_group(d, "latent.1"), nullptr);
  EXPECT_EQ(tensor_name(find_class(d, "mlp.1.up_proj")->pattern, 2, 0), "model.layers.2.mlps.1.up_proj.weight");
  EXPECT_EQ(find_class(d, "router")->dims[0], 24U) << "zero experts widen the router";
  EXPECT_EQ(find_class(d, "experts.up_proj")->experts, 16U) << "and have no weights";
  EXPECT_EQ(find_class(d, "draft.embedding")->pattern, "model.mtp.embed_tokens.weight");
}

TEST(LatentAttention, RefusesWhatItCannotSize) {
  const std::vector<Refusal> refusals{
      {"no heads", {{"num_attention_heads", 0}}, "/num_attention_heads"},
      {"no rank", {{"kv_lora_rank", nullptr}}, "/kv_lora_rank"},
      {"a text for a number", {{"hidden_size", "256"}}, "/hidden_size"},
      {"a negative number", {{"vocab_size", -1}}, "/vocab_size"},
      {"too many layers", {{"num_hidden_layers", 1000000000}}, "/num_hidden_layers"},
      {"too many draft layers", {{"num_nextn_predict_layers", 1000000}}, "/num_nextn_predict_layers"},
      {"too few indexer types", {{"index_n_heads", 4}, {"index_head_dim", 128}, {"indexer_types", {"full"}}}, "/indexer_types"},
      {"an unknown indexer type",
       {{"index_n_heads", 4}, {"index_head_dim", 128}, {"indexer_types", {"full", "full", "half", "full"}}},
       "/indexer_types/2"},
      {"an indexer without compressed queries", {{"index_n_heads", 4}, {"index_head_dim", 128}, {"q_lora_rank", nullptr}}, "/q_lora_rank"},
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
