#include "model/name_hashes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>

namespace plimsoll {
namespace {

TEST(NameHashes, FindsWhatOccursTwice) {
  std::vector<std::uint64_t> hashes{5, 1, 5, UINT64_MAX, 2, UINT64_MAX, UINT64_MAX, 7};
  EXPECT_THAT(repeated(hashes), testing::ElementsAre(5, UINT64_MAX));
  std::vector<std::uint64_t> none;
  EXPECT_THAT(repeated(none), testing::IsEmpty());
}

// Values made to agree in all the bits that the counting passes look at.
TEST(NameHashes, CollidingLowBitsAreToldApart) {
  std::vector<std::uint64_t> hashes;
  for (std::uint64_t i = 0; i < 100'000; ++i) hashes.push_back(((i * 7919) % 100'000) << 34);
  EXPECT_THAT(repeated(hashes), testing::IsEmpty());
  hashes.push_back(std::uint64_t{17} << 34);
  EXPECT_THAT(repeated(hashes), testing::ElementsAre(std::uint64_t{17} << 34));
}

TEST(NameHashes, RealNamesDiffer) {
  std::vector<std::uint64_t> hashes;
  for (int layer = 0; layer < 61; ++layer)
    for (int expert = 0; expert < 256; ++expert)
      hashes.push_back(name_hash("model.layers." + std::to_string(layer) + ".mlp.experts." + std::to_string(expert) + ".up_proj.weight"));
  EXPECT_THAT(repeated(hashes), testing::IsEmpty());
}

} // namespace
} // namespace plimsoll
