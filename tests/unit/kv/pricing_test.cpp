// Prices of KV groups: heads over ranks, latents in every form, states and their types, scales, compressed slots, stages; and what
// the words for KV types mean.
#include "kv/pricing.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "plimsoll/abi.h"

namespace plimsoll {
namespace {

using ::testing::HasSubstr;

RankLayout ranks(std::uint32_t tp, std::vector<std::uint32_t> stage_begin = {0, 1000}) {
  RankLayout layout;
  layout.tp = tp;
  layout.pp = static_cast<std::uint32_t>(stage_begin.size()) - 1;
  layout.stage_begin = std::move(stage_begin);
  return layout;
}

std::vector<std::uint32_t> layers(std::uint32_t n) {
  std::vector<std::uint32_t> out(n);
  std::iota(out.begin(), out.end(), 0U);
  return out;
}

// 32 layers of 32 query and 8 KV heads of 128 elements.
KvGroup llama() {
  KvGroup g;
  g.label = "attention";
  g.layers = layers(32);
  g.kv_heads = 8;
  g.query_heads = 32;
  g.k_elements = 128;
  g.v_elements = 128;
  return g;
}

// 61 layers of one latent of 512 + 64 elements, which expands to 128 heads of 192 and 128.
KvGroup deepseek() {
  KvGroup g;
  g.label = "latent";
  g.kind = CacheKind::kLatent;
  g.layers = layers(61);
  g.kv_heads = 1;
  g.query_heads = 128;
  g.k_elements = 576;
  g.rope_elements = 64;
  g.expanded_k_elements = 192;
  g.expanded_v_elements = 128;
  return g;
}

KvTypes types(const std::string& text = "bfloat16") {
  auto parsed = parse_kv_types(text, "--kv-dtype");
  EXPECT_TRUE(parsed) << text;
  return parsed.value_or(KvTypes{});
}

Result<std::vector<KvGroupPrice>> priced(const std::vector<KvGroup>& groups, const RankLayout& layout, const KvTypes& kv_types,
                                         std::uint32_t stage = 0, std::uint64_t page_tokens = 128, std::uint32_t drafted = 0) {
  static Declared declared; // the prices point at its groups
  declared.kv = groups;
  return price_kv(declared, layout, stage, kv_types, page_tokens, drafted, drafted > 0);
}

KvGroupPrice price(const KvGroup& group, std::uint32_t tp = 1, const KvTypes& kv_types = types()) {
  const auto prices = priced({group}, ranks(tp), kv_types);
  if (!prices) {
    ADD_FAILURE() << prices.error().message;
    return {};
  }
  return prices->at(0);
}

TEST(PriceKv, HeadsAreSplitOverRanksAndCopiedWhereThereAreMoreRanks) {
  struct Row {
    std::uint32_t tp;
    std::uint64_t heads;
  };
  for (const Row& row : {Row{1, 8}, {2, 4}, {8, 1}, {16, 1}, {32, 1}}) {
    const KvGroupPrice p = price(llama(), row.tp);
    EXPECT_EQ(p.slot.kv_heads, row.heads) << row.tp;
    EXPECT_EQ(p.slot.k_elements, 128U);
    EXPECT_EQ(p.layer_slot_bytes, row.heads * 128 * 2 * 2) << row.tp;
    EXPECT_EQ(p.token_bytes, 32 * row.heads * 512) << row.tp;
    EXPECT_EQ(p.page_bytes, 128 * 32 * row.heads * 512) << row.tp; // 16,777,216 B on one
    EXPECT_EQ(p.layers, 32U);
  }
  KvGroup odd = llama();
  odd.kv_heads = 6;
  odd.query_heads = 0;
  const auto refused = priced({odd}, ranks(4), types());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kBadRequest);
  EXPECT_EQ(refused.error().where, "--tp");
  EXPECT_THAT(priced({llama()}, ranks(3), types()).error().message, HasSubstr("32 attention heads"));
}

// A latent is whole on every rank, whatever its form: 512 + 64 elements; the values beside it again; the heads that it stands for;
// in 8 bits 512 B, four float32 scales and 64 rotary elements in 16 bits.
TEST(PriceKv, LatentsAreKeptAsTheEngineSays) {
  struct Row {
    LatentCache cache;
    bool packed;
    const char* type;
    std::uint32_t tp;
    std::uint64_t slot_bytes, kv_heads, v_elements;
  };
  for (const Row& row : {Row{LatentCache::kLatent, false, "bfloat16", 1, 1152, 1, 0},
                         {LatentCache::kLatent, false, "bfloat16", 8, 1152, 1, 0},
                         {LatentCache::kLatent, false, "float8_e4m3fn", 8, 576, 1, 0},
                         {LatentCache::kLatent, true, "float8_e4m3fn", 8, 656, 1, 0},
                         {LatentCache::kLatent, true, "bfloat16", 8, 1152, 1, 0}, // packed in 8 bits alone
                         {LatentCache::kLatentAndValues, false, "bfloat16", 8, 2176, 1, 512},
                         {LatentCache::kHeads, false, "bfloat16", 1, 128 * 640, 128, 128},
                         {LatentCache::kHeads, false, "bfloat16", 8, 16 * 640, 16, 128},
                         {LatentCache::kLatent, false, "q8_0", 1, 612, 1, 0}}) { // 18 blocks of 34 B
    KvTypes t = types(row.type);
    t.latent = row.cache;
    t.packed_latent = row.packed;
    const KvGroupPrice p = price(deepseek(), row.tp, t);
    EXPECT_EQ(p.layer_slot_bytes, row.slot_bytes) << row.type << " " << row.tp;
    EXPECT_EQ(p.token_bytes, 61 * row.slot_bytes) << row.type << " " << row.tp;
    EXPECT_EQ(p.slot.kv_heads, row.kv_heads) << row.type << " " << row.tp;
    EXPECT_EQ(p.slot.v_elements, row.v_elements) << row.type << " " << row.tp;
  }
}

TEST(PriceKv, TypesOfKeysAndValues) {
  const std::pair<const char*, std::uint64_t> rows[] = {{"bfloat16", 512},
                                                        {"float32", 1024},
                                                        {"float8_e4m3fn", 256},
                                                        {"q8_0", 272},      // 34 B for 32 elements
                                                        {"q8_0/q4_0", 208}, // 136 + 72
                                                        {"nvfp4", 144},     // 9 B for 16 elements
                                                        {"fp4", 144},       // in a cache it always has scales
                                                        {"int4_per_token_head", 136},
                                                        {"fp8_per_token_head", 264},
                                                        {"fp8_per_token_head/bfloat16", 128 + 4 + 256}};
  for (const auto& [type, bytes] : rows) EXPECT_EQ(price(llama(), 1, types(type)).layer_slot_bytes, 8 * bytes) << type;
}

TEST(PriceKv, WindowsMayHaveATypeOfTheirOwn) {
  KvGroup window = llama();
  window.kind = CacheKind::kWindow;
  window.window_tokens = 1024;
  KvTypes t = types("q8_0");
  EXPECT_EQ(price(window, 1, t).layer_slot_bytes, 8U * 272);
  t.window = find_dtype("float16");
  EXPECT_EQ(price(window, 1, t).layer_slot_bytes, 8U * 512);
  EXPECT_EQ(price(llama(), 1, t).layer_slot_bytes, 8U * 272);
}

TEST(PriceKv, AGroupMayNameItsTypeAndScales) {
  KvGroup index = llama(); // an indexer: one key of 128 bytes and a float32 scale
  index.k_type = index.v_type = find_dtype("float8_e4m3fn");
  index.kv_heads = 1;
  index.query_heads = 0;
  index.v_elements = 0;
  index.scale_elements = 128;
  index.scale_type = find_dtype("float32");
  EXPECT_EQ(price(index, 1, types("bfloat16")).layer_slot_bytes, 132U);
  EXPECT_EQ(price(index, 1, types("fp8_per_token_head")).layer_slot_bytes, 132U);
}

// One slot keeps four tokens: 100 tokens take 25 slots.
// A latent of 512 fp8 values, 16 float32 scales and a rotary part of 64 bfloat16 values: 704 B, whatever KV type was asked for.
TEST(PriceKv, AMixedRecordIsItsFields) {
  KvGroup g = llama();
  g.kind = CacheKind::kLatent;
  g.kv_heads = 1;
  g.query_heads = 128;
  g.k_elements = 592;
  g.v_elements = 0;
  g.rope_elements = 64;
  g.record = {{*find_dtype("float8_e4m3fn"), 512}, {*find_dtype("float32"), 16}, {*find_dtype("bfloat16"), 64}};
  for (const char* type : {"bfloat16", "float8_e4m3fn", "q8_0", "fp8_per_token_head"}) {
    EXPECT_EQ(price(g, 1, types(type)).layer_slot_bytes, 704U) << type;
    EXPECT_EQ(price(g, 8, types(type)).layer_slot_bytes, 704U) << type; // every rank has it
  }
  g.kind = CacheKind::kFull;
  g.kv_heads = 8;
  EXPECT_EQ(price(g, 4, types("bfloat16")).layer_slot_bytes, 2U * 704); // heads are split
  g.scale_type = find_dtype("float16");
  g.scale_elements = 37; // 16 of them
  EXPECT_EQ(price(g, 4, types("bfloat16")).layer_slot_bytes, 2U * (704 + 16 * 2));
  g.scale_type.reset();
  const Dtype five{"acme_lat5", "", 64, 42}; // 64 elements in 42 bytes
  g.record = {{five, 592}};
  EXPECT_EQ(price(g, 8, types("bfloat16")).layer_slot_bytes, 10U * 42);
}

TEST(PriceKv, KeysAndValuesMayHaveTypesOfTheirOwn) {
  KvGroup g = llama();
  g.k_type = find_dtype("float16");
  g.v_type = find_dtype("q4_0");
  EXPECT_EQ(price(g, 1, types("float32")).layer_slot_bytes, 8U * (128 * 2 + 128 / 32 * 18));
  EXPECT_EQ(price(g, 1, types("float32")).slot.v_dtype, "q4_0");
}

TEST(PriceKv, CompressedSlots) {
  KvGroup g = llama();
  g.tokens_per_slot = 4;
  const auto prices = priced({g}, ranks(1), types(), 0, 100);
  EXPECT_EQ(prices->at(0).page_bytes, 25U * 32 * 4096);
  EXPECT_EQ(prices->at(0).token_bytes, 32U * 4096 / 4);
}

// 16 heads of 128 x 128 elements, and three rows of 8,192 convolved ones with one more for each drafted token.
KvGroup recurrent(const std::string& state_type, const std::string& conv_type) {
  KvGroup g;
  g.label = "state";
  g.kind = CacheKind::kState;
  g.layers = layers(36);
  const auto region = [](const char* label, const std::string& type, std::uint64_t elements, std::uint64_t units, std::uint64_t drafted) {
    return StateRegion{label, !type.empty(), type == "state" ? std::nullopt : find_dtype(type), elements, units, drafted};
  };
  g.regions = {region("recurrent", state_type, 32 * 128 * 128, 32, 0), region("conv", conv_type, 3 * 8192, 8192, 8192)};
  return g;
}

TEST(PriceKv, StatesAreSplitOverRanks) {
  for (const std::uint32_t tp : {1U, 2U, 8U}) {
    const KvGroupPrice p = price(recurrent("state", ""), tp);
    EXPECT_EQ(p.layer_state_bytes, 2U * (32 * 128 * 128 + 3 * 8192) / tp) << tp;
    EXPECT_EQ(p.state_bytes, 36 * p.layer_state_bytes) << tp;
    EXPECT_EQ(p.page_bytes, 0U);
    EXPECT_EQ(p.token_bytes, 0U);
    EXPECT_TRUE(p.row_bytes.empty());
  }
  const auto refused = priced({recurrent("state", "")}, ranks(3), types());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().where, "--tp");
}

