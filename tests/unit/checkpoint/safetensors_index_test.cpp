#include "checkpoint/safetensors_index.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/sparse_checkpoint.hpp"

namespace plimsoll {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(SafetensorsIndex, ListsShardsAndTheTotal) {
  const auto index = parse_safetensors_index(
      R"({"metadata": {"total_size": 12}, "weight_map": {"b": "m-2.safetensors", "a": "m-1.safetensors", "c": "m-2.safetensors"}})", "i");
  ASSERT_TRUE(index) << index.error().message;
  EXPECT_THAT(index->shards, ElementsAre("m-1.safetensors", "m-2.safetensors"));
  EXPECT_EQ(index->tensor_count, 3U);
  EXPECT_EQ(index->total_bytes, 12U);
}

TEST(SafetensorsIndex, ShardsMayLieInFoldersBelow) {
  const auto index = parse_safetensors_index(R"({"weight_map": {"a": "sub/deep/m.safetensors", "b": "m.safetensors"}})", "i");
  ASSERT_TRUE(index) << index.error().message;
  EXPECT_THAT(index->shards, ElementsAre("m.safetensors", "sub/deep/m.safetensors"));
}

// The same content in another order, with escapes and further keys, has the same fingerprint.
TEST(SafetensorsIndex, LayoutDoesNotMatter) {
  const auto plain = parse_safetensors_index(R"({"weight_map":{"aa":"1","b":"2"}})", "i");
  const auto other = parse_safetensors_index(
      R"({"extra": [1, {"x": 2}], "weight_map": {"b": "2", "a\u0061": "1"}, "metadata": {"total_size": 1.5e3}})", "i");
  ASSERT_TRUE(plain && other);
  EXPECT_EQ(plain->fingerprint, other->fingerprint);
  EXPECT_FALSE(plain->total_bytes);
  EXPECT_EQ(other->total_bytes, 1500U);
  const auto moved = parse_safetensors_index(R"({"weight_map":{"aa":"2","b":"1"}})", "i");
  ASSERT_TRUE(moved);
  EXPECT_NE(plain->fingerprint, moved->fingerprint);
}

// Longer than the window through which it is read, from a file as from memory; letters beyond ASCII and an entry longer than
// the window change nothing.
TEST(SafetensorsIndex, ReadsTheSameThroughTheWindow) {
  const test::TemporaryDirectory directory;
  for (const std::string& odd : {std::string("plain"), std::string("\u00e9t\u00e9"), std::string(300'000, 'x')}) {
    std::map<std::string, std::string> weight_map{{odd, "1"}};
    for (int i = 0; i < 20'000; ++i) weight_map["model.layers." + std::to_string(i) + ".weight"] = std::to_string(i % 7);
    const std::string path = directory / "index.json", text = test::index_text(weight_map, 12);
    test::write_text(path, text);
    std::uint64_t entries = 0;
    const auto from_file = read_safetensors_index(path), from_memory = parse_safetensors_index(text, "i");
    const auto told = parse_safetensors_index(text, "i", [&](std::string_view, std::string_view) { ++entries; });
    ASSERT_TRUE(from_file && from_memory && told);
    EXPECT_EQ(entries, 20'001U);
    for (const auto* index : {&*from_file, &*from_memory}) {
      EXPECT_EQ(index->tensor_count, entries);
      EXPECT_EQ(index->fingerprint, told->fingerprint);
      EXPECT_EQ(index->shards, told->shards);
      EXPECT_EQ(index->total_bytes, 12U);
    }
  }
}

TEST(SafetensorsIndex, EntriesAreToldOnRequest) {
  std::string told;
  const auto index =
      parse_safetensors_index(R"({"weight_map":{"a":"1","b":"2"}})", "i", [&](std::string_view tensor, std::string_view shard) {
        told += std::string(tensor) + "=" + std::string(shard) + ";";
      });
  ASSERT_TRUE(index);
  EXPECT_EQ(told, "a=1;b=2;");
}

TEST(SafetensorsIndex, RefusesWhatIsNoIndex) {
  const std::pair<std::string, const char*> cases[] = {
      {"", "JSON"},
      {"[]", "JSON"},
      {"{}", "no weight_map"},
      {R"({"weight_map":{}})", "no weight_map"},
      {R"({"weight_map":{"a":1}})", "JSON"},
      {R"({"weight_map":{"a":"../x"}})", "'../x'"},
      {R"({"weight_map":{"a":"/etc/passwd"}})", "beside the index"},
      {R"({"weight_map":{"a":".."}})", "beside the index"},
      {R"({"weight_map":{"a":"sub/../../x"}})", "'sub/../../x'"},
      {R"({"weight_map":{"a":"./x"}})", "beside the index"},
      {R"({"weight_map":{"a":"sub//x"}})", "beside the index"},
      {R"({"weight_map":{"a":"sub/"}})", "beside the index"},
      {R"({"weight_map":{"a":""}})", "beside the index"},
      {R"({"weight_map":{"a":"1"})", "JSON"},
      {R"({"weight_map":{"a":"1"}} x)", "JSON"},
      {R"({"weight_map":{"a":"1"}}{})", "after"},
      {R"({"weight_map":{"a":"1"},"weight_map":{"a":"1"}})", "twice"},
      {R"({"weight_map":)" + std::string(100'000, '['), "JSON"},
  };
  for (const auto& [text, says] : cases) {
    const auto index = parse_safetensors_index(text, "dir/i.json");
    ASSERT_FALSE(index) << text.substr(0, 60);
    EXPECT_EQ(index.error().code, ErrorCode::kBadCheckpoint);
    EXPECT_THAT(index.error().message, HasSubstr(says)) << text.substr(0, 60);
    EXPECT_THAT(index.error().where, HasSubstr("dir/i.json"));
  }
}

} // namespace
} // namespace plimsoll
