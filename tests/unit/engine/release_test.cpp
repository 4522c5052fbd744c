// Release strings and their order.
#include "engine/release.hpp"

#include <gtest/gtest.h>

namespace plimsoll {
namespace {

TEST(Release, OrderIsThatOfVersions) {
  const char* ascending[] = {"0.8.2",     "0.8.5",  "0.8.5.post1", "0.9.0.dev3", "0.9.0a1",     "0.9.0b2", "0.9.0rc1.dev7",
                             "0.9.0rc1",  "0.9.0",  "0.10.0",      "0.10.1.1",   "0.21.0.dev0", "0.21.0",  "0.26.1rc1.dev608",
                             "0.26.1rc1", "0.26.1", "1.2.1",       "b3597",      "b10107"};
  for (std::size_t i = 0; i + 1 < std::size(ascending); ++i) {
    const auto a = parse_release(ascending[i]), b = parse_release(ascending[i + 1]);
    ASSERT_TRUE(a && b) << ascending[i] << " " << ascending[i + 1];
    EXPECT_TRUE(*a < *b) << ascending[i] << " < " << ascending[i + 1];
    EXPECT_FALSE(*b < *a);
  }
}

TEST(Release, SpellingsOfTheSameReleaseAreEqual) {
  const std::pair<const char*, const char*> same[] = {
      {"1.0", "1.0.0"},           {"v0.10.2", "0.10.2"},        {"0.9.0rc1", "0.9rc1"},
      {"0.11.0+cu129", "0.11.0"}, {"3597 (127c6ee6)", "b3597"}, {"0.8.5-post1", "0.8.5.post1"}};
  for (const auto& [a, b] : same) EXPECT_TRUE(parse_release(a) == parse_release(b) && parse_release(a)) << a << " = " << b;
}

TEST(Release, AnythingElseIsNone) {
  for (const char* text : {"", " ", "newest", "backport image", "0.", "0..1", "0.9.0xyz", "1.2.three", "99999999999999999999", ".1", "b"})
    EXPECT_FALSE(parse_release(text)) << text;
  EXPECT_FALSE(parse_release(std::string(200, '1')));
}

} // namespace
} // namespace plimsoll
