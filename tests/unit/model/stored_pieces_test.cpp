// What is stored of one class in one layer, and the runs that fill its tensor: shapes, orders, parts, experts; and what is refused.
#include "model/stored_pieces.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/filled_tensor.hpp"

namespace plimsoll {
namespace {

using test::filled;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Shape = std::vector<std::uint64_t>;

WeightClass class_of(const Shape& dims, std::uint32_t in_dim = 1) {
  WeightClass c;
  c.label = "w";
  c.pattern = "layers.{layer}.w.weight";
  c.layers = {0, 3};
  c.n_dims = static_cast<std::uint32_t>(dims.size());
  std::copy(dims.begin(), dims.end(), c.dims.begin());
  c.in_dim = in_dim;
  c.dtype = *find_dtype("float32");
  return c;
}

WeightClass with_parts(WeightClass c, std::vector<WeightPart> parts, std::uint32_t shard_dim = 0) {
  c.parts = std::move(parts);
  c.shard_dim = shard_dim;
  return c;
}

WeightClass with_experts(WeightClass c, std::uint64_t experts) {
  c.experts = experts;
  c.pattern = "layers.{layer}.experts.{expert}.w.weight";
  return c;
}

// A stored tensor whose elements begin `offset` elements into a file.
StoredPiece stored(const char* name, const Shape& shape, std::uint64_t offset, StoredOrder order = {},
                   std::int32_t part = StoredPlace::kWhole) {
  StoredPiece piece;
  piece.name = name;
  piece.shape = shape;
  piece.offset_bytes = offset * 4;
  piece.dtype = *find_dtype("float32");
  piece.order = order;
  piece.part = part;
  return piece;
}
StoredPiece packed(StoredPiece piece) {
  piece.packed = true;
  return piece;
}
StoredPiece expert(StoredPiece piece, std::uint32_t number) {
  piece.expert = number;
  return piece;
}

Result<WeightTensor> tensor_of(const WeightClass& c, const std::vector<StoredPiece>& pieces, std::size_t most = 64) {
  return tensor_of_pieces(c, 1, pieces, most, false);
}

constexpr StoredOrder kPairs{.rope_pairs = true}, kTransposed{.transposed = true}, kAlternating{.alternating = true};

// The element of the file that lies at each place of the tensor.
TEST(StoredPieces, FillTheTensorInItsOwnOrder) {
  const WeightClass vector = class_of({6}, 0), matrix = class_of({4, 2}), turned = class_of({2, 4}, 0);
  const WeightClass halves = with_parts(class_of({4, 2}), {{2, 0, false}, {2, 0, false}});
  const WeightClass heads = with_parts(class_of({8, 1}), {{8, 2, false}});
  struct Row {
    const char* what;
    WeightClass declared;
    std::vector<StoredPiece> pieces;
    std::vector<int> elements;
    std::size_t runs;
  };
  const Row rows[] = {
      {"a scalar", class_of({}, 0), {stored("a", {}, 3)}, {3}, 1},
      {"a vector", vector, {stored("a", {6}, 10)}, {10, 11, 12, 13, 14, 15}, 1},
      {"a vector with a dimension of one", vector, {stored("a", {1, 6}, 0)}, {0, 1, 2, 3, 4, 5}, 1},
      {"a matrix", matrix, {stored("a", {4, 2}, 0)}, {0, 1, 2, 3, 4, 5, 6, 7}, 1},
      {"[out, in] for [in, out]", turned, {stored("a", {4, 2}, 0, kTransposed)}, {0, 2, 4, 6, 1, 3, 5, 7}, 1},
      {"[in, out] as declared", turned, {stored("a", {2, 4}, 0)}, {0, 1, 2, 3, 4, 5, 6, 7}, 1},
      {"[in, out] for [out, in]", matrix, {stored("a", {2, 4}, 0, kTransposed)}, {0, 4, 1, 5, 2, 6, 3, 7}, 1},
      {"heads whose halves alternate", heads, {stored("a", {8, 1}, 0, kPairs)}, {0, 2, 1, 3, 4, 6, 5, 7}, 1},
      {"their bias", with_parts(class_of({8}, 0), {{8, 2, false}}), {stored("a", {8}, 0, kPairs)}, {0, 2, 1, 3, 4, 6, 5, 7}, 1},
      {"four heads, stored hand by hand for two hands",
       with_parts(class_of({8, 1}), {{8, 4, false}}),
       {stored("a", {8, 1}, 0, {.hands = 2})},
       {0, 1, 4, 5, 2, 3, 6, 7}, // heads 0 and 1 are the first hand's, which were stored first and third
       1},
      {"six of one row for three hands, a vector",
       with_parts(class_of({6}, 0), {{6, 6, false}}),
       {stored("a", {6}, 0, {.minus_exponential = true, .hands = 3})},
       {0, 3, 1, 4, 2, 5},
       1},
      {"as many heads as hands",
       with_parts(class_of({4, 2}), {{4, 2, false}}),
       {stored("a", {4, 2}, 0, {.hands = 2})},
       {0, 1, 2, 3, 4, 5, 6, 7},
       1},
      {"of three parts the last has more heads than hands",
       with_parts(class_of({8, 1}), {{2, 2, false}, {2, 2, false}, {4, 4, false}}),
       {stored("a", {8, 1}, 0, {.hands = 2})},
       {0, 1, 2, 3, 4, 6, 5, 7},
       3},
      {"columns of heads",
       with_parts(class_of({2, 8}), {{8, 4, false}}, 1),
       {stored("a", {2, 8}, 0, {.hands = 2})},
       {0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15},
       1},
      {"two parts, listed the other way round",
       halves,
       {stored("up", {2, 2}, 20, {}, 1), stored("gate", {2, 2}, 10, {}, 0)},
       {10, 11, 12, 13, 20, 21, 22, 23},
       2},
      {"two parts of two names, numbers 2 and 3",
       halves,
       {stored("w1", {2, 2}, 0, {}, 2), stored("w3", {2, 2}, 4, {}, 3)},
       {0, 1, 2, 3, 4, 5, 6, 7},
       2},
      {"two parts whose rows alternate",
       halves,
       {stored("gate", {2, 2}, 10, kAlternating, 0), stored("up", {2, 2}, 20, kAlternating, 1)},
       {10, 11, 20, 21, 12, 13, 22, 23},
       2},
      {"the same of [in, out]",
       with_parts(class_of({2, 4}, 0), {{2, 0, false}, {2, 0, false}}, 1),
       {stored("gate", {2, 2}, 10, {.transposed = true, .alternating = true}, 0),
        stored("up", {2, 2}, 20, {.transposed = true, .alternating = true}, 1)},
       {10, 20, 12, 22, 11, 21, 13, 23},
       2},
      {"unequal parts of one unit each, head by head",
       with_parts(class_of({6, 1}), {{6, 2, false}}),
       {stored("k", {2, 1}, 10, {}, 0), stored("v", {4, 1}, 20, {}, 1)},
       {10, 20, 21, 11, 22, 23},
       2},
      {"a latent's: keys [heads, rank, rows], values [heads, rows, rank]",
       with_parts(class_of({6, 2}), {{6, 2, false}}),
       {stored("k_b", {2, 2, 1}, 10, kTransposed, 0), stored("v_b", {2, 2, 2}, 20, {}, 1)},
       {10, 11, 20, 21, 22, 23, 12, 13, 24, 25, 26, 27},
       2},
      {"the same with two key rows a head",
       with_parts(class_of({6, 2}), {{6, 2, false}}),
       {stored("k_b", {2, 2, 2}, 10, kTransposed, 0), stored("v_b", {2, 1, 2}, 20, {}, 1)},
       {10, 12, 11, 13, 20, 21, 14, 16, 15, 17, 22, 23},
       2},
      {"experts apart",
       with_experts(class_of({2, 1}), 3),
       {expert(stored("2", {2, 1}, 20), 2), expert(stored("0", {2, 1}, 0), 0), expert(stored("1", {2, 1}, 10), 1)},
       {0, 1, 10, 11, 20, 21},
       3},
      {"experts in one tensor", with_experts(class_of({2, 1}), 3), {packed(stored("a", {3, 2, 1}, 5))}, {5, 6, 7, 8, 9, 10}, 1},
      {"experts side by side", with_experts(class_of({2, 1}), 3), {packed(stored("a", {6, 1}, 5))}, {5, 6, 7, 8, 9, 10}, 1},
      {"experts in one tensor, in parts",
       with_parts(with_experts(class_of({2, 1}), 2), {{1, 0, false}, {1, 0, false}}),
       {packed(stored("gate", {2, 1, 1}, 10, {}, 0)), packed(stored("up", {2, 1, 1}, 20, {}, 1))},
       {10, 20, 11, 21},
       2},
      {"experts of [in, out] from GGUF, alternating",
       with_parts(with_experts(class_of({2, 2}, 0), 2), {{1, 0, false}, {1, 0, false}}, 1),
       {packed(stored("gate", {2, 1, 2}, 10, {.transposed = true, .alternating = true}, 0)),
        packed(stored("up", {2, 1, 2}, 20, {.transposed = true, .alternating = true}, 1))},
       {10, 20, 11, 21, 12, 22, 13, 23},
       2},
      {"a convolution's kernel without its middle", class_of({2, 1, 3}, 2), {stored("a", {2, 3}, 0)}, {0, 1, 2, 3, 4, 5}, 1},
  };
  for (const Row& row : rows) {
    const auto tensor = tensor_of(row.declared, row.pieces);
    ASSERT_TRUE(tensor) << row.what << ": " << tensor.error().message;
    EXPECT_EQ(filled(*tensor), row.elements) << row.what;
    EXPECT_EQ(tensor->pieces.size(), row.runs) << row.what;
    EXPECT_EQ(tensor->layer, 3U);
    EXPECT_EQ(tensor->dtype, "float32");
    EXPECT_EQ(tensor->bytes, row.elements.size() * 4);
  }
}

// "qkv" for classes q, k, v: each has its rows, in every expert.
TEST(StoredPieces, ATensorOfSeveralClassesIsSharedOut) {
  StoredPiece piece = stored("fused", {6, 1}, 100);
  piece.joint_rows = 6;
  piece.joint_rows_before = 3;
  const auto one = tensor_of(class_of({2, 1}), {piece});
  ASSERT_TRUE(one) << one.error().message;
  EXPECT_EQ(filled(*one), (std::vector<int>{103, 104}));

  piece = packed(stored("fused", {3, 4, 2}, 0));
  piece.joint_rows = 4;
  piece.joint_rows_before = 1;
  const auto experts = tensor_of(with_experts(class_of({2, 2}), 3), {piece});
  ASSERT_TRUE(experts) << experts.error().message;
  EXPECT_EQ(filled(*experts), (std::vector<int>{2, 3, 4, 5, 10, 11, 12, 13, 18, 19, 20, 21}));
  EXPECT_THAT(tensor_of(with_experts(class_of({2, 2}), 3), {piece}, 2).error().message, HasSubstr("too many runs"));
}

TEST(StoredPieces, TellTheTensorsShape) {
  const auto tensor =
      tensor_of(with_experts(with_parts(class_of({4, 2}), {{3, 0, false}, {1, 0, false}}), 2), {packed(stored("a", {2, 4, 2}, 0))});
  ASSERT_TRUE(tensor) << tensor.error().message;
  EXPECT_EQ(tensor->label, "w");
  EXPECT_EQ(tensor->experts, 2U);
  EXPECT_THAT(tensor->dims, ElementsAre(4, 2));
  EXPECT_EQ(tensor->in_dim, 1U);
  EXPECT_THAT(tensor->parts, ElementsAre(3, 1));
  const auto split_inputs = tensor_of(with_parts(class_of({4, 2}), {{1, 0, false}, {1, 0, false}}, 1), {stored("a", {4, 2}, 0)});
  ASSERT_TRUE(split_inputs);
  EXPECT_THAT(split_inputs->parts, ElementsAre()); // not along the outputs
}

TEST(StoredPieces, RefuseWhatDoesNotFit) {
  const WeightClass matrix = class_of({4, 2}), halves = with_parts(matrix, {{2, 0, false}, {2, 0, false}});
  const WeightClass experts = with_experts(class_of({2, 1}), 3);
  StoredPiece half = stored("half", {4, 2}, 0);
  half.dtype = *find_dtype("bfloat16");
  StoredPiece added = half;
  added.order.one_added = true;
  StoredPiece exponentials = half;
  exponentials.order.minus_exponential = true;
  StoredPiece fused = stored("fused", {6, 2}, 0, kPairs);
  fused.joint_rows = 6;
  StoredPiece fused_in_out = stored("fused", {2, 6}, 0);
  fused_in_out.joint_rows = 6;
  struct Row {
    const char* what;
    WeightClass declared;
    std::vector<StoredPiece> pieces;
    ErrorCode code;
    const char* says;
  };
  constexpr ErrorCode kBad = ErrorCode::kBadCheckpoint, kUnknown = ErrorCode::kUnsupportedArchitecture;
  const Row rows[] = {
      {"nothing", matrix, {}, kBad, "the checkpoint lacks tensor 'layers.3.w.weight'"},
      {"too many rows", matrix, {stored("a", {5, 2}, 0)}, kBad, "'a' is F32 [5, 2], expected F32 [4, 2]"},
      {"too few rows", matrix, {stored("a", {3, 2}, 0)}, kBad, "3 rows, expected 4"},
      {"no rows", matrix, {stored("a", {0, 2}, 0)}, kBad, "'a' is F32 [0, 2], expected F32 [4, 2]"},
      {"the other orientation", matrix, {stored("a", {2, 4}, 0)}, kBad, "'a' is F32 [2, 4], expected F32 [4, 2]"},
      {"a huge shape", matrix, {stored("a", {1ULL << 40, 1ULL << 40}, 0)}, kBad, "expected F32 [4, 2]"},
      {"twice", matrix, {stored("a", {4, 2}, 0), stored("b", {4, 2}, 8)}, kBad, "'a' and 'b' are both stored for one thing"},
      {"whole and in parts", halves, {stored("a", {4, 2}, 0), stored("gate", {2, 2}, 8, {}, 0)}, kBad, "'a' and 'gate' are both stored"},
      {"one part", halves, {stored("gate", {2, 2}, 0, {}, 0)}, kBad, "'gate' and what else is stored of it have 2 rows, expected 4"},
      {"parts of other widths", halves, {stored("gate", {1, 2}, 0, {}, 0), stored("up", {3, 2}, 8, {}, 1)}, kBad,
       "'gate' is F32 [1, 2], expected F32 [2, 2]"},
      {"unequal parts that alternate", halves, {stored("gate", {1, 2}, 0, kAlternating, 0), stored("up", {3, 2}, 8, kAlternating, 1)}, kBad,
       "'gate' is F32 [1, 2], expected F32 [2, 2]"},
      {"parts of one that is declared whole", matrix, {stored("gate", {2, 2}, 0, {}, 0), stored("up", {2, 2}, 8, {}, 1)}, kUnknown,
       "stored in 2 parts, and its planner does not say how they lie together"},
      {"parts whose rows are no whole units", with_parts(matrix, {{4, 4, false}}), {stored("k", {1, 2}, 0, {}, 0), stored("v", {3, 2}, 8, {}, 1)},
       kUnknown, "does not say how they lie together"},
      {"an expert too few", experts, {expert(stored("0", {2, 1}, 0), 0), expert(stored("2", {2, 1}, 0), 2)}, kBad,
       "lacks expert 1 of tensor 'layers.3.experts.1.w.weight'"},
      {"the last expert too few", experts, {expert(stored("0", {2, 1}, 0), 0), expert(stored("1", {2, 1}, 0), 1)}, kBad, "lacks expert 2"},
      {"an expert twice", experts,
       {expert(stored("0", {2, 1}, 0), 0), expert(stored("1", {2, 1}, 0), 1), expert(stored("one", {2, 1}, 0), 1), expert(stored("2", {2, 1}, 0), 2)},
       kBad, "'1' and 'one' are both stored"},
      {"experts apart and in one", experts, {packed(stored("all", {3, 2, 1}, 0)), expert(stored("1", {2, 1}, 0), 1)}, kBad,
       "'all' and '1' are both stored"},
      {"one expert of another shape", experts,
       {expert(stored("0", {2, 1}, 0), 0), expert(stored("1", {3, 1}, 0), 1), expert(stored("2", {2, 1}, 0), 2)}, kBad,
       "'1' is F32 [3, 1], expected F32 [2, 1]"},
      {"other experts than declared", experts, {packed(stored("a", {2, 3, 1}, 0))}, kBad, "expected F32 [3, 2, 1]"},
      {"parts of two types", with_parts(class_of({8, 2}), {{4, 0, false}, {4, 0, false}}),
       {stored("a", {4, 2}, 0, {}, 0), [&] { StoredPiece b = half; b.part = 1; return b; }()}, kUnknown, "store both alike"},
      {"1 added in bfloat16", matrix, {added}, kUnknown, "1 is added to its elements in bfloat16, expected float32"},
      {"-exp in bfloat16", matrix, {exponentials}, kUnknown, "-exp of its elements is stored in bfloat16, expected float32"},
      {"dealt without heads", matrix, {stored("a", {4, 2}, 0, {.hands = 2})}, kUnknown, "does not say which of its elements are heads"},
      {"fewer heads than hands", with_parts(matrix, {{4, 2, false}}), {stored("a", {4, 2}, 0, {.hands = 4})}, kUnknown,
       "2 heads of it cannot be dealt to 4 hands"},
      {"dealt experts", experts, {packed(stored("a", {3, 2, 1}, 0, {.hands = 2}))}, kUnknown, "does not say which"},
      {"pairs without heads", matrix, {stored("a", {4, 2}, 0, kPairs)}, kUnknown, "no heads that its rows divide into"},
      {"pairs of odd heads", with_parts(class_of({6, 2}), {{6, 2, false}}), {stored("a", {6, 2}, 0, kPairs)}, kUnknown, "no heads"},
      {"exchanged experts", experts, {packed(stored("a", {3, 1, 2}, 0, kTransposed))}, kUnknown, "in a way that is not known"},
      {"exchanged pairs", with_parts(matrix, {{4, 2, false}}), {stored("a", {2, 4}, 0, {.rope_pairs = true, .transposed = true})}, kUnknown,
       "in a way that is not known"},
      {"a fused tensor in another order", class_of({2, 2}), {fused}, kUnknown, "holds several tensors"},
      {"a fused tensor with inputs first", class_of({2, 2}, 0), {fused_in_out}, kUnknown, "holds several tensors"},
  };
  for (const Row& row : rows) {
    const auto tensor = tensor_of(row.declared, row.pieces);
    ASSERT_FALSE(tensor) << row.what;
    EXPECT_EQ(tensor.error().code, row.code) << row.what;
    EXPECT_THAT(tensor.error().message, HasSubstr(row.says)) << row.what;
    EXPECT_NE(tensor.error().where, "") << row.what;
  }
}

} // namespace
} // namespace plimsoll
