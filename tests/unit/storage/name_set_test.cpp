#include "storage/name_set.hpp"

#include <string>

#include <gtest/gtest.h>

namespace plimsoll {
namespace {

struct PatternCase {
  const char *pattern, *name;
  bool matches;
};

TEST(NameSet, ReadsEachKindOfPattern) {
  constexpr PatternCase kCases[]{
      // Whole segments, anywhere, and everything below.
      {"lm_head", "lm_head", true},
      {"lm_head", "language_model.lm_head", true},
      {"gate", "model.layers.3.mlp.gate", true},
      {"gate", "model.layers.3.mlp.gate_proj", false},
      {"visual", "visual.blocks.0.attn.qkv", true},
      {"visual", "model.visual.blocks.0.attn.qkv", true},
      {"mlp.gate", "model.layers.3.mlp.gate", true},
      {"mlp.gate", "model.layers.3.mlp.gates", false},
      {"mlp.experts", "model.layers.3.mlp.shared_experts.up_proj", false},
      // A full path: that module and below, whichever wrapper it has.
      {"model.layers.1", "model.layers.1.mlp.up_proj", true},
      {"model.layers.1", "model.layers.10.mlp.up_proj", false},
      {"model.layers.1.mlp", "language_model.model.layers.1.mlp.up_proj", true},
      {"model.layers.1.mlp", "model.language_model.layers.1.mlp.up_proj", true},
      {"model.layers.1.mlp", "mtp.layers.1.mlp.up_proj", false},
      {"model.vision_tower", "vision_tower.blocks.0.wq", true},
      // Globs.
      {"model.layers.61*", "model.layers.61.mlp.up_proj", true},
      {"model.layers.61*", "model.layers.6.mlp.up_proj", false},
      {"model.layers.6*", "model.layers.61.mlp.up_proj", true},
      {"mtp*", "mtp.layers.0.mlp.up_proj", true},
      {"mtp.layers.0*", "model.layers.0.mlp.up_proj", false},
      {"model.layers.*.self_attn", "model.layers.12.self_attn.q_proj", true},
      {"model.layers.*.self_attn", "model.layers.12.mlp.q_proj", false},
      {"*.attn.*", "layers.0.attn.wq_a", true},
      {"*.attn.*", "layers.0.attn_norm.wq_a", false},
      {"*.mlp.shared_expert.*", "model.layers.0.mlp.shared_expert.up_proj", true},
      {"*.mlp.shared_expert.*", "model.layers.0.mlp.shared_expert_gate", false},
      {"model.layers.[0-4].mlp*", "model.layers.3.mlp.up_proj", true},
      {"model.layers.[!0-4].mlp*", "model.layers.3.mlp.up_proj", false},
      {"layers.?.mlp", "model.layers.3.mlp.up_proj", true},
      {"*", "anything", true},
      // Regular expressions, from the start.
      {"re:.*self_attn.*", "language_model.model.layers.0.self_attn.q_proj", true},
      {"re:self_attn", "model.layers.0.self_attn.q_proj", false},
      {"re:.*lm_head", "lm_head", true},
      {"re:.*mlp\\.(gate|up|gate_up|down)_proj.*", "model.layers.0.mlp.gate_up_proj", true},
      {"re:.*mlp\\.(gate|up|gate_up|down)_proj.*", "model.layers.0.mlp.experts.0.up_proj", false},
      {"re:model\\.layers\\.\\d+\\.mlp\\.gate$", "model.layers.17.mlp.gate", true},
      {"re:model\\.layers\\.\\d+\\.mlp\\.gate$", "model.layers.17.mlp.gate_proj", false},
      {"re:.*\\.(?:[0-3]|1[0-5])\\..*", "m.layers.12.x", true},
      {"re:.*\\.(?:[0-3]|1[0-5])\\..*", "m.layers.17.x", false},
      {"re:^(?!.*experts).*proj", "m.layers.1.mlp.up_proj", true},
      {"re:^(?!.*experts).*proj", "m.layers.1.mlp.experts.3.up_proj", false},
      {"re:a{2,3}b", "aab", true},
      {"re:a{2,3}b", "ab", false},
      {"re:a{2}b?c*?d+", "aad", true},
      {"re:(x|y)*z", "xyxz", true},
      {"re:[^.]*\\.w", "abc.w", true},
  };
  for (const PatternCase& c : kCases) {
    NameSet set;
    ASSERT_TRUE(set.add(c.pattern, 7, "here")) << c.pattern;
    const auto hit = set.find(c.name);
    EXPECT_EQ(hit.has_value(), c.matches) << c.pattern << " on " << c.name;
    if (hit) {
      EXPECT_EQ(hit->value, 7);
    }
  }
}

TEST(NameSet, TheMostSpecificWins) {
  NameSet set;
  ASSERT_TRUE(set.add("re:.*", 1, ""));
  ASSERT_TRUE(set.add("experts", 2, ""));
  ASSERT_TRUE(set.add("mlp.experts", 3, ""));
  ASSERT_TRUE(set.add("model.layers.3.mlp.experts", 4, ""));
  EXPECT_EQ(set.find("a")->value, 1);
  EXPECT_EQ(set.find("x.experts.0")->value, 2);
  EXPECT_EQ(set.find("model.layers.2.mlp.experts.0.up_proj")->value, 3);
  EXPECT_EQ(set.find("model.layers.3.mlp.experts.0.up_proj")->value, 4);
  EXPECT_FALSE(set.find("model.layers.3.mlp.experts.0.up_proj")->whole);
  EXPECT_TRUE(set.find("model.layers.3.mlp.experts")->whole);
}

TEST(NameSet, RefusesWhatItCannotRead) {
  for (const char* pattern :
       {"", "re:(", "re:)", "re:[a", "re:*", "re:a**", "re:(?<x>a)", "re:a\\b", "re:a\\", "re:a{9999}", "re:a{2,1}", "re:a{,3}",
        "re:(((((((a{99}){99}){99}){99}){99}){99}){99})", "re:((((()){250}){250}){250}){250}", "re:(?=(?!a))b"}) {
    NameSet set;
    const auto added = set.add(pattern, 0, "config.json#/ignore/0");
    ASSERT_FALSE(added) << pattern;
    EXPECT_EQ(added.error().code, ErrorCode::kBadConfig);
    EXPECT_EQ(added.error().where, "config.json#/ignore/0");
  }
  NameSet set;
  EXPECT_FALSE(set.add(std::string(513, 'a'), 0, ""));
  EXPECT_FALSE(set.add("re:" + std::string(400, '('), 0, ""));
}

TEST(NameSet, StopsAtItsLimits) {
  NameSet names, globs, regexes;
  std::size_t i = 0;
  while (i < 1000000 && names.add("model.layers." + std::to_string(i), 0, "")) ++i;
  EXPECT_EQ(i, NameSet::kMaxPatterns);
  EXPECT_TRUE(names.find("model.layers.199999.mlp"));
  for (i = 0; i < 1000000 && globs.add("*" + std::to_string(i) + "*", 0, "");) ++i;
  EXPECT_EQ(i, NameSet::kMaxGlobs);
  for (i = 0; i < 1000000 && regexes.add("re:(a|b)+" + std::to_string(i), 0, "");) ++i;
  EXPECT_LT(i, NameSet::kMaxRegexSteps);
}

// Patterns that take backtracking engines for ever answer at once.
TEST(NameSet, CannotBeMadeToRunAway) {
  const std::string name(5000, 'a');
  for (const char* pattern :
       {"re:(a*)*b", "re:(a|a)*b", "re:(a|aa)+$b", "re:(.*)(.*)(.*)(.*)(.*)b", "re:(a?){200}b", "*a*a*a*a*a*a*a*a*a*a*b*c"}) {
    NameSet set;
    ASSERT_TRUE(set.add(pattern, 0, "")) << pattern;
    EXPECT_FALSE(set.find(name)) << pattern;
  }
  NameSet set;
  ASSERT_TRUE(set.add("a.a", 0, ""));
  std::string dotted;
  for (int i = 0; i < 5000; ++i) dotted += "b.";
  EXPECT_FALSE(set.find(dotted));
  EXPECT_FALSE(set.find(""));
}

} // namespace
} // namespace plimsoll
