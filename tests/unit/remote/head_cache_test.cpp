// What is kept of remote files: until it is too much, and never outside its folder.
#include "remote/head_cache.hpp"

#include <filesystem>
#include <gmock/gmock.h>

#include "remote/curl_library.hpp"
#include "support/sparse_checkpoint.hpp"

namespace plimsoll {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

TEST(HeadCacheFiles, AreFoundAgainWithTheirEtag) {
  const test::TemporaryDirectory folder;
  const std::string url = "https://a.example/x/m,1.safetensors";
  for (const char* etag : {"\"abc-1_2.3+4=\"", "W/\"weak\""}) {
    auto cache = HeadCache::open(folder / "c");
    ASSERT_TRUE(cache) << cache.error().message;
    ASSERT_TRUE(cache->keep(url, etag, "head", 1'000'000));
    const auto found = HeadCache::open(folder / "c")->find(url);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->etag, etag);
    EXPECT_EQ(found->file_bytes, 1'000'000u);
    EXPECT_EQ(found->head_bytes, 4u);
    EXPECT_EQ(fs::file_size(found->path), 1'000'000u);
    EXPECT_FALSE(HeadCache::open(folder / "c")->find("https://a.example/x/m"));
    EXPECT_FALSE(HeadCache::open(folder / "c")->find("https://b.example/x/m,1.safetensors"));
    EXPECT_FALSE(HeadCache::open(folder / "c")->find("http://a.example/x/m,1.safetensors"));
  }
}

TEST(HeadCacheFiles, OfEtagsThatNoneHasAreNotAskedFor) {
  const test::TemporaryDirectory folder;
  for (const std::string& etag :
       {std::string(), std::string("abc"), std::string("\"a/../b\""), std::string("\"a\nb\""), "\"" + std::string(300, 'a') + "\""}) {
    auto cache = HeadCache::open(folder / "c");
    const auto head = cache->keep("https://a.example/m.gguf", etag, "head", 10);
    ASSERT_TRUE(head) << head.error().message;
    EXPECT_EQ(fs::path(head->path).parent_path(), folder / "c/heads/a.example");
    EXPECT_FALSE(HeadCache::open(folder / "c")->find("https://a.example/m.gguf")) << etag;
  }
}

TEST(HeadCacheFiles, AreThrownOutWhenTheyAreTooMany) {
  const test::TemporaryDirectory folder;
  const CacheLimits limits{100'000, 50'000};
  auto cache = HeadCache::open(folder / "c", limits);
  ASSERT_TRUE(cache);
  for (int i = 0; i < 40; ++i)
    ASSERT_TRUE(cache->keep("https://a.example/" + std::to_string(i) + ".gguf", "\"e\"", std::string(4'096, 'x'), 1ULL << 40));
  cache->prune();
  std::size_t left = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder / "c/heads")) left += entry.is_regular_file() ? 1U : 0U;
  EXPECT_LE(left, 12u);
  EXPECT_GE(left, 6u);
}

TEST(CurlLibrary, ThatIsNotThereIsNamedWithItsPackage) {
  const auto library = load_curl("libcurl-that-is-not-there.so.4");
  ASSERT_FALSE(library);
  EXPECT_EQ(library.error().code, ErrorCode::kBadRequest);
  EXPECT_THAT(library.error().message, HasSubstr("install libcurl4"));
  EXPECT_THAT(load_curl("libdl.so.2").error().message, HasSubstr("older than"));
}

} // namespace
} // namespace plimsoll
