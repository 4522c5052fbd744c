// Ops of images: patches and how they turn and merge, tokens that become rows of an image, and what a cache of such rows keeps.
#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/runtime/op_case.hpp"

namespace plimsoll::executor_images_test {
namespace {

using ::testing::HasSubstr;

// An image of 4 x 6 pixels of one channel, patches of 1 pixel, 2 x 2 of which are merged.
struct EncoderRun {
  explicit EncoderRun(std::uint64_t most_outputs = 6) : builder(24, 1, most_outputs), pixels(24) {
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<float>(i);
  }
  std::vector<float> encode(std::uint32_t result, std::uint64_t height = 4, std::uint64_t width = 6, Error* error = nullptr) {
    const Program program = builder.program(result);
    const test::Memory slab(Executor<float>::slab_bytes(program), true);
    auto executor = Executor<float>::create(program, test::test_backend(), builder.weights(), {}, {slab.data(), slab.bytes()});
    EXPECT_TRUE(executor) << executor.error().message;
    test::VisibleVector<std::uint32_t> positions(24 * 3);
    const auto rows = executor->encode({{pixels.data(), height, width}, positions});
    if (!rows) {
      if (error != nullptr) *error = rows.error();
      return {};
    }
    std::vector<float> out(rows->rows * rows->width);
    test::test_backend()->copy_out(out.data(), rows->data, out.size() * sizeof(float));
    return out;
  }
  test::ProgramBuilder builder;
  std::vector<float> pixels;
};

TEST(EncoderOps, TakeNeighboursTogether) {
  EncoderRun run;
  const std::uint32_t patches = run.builder.value(2), merged = run.builder.value(8, true);
  run.builder.op(OpKind::kPatches, patches, {}, {}, {1, 2, 1, 2});
  run.builder.op(OpKind::kMergeRows, merged, {patches}, {}, {4});
  const std::vector<float> rows = run.encode(merged);
  ASSERT_EQ(rows.size(), 48U);
  const std::vector<float> first{0, 0, 1, 1, 6, 6, 7, 7}, last{16, 16, 17, 17, 22, 22, 23, 23};
  for (std::size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(rows[i], first[i]) << i;
    EXPECT_EQ(rows[40 + i], last[i]) << i;
  }
}

// Blocks of one patch, 4 x 6 of them, in windows of 3 x 3: two of three rows, and two of the one that is left.
TEST(EncoderOps, WorkInWindowsAndAreInOrderBehindThem) {
  constexpr std::uint64_t kWindow = 3, kRows = 4, kColumns = 6;
  std::vector<std::uint64_t> order; // pixels as the windows have them
  for (std::uint64_t wy = 0; wy < kRows; wy += kWindow)
    for (std::uint64_t wx = 0; wx < kColumns; wx += kWindow)
      for (std::uint64_t y = wy; y < std::min(wy + kWindow, kRows); ++y)
        for (std::uint64_t x = wx; x < std::min(wx + kWindow, kColumns); ++x) order.push_back(y * kColumns + x);
  for (const bool in_order : {false, true}) {
    EncoderRun run(24);
    const std::uint32_t patches = run.builder.value(1), merged = run.builder.value(1, true), sorted = run.builder.value(1, true);
    run.builder.op(OpKind::kPatches, patches, {}, {}, {1, 1, 1, 1, kWindow});
    run.builder.op(OpKind::kMergeRows, merged, {patches}, {}, {1});
    if (in_order) run.builder.op(OpKind::kRowsInOrder, sorted, {merged});
    const std::vector<float> rows = run.encode(in_order ? sorted : merged);
    ASSERT_EQ(rows.size(), 24U);
    for (std::size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i], static_cast<float>(in_order ? i : order[i])) << i;
  }
  // Attention to one's own window alone: with equal scores the mean of it.
  EncoderRun run(24);
  const std::uint32_t patches = run.builder.value(1), zero = run.builder.value(1), mean = run.builder.value(1),
                      merged = run.builder.value(1, true);
  run.builder.op(OpKind::kPatches, patches, {}, {}, {1, 1, 1, 1, kWindow});
  run.builder.op(OpKind::kAdd, zero, {patches}, {}, {}, {0});
  run.builder.op(OpKind::kAttendWhole, mean, {zero, zero, patches}, {}, {1, 1, 1, 1, 0, 1}, {1});
  run.builder.op(OpKind::kMergeRows, merged, {mean}, {}, {1});
  const std::vector<float> rows = run.encode(merged);
  ASSERT_EQ(rows.size(), 24U);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::uint64_t y = order[i] / kColumns, x = order[i] % kColumns;
    const double of_rows = y < 3 ? 1 : 3, of_columns = x < 3 ? 1 : 4; // their means
    EXPECT_NEAR(rows[i], of_rows * kColumns + of_columns, 1e-5) << i;
  }
}

