#include "checkpoint/shard_names.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace plimsoll {
namespace {

TEST(ShardNames, ReadsTheNumberingsInUse) {
  const auto name = parse_shard_name("model-00007-of-000163.safetensors");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->stem, "model-");
  EXPECT_EQ(name->number, 7U);
  EXPECT_EQ(name->count, 163U);
  EXPECT_EQ(name->extension, ".safetensors");
  EXPECT_EQ(with_number(*name, 8), "model-00008-of-000163.safetensors");
  EXPECT_TRUE(parse_shard_name("model_00001-of-00072.safetensors"));
  EXPECT_TRUE(parse_shard_name("DeepSeek-V3-Q4_K_M-00001-of-00009.gguf"));
  EXPECT_TRUE(parse_shard_name("model-000001-of-000002.safetensors"));
  for (const char* other : {"model.safetensors", "model-1-of-2.safetensors", "model-00003-of-00002.gguf", "00001-of-00000.gguf",
                            "x-of-00002.gguf", "model-00001-of-00002", "model-0000001-of-0000002.gguf", ""})
    EXPECT_FALSE(parse_shard_name(other)) << other;
}

TEST(ShardNames, NamesWhatIsMissing) {
  EXPECT_THAT(missing_shards({"a-00001-of-00003.gguf", "a-00003-of-00003.gguf"}), testing::ElementsAre("a-00002-of-00003.gguf"));
  EXPECT_THAT(missing_shards({"a-00001-of-00002.gguf", "a-00002-of-00002.gguf"}), testing::IsEmpty());
  // Numbered from zero, with the last number or the count behind "of".
  EXPECT_THAT(missing_shards({"a-00000-of-00002.x", "a-00001-of-00002.x", "a-00002-of-00002.x"}), testing::IsEmpty());
  EXPECT_THAT(missing_shards({"a-00000-of-00002.x", "a-00001-of-00002.x"}), testing::IsEmpty());
  EXPECT_EQ(missing_shards({"a-00001-of-999999.gguf"}).size(), 8U);
}

} // namespace
} // namespace plimsoll
