// Where tensors lie that no class knows: one rank holds what is stored, more ranks never too little.
#include <gmock/gmock.h>

#include "placement/placement.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::ElementsAre;

// 4 layers of width 64, 8 heads, 2 for keys and values, 6 experts.
plimsoll_facts facts() {
  plimsoll_facts out{};
  out.n_layers = 4;
  out.hidden_elements = 64;
  out.query_heads = 8;
  out.kv_heads = 2;
  out.experts = 6;
  return out;
}

RankLayout layout(std::uint32_t tp, std::uint32_t pp, std::uint32_t dp = 1, std::uint32_t ep = 1) {
  RankLayout out;
  out.tp = tp;
  out.pp = pp;
  out.dp = dp;
  out.ep = ep;
  for (std::uint32_t stage = 0; stage <= pp; ++stage) out.stage_begin.push_back(4 * stage / pp);
  return out;
}

// One bfloat16 tensor of layer 3, or of no layer.
UnknownTensors one(const std::vector<std::uint64_t>& shape, bool layered = true) {
  TensorEntry entry;
  entry.dtype = *find_dtype("bfloat16");
  for (const std::uint64_t dim : shape) {
    entry.dims[entry.rank++] = dim;
    entry.elements *= dim;
  }
  entry.stored_bytes = entry.elements * 2;
  UnknownTensors out;
  out.add(entry, layered ? LayerPlace{0, 3, true} : LayerPlace{}, facts(), &entry.dtype);
  return out;
}

std::vector<std::uint64_t> placed(const UnknownTensors& tensors, const RankLayout& ranks, const char* cast = nullptr) {
  std::vector<std::uint64_t> bytes(ranks.ranks(), 0);
  const std::optional<Dtype> type = cast != nullptr ? find_dtype(cast) : std::nullopt;
  EXPECT_TRUE(place_unknown(tensors, facts(), ranks, type ? &*type : nullptr, bytes));
  return bytes;
}

TEST(Unknown, WholeOnOneRank) {
  for (const std::vector<std::uint64_t>& shape : {std::vector<std::uint64_t>{}, {64}, {64, 64}, {128, 64}, {6, 32, 64}, {3, 5, 7, 9}}) {
    std::uint64_t elements = 1;
    for (const std::uint64_t dim : shape) elements *= dim;
    EXPECT_THAT(placed(one(shape), layout(1, 1)), ElementsAre(elements * 2));
    EXPECT_THAT(placed(one(shape, false), layout(1, 1)), ElementsAre(elements * 2));
  }
}

TEST(Unknown, LargeMatricesAreSplitWhereEverythingDivides) {
  const std::uint64_t whole = 128 * 64 * 2;
  EXPECT_THAT(placed(one({128, 64}), layout(2, 1)), ElementsAre(whole / 2, whole / 2));
  EXPECT_THAT(placed(one({64, 128}), layout(2, 1)), ElementsAre(whole / 2, whole / 2));
  EXPECT_THAT(placed(one({128, 64}), layout(4, 1)), ElementsAre(whole, whole, whole, whole)); // two heads of keys for four ranks
  EXPECT_THAT(placed(one({129, 64}), layout(2, 1)), ElementsAre(129U * 64 * 2, 129U * 64 * 2));
  EXPECT_THAT(placed(one({32, 64}), layout(2, 1)), ElementsAre(32U * 64 * 2, 32U * 64 * 2)); // narrower: perhaps a latent
  EXPECT_THAT(placed(one({128, 96}), layout(2, 1)), ElementsAre(128U * 96 * 2, 128U * 96 * 2));
  EXPECT_THAT(placed(one({128, 64}, false), layout(2, 1)), ElementsAre(whole, whole));
}

TEST(Unknown, TheLayerInTheNameDecidesTheStage) {
  EXPECT_THAT(placed(one({64}), layout(1, 2)), ElementsAre(0U, 128U));
  EXPECT_THAT(placed(one({64}), layout(2, 2)), ElementsAre(0U, 0U, 128U, 128U));
  EXPECT_THAT(placed(one({64}, false), layout(1, 2)), ElementsAre(128U, 128U));
}

TEST(Unknown, StackedExpertsAreSplitOverTensorOrExpertParallelRanks) {
  const std::uint64_t one_expert = 32 * 64 * 2;
  EXPECT_THAT(placed(one({6, 32, 64}), layout(2, 1)), ElementsAre(one_expert * 3, one_expert * 3));
  EXPECT_THAT(placed(one({6, 31, 64}), layout(2, 1)), ElementsAre(6U * 31 * 64 * 2, 6U * 31 * 64 * 2));
  EXPECT_THAT(placed(one({6, 32, 48}), layout(2, 1)), ElementsAre(6U * 32 * 48 * 2, 6U * 32 * 48 * 2)); // neither side is the width
  const std::vector<std::uint64_t> four(4, one_expert * 2);                                             // six over four: two on the fullest
  EXPECT_EQ(placed(one({6, 32, 64}), layout(4, 1, 1, 4)), four);
  EXPECT_EQ(placed(one({6, 32, 64}), layout(2, 1, 2, 4)), four);
  RankLayout more = layout(2, 1, 1, 2);
  more.redundant_experts = 2;
  EXPECT_THAT(placed(one({6, 32, 64}), more), ElementsAre(one_expert * 4, one_expert * 4));
}

TEST(Unknown, ACastChangesWhatIsOfTheModelsType) {
  EXPECT_THAT(placed(one({128, 64}), layout(1, 1), "float32"), ElementsAre(128U * 64 * 4));
  UnknownTensors packed = one({128, 64});
  TensorEntry entry;
  entry.dtype = *find_dtype("q8_0");
  entry.stored_bytes = 34;
  packed.add(entry, {}, facts(), nullptr);
  EXPECT_THAT(placed(packed, layout(1, 1), "float32"), ElementsAre(128U * 64 * 4 + 34));
}

TEST(Unknown, BytesBeyondSixtyFourBitsAreAnError) {
  std::vector<std::uint64_t> bytes{UINT64_MAX - 10};
  EXPECT_FALSE(place_unknown(one({64}), facts(), layout(1, 1), nullptr, bytes));
}

} // namespace
} // namespace plimsoll::testing
