// Images on their way into a pass: files, positions, the cache's numbers, a step's budget.
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plimsoll/image.hpp"
#include "runtime/image_budget.hpp"
#include "runtime/token_positions.hpp"
#include "runtime/vision_cache.hpp"

namespace plimsoll::images_test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

std::string write_file(const char* name, const std::string& bytes) {
  const fs::path path = fs::path(::testing::TempDir()) / name;
  std::ofstream(path, std::ios::binary) << bytes;
  return path.string();
}

TEST(Images, AreReadAndNormalised) {
  const ImageNormalisation by{1.0 / 255, {0.5, 0, 1}, {0.5, 1, 2}};
  const auto image =
      read_image(write_file("two.ppm", std::string("P6 # a comment\n2 1\n255\n") + std::string("\xff\x00\x00\x00\xff\x33", 6)), by);
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ((*image)->height, 1U);
  EXPECT_EQ((*image)->width, 2U);
  const std::vector<float> expected{1, 0, -0.5F, -1, 1, -0.4F};
  ASSERT_EQ((*image)->pixels.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR((*image)->pixels[i], expected[i], 1e-6) << i;
}

TEST(Images, AreRefusedWhereTheyAreNone) {
  const struct {
    const char* bytes;
    const char* says;
  } cases[] = {{"P5\n1 1\n255\n1", "no binary PPM"},
               {"", "no binary PPM"},
               {"P6\n1\n", "has no width"},
               {"P6\n2 2\n65535\n", "another largest value"},
               {"P6\n99999999999 2\n255\n", "has no width"},
               {"P6\n2 2\n255\n123", "has 3 B of pixels, where 2 x 2 need 12"},
               {"P6\n0 2\n255\n", "0 bytes for an image"}};
  for (const auto& c : cases) {
    const auto image = read_image(write_file("bad.ppm", c.bytes), {});
    ASSERT_FALSE(image) << c.bytes;
    EXPECT_THAT(image.error().message, HasSubstr(c.says));
    EXPECT_THAT(image.error().where, HasSubstr("bad.ppm"));
  }
}

TEST(Images, AreNormalisedAsTheModelSays) {
  const fs::path folder = fs::path(::testing::TempDir()) / "preprocessor";
  fs::create_directories(folder);
  EXPECT_FALSE(read_image_normalisation((folder / "nowhere").string()));
  const auto written = [&](const std::string& json) {
    std::ofstream(folder / "preprocessor_config.json") << json;
    return read_image_normalisation(folder.string());
  };
  const auto all = written(R"({"rescale_factor": 0.5, "image_mean": [1, 2, 3], "image_std": [4, 5, 6]})");
  ASSERT_TRUE(all) << all.error().message;
  EXPECT_EQ(all->rescale, 0.5);
  EXPECT_EQ(all->mean[2], 3);
  EXPECT_EQ(all->deviation[0], 4);
  const auto raw = written(R"({"do_rescale": false, "do_normalize": false})");
  ASSERT_TRUE(raw);
  EXPECT_EQ(raw->rescale, 1);
  for (const char* const json : {R"({"image_mean": [1, 2], "image_std": [4, 5, 6]})", R"({"image_mean": [1, 2, 3]})",
                                 R"({"image_mean": [1, 2, 3], "image_std": [4, 0, 6]})", R"({"rescale_factor": "x"})", "{"}) {
    EXPECT_FALSE(written(json)) << json;
  }
}

MediaSpan span_at(std::uint64_t begin, std::uint32_t rows, std::uint32_t columns, std::uint64_t hash = 1) {
  MediaSpan span;
  span.begin_tokens = begin;
  span.length_tokens = std::uint64_t{rows} * columns;
  span.hash_low = hash;
  span.rows = rows;
  span.columns = columns;
  span.image = std::make_shared<Image>();
  return span;
}

// Worked out by hand from get_rope_index of the transformers library: 3 tokens, 2 x 3, one token, 2 x 1, two tokens.
TEST(TokenPositions, AreThoseOfQwen2) {
  const std::vector<MediaSpan> media{span_at(3, 2, 3), span_at(10, 2, 1)};
  const std::vector<std::vector<std::uint32_t>> expected{{0, 0, 0}, {1, 1, 1}, {2, 2, 2}, {3, 3, 3}, {3, 3, 4}, {3, 3, 5}, {3, 4, 3},
                                                         {3, 4, 4}, {3, 4, 5}, {6, 6, 6}, {7, 7, 7}, {7, 8, 7}, {9, 9, 9}, {10, 10, 10}};
  for (std::uint64_t begin = 0; begin < expected.size(); ++begin)
    for (std::uint64_t end = begin + 1; end <= expected.size(); ++end) {
      std::vector<std::uint32_t> out((end - begin) * 3, 99);
      write_token_positions(media, begin, out);
      for (std::uint64_t t = begin; t < end; ++t)
        for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(out[(t - begin) * 3 + i], expected[t][i]) << begin << " " << t;
    }
}

TEST(VisionCache, EvictsWhatNobodyAskedForLongest) {
  VisionCache cache(4, 16);
  const VisionCache::Wanted a{{1, 0}, 32}, b{{2, 0}, 16}, c{{3, 0}, 17};
  ASSERT_TRUE(cache.hold(std::vector{a, b}));
  cache.entry(a.hash).encoded = cache.entry(b.hash).encoded = true;
  EXPECT_EQ(cache.free_blocks(), 1U);
  ASSERT_TRUE(cache.hold(std::vector{a}));
  EXPECT_TRUE(cache.entry(a.hash).encoded);
  ASSERT_TRUE(cache.hold(std::vector{c})); // needs two: b goes
  EXPECT_EQ(cache.evictions(), 1U);
  EXPECT_EQ(cache.entries(), 2U);
  EXPECT_TRUE(cache.entry(a.hash).encoded);
  EXPECT_FALSE(cache.entry(c.hash).encoded);
  ASSERT_TRUE(cache.hold(std::vector{b, b, a})); // c goes, though it is younger than a was
  EXPECT_FALSE(cache.entry(b.hash).encoded);
  EXPECT_EQ(cache.free_blocks(), 1U);
  const auto& blocks = cache.entry(a.hash).blocks;
  EXPECT_EQ(cache.pool_row(cache.entry(a.hash), 17), blocks[1] * 16 + 1);
}

TEST(VisionCache, HoldsNothingHalf) {
  VisionCache cache(4, 16);
  const VisionCache::Wanted a{{1, 0}, 33}, b{{2, 0}, 17};
  ASSERT_TRUE(cache.hold(std::vector{a}));
  const auto held = cache.hold(std::vector{a, b});
  ASSERT_FALSE(held);
  EXPECT_EQ(held.error().code, ErrorCode::kInsufficientBlocks);
  EXPECT_THAT(held.error().message, HasSubstr("5 blocks"));
  EXPECT_EQ(cache.entries(), 1U);
}

TEST(ImageBudget, EndsStepsBeforeWhatDoesNotFit) {
  ImageLimits limits;
  limits.rules.block_rows = 16;
  limits.cache_blocks = 2;
  TextContextOptions options;
  options.prompt.assign(60, 5);
  options.max_length = 61;
  options.media = {span_at(4, 4, 4, 1), span_at(24, 4, 4, 2), span_at(44, 3, 3, 3)};
  auto context = TextContext::create(options).value();
  ImageBudget budget(limits);
  EXPECT_EQ(budget.fitting(context, 60), 44U);
  EXPECT_EQ(budget.fitting(context, 30), 30U);
  context.set_chunk_limit(10);
  budget.add(context);
  EXPECT_EQ(budget.fitting(context, 60), 44U) << "the first is held";
  options.media = {span_at(0, 4, 8, 4)};
  const auto other = TextContext::create(options).value();
  EXPECT_EQ(budget.fitting(other, 60), 0U);
  EXPECT_EQ(ImageBudget(std::nullopt).fitting(other, 60), 60U);
}

} // namespace
} // namespace plimsoll::images_test
