// Bytes of a weight class on every rank, against figures worked by hand, and the sum over ranks against the whole.
#include <gmock/gmock.h>

#include <numeric>

#include "placement/placement.hpp"
#include "placement/weight_shard.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Bytes = std::vector<std::uint64_t>;

RankLayout layout_of(std::uint32_t tp, std::uint32_t pp = 1, std::uint32_t dp = 1, std::uint32_t ep = 1, std::uint32_t layers = 4) {
  PlanRequest r;
  r.tp = tp;
  r.pp = pp;
  r.dp = dp;
  r.ep = ep;
  return make_rank_layout(r, static_cast<std::uint64_t>(tp) * pp * dp, layers).value();
}

// A plain bfloat16 class on every one of `layers` layers; 0: it exists once.
WeightClass weight(std::uint32_t placement, std::uint64_t rows, std::uint64_t columns, std::uint32_t layers = 4) {
  static const Storage plain;
  WeightClass c;
  c.label = "class";
  c.placement = placement;
  c.dtype = *find_dtype("bfloat16");
  c.n_dims = 2, c.dims = {rows, columns, 0, 0}, c.in_dim = 1;
  c.stage = layers == 0 ? static_cast<std::uint32_t>(PLIMSOLL_STAGE_FIRST) : static_cast<std::uint32_t>(PLIMSOLL_STAGE_OF_LAYER);
  if (placement != PLIMSOLL_PLACE_REPLICATE) c.parts = {{rows, 0, false}};
  c.layers.resize(layers);
  std::iota(c.layers.begin(), c.layers.end(), 0U);
  c.variants = {{&plain, c.layers}};
  return c;
}

Bytes placed(const WeightClass& c, const RankLayout& layout) {
  Bytes bytes(layout.ranks(), 0);
  const auto done = place_weight(c, layout, {}, nullptr, bytes);
  EXPECT_TRUE(done) << done.error().message;
  return bytes;
}

std::uint64_t sum(const Bytes& bytes) { return std::accumulate(bytes.begin(), bytes.end(), std::uint64_t{0}); }

// Mistral-7B: 8 key/value heads of 128.
TEST(LocalExtent, OfKeyValueHeads) {
  const WeightPart kv{1024, 8, true}, query{4096, 32, false};
  for (std::uint32_t rank = 0; rank < 16; ++rank) {
    EXPECT_EQ(local_extent(kv, rank, 16, "kv"), 128U); // each head on two ranks
    EXPECT_EQ(local_extent(query, rank, 16, "q"), 256U);
  }
  EXPECT_EQ(local_extent(kv, 0, 1, "kv"), 1024U);
  EXPECT_EQ(local_extent(kv, 3, 4, "kv"), 256U);
  for (const std::uint32_t tp : {3U, 6U, 12U, 20U}) {
    const auto heads = local_extent(kv, 0, tp, "attention.k_proj");
    ASSERT_FALSE(heads) << tp;
    EXPECT_EQ(heads.error().where, "--tp");
    EXPECT_THAT(heads.error().message, HasSubstr("key/value heads of attention.k_proj"));
  }
  const auto query_heads = local_extent(query, 0, 64, "attention.q_proj"); // heads of queries are not copied
  ASSERT_FALSE(query_heads);
  EXPECT_THAT(query_heads.error().message, HasSubstr("64 does not divide the 32 heads of attention.q_proj; 1, 2, 4, 8, 16, 32 do"));
}

// Llama-2-7B's FFN of 11008 over three: 3670 + 3669 + 3669.
TEST(LocalExtent, OfAnUnevenSplitGivesTheRemainderToTheFirst) {
  const WeightPart ffn{11008, 0, false};
  EXPECT_EQ(local_extent(ffn, 0, 3, "up"), 3670U);
  EXPECT_EQ(local_extent(ffn, 1, 3, "up"), 3669U);
  EXPECT_EQ(local_extent(ffn, 2, 3, "up"), 3669U);
  EXPECT_EQ(local_extent({2, 0, false}, 3, 4, "tiny"), 0U);
}

TEST(Placement, OfAnUnevenFfn) {
  EXPECT_THAT(placed(weight(PLIMSOLL_PLACE_TP, 11008, 4096, 1), layout_of(3)),
              ElementsAre(3670U * 4096 * 2, 3669U * 4096 * 2, 3669U * 4096 * 2));
}

// 60 experts over 8: 8 on the first four ranks, 7 on the others; with 4 spare copies 8 everywhere.
TEST(Placement, OfExpertsWithARemainder) {
  WeightClass c = weight(PLIMSOLL_PLACE_EXPERT, 1408, 2048, 1);
  c.experts = 60;
  RankLayout layout = layout_of(8, 1, 1, 8);
  const std::uint64_t one = 1408 * 2048 * 2;
  EXPECT_THAT(placed(c, layout), ElementsAre(8 * one, 8 * one, 8 * one, 8 * one, 7 * one, 7 * one, 7 * one, 7 * one));
  layout.redundant_experts = 4;
  EXPECT_THAT(placed(c, layout), Each(8 * one));
}

