#include "schedule/scratch.hpp"

#include <gtest/gtest.h>

#include "schedule/scratch_layout.hpp"

namespace plimsoll {
namespace {

WeightTensor matrix(std::uint64_t out, std::uint64_t in, const std::string& dtype, std::uint64_t experts = 0) {
  WeightTensor tensor;
  tensor.dtype = dtype;
  tensor.dims = {out, in};
  tensor.experts = experts;
  return tensor;
}

constexpr std::uint64_t kTile = 64 * 512 * 4; // what a weight is converted through

TEST(ScratchTest, IsWhatAnOpNeedsInTheWorstCase) {
  WeightSources weights;
  weights.tensors = {matrix(96, 64, "float32"), matrix(96, 64, "bfloat16"), matrix(64, 32, "float32", 8), matrix(64, 32, "float16", 8),
                     matrix(64, 32, "", 8)};
  struct Case {
    std::string name;
    OpKind kind;
    std::array<std::uint64_t, 8> i;
    std::array<std::uint32_t, 6> weights;
    std::uint64_t bytes;
  };
  constexpr std::uint32_t kNo = kNoIndex;
  const Case cases[] = {
      // Three taps of 96 channels, their bias, one channel's taps, three rows.
      {"a convolution", OpKind::kConv, {UINT32_MAX, 3}, {0, kNo, kNo, kNo, kNo, kNo}, 4 * (288 + 96 + 16 + 288)},
      // A head's state of 24 x 20, what it decays by and its a, two numbers.
      {"a scan", OpKind::kSsmScan, {8, 24, 20, 2}, {0, kNo, kNo, kNo, kNo, kNo}, 4 * (480 + 32 + 32 + 16 + 16)},
      // A head's state of 24 x 20; what its keys decay by, its key, its query; its a; biases of as many.
      {"a delta rule", OpKind::kDeltaRule, {8, 4, 24, 20}, {0, kNo, kNo, kNo, kNo, kNo}, 4 * (480 + 32 + 32 + 32 + 16 + 32)},
      {"rows as they are", OpKind::kNorm, {4, 16, 0, 16}, {0, kNo, kNo, kNo, kNo, kNo}, 0},
      {"a weight as it is", OpKind::kLinear, {}, {0, kNo, kNo, kNo, kNo, kNo}, 0},
      {"a weight that is converted", OpKind::kLinear, {}, {1, kNo, kNo, kNo, kNo, kNo}, kTile},
      {"angles of 16 pairs", OpKind::kRope, {4, 32, 0, 32}, {kNo, kNo, kNo, kNo, kNo, kNo}, 16 * 4 * 8},
      // 63 rows: 3 heads share a key, 21 tokens of each. Queries, keys, values, scores, sums, and two figures of each row.
      {"attention",
       OpKind::kAttend,
       {9, 3, 64, 64},
       {kNo, kNo, kNo, kNo, kNo, kNo},
       4 * (63 * 64 + 64 * 64 + 64 * 64 + 63 * 64 + 63 * 64 + 64 + 64)},
      // The same rows and scores; keys and values are where they are.
      {"attention of whole sequences",
       OpKind::kAttendWhole,
       {9, 3, 64, 32},
       {kNo, kNo, kNo, kNo, kNo, kNo},
       4 * (63 * 64 + 63 * 64 + 63 * 32 + 64 + 64)},
      // More heads than rows: 64 rows of one token each.
      {"one head of keys",
       OpKind::kAttend,
       {71, 1, 16, 16},
       {kNo, kNo, kNo, kNo, kNo, kNo},
       4 * (64 * 16 + 64 * 16 + 64 * 16 + 64 * 64 + 64 * 16 + 64 + 64)},
      // Absorbed: queries and latents of 40, sums of 32. Expanded needs less here.
      {"latents",
       OpKind::kAttendLatent,
       {4, 32, 16, 8, 16},
       {0, kNo, kNo, kNo, kNo, kNo},
       4 * (64 * 24 + 64 * 40 + 64 * 24 + 64 * 16 + 64 * 64 + 64 * 16 + 64 + 64)},
      {"a router", OpKind::kRoute, {8, 2, 4, 2}, {0, kNo, kNo, kNo, kNo, kNo}, 4 * (64 * 8 + 16 + 16 + 16)},
      {"a router that is converted", OpKind::kRoute, {8, 2, 4, 2}, {1, kNo, kNo, kNo, kNo, kNo}, 4 * (64 * 8 + 16 + 16 + 16) + kTile},
      // 9 begins, 200 slots, 100 rows of 64 and of twice 32.
      {"experts", OpKind::kExperts, {8, 2, 32}, {2, 2, 2, kNo, kNo, kNo}, 4 * (16 + 208 + 100 * 64 + 100 * 64)},
      {"experts that are converted", OpKind::kExperts, {8, 2, 32}, {2, 2, 3, kNo, kNo, kNo}, 4 * (16 + 208 + 100 * 64 + 100 * 64) + kTile},
      {"experts of a type that is not known yet",
       OpKind::kExperts,
       {8, 2, 32},
       {kNo, 4, 4, kNo, kNo, kNo},
       4 * (16 + 208 + 100 * 64 + 100 * 64) + kTile}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    ProgramOp op;
    op.kind = c.kind;
    op.i = c.i;
    op.weights = c.weights;
    EXPECT_EQ(scratch_bytes(op, weights, {}, 100).value(), c.bytes);
  }
}

TEST(ScratchTest, AttentionOfOneTokenNeedsARowForEachHead) {
  ProgramOp op;
  op.kind = OpKind::kAttend;
  op.i = {8, 2, 16, 16};
  EXPECT_EQ(scratch_bytes(op, {}, {}, 1).value(), 4U * (4 * 16 + 64 * 16 + 64 * 16 + 4 * 64 + 4 * 16 + 16 + 16));
}

TEST(ScratchTest, BlocksStayBelowAMebibyteForOrdinaryHeads) {
  ProgramOp op;
  op.kind = OpKind::kAttend;
  op.i = {64, 8, 128, 128};
  EXPECT_LT(scratch_bytes(op, {}, {}, 8192).value(), 1U << 20);
}

TEST(ScratchTest, WhatDoesNotFitOrIsNotThereIsAnError) {
  ProgramOp op;
  op.kind = OpKind::kAttend;
  op.i = {1, 1, UINT64_MAX / 8, UINT64_MAX / 8};
  const Result<std::uint64_t> too_large = scratch_bytes(op, {}, {}, 8);
  ASSERT_FALSE(too_large);
  EXPECT_EQ(too_large.error().code, ErrorCode::kBadConfig);
  op.kind = OpKind::kLinear;
  op.weights[0] = 3;
  const Result<std::uint64_t> missing = scratch_bytes(op, {}, {}, 8);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kInternal);
}

TEST(ScratchTest, PiecesOfALayoutDoNotMeet) {
  const std::array<std::uint64_t, 8> i{5, 1, 7, 9};
  const AttendScratch at = attend_scratch(i, 10);
  const std::array<std::uint64_t, 8> begins{at.queries, at.keys, at.values, at.scores, at.sums, at.maxima, at.weights, at.elements.value()};
  const std::uint64_t rows = query_block(5, 10).rows();
  const std::array<std::uint64_t, 7> sizes{rows * 7, 64 * 7, 64 * 9, rows * 64, rows * 9, rows, rows};
  for (std::size_t n = 0; n < sizes.size(); ++n) {
    EXPECT_GE(begins[n + 1], begins[n] + sizes[n]);
    EXPECT_EQ(begins[n] % kScratchAlignElements, 0U);
  }
}

// A LINEAR that adapters may change keeps A x of a block of rows, and one tile for whoever's elements are no float32.
TEST(ScratchTest, AdaptersTakeRowsOfTheLargestRank) {
  ProgramOp op;
  op.kind = OpKind::kLinear;
  op.adapter = 0;
  AdapterSlots adapters;
  adapters.max_rank = 20;
  adapters.dtype = "float32";
  EXPECT_EQ(scratch_bytes(op, {}, adapters, 7).value(), 144U * 4) << "7 x 20 elements, rounded up to 16";
  EXPECT_EQ(scratch_bytes(op, {}, adapters, 4096).value(), 128U * 20 * 4) << "blocks of 128 rows";
  adapters.dtype = "bfloat16";
  EXPECT_EQ(scratch_bytes(op, {}, adapters, 7).value(), (144U + 64 * 512) * 4);
  op.adapter = kNoIndex;
  EXPECT_EQ(scratch_bytes(op, {}, adapters, 7).value(), 0U);
}

} // namespace
} // namespace plimsoll
