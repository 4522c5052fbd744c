// Names of tensors without their numbers: equal keys for equal places in a model, whatever was asked before.
#include "model/name_keys.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>
#include <string>

namespace plimsoll {
namespace {

using ::testing::ElementsAre;

std::vector<std::uint32_t> numbers(const NameKey& key) { return {key.numbers.begin(), key.numbers.begin() + key.n_numbers}; }
NameKey fresh(const std::string& name, const std::string& suffix = "") { return NameKeys().key_of(name, suffix); }

TEST(NameKeys, NumbersAreHandedOutAndMakeNoDifference) {
  const NameKey key = fresh("model.layers.3.mlp.experts.17.up_proj.weight");
  EXPECT_THAT(numbers(key), ElementsAre(3, 17));
  EXPECT_EQ(key.hash, fresh("layers.60.mlp.experts.4000000001.up_proj.weight").hash);
  EXPECT_EQ(key.hash, fresh("language_model.model.layers.3.mlp.experts.17.up_proj", ".weight").hash);
  EXPECT_THAT(numbers(fresh("4294967295.x.0")), ElementsAre(UINT32_MAX, 0));
  EXPECT_THAT(numbers(fresh("x.4294967296.3x.x3.-1.")), ElementsAre()); // too large, or no digits alone
  EXPECT_THAT(numbers(fresh("1.2.3.4.5")), ElementsAre(1, 2, 3, 4));
}

TEST(NameKeys, EveryLetterCounts) {
  std::set<std::uint64_t> hashes;
  const std::string names[] = {"",
                               ".",
                               "a",
                               "a.",
                               ".a",
                               "ab",
                               "a.b",
                               "abcdefgh",
                               "abcdefg",
                               "abcdefgh.",
                               "abcdefghi",
                               "abcdefg.h",
                               "abcdefgh.i",
                               "1",
                               "a.1",
                               "1.a",
                               "1a",
                               "abcdefghijklmnop",
                               "abcdefghijklmnoq",
                               "bbcdefghijklmnop",
                               "12345678901",
                               "a.12345678901"};
  for (const std::string& name : names) EXPECT_TRUE(hashes.insert(fresh(name).hash).second) << name;
}

// What the last name left behind must not show.
TEST(NameKeys, AreTheSameInAnyOrder) {
  std::vector<std::string> names{
      "", "model.", "1", "1.2", "1.2.3.4.5.6", "lm_head.weight", std::string(700, 'x'), std::string(700, 'x') + ".7.y"};
  for (const char* layer : {"0", "1", "12"})
    for (const char* part :
         {"self_attn.q_proj", "self_attn.q_proj.weight", "self_attn.q", "mlp.experts.0.up_proj", "mlp.experts.01", "mlp", ""})
      names.push_back("model.layers." + std::string(layer) + "." + part);
  NameKeys keys;
  for (const std::string& first : names)
    for (const std::string& second : names)
      for (const char* suffix : {"", ".weight"})
        for (const std::string& name : {first, second}) {
          const NameKey& key = keys.key_of(name, suffix);
          const NameKey expected = fresh(name + suffix);
          ASSERT_EQ(key.hash, expected.hash) << first << " then " << second;
          ASSERT_EQ(numbers(key), numbers(expected)) << first << " then " << second;
        }
}

} // namespace
} // namespace plimsoll
