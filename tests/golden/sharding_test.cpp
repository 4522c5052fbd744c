// Every weight class of every model in the catalogue over a grid of layouts: what the ranks hold adds up to the whole, its
// declared copies and its padding. The expectation is arithmetic on the declaration; the result is the placement's.
#include <algorithm>
#include <numeric>

#include "golden/model_files.hpp"
#include "placement/placement.hpp"

namespace plimsoll::testing {
namespace {

struct Grid {
  std::uint32_t tp, pp, dp, ep;
};
const std::vector<Grid> kGrid{{1, 1, 1, 1}, {2, 1, 1, 1}, {4, 1, 1, 1}, {8, 1, 1, 1}, {16, 1, 1, 1}, {1, 2, 1, 1}, {2, 3, 1, 1},
                              {1, 1, 2, 1}, {1, 1, 4, 4}, {2, 1, 2, 2}, {2, 1, 2, 4}, {8, 1, 1, 8},  {8, 1, 1, 2}, {4, 2, 2, 8},
                              {1, 1, 8, 8}, {2, 2, 3, 6}, {1, 1, 3, 3}, {3, 1, 1, 3}, {6, 1, 1, 1},  {5, 1, 1, 5}};

// How often the extent along the split dimension is held over the ranks of one tensor-parallel group; nothing where the
// layout cuts a head in two.
std::optional<std::uint64_t> held_extent(const WeightClass& c, std::uint32_t degree) {
  if (c.placement == PLIMSOLL_PLACE_VOCAB) return (c.dims[c.shard_dim] + degree - 1) / degree * degree;
  std::uint64_t sum = 0;
  for (const WeightPart& part : c.parts) {
    if (part.units == 0 || part.units % degree == 0) sum += part.extent;
    else if (part.replicate && degree % part.units == 0) sum += part.extent * (degree / part.units);
    else return std::nullopt;
  }
  return sum;
}

struct Expected {
  std::uint64_t bytes; // on all ranks
  bool exact;          // else a lower bound: scales are rounded up and copied where their weights are cut
};

// Towers are copied unless the engine splits them, and then too where the ranks do not divide their heads.
bool copied(const WeightClass& c, const Grid& g, bool towers_split) {
  if (c.placement == PLIMSOLL_PLACE_REPLICATE) return true;
  if (c.aspect != PLIMSOLL_ASPECT_VISION) return false;
  return !towers_split || std::any_of(c.parts.begin(), c.parts.end(), [&](const WeightPart& part) { return part.units % g.tp != 0; });
}

// `tensors`: of the variant, over all layers.
std::optional<Expected> expected(const WeightClass& c, const WeightVariant& v, const Grid& g, bool towers_split) {
  const std::uint64_t tensors = v.layers.empty() ? 1 : v.layers.size();
  const std::uint64_t stages = c.stage == PLIMSOLL_STAGE_EVERY ? g.pp : c.role == PLIMSOLL_ROLE_TIED && g.pp == 1 ? 0 : 1;
  const bool experts = c.placement == PLIMSOLL_PLACE_EXPERT;
  const std::uint32_t degree = copied(c, g, towers_split) ? 1 : experts && g.ep > 1 ? g.tp * g.dp / g.ep : g.tp;
  const std::uint64_t replicas = experts && g.ep > 1 ? 1 : g.dp;
  const std::uint64_t one = c.bytes_of_one(*v.storage, c.dims, c.dtype).value() * (c.experts == 0 ? 1 : c.experts);
  const std::uint64_t all = one * tensors * stages * replicas;
  if (copied(c, g, towers_split)) return Expected{all * g.tp, true};
  if (experts && c.shard_dim == UINT32_MAX) return Expected{all * degree, true};
  const auto extent = held_extent(c, degree);
  if (!extent) return std::nullopt;
  if (degree == 1) return Expected{all, true};
  const std::uint64_t along = c.dims[c.shard_dim];
  if (v.storage->is_plain()) return Expected{all / along * *extent, true};
  return Expected{static_cast<std::uint64_t>(static_cast<double>(all) / static_cast<double>(along) * static_cast<double>(*extent)), false};
}

class Sharding : public ::testing::TestWithParam<std::string> {};

TEST_P(Sharding, SumsToTheWholeAndItsCopies) {
  const auto model = declare_model(read_catalogue_file(GetParam()));
  ASSERT_TRUE(model) << model.error().message;
  const Declared& d = model->declared;
  int placed = 0;
  for (const Grid& g : kGrid) {
    PlanRequest request;
    request.tp = g.tp;
    request.pp = g.pp;
    request.dp = g.dp;
    request.ep = g.ep;
    auto layout = make_rank_layout(request, std::uint64_t{g.tp} * g.pp * g.dp, d.facts.n_layers);
    if (!layout) continue;
    layout->vision_split = g.dp == 1; // both ways in the grid
    for (const WeightClass& c : d.weights) {
      std::optional<Expected> want = Expected{0, true};
      for (const WeightVariant& v : c.variants) {
        const auto part = expected(c, v, g, layout->vision_split);
        if (!part) want.reset();
        if (!want) break;
        want->bytes += part->bytes;
        want->exact = want->exact && part->exact;
      }
      std::vector<std::uint64_t> bytes(layout->ranks(), 0);
      const auto done = place_weight(c, *layout, {}, nullptr, bytes);
      const std::string at = c.label + ", tp " + std::to_string(g.tp) + ", pp " + std::to_string(g.pp) + ", dp " + std::to_string(g.dp) +
                             ", ep " + std::to_string(g.ep);
      ASSERT_EQ(done.has_value(), want.has_value()) << at;
      if (!want) continue;
      const std::uint64_t sum = std::accumulate(bytes.begin(), bytes.end(), std::uint64_t{0});
      if (want->exact) {
        ASSERT_EQ(sum, want->bytes) << at;
      } else {
        ASSERT_GE(static_cast<double>(sum), static_cast<double>(want->bytes) * (1 - 1e-9)) << at;
        // A rank's share of a small matrix may be less than a block; of anything larger the rounding is small.
        ASSERT_LE(static_cast<double>(sum), static_cast<double>(want->bytes) * 1.08 + 64.0 * static_cast<double>(c.count() * g.tp)) << at;
      }
      ++placed;
    }
  }
  EXPECT_GT(placed, 0);
}

INSTANTIATE_TEST_SUITE_P(Golden, Sharding, ::testing::ValuesIn(catalogue_names()), test_name);

} // namespace
} // namespace plimsoll::testing
