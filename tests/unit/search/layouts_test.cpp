// Layouts of a number of devices: all that the rules allow, counted out; layers by the room of stages, against every other distribution.
#include "search/layouts.hpp"

#include <algorithm>
#include <gmock/gmock.h>
#include <set>
#include <tuple>

namespace plimsoll {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

using Degrees = std::tuple<std::uint32_t, std::uint32_t, std::uint32_t, std::uint32_t, std::uint32_t>;

struct RulesCase {
  const char* title;
  LayoutRules rules;
};
void PrintTo(const RulesCase& c, std::ostream* out) { *out << c.title; }

class Layouts : public ::testing::TestWithParam<RulesCase> {};

// Everything that the rules' own words allow, degree by degree.
bool allowed(const LayoutRules& r, std::uint32_t tp, std::uint32_t pp, std::uint32_t dp, std::uint32_t ep, std::uint32_t context) {
  if ((r.tp && tp != *r.tp) || (r.pp && pp != *r.pp) || (r.ep && ep != *r.ep)) return false;
  if (r.context_parallel && context != *r.context_parallel) return false;
  if (!r.dp.empty() && std::find(r.dp.begin(), r.dp.end(), dp) == r.dp.end()) return false;
  if (pp > 1 && pp > r.n_layers) return false;
  if (tp * dp % ep != 0 || tp % context != 0) return false;
  if (!r.ep && ep > 1 && (!r.experts || (ep != tp * dp && !r.any_expert_degree))) return false;
  if (r.context_parallel || context == 1) return true;
  return r.shares_context && context * r.kv_heads <= tp && r.queries_of_head % context == 0;
}

TEST_P(Layouts, AreAllThereAre) {
  const LayoutRules& rules = GetParam().rules;
  for (const std::uint32_t n : {1U, 2U, 3U, 7U, 8U, 12U, 16U, 24U}) {
    std::set<Degrees> found, all;
    for (const FitLayout& l : layouts_of(n, rules)) {
      EXPECT_TRUE(found.emplace(l.tp, l.pp, l.dp, l.ep, l.context_parallel).second) << n;
      EXPECT_THAT(l.stage_layers, IsEmpty());
    }
    for (std::uint32_t tp = 1; tp <= n; ++tp)
      for (std::uint32_t pp = 1; pp <= n; ++pp)
        for (std::uint32_t dp = 1; dp <= n; ++dp)
          for (std::uint32_t ep = 1; ep <= n; ++ep)
            for (std::uint32_t context = 1; context <= n; ++context)
              if (tp * pp * dp == n && allowed(rules, tp, pp, dp, ep, context)) all.emplace(tp, pp, dp, ep, context);
    EXPECT_EQ(found, all) << n;
  }
}

LayoutRules rules(std::uint32_t layers, bool experts, bool any_degree = false) {
  LayoutRules out;
  out.n_layers = layers;
  out.experts = experts;
  out.any_expert_degree = any_degree;
  return out;
}
LayoutRules with(LayoutRules out, void (*change)(LayoutRules&)) {
  change(out);
  return out;
}

const RulesCase kRulesCases[] = {
    {"Dense", rules(32, false)},
    {"FewLayers", rules(3, false)},
    {"Experts", rules(61, true)},
    {"ExpertsOfAnyDegree", rules(61, true, true)},
    {"TensorParallelIsGiven", with(rules(32, true), [](LayoutRules& r) { r.tp = 2; })},
    {"StagesAreGiven", with(rules(32, false), [](LayoutRules& r) { r.pp = 4; })},
    {"ReplicasAreGiven", with(rules(32, true),
                              [](LayoutRules& r) {
                                r.dp = {1, 4};
                              })},
    {"ExpertDegreeIsGiven", with(rules(32, true), [](LayoutRules& r) { r.ep = 4; })},
    {"SharedContextOfLatents", with(rules(61, false),
                                    [](LayoutRules& r) {
                                      r.shares_context = true;
                                      r.queries_of_head = 0;
                                    })},
    {"SharedContextOfHeads", with(rules(32, true),
                                  [](LayoutRules& r) {
                                    r.shares_context = true;
                                    r.kv_heads = 2;
                                    r.queries_of_head = 12;
                                  })},
    {"SharedContextIsGiven", with(rules(32, false), [](LayoutRules& r) { r.context_parallel = 2; })},
};
INSTANTIATE_TEST_SUITE_P(Rules, Layouts, ::testing::ValuesIn(kRulesCases), [](const auto& info) { return info.param.title; });

TEST(LayoutOrder, FewestReplicasAndTheLargestTensorParallelDegreeComeFirst) {
  const std::vector<FitLayout> all = layouts_of(4, rules(32, true));
  EXPECT_EQ(all.front().tp, 4U);
  EXPECT_EQ(all.front().ep, 1U);
  EXPECT_EQ(all.back().dp, 4U);
}

// The least share of a layer over all distributions, counted out.
TEST(LayersByRoom, BeatEveryOtherDistribution) {
  EXPECT_THAT(layers_by_room({{60, 0}, {30, 0}}, 4), ElementsAre(3U, 1U));
  EXPECT_THAT(layers_by_room({{60, 0}, {60, 0}}, 1), IsEmpty());
  for (const std::uint64_t a : {5U, 17U, 40U, 72U})
    for (const std::uint64_t b : {8U, 20U, 36U})
      for (const std::uint64_t beside : {0U, 4U}) {
        const std::vector<StageRoom> stages{{a, 0}, {b, beside}, {24, 0}};
        const auto least = [&](std::uint32_t x, std::uint32_t y, std::uint32_t z) {
          return std::min({static_cast<double>(a) / x, static_cast<double>(b - beside) / y, 24.0 / z});
        };
        double best = 0;
        for (std::uint32_t x = 1; x < 14; ++x)
          for (std::uint32_t y = 1; x + y < 15; ++y) best = std::max(best, least(x, y, 15 - x - y));
        const std::vector<std::uint32_t> dealt = layers_by_room(stages, 15);
        ASSERT_EQ(dealt.size(), 3U);
        EXPECT_EQ(dealt[0] + dealt[1] + dealt[2], 15U);
        EXPECT_DOUBLE_EQ(least(dealt[0], dealt[1], dealt[2]), best) << a << " " << b << " " << beside;
      }
}

} // namespace
} // namespace plimsoll
