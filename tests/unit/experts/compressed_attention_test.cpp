// What the mla family declares for compressed sparse attention: weights by storage, caches by ratio, and refusals.
#include <fstream>

#include "unit/experts/family.hpp"

namespace plimsoll::testing {
namespace {

// Four layers, a window alone, 4:1, 128:1, a window alone; one draft layer with a window alone.
Json small() {
  return Json::parse(R"({"model_type": "deepseek_v4", "architectures": ["DeepseekV4ForCausalLM"], "hidden_size": 256, "vocab_size": 1000,
    "num_hidden_layers": 4, "num_attention_heads": 8, "num_key_value_heads": 1, "head_dim": 128, "qk_rope_head_dim": 64, "q_lora_rank": 128,
    "o_lora_rank": 64, "o_groups": 4, "sliding_window": 32, "index_n_heads": 4, "index_head_dim": 128, "hc_mult": 4,
    "compress_ratios": [0, 4, 128, 0, 0], "num_nextn_predict_layers": 1, "num_hash_layers": 1, "n_routed_experts": 16,
    "n_shared_experts": 1, "num_experts_per_tok": 4, "moe_intermediate_size": 64, "topk_method": "noaux_tc"})");
}

using Layers = std::vector<std::uint32_t>;

TEST(CompressedAttention, CachesAWindowInEveryLayerAndARowPerRatio) {
  const DeclaredConfig d = declared(small());
  const KvGroup* window = find_group(d, "window");
  ASSERT_NE(window, nullptr);
  EXPECT_EQ(window->layers, (Layers{0, 1, 2, 3}));
  EXPECT_EQ(window->window_tokens, 32U);
  EXPECT_EQ(window->k_elements, 64U + 64 * 2 + 2); // a byte each, two, a scale for 64 and one of padding
  ASSERT_TRUE(window->k_type);
  EXPECT_EQ(window->k_type->name, "uint8");
  for (const std::uint32_t ratio : {4U, 128U}) {
    const KvGroup* rows = find_group(d, "compressed." + std::to_string(ratio));
    ASSERT_NE(rows, nullptr);
    EXPECT_EQ(rows->kind, CacheKind::kLatent);
    EXPECT_EQ(rows->tokens_per_slot, ratio);
    EXPECT_EQ(rows->layers, (Layers{ratio == 4 ? 1U : 2U}));
    EXPECT_EQ(rows->k_elements, window->k_elements);
  }
  const KvGroup* keys = find_group(d, "indexer.4");
  ASSERT_NE(keys, nullptr);
  EXPECT_EQ(keys->tokens_per_slot, 4U);
  EXPECT_EQ(keys->scale_elements, 128U);
  EXPECT_EQ(find_group(d, "indexer.128"), nullptr);
  EXPECT_EQ(find_group(d, "draft.window")->layers, (Layers{4}));
  EXPECT_EQ(find_group(d, "draft.compressed.4"), nullptr);
}

TEST(CompressedAttention, HoldsTheTokensThatWaitForARow) {
  const DeclaredConfig d = declared(small());
  const KvGroup* four = find_group(d, "compressor.4");
  ASSERT_NE(four, nullptr);
  ASSERT_EQ(four->regions.size(), 2U);
  EXPECT_EQ(four->regions[0].elements, 8U * 2 * 2 * 128); // two overlapping runs of 4, keys and scores, twice the head
  EXPECT_EQ(four->regions[1].elements, 8U * 2 * 2 * 128);
  EXPECT_EQ(four->regions[0].type->name, "float32");
  EXPECT_EQ(four->regions[0].units, 0U) << "the same on every rank";
  EXPECT_EQ(four->window_tokens, 8U) << "a row each";
  EXPECT_EQ(find_group(d, "compressor.128")->window_tokens, 128U);
  EXPECT_EQ(find_group(d, "compressor.128")->regions.at(0).elements, 128U * 2 * 128);
}

TEST(CompressedAttention, RoutesTheFirstLayersByATable) {
  const DeclaredConfig d = declared(small());
  EXPECT_EQ(find_class(d, "router")->layers, (Layers{0, 1, 2, 3}));
  EXPECT_EQ(find_class(d, "router.correction_bias")->layers, (Layers{1, 2, 3}));
  const WeightClass* table = find_class(d, "router.table");
  ASSERT_NE(table, nullptr);
  EXPECT_EQ(table->layers, (Layers{0}));
  EXPECT_EQ(table->declared_bytes().value(), 1000U * 4 * 8);
  EXPECT_EQ(tensor_name(find_class(d, "draft.experts.up_proj")->pattern, 0, 3), "mtp.0.ffn.experts.3.w3.weight");
}

std::string storage(const Declared& d, const std::string& label) {
  const WeightClass* found = find_class(d, label);
  return found == nullptr ? "" : found->variants.at(0).storage->name();
}

TEST(CompressedAttention, StoresWhatItsOwnExportsStore) {
  Json config = small();
  config["quantization_config"] = Json::parse(R"({"quant_method": "fp8", "scale_fmt": "ue8m0", "weight_block_size": [128, 128]})");
  const DeclaredConfig fp8 = declared(config);
  EXPECT_EQ(storage(fp8, "attention.q_b_proj"), "fp8_block_e8m0_128x128");
  EXPECT_EQ(storage(fp8, "experts.up_proj"), "fp8_block_e8m0_128x128");
  config["expert_dtype"] = "fp4";
  const DeclaredConfig fp4 = declared(config);
  EXPECT_EQ(storage(fp4, "experts.up_proj"), "mxfp4_scale");
  EXPECT_EQ(storage(fp4, "draft.experts.up_proj"), "mxfp4_scale");
  EXPECT_EQ(storage(fp4, "shared_experts.up_proj"), "fp8_block_e8m0_128x128");
  EXPECT_EQ(storage(fp4, "compressor.kv_proj"), "plain");
  for (const char* layer : {"0", "1", "2", "3"})
    config["quantization_config"]["quantized_layers"]["layers." + std::string(layer) + ".ffn.experts"] = {{"quant_algo", "NVFP4"}};
  const DeclaredConfig nvfp4 = declared(config);
  EXPECT_EQ(storage(nvfp4, "experts.up_proj"), "nvfp4");
  EXPECT_EQ(storage(nvfp4, "draft.experts.up_proj"), "mxfp4_scale");
}

// Sums by hand over DeepSeek-V4-Flash: 283,467,841,536 parameters in 4 bits with a scale per 32, 6,023,020,544 in 8 bits with
// 367,616 scales, 1,415,259,264 in 16, 36,168,018 in 32 and 2,327,040 table entries.
TEST(CompressedAttention, AddsUpForDeepSeekV4Flash) {
  std::ifstream entry(PLIMSOLL_SOURCE_DIR "/core/catalogue/models/deepseek-ai__DeepSeek-V4-Flash.json");
  const DeclaredConfig d = declared(Json::parse(entry)["config"]);
  EXPECT_EQ(parameters(d), 290'944'616'402U);
  EXPECT_EQ(stored_bytes(d), 159'609'485'896U);
  double per_token = 0;
  std::uint64_t state_bytes = 0;
  for (const KvGroup& g : d.kv) {
    if (g.role == PLIMSOLL_ROLE_DRAFT) continue;
    for (const StateRegion& region : g.regions) state_bytes += region.elements * 4 * g.layers.size();
    if (g.kind != CacheKind::kLatent) continue;
    const std::uint64_t row = g.k_elements + (g.scale_elements == 0 ? 0 : g.k_elements / g.scale_elements * 4);
    per_token += static_cast<double>(row * g.layers.size()) / g.tokens_per_slot;
  }
  EXPECT_DOUBLE_EQ(per_token, 21 * (584 + 132) / 4.0 + 20 * 584 / 128.0);
  EXPECT_EQ(state_bytes, 12'206'080U);
}

TEST(CompressedAttention, RefusesWhatItCannotSize) {
  const std::vector<Refusal> refusals{
      {"too few ratios", {{"compress_ratios", {0, 4}}}, "/compress_ratios"},
      {"an unknown ratio", {{"compress_ratios", {0, 4, 16, 0}}}, "/compress_ratios/2"},
      {"groups that do not divide", {{"o_groups", 3}}, "/o_groups"},
      {"no window", {{"sliding_window", nullptr}}, "/sliding_window"},
      {"positions wider than the head", {{"qk_rope_head_dim", 128}}, "/qk_rope_head_dim"},
      {"no streams", {{"hc_mult", 0}}, "/hc_mult"},
      {"too many layers", {{"num_hidden_layers", 1000000000}}, "/num_hidden_layers"},
  };
  for (const Refusal& r : refusals) {
    Json config = small();
    config.update(r.changes);
    const auto tree = try_tree(config);
    ASSERT_FALSE(tree.has_value()) << r.what;
    EXPECT_NE(tree.error().where.find(r.pointer), std::string::npos) << r.what << ": " << tree.error().where;
  }
}

} // namespace
} // namespace plimsoll::testing
