// What was planned against what was taken, as a table: within, over, wasted, left, and what another engine does not plan.
#include "runtime/memory_comparison.hpp"

#include <gmock/gmock.h>

namespace plimsoll::testing {
namespace {

using ::testing::HasSubstr;

RankMeasurement measured(std::vector<Usage> lines) {
  RankMeasurement out;
  for (std::size_t i = 0; i < kCategories; ++i) out.categories[i].category = static_cast<Category>(i);
  for (const Usage& line : lines) out.categories[static_cast<std::size_t>(line.category)].peak_bytes += line.peak_bytes;
  out.lines = std::move(lines);
  return out;
}

CategoryVerdict of(Category category, std::vector<Usage> lines, bool own_plan = true) {
  return compare_memory(measured(std::move(lines)), own_plan).at(static_cast<std::size_t>(category));
}

struct ComparisonCase {
  const char* name;
  std::uint64_t planned, left, peak;
  Category category;
  bool own_plan;
  MemoryVerdict verdict;
  friend void PrintTo(const ComparisonCase& c, std::ostream* out) { *out << c.name; }
};

class Comparison : public ::testing::TestWithParam<ComparisonCase> {};

TEST_P(Comparison, OfOneLine) {
  const ComparisonCase& c = GetParam();
  const CategoryVerdict verdict = of(c.category, {{c.category, "line", c.planned, c.left, c.peak}}, c.own_plan);
  EXPECT_EQ(verdict.verdict, c.verdict);
  EXPECT_EQ(verdict.reason.empty(), c.verdict == MemoryVerdict::kWithin);
  EXPECT_THAT(verdict.reason, HasSubstr(c.verdict == MemoryVerdict::kWithin ? "" : "'line'"));
}

INSTANTIATE_TEST_SUITE_P(
    Lines, Comparison,
    ::testing::Values(ComparisonCase{"exact", 100, 0, 100, Category::kWeights, true, MemoryVerdict::kWithin},
                      ComparisonCase{"a byte more", 100, 0, 101, Category::kWeights, true, MemoryVerdict::kOver},
                      ComparisonCase{"95 percent", 100, 0, 95, Category::kKvCache, true, MemoryVerdict::kWithin},
                      ComparisonCase{"94 percent", 100, 0, 94, Category::kKvCache, true, MemoryVerdict::kWasted},
                      ComparisonCase{"95 percent, rounded up", 7, 0, 6, Category::kKvCache, true, MemoryVerdict::kWasted},
                      ComparisonCase{"not of an overhead", 100, 0, 1, Category::kOverhead, true, MemoryVerdict::kWithin},
                      ComparisonCase{"counts stay counted", 100, 100, 100, Category::kOverhead, true, MemoryVerdict::kWithin},
                      ComparisonCase{"not of another engine", 100, 0, 1, Category::kKvCache, false, MemoryVerdict::kWithin},
                      ComparisonCase{"over of another engine", 100, 0, 101, Category::kKvCache, false, MemoryVerdict::kOver},
                      ComparisonCase{"left", 100, 8, 100, Category::kKvCache, true, MemoryVerdict::kOver},
                      ComparisonCase{"nobody planned it", 0, 0, 1, Category::kActivation, true, MemoryVerdict::kOver},
                      ComparisonCase{"largest", UINT64_MAX, 0, UINT64_MAX, Category::kKvCache, true, MemoryVerdict::kWithin}));

TEST(CompareMemory, NamesWhatAnotherEngineDoesNotPlan) {
  const CategoryVerdict verdict =
      of(Category::kActivation, {{Category::kActivation, "slab", 0, 0, 70}, {Category::kActivation, "sampler", 40, 0, 0}}, false);
  EXPECT_EQ(verdict.verdict, MemoryVerdict::kWithin);
  EXPECT_EQ(verdict.peak_bytes, 0U);
  EXPECT_EQ(verdict.not_planned_bytes, 70U);
  ASSERT_EQ(verdict.lines.size(), 2U);
  EXPECT_EQ(verdict.lines[1].label, "slab");
  EXPECT_EQ(verdict.lines[1].verdict, MemoryVerdict::kNotPlanned);
}

// A category is not wasted because a small line of it is.
TEST(CompareMemory, WasteIsOfACategory) {
  const CategoryVerdict small = of(Category::kWeights, {{Category::kWeights, "a", 1000, 0, 1000}, {Category::kWeights, "b", 10, 0, 0}});
  EXPECT_EQ(small.verdict, MemoryVerdict::kWithin);
  EXPECT_EQ(small.lines[1].verdict, MemoryVerdict::kWasted);
  const CategoryVerdict large = of(Category::kWeights, {{Category::kWeights, "a", 1000, 0, 1000}, {Category::kWeights, "b", 100, 0, 0}});
  EXPECT_EQ(large.verdict, MemoryVerdict::kWasted);
  EXPECT_THAT(large.reason, HasSubstr("'b' 0 B of 100 B"));
}

TEST(CompareMemory, HasEveryCategory) {
  const std::vector<CategoryVerdict> all = compare_memory(measured({}), true);
  ASSERT_EQ(all.size(), kCategories);
  for (std::size_t i = 0; i < kCategories; ++i) {
    EXPECT_EQ(all[i].category, static_cast<Category>(i));
    EXPECT_EQ(all[i].verdict, MemoryVerdict::kWithin);
  }
}

} // namespace
} // namespace plimsoll::testing
