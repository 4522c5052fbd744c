// Keys of pages: what changes them and what does not.
#include "kv_cache/page_keys.hpp"

#include <gtest/gtest.h>

#include "unit/kv_cache/geometries.hpp"

namespace plimsoll {
namespace {

using testing::counting;

constexpr std::uint64_t kPageTokens = 4, kSeed = 11;

TextContextOptions options_of(std::vector<Token> prompt) {
  TextContextOptions options;
  options.prompt = std::move(prompt);
  options.max_length = 100;
  return options;
}

std::vector<BlockKey> keys_of(const TextContext& context, std::uint64_t page_tokens = kPageTokens, std::uint64_t seed = kSeed) {
  PageKeys keys;
  keys.begin(context, page_tokens, seed);
  std::vector<BlockKey> out;
  for (std::size_t page = 0; page < context.realised_length() / page_tokens; ++page) out.push_back(keys.at(context, page));
  return out;
}
std::vector<BlockKey> keys_of(TextContextOptions options) { return keys_of(TextContext::create(std::move(options)).value()); }

// The first page whose key differs; their number where none does.
std::size_t first_difference(const std::vector<BlockKey>& a, const std::vector<BlockKey>& b) {
  std::size_t page = 0;
  while (page < a.size() && a[page] == b[page]) ++page;
  for (std::size_t later = page; later < a.size(); ++later) EXPECT_NE(a[later], b[later]) << "page " << later << " after page " << page;
  return page;
}

// Invariant 29.
TEST(PageKeys, ATokenChangesItsPageAndAllLaterOnesAndNoneBefore) {
  const std::vector<BlockKey> keys = keys_of(options_of(counting(24)));
  ASSERT_EQ(keys.size(), 6U);
  for (std::size_t at = 0; at < 24; ++at) {
    std::vector<Token> other = counting(24);
    other[at] = 99;
    EXPECT_EQ(first_difference(keys, keys_of(options_of(std::move(other)))), at / kPageTokens) << at;
  }
}

TEST(PageKeys, AreTheSameHoweverFarTheyAreAskedFor) {
  const TextContext context = TextContext::create(options_of(counting(24))).value();
  const std::vector<BlockKey> keys = keys_of(context);
  PageKeys other;
  other.begin(context, kPageTokens, kSeed);
  EXPECT_EQ(other.at(context, 5), keys[5]);
  EXPECT_EQ(other.at(context, 2), keys[2]);
  EXPECT_EQ(keys_of(options_of(counting(9))), std::vector(keys.begin(), keys.begin() + 2)) << "a prefix has the keys of a prefix";
}

// Invariant 30.
TEST(PageKeys, SaltAdapterPageAndSeedChangeThemAll) {
  const TextContext plain = TextContext::create(options_of(counting(24))).value();
  const std::vector<BlockKey> keys = keys_of(plain);
  TextContextOptions salted_one = options_of(counting(24)), adapted = salted_one, both = salted_one, swapped = salted_one;
  salted_one.cache_salt = "a";
  adapted.adapter = "a";
  both.cache_salt = "a";
  both.adapter = "b";
  swapped.cache_salt = "b";
  swapped.adapter = "a";
  const std::vector<std::vector<BlockKey>> all{keys,          keys_of(salted_one), keys_of(adapted),
                                               keys_of(both), keys_of(swapped),    keys_of(plain, kPageTokens, kSeed + 1)};
  for (std::size_t i = 0; i < all.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) EXPECT_EQ(first_difference(all[i], all[j]), 0U) << i << " and " << j;
  EXPECT_NE(keys_of(plain, 8)[0], keys[1]) << "pages of unlike sizes";
}

// Equal tokens that stand for unlike pictures, or for the same one elsewhere.
TEST(PageKeys, MediaChangeThePagesThatTheyReachInto) {
  const auto with = [](std::vector<MediaSpan> media) {
    TextContextOptions options = options_of(std::vector<Token>(24, 5));
    options.media = std::move(media);
    return keys_of(std::move(options));
  };
  const std::vector<BlockKey> plain = with({}), one = with({{6, 8, 1, 2}});
  EXPECT_EQ(first_difference(plain, one), 1U);
  EXPECT_EQ(first_difference(one, with({{6, 8, 1, 3}})), 1U) << "other content, high bits";
  EXPECT_EQ(first_difference(one, with({{6, 8, 9, 2}})), 1U) << "other content, low bits";
  EXPECT_EQ(first_difference(one, with({{7, 8, 1, 2}})), 1U) << "begins later";
  EXPECT_EQ(first_difference(one, with({{6, 2, 1, 2}})), 1U) << "is shorter";
  EXPECT_EQ(first_difference(one, with({{6, 8, 1, 2}, {20, 1, 4, 4}})), 5U) << "one more, later";
  EXPECT_EQ(first_difference(with({{4, 4, 1, 2}}), with({{4, 4, 1, 2}, {8, 4, 1, 2}})), 2U) << "spans that touch";
  EXPECT_EQ(one, with({{6, 8, 1, 2}}));
}

// Tables of one pool must not find each other's pages.
TEST(PageKeys, TablesHaveKeysOfTheirOwn) {
  const BlockKey key{3, 4}, first = table_salt(0, kSeed), second = table_salt(1, kSeed);
  EXPECT_NE(salted(key, first), salted(key, second));
  EXPECT_NE(salted(key, first), key);
  EXPECT_EQ(salted(salted(key, first), first), key);
  EXPECT_NE(table_salt(0, kSeed + 1), first);
}

} // namespace
} // namespace plimsoll