TEST(EncoderOps, TurnByRowAndColumn) {
  for (const bool in_turn : {false, true}) {
    EncoderRun run;
    const std::uint32_t patches = run.builder.value(1), wide = run.builder.value(8), merged = run.builder.value(32, true);
    const std::uint32_t w = run.builder.weight({8, 1}, std::vector<double>(8, 1.0));
    run.builder.op(OpKind::kPatches, patches, {}, {}, {1, 1, 1, 2});
    run.builder.op(OpKind::kLinear, wide, {patches}, {w}, {PLIMSOLL_ALL_PARTS}, {1});
    const std::uint32_t table = run.builder.rope({1, 0.5, 0.25, 0.125});
    // One after another: pairs 0, 1 by the row, 2, 3 by the column. In turn: pair 1 by the row, 2 by the column, 0 and 3 by neither.
    const std::uint64_t first = in_turn ? 2 : 0, second = in_turn ? 1 : 2;
    run.builder.op(OpKind::kRopeSections, wide, {wide}, {}, {1, 8, 0, 8, in_turn ? 1U : 0U, table, first, second});
    run.builder.op(OpKind::kMergeRows, merged, {wide}, {}, {4});
    const std::vector<float> rows = run.encode(merged);
    ASSERT_EQ(rows.size(), 192U);
    for (std::uint64_t patch = 0; patch < 24; ++patch) {
      const std::uint64_t block = patch / 4, y = block / 3 * 2 + patch % 4 / 2, x = block % 3 * 2 + patch % 2;
      const double value = static_cast<double>(y * 6 + x), frequencies[] = {1, 0.5, 0.25, 0.125};
      for (std::uint64_t pair = 0; pair < 4; ++pair) {
        const double at = in_turn ? static_cast<double>(pair == 1 ? y : pair == 2 ? x : 0) : static_cast<double>(pair < 2 ? y : x);
        const double angle = at * frequencies[pair];
        EXPECT_NEAR(rows[patch * 8 + pair], value * (std::cos(angle) - std::sin(angle)), 2e-5) << patch << " " << pair;
        EXPECT_NEAR(rows[patch * 8 + 4 + pair], value * (std::cos(angle) + std::sin(angle)), 2e-5) << patch << " " << pair;
      }
    }
  }
}

TEST(EncoderOps, RefuseImagesOfOtherSizes) {
  EncoderRun run;
  const std::uint32_t patches = run.builder.value(1), merged = run.builder.value(4, true);
  run.builder.op(OpKind::kPatches, patches, {}, {}, {1, 1, 1, 2});
  run.builder.op(OpKind::kMergeRows, merged, {patches}, {}, {4});
  Error error;
  EXPECT_TRUE(run.encode(merged, 3, 6, &error).empty());
  EXPECT_THAT(error.message, HasSubstr("multiples of 2"));
  EXPECT_TRUE(run.encode(merged, 0, 6, &error).empty());
  EXPECT_TRUE(run.encode(merged, 4, 8, &error).empty());
  EXPECT_THAT(error.message, HasSubstr("32 patches; the plan is for 24"));
}

// Rows of whole blocks and of a last one that is not full, as elements of the cache's type; then tokens that find theirs there.
TEST(ImageRows, AreThoseThatWereStored) {
  for (const ElementType type : {ElementType::kFloat32, ElementType::kBfloat16, ElementType::kFloat16}) {
    constexpr std::uint64_t kWidth = 3, kRows = 5;
    const test::Memory cache(kRows * kWidth * element_bytes(type));
    cache.fill(0);
    std::vector<float> rows(2 * kWidth);
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<float>(i) + 0.5F;
    const test::Memory from(rows.size() * sizeof(float));
    from.write(rows.data());
    const auto backend = test::test_backend();
    backend->ops(float{}).store_rows({static_cast<const float*>(from.data()), 2, kWidth}, cache.data(), type, 3 * kWidth);

    test::OpCase c(4);
    const test::Table x(4, kWidth, 1);
    const std::uint32_t value = c.input(x);
    c.builder.op(OpKind::kImageRows, value, {value}, {}, {7});
    Program program = c.finish(value);
    program.images.most_rows = kRows;
    program.images.row_elements = kWidth;
    const test::Memory slab(Executor<float>::slab_bytes(program), true);
    auto executor = Executor<float>::create(program, backend, c.builder.weights(), {}, {slab.data(), slab.bytes()});
    ASSERT_TRUE(executor) << executor.error().message;
    const test::VisibleVector<std::int32_t> tokens{0, 1, 2, 3};
    const test::VisibleVector<std::uint32_t> offsets{0, 4}, lengths{0}, image_rows{kNoImageRow, 4, 3, kNoImageRow};
    ForwardInputs pass;
    pass.tokens = std::span<const std::int32_t>(tokens);
    pass.row_offsets = offsets;
    pass.kv.cache_lengths = lengths;
    pass.kv.batch = 1;
    pass.logits_per_sequence = kAllRows;
    pass.image_rows = image_rows;
    pass.encoded = {cache.data(), type, kRows};
    const auto outputs = executor->run(pass);
    ASSERT_TRUE(outputs) << outputs.error().message;
    std::vector<float> out(outputs->rows * outputs->width);
    backend->copy_out(out.data(), outputs->logits, out.size() * sizeof(float));
    ASSERT_EQ(out.size(), 4 * kWidth);
    for (std::uint64_t i = 0; i < kWidth; ++i) {
      EXPECT_NEAR(out[i], x.at(0, i), 1e-6);
      EXPECT_EQ(out[kWidth + i], rows[kWidth + i]);
      EXPECT_EQ(out[2 * kWidth + i], rows[i]);
      EXPECT_NEAR(out[3 * kWidth + i], x.at(3, i), 1e-6);
    }
  }
}

} // namespace
} // namespace plimsoll::executor_images_test
