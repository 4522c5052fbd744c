// Pieces of a rank against the whole tensor: both are filled from one file, element by element, and each element of the rank must be the
// one that the layout gives it, however the file orders them.
#include <gmock/gmock.h>

#include <numeric>

#include "placement/placement.hpp"
#include "placement/sharded_sources.hpp"

namespace plimsoll::testing {
namespace {

constexpr std::uint64_t kElementBytes = 2;

RankLayout ranks_layout(std::uint32_t tp, std::uint32_t ep = 1) {
  PlanRequest r;
  r.tp = tp;
  r.ep = ep;
  return make_rank_layout(r, tp, 4).value();
}

// In elements.
WeightPiece run_of(std::uint32_t file, std::uint64_t offset, std::uint64_t elements, std::uint64_t to, std::vector<WeightAxis> axes) {
  WeightPiece piece;
  piece.file = file;
  piece.offset_bytes = offset * kElementBytes;
  piece.bytes = elements * kElementBytes;
  piece.to_bytes = to * kElementBytes;
  piece.axes = std::move(axes);
  return piece;
}

struct ShardCase {
  std::string name;
  std::uint32_t placement = PLIMSOLL_PLACE_TP;
  std::uint64_t experts = 0;
  std::vector<std::uint64_t> dims;
  std::uint32_t shard_dim = 0;
  std::vector<WeightPart> parts;
  std::vector<WeightPiece> pieces; // none: the whole tensor, one after another
  bool alternating = false;
};
void PrintTo(const ShardCase& c, std::ostream* out) { *out << c.name; }

// clang-format off
const ShardCase kCases[]{
  {"rows", PLIMSOLL_PLACE_TP, 0, {8, 6}, 0, {{8, 4, false}}, {}},
  {"uneven_rows", PLIMSOLL_PLACE_TP, 0, {10, 3}, 0, {{10, 0, false}}, {}},
  {"columns", PLIMSOLL_PLACE_TP, 0, {5, 8}, 1, {{8, 8, false}}, {}},
  {"fused_with_copied_heads", PLIMSOLL_PLACE_TP, 0, {8 + 4 + 4, 5}, 0, {{8, 4, false}, {4, 2, true}, {4, 2, true}}, {}},
  {"fused_out_of_three_files", PLIMSOLL_PLACE_TP, 0, {16, 5}, 0, {{8, 4, false}, {4, 2, true}, {4, 2, true}},
    {run_of(0, 100, 40, 0, {}), run_of(1, 0, 20, 40, {}), run_of(2, 7, 20, 60, {})}},
  {"halves_of_heads_alternate", PLIMSOLL_PLACE_TP, 0, {16, 3}, 0, {{16, 4, false}},
    {run_of(0, 0, 48, 0, {{4, 12}, {2, 3}, {2, 6}, {3, 1}})}},
  {"stored_transposed", PLIMSOLL_PLACE_TP, 0, {8, 6}, 0, {{8, 4, false}}, {run_of(0, 0, 48, 0, {{6, 1}, {8, 6}})}},
  {"inputs_first", PLIMSOLL_PLACE_TP, 0, {6, 8}, 1, {{8, 4, false}}, {run_of(0, 3, 48, 0, {{8, 1}, {6, 8}})}},
  {"keys_and_values_of_each_head", PLIMSOLL_PLACE_TP, 0, {4 * 5, 3}, 0, {{20, 4, false}},
    {run_of(0, 0, 24, 0, {{4, 15}, {6, 1}}), run_of(0, 24, 36, 6, {{4, 15}, {9, 1}})}},
  {"vocabulary", PLIMSOLL_PLACE_VOCAB, 0, {9, 4}, 0, {{9, 0, false}}, {}},
  {"vector_of_heads", PLIMSOLL_PLACE_TP, 0, {8}, 0, {{8, 8, false}}, {}},
  {"copied", PLIMSOLL_PLACE_REPLICATE, 0, {3, 4}, 0, {}, {}},
  {"experts_cut_along_rows", PLIMSOLL_PLACE_EXPERT, 6, {4, 3}, 0, {{4, 0, false}}, {}},
  {"experts_cut_along_columns", PLIMSOLL_PLACE_EXPERT, 6, {3, 4}, 1, {{4, 0, false}}, {}},
  {"an_expert_each", PLIMSOLL_PLACE_EXPERT, 3, {4, 3}, 0, {{4, 0, false}}, {run_of(0, 50, 12, 0, {}), run_of(0, 0, 12, 12, {}), run_of(1, 5, 12, 24, {})}},
  {"gate_and_up_of_experts", PLIMSOLL_PLACE_EXPERT, 6, {8, 3}, 0, {{4, 0, false}, {4, 0, false}}, {}},
  {"gate_and_up_alternate", PLIMSOLL_PLACE_EXPERT, 6, {8, 3}, 0, {{4, 0, false}, {4, 0, false}}, {}, true},
  {"they_alternate_from_two_files", PLIMSOLL_PLACE_EXPERT, 2, {8, 3}, 0, {{4, 0, false}, {4, 0, false}},
    {run_of(0, 0, 24, 0, {{8, 6}, {3, 1}}), run_of(1, 0, 24, 3, {{8, 6}, {3, 1}})}, true},
};
// clang-format on

WeightClass class_of(const ShardCase& c) {
  WeightClass out;
  out.label = "w";
  out.placement = c.placement;
  out.stage = PLIMSOLL_STAGE_EVERY;
  out.role = PLIMSOLL_ROLE_MODEL;
  out.experts = c.experts;
  out.shard_dim = c.shard_dim;
  out.n_dims = static_cast<std::uint32_t>(c.dims.size());
  std::copy(c.dims.begin(), c.dims.end(), out.dims.begin());
  out.parts = c.parts;
  return out;
}

WeightTensor whole_of(const ShardCase& c) {
  WeightTensor out;
  out.label = "w";
  out.dtype = "bfloat16";
  out.experts = c.experts;
  out.dims = c.dims;
  if (c.parts.size() > 1)
    for (const WeightPart& part : c.parts) out.parts.push_back(part.extent);
  std::uint64_t elements = std::max<std::uint64_t>(c.experts, 1);
  for (const std::uint64_t extent : c.dims) elements *= extent;
  out.bytes = elements * kElementBytes;
  out.pieces = c.pieces.empty() ? std::vector<WeightPiece>{run_of(0, 11, elements, 0, {})} : c.pieces;
  return out;
}

// The element at a place of a file; no two are alike, none is 0.
std::uint64_t stored(std::uint32_t file, std::uint64_t element) { return 1 + file * 100'000 + element; }

// A tensor filled by its pieces, as a loader does. Each element at most once.
std::vector<std::uint64_t> filled(const WeightTensor& tensor) {
  std::vector<std::uint64_t> out(tensor.bytes / kElementBytes, 0);
  for (const WeightPiece& piece : tensor.pieces) {
    std::vector<WeightAxis> axes = piece.axes;
    if (axes.empty()) axes.push_back({piece.bytes / kElementBytes, 1});
    for (std::uint64_t n = 0; n < piece.bytes / kElementBytes; ++n) {
      std::uint64_t left = n, to = piece.to_bytes / kElementBytes;
      bool taken = true;
      for (std::size_t i = axes.size(); i-- > 0;) {
        const std::uint64_t at = left % axes[i].extent;
        left /= axes[i].extent;
        taken = taken && at >= axes[i].first && at < axes[i].first + axes[i].n();
        to += (at - axes[i].first) * axes[i].to_stride_elements;
      }
      if (!taken) continue;
      EXPECT_LT(to, out.size());
      EXPECT_EQ(out.at(to), 0U) << "an element is filled twice";
      out.at(to) = stored(piece.file, piece.offset_bytes / kElementBytes + n);
    }
  }
  return out;
}

class ShardedSources : public ::testing::TestWithParam<ShardCase> {};

TEST_P(ShardedSources, EveryElementIsTheOneThatTheLayoutGives) {
  const ShardCase& c = GetParam();
  Declared declared;
  declared.weights.push_back(class_of(c));
  WeightSources whole;
  whole.files = {"a", "b", "c"};
  whole.tensors.push_back(whole_of(c));
  const std::vector<std::uint64_t> all = filled(whole.tensors.front());
  const std::uint64_t row = c.dims.size() > 1 ? c.dims[1] : 1;
  for (const auto& [tp, ep] : {std::pair{1U, 1U}, {2U, 1U}, {4U, 1U}, {2U, 2U}, {4U, 2U}}) {
    const RankLayout layout = ranks_layout(tp, c.placement == PLIMSOLL_PLACE_EXPERT ? ep : 1);
    for (std::uint32_t rank = 0; rank < tp; ++rank) {
      SCOPED_TRACE(std::to_string(rank) + " of " + std::to_string(tp) + ", ep " + std::to_string(ep));
      const auto sources = shard_sources(whole, declared, layout, rank, {c.alternating});
      ASSERT_TRUE(sources) << sources.error().message;
      const WeightTensor& local = sources->tensors.front();
      const std::vector<std::uint64_t> got = filled(local);
      WeightShard shard = weight_shard(declared.weights.front(), layout, rank).value();
      if (c.alternating) shard.shape = alternating_shape(declared.weights.front(), shard.shape);
      std::vector<std::uint64_t> picked; // along the dimension that is cut
      if (shard.shape.ranges.empty()) picked.resize(c.dims[c.shard_dim]);
      if (shard.shape.ranges.empty()) std::iota(picked.begin(), picked.end(), 0U);
      for (const LocalRange& range : shard.shape.ranges)
        for (std::uint64_t i = 0; i < range.n; ++i) picked.push_back(range.first + i);
      const std::size_t in_files = picked.size();
      for (std::uint64_t i = 0; i < shard.shape.padding_rows; ++i) picked.push_back(UINT64_MAX);
      std::vector<std::uint64_t> expected;
      for (std::uint64_t e = shard.experts.first; e < shard.experts.first + shard.experts.n; ++e) {
        const std::uint64_t begin = e * c.dims[0] * row;
        if (c.shard_dim == 1)
          for (std::uint64_t r = 0; r < c.dims[0]; ++r)
            for (const std::uint64_t column : picked) expected.push_back(all[begin + r * row + column]);
        else
          for (std::size_t i = 0; i < picked.size(); ++i)
            for (std::uint64_t column = 0; column < row; ++column)
              expected.push_back(i < in_files ? all[begin + picked[i] * row + column] : 0);
      }
      EXPECT_EQ(got, expected);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Orders, ShardedSources, ::testing::ValuesIn(kCases), [](const auto& info) { return info.param.name; });

TEST(ShardedSources, ARunOfRowsIsReadAndNothingBeside) {
  Declared declared;
  declared.weights.push_back(class_of(kCases[0]));
  WeightSources whole;
  whole.files = {"a"};
  whole.tensors.push_back(whole_of(kCases[0]));
  const WeightSources second = shard_sources(whole, declared, ranks_layout(2), 1, {false}).value();
  ASSERT_EQ(second.tensors.front().pieces.size(), 1U);
  const WeightPiece& piece = second.tensors.front().pieces.front();
  EXPECT_EQ(piece.offset_bytes, (11 + 24) * kElementBytes);
  EXPECT_EQ(piece.bytes, 24 * kElementBytes);
  EXPECT_TRUE(piece.axes.empty());
}

TEST(ShardedSources, ARankWithNothingOfATensorIsRefused) {
  ShardCase c = kCases[1];
  c.dims = {3, 2};
  c.parts = {{3, 0, false}};
  Declared declared;
  declared.weights.push_back(class_of(c));
  WeightSources whole;
  whole.tensors.push_back(whole_of(c));
  EXPECT_TRUE(shard_sources(whole, declared, ranks_layout(4), 2, {false}));
  const auto none = shard_sources(whole, declared, ranks_layout(4), 3, {false});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().where, "--tp");
}

} // namespace
} // namespace plimsoll::testing