TEST(PriceKv, DraftedTokensWidenTheConvolution) {
  const auto prices = priced({recurrent("state", "")}, ranks(1), types(), 0, 128, 2);
  EXPECT_EQ(prices->at(0).layer_state_bytes, 2U * (32 * 128 * 128 + 5 * 8192));
}

// What the engine keeps states in goes before what the checkpoint asks for, which goes before the model's type.
TEST(PriceKv, TypesOfStates) {
  struct Row {
    const char *wish, *engine_state, *engine_conv;
    std::uint64_t state_bytes, conv_bytes; // of an element
  };
  for (const Row& row : {Row{"state", "", "", 2, 2},
                         {"float32", "", "", 4, 2},
                         {"float32", "bfloat16", "", 2, 2},
                         {"state", "float32", "", 4, 2},
                         {"state", "float32", "float32", 4, 4},
                         {"state", "", "float32", 2, 4}}) {
    KvTypes t = types();
    if (*row.engine_state != '\0') t.state = find_dtype(row.engine_state);
    if (*row.engine_conv != '\0') t.conv = find_dtype(row.engine_conv);
    EXPECT_EQ(price(recurrent(row.wish, ""), 1, t).layer_state_bytes, row.state_bytes * 32 * 128 * 128 + row.conv_bytes * 3 * 8192)
        << row.wish << " " << row.engine_state << " " << row.engine_conv;
  }
}