// ep 4 of 8 ranks: 15 experts on a pair of ranks, which halve each.
TEST(Placement, OfExpertsThatTensorParallelismSplitsToo) {
  WeightClass c = weight(PLIMSOLL_PLACE_EXPERT, 1408, 2048, 2);
  c.experts = 60;
  EXPECT_THAT(placed(c, layout_of(8, 1, 1, 4)), Each(2U * 15 * 704 * 2048 * 2));
  EXPECT_THAT(placed(c, layout_of(4, 1, 2, 4)), Each(2U * 15 * 704 * 2048 * 2)); // the group spans the replicas
  EXPECT_THAT(placed(c, layout_of(8)), Each(2U * 60 * 176 * 2048 * 2));          // no ep: every expert cut by tp
  EXPECT_THAT(placed(c, layout_of(4, 1, 2)), Each(2U * 60 * 352 * 2048 * 2));    // in each replica
  RankLayout wide = layout_of(4, 1, 2);
  wide.experts_split_over_dp = true;
  EXPECT_THAT(placed(c, wide), Each(2U * 60 * 176 * 2048 * 2));
  c.shard_dim = UINT32_MAX, c.parts.clear(); // experts that stay whole
  EXPECT_THAT(placed(c, layout_of(8, 1, 1, 4)), Each(2U * 15 * 1408 * 2048 * 2));
}

TEST(Placement, PadsAVocabularyFirst) {
  WeightClass c = weight(PLIMSOLL_PLACE_VOCAB, 32001, 10, 0);
  RankLayout one = layout_of(1), two = layout_of(2), three = layout_of(3);
  EXPECT_THAT(placed(c, one), ElementsAre(32001U * 20));
  EXPECT_THAT(placed(c, two), Each(16001U * 20));
  EXPECT_THAT(placed(c, three), Each(10667U * 20));
  one.vocab_padding_rows = two.vocab_padding_rows = 64; // 501 x 64 = 32064
  EXPECT_THAT(placed(c, one), ElementsAre(32064U * 20));
  EXPECT_THAT(placed(c, two), Each(16032U * 20));
}

TEST(Placement, OfATiedHeadCostsOnlyOnAnotherStage) {
  WeightClass c = weight(PLIMSOLL_PLACE_VOCAB, 1000, 10, 0);
  c.role = PLIMSOLL_ROLE_TIED;
  c.stage = PLIMSOLL_STAGE_LAST;
  EXPECT_THAT(placed(c, layout_of(2)), Each(0U));
  EXPECT_THAT(placed(c, layout_of(2, 2)), ElementsAre(0U, 0U, 500U * 20, 500U * 20));
}

// Phi-3's fused projection, 32 query and 8 key/value heads of 128, over 16 ranks: 256 + 128 + 128 rows.
TEST(Placement, SplitsFusedPartsOneByOne) {
  WeightClass c = weight(PLIMSOLL_PLACE_TP, 4096 + 1024 + 1024, 3072, 1);
  c.parts = {{4096, 32, false}, {1024, 8, true}, {1024, 8, true}};
  EXPECT_THAT(placed(c, layout_of(16)), Each(512U * 3072 * 2));
  EXPECT_THAT(placed(c, layout_of(2)), Each(3072U * 3072 * 2));
  Bytes bytes(3, 0);
  EXPECT_FALSE(place_weight(c, layout_of(3), {}, nullptr, bytes));
}

TEST(Placement, FollowsTheStages) {
  const std::uint64_t one = 8 * 16 * 2;
  WeightClass c = weight(PLIMSOLL_PLACE_REPLICATE, 8, 16, 5); // 5 over 2 stages: 3 and 2
  EXPECT_THAT(placed(c, layout_of(2, 2, 1, 1, 5)), ElementsAre(3 * one, 3 * one, 2 * one, 2 * one));
  c.stage = PLIMSOLL_STAGE_FIRST;
  EXPECT_THAT(placed(c, layout_of(1, 2, 1, 1, 5)), ElementsAre(5 * one, 0U));
  c.stage = PLIMSOLL_STAGE_LAST;
  EXPECT_THAT(placed(c, layout_of(1, 2, 2, 1, 5)), ElementsAre(0U, 5 * one, 0U, 5 * one));
  c.stage = PLIMSOLL_STAGE_EVERY;
  EXPECT_THAT(placed(c, layout_of(1, 2, 1, 1, 5)), Each(5 * one));
}

