#include "storage/name_hashes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>

namespace plimsoll {
namespace {

using Parts = std::vector<std::vector<std::uint64_t>>;

TEST(NameHashes, FindsWhatOccursTwice) {
  EXPECT_THAT(repeated(Parts{{5, 1, 5, UINT64_MAX, 2, UINT64_MAX, UINT64_MAX, 7}}), testing::ElementsAre(5, UINT64_MAX));
  EXPECT_THAT(repeated(Parts{{5, 1}, {}, {UINT64_MAX, 5, 2}, {UINT64_MAX}}), testing::ElementsAre(5, UINT64_MAX));
  EXPECT_THAT(repeated(Parts{}), testing::IsEmpty());
  EXPECT_THAT(repeated(Parts{{}}), testing::IsEmpty());
}

// Values made to agree in all the bits that the counting passes look at.
TEST(NameHashes, CollidingLowBitsAreToldApart) {
  std::vector<std::uint64_t> hashes;
  for (std::uint64_t i = 0; i < 100'000; ++i) hashes.push_back(((i * 7919) % 100'000) << 34);
  EXPECT_THAT(repeated(Parts{hashes}), testing::IsEmpty());
  hashes.push_back(std::uint64_t{17} << 34);
  EXPECT_THAT(repeated(Parts{hashes}), testing::ElementsAre(std::uint64_t{17} << 34));
}

TEST(NameHashes, RealNamesDiffer) {
  std::vector<std::uint64_t> hashes;
  for (int layer = 0; layer < 61; ++layer)
    for (int expert = 0; expert < 256; ++expert)
      hashes.push_back(name_hash("model.layers." + std::to_string(layer) + ".mlp.experts." + std::to_string(expert) + ".up_proj.weight"));
  EXPECT_THAT(repeated(Parts{hashes}), testing::IsEmpty());
}

// Every length, and a letter changed at every place: no two of them agree.
TEST(NameHashes, EveryLetterCounts) {
  std::vector<std::uint64_t> hashes{name_hash("")};
  const std::string whole = "model.layers.0.self_attn";
  for (std::size_t length = 1; length <= whole.size(); ++length)
    for (std::size_t at = 0; at <= length; ++at) {
      std::string name = whole.substr(0, length);
      if (at < length) name[at] = '#';
      hashes.push_back(name_hash(name));
    }
  EXPECT_THAT(repeated(Parts{hashes}), testing::IsEmpty());
}

} // namespace
} // namespace plimsoll