// Rows of the last tokens, as DeepSeek-V4's compressor keeps them: 8 of 2,048 and 512 float32.
TEST(PriceKv, StatesThatAreRowsOfAWindow) {
  KvGroup g;
  g.label = "ring";
  g.kind = CacheKind::kState;
  g.layers = layers(21);
  g.window_tokens = 8;
  const auto type = find_dtype("float32");
  g.regions = {{"compressor", true, type, 8 * 2048, 0, 2048}, {"indexer", true, type, 8 * 512, 0, 512}};
  const KvGroupPrice p = price(g, 8);
  EXPECT_EQ(p.row_bytes, (std::vector<std::uint64_t>{8192, 2048}));
  EXPECT_EQ(p.layer_state_bytes, 8U * 10'240);
}

TEST(PriceKv, EveryStageHasItsLayers) {
  KvGroup sparse = llama();
  sparse.layers = {3, 7, 11, 15, 19};
  const RankLayout layout = ranks(1, {0, 8, 16, 24});
  struct Row {
    std::uint32_t stage;
    std::uint64_t first, n;
  };
  for (const Row& row : {Row{0, 0, 2}, {1, 2, 2}, {2, 4, 1}}) {
    const auto prices = priced({sparse}, layout, types(), row.stage);
    EXPECT_EQ(prices->at(0).first_layer, row.first) << row.stage;
    EXPECT_EQ(prices->at(0).layers, row.n) << row.stage;
    EXPECT_EQ(prices->at(0).token_bytes, row.n * 4096) << row.stage;
  }
}

TEST(PriceKv, DraftingHeadsCountWhereTheyAreUsed) {
  KvGroup draft = llama();
  draft.role = PLIMSOLL_ROLE_DRAFT;
  draft.layers = {32};
  EXPECT_EQ(priced({llama(), draft}, ranks(1), types())->size(), 1U);
  EXPECT_EQ(priced({llama(), draft}, ranks(1), types(), 0, 128, 1)->size(), 2U);
}

TEST(PriceKv, OverflowIsAnError) {
  KvGroup g = llama();
  g.k_elements = std::uint64_t{1} << 62;
  EXPECT_EQ(priced({g}, ranks(1), types()).error().code, ErrorCode::kBadConfig);
}

TEST(KvTypeWords, AreNormalised) {
  const std::pair<const char*, const char*> rows[] = {{"fp8", "float8_e4m3fn"},
                                                      {"f16", "float16"},
                                                      {"BF16", "bfloat16"},
                                                      {"q8_0/q4_0", "q8_0/q4_0"},
                                                      {"fp4", "nvfp4"},
                                                      {"int8_per_token_head", "int8_per_token_head"},
                                                      {"fp8/f16", "float8_e4m3fn/float16"}};
  for (const auto& [text, name] : rows) EXPECT_EQ(types(text).name, name);
}

TEST(KvTypeWords, AnythingElseIsRefusedWithItsPlace) {
  for (const char* text : {"", "float17", "q8_0/", "/q8_0", "q8_0/float17", "_per_token_head", "a/b/c"}) {
    const auto refused = parse_kv_types(text, "--kv-dtype");
    ASSERT_FALSE(refused) << text;
    EXPECT_EQ(refused.error().code, ErrorCode::kBadRequest);
    EXPECT_EQ(refused.error().where, "--kv-dtype");
    EXPECT_THAT(refused.error().message, HasSubstr("bfloat16")) << text;
  }
}

TEST(KvTypeWords, ACacheIsInAFloatingType) {
  for (const auto& [weights, cache] : {std::pair{"bfloat16", "bfloat16"},
                                       {"float16", "float16"},
                                       {"float32", "float32"},
                                       {"float8_e4m3fn", "bfloat16"},
                                       {"q8_0", "bfloat16"},
                                       {"int8", "bfloat16"}})
    EXPECT_EQ(cache_type_of(*find_dtype(weights)).name, cache) << weights;
}

} // namespace
} // namespace plimsoll
