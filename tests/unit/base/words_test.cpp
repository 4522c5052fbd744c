// Patterns with * and ?, and parts of a text.
#include "base/words.hpp"

#include <gtest/gtest.h>

namespace plimsoll {
namespace {

TEST(Words, PatternsMatchWholeTextsAndPlainOnesAPart) {
  const struct {
    const char *text, *pattern;
    bool matches;
  } rows[] = {{"Qwen/Qwen3-8B", "qwen3", true},
              {"Qwen/Qwen3-8B", "*8B", true},
              {"Qwen/Qwen3-8B", "8b*", false},
              {"Qwen/Qwen3-8B", "Qwen/Qwen?-8B", true},
              {"Qwen/Qwen3-8B", "Qwen/Qwen?8B", false},
              {"Qwen/Qwen3-8B", "*", true},
              {"Qwen/Qwen3-8B", "", true},
              {"", "*", true},
              {"", "?", false},
              {"Qwen/Qwen3-8B", "*Q*3*B", true},
              {"aaab", "*ab", true},
              {"aaab", "a?b", false}};
  for (const auto& row : rows) EXPECT_EQ(matches_pattern(row.text, row.pattern), row.matches) << row.text << " " << row.pattern;
}

// What would take a recursive matcher for ever.
TEST(Words, ManyStarsTakeNoTime) {
  std::string pattern;
  for (int i = 0; i < 500; ++i) pattern += "*a";
  EXPECT_FALSE(matches_pattern(std::string(1000, 'a') + "b", pattern));
  EXPECT_TRUE(matches_pattern(std::string(1000, 'a'), pattern));
}

} // namespace
} // namespace plimsoll