TEST(Placement, CastsWhatIsStoredInTheCommonType) {
  WeightClass c = weight(PLIMSOLL_PLACE_REPLICATE, 8, 16, 1);
  const Dtype wide = *find_dtype("float32");
  Bytes bytes(1, 0);
  ASSERT_TRUE(place_weight(c, layout_of(1), {&wide}, nullptr, bytes));
  EXPECT_EQ(bytes[0], 8U * 16 * 4);
  c.own_dtype = true;
  bytes[0] = 0;
  ASSERT_TRUE(place_weight(c, layout_of(1), {&wide}, nullptr, bytes));
  EXPECT_EQ(bytes[0], 8U * 16 * 2);
}

// What a file holds counts, be it less or more than what is declared, and every rank has its part of it.
TEST(Placement, CountsWhatIsStored) {
  const WeightClass c = weight(PLIMSOLL_PLACE_TP, 8, 16, 2);
  StoredClass stored;
  for (const std::uint64_t of_a_layer : {8U * 16, 8U * 16 * 2, 8U * 16 * 4}) {
    stored.layer_bytes = {of_a_layer, of_a_layer};
    Bytes bytes(2, 0);
    ASSERT_TRUE(place_weight(c, layout_of(2, 1, 1, 1, 2), {}, &stored, bytes));
    EXPECT_EQ(bytes, Bytes(2, of_a_layer));
  }
}

TEST(Placement, OverflowIsAnError) {
  WeightClass c = weight(PLIMSOLL_PLACE_REPLICATE, std::uint64_t{1} << 40, std::uint64_t{1} << 22, 4);
  Bytes bytes(1, 0);
  const auto done = place_weight(c, layout_of(1), {}, nullptr, bytes);
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message, HasSubstr("the bytes of class do not fit 64 bits"));
}

// Over every layout: the ranks of a replica hold the whole once and declared copies, replicas hold the same.
TEST(Placement, SumsToTheWholeAndItsCopies) {
  WeightClass split = weight(PLIMSOLL_PLACE_TP, 1003, 24, 7), copied = weight(PLIMSOLL_PLACE_REPLICATE, 100, 24, 7);
  WeightClass heads = weight(PLIMSOLL_PLACE_TP, 64, 24, 7), experts = weight(PLIMSOLL_PLACE_EXPERT, 37, 24, 7);
  heads.parts = {{64, 4, true}};
  experts.experts = 61;
  const std::uint64_t row = 24 * 2 * 7;
  int layouts = 0;
  for (const std::uint32_t tp : {1U, 2U, 4U, 8U})
    for (const std::uint32_t pp : {1U, 2U, 3U, 7U})
      for (const std::uint32_t dp : {1U, 2U, 3U})
        for (std::uint32_t ep = 1; ep <= tp * dp; ++ep) {
          if ((tp * dp) % ep != 0) continue;
          const RankLayout layout = layout_of(tp, pp, dp, ep, 7);
          const std::string name = ::testing::PrintToString(std::vector{tp, pp, dp, ep});
          EXPECT_EQ(sum(placed(split, layout)), 1003U * row * dp) << name;
          EXPECT_EQ(sum(placed(copied, layout)), 100U * row * tp * dp) << name;
          EXPECT_EQ(sum(placed(heads, layout)), 64U * row * std::max(1U, tp / 4) * dp) << name;
          EXPECT_EQ(sum(placed(experts, layout)), 61U * 37 * row * (ep > 1 ? 1 : dp)) << name;
          for (const WeightClass* c : {&split, &copied, &heads}) {
            const Bytes bytes = placed(*c, layout);
            for (std::size_t rank = tp * pp; rank < bytes.size(); ++rank) EXPECT_EQ(bytes[rank], bytes[rank % (tp * pp)]) << name;
          }
          ++layouts;
        }
  EXPECT_GT(layouts, 100);
}

// A tower's attention, 16 heads: copied unless the engine splits towers, and then too where the ranks do not divide them.
TEST(Towers, AreSplitWhereTheEngineSaysSoAndTheHeadsAllowIt) {
  WeightClass tower = weight(PLIMSOLL_PLACE_TP, 1280, 100);
  tower.aspect = PLIMSOLL_ASPECT_VISION;
  tower.stage = PLIMSOLL_STAGE_FIRST;
  tower.parts = {{1280, 16, false}};
  RankLayout layout = layout_of(4);
  EXPECT_EQ(placed(tower, layout), Bytes(4, 4 * 1280 * 100 * 2));
  layout.vision_split = true;
  EXPECT_EQ(placed(tower, layout), Bytes(4, 4 * 320 * 100 * 2));
  RankLayout three = layout_of(3);
  three.vision_split = true;
  EXPECT_EQ(placed(tower, three), Bytes(3, 4 * 1280 * 100 * 2));
  tower.aspect = PLIMSOLL_ASPECT_ATTENTION;
  layout.vision_split = false;
  EXPECT_EQ(placed(tower, layout), Bytes(4, 4 * 320 * 100 * 2));
}

} // namespace
} // namespace plimsoll::testing
