// The invariants of the paged KV manager over random operations, on every kind of geometry. Deterministic:
//   PLIMSOLL_KV_SEED=7 PLIMSOLL_KV_OPERATIONS=1000000 kv_cache_tests --gtest_filter='*Property*'
// A failure names the geometry, the seed and the operation at which it was found.
#include <gtest/gtest.h>

#include "unit/kv_cache/environment.hpp"
#include "unit/kv_cache/simulation_step.hpp"

namespace plimsoll::testing {
namespace {

constexpr std::uint64_t kOperations = kOptimised ? 40'000 : 2'000; // of each geometry: a million of them all

class KvCacheProperty : public ::testing::TestWithParam<NamedGeometry> {};

// Invariants 1-9, 11, 12, 15, 17, 18, 22, 23, 25, 28, 30, 31, 33-35: see simulation_step.hpp, where each is held.
TEST_P(KvCacheProperty, RandomOperationsKeepEveryInvariant) {
  const std::uint64_t seed = environment_number("PLIMSOLL_KV_SEED", 1);
  Simulation simulation(GetParam(), seed);
  const std::string wrong = simulation.run(environment_number("PLIMSOLL_KV_OPERATIONS", kOperations));
  EXPECT_EQ(wrong, "") << "geometry " << GetParam().name << ", PLIMSOLL_KV_SEED=" << seed;
  // It says nothing where nothing happens.
  EXPECT_GT(simulation.refused(), 0U);
  const bool hits = PagedKvManager::create(GetParam().geometry, GetParam().options).value().prefix_caching();
  EXPECT_EQ(simulation.metrics().hit_tokens > 0, hits);
  EXPECT_EQ(simulation.metrics().evictions > 0, hits);
}

INSTANTIATE_TEST_SUITE_P(Geometries, KvCacheProperty, ::testing::ValuesIn(geometries()),
                         [](const ::testing::TestParamInfo<NamedGeometry>& info) { return info.param.name; });

} // namespace
} // namespace plimsoll::testing
