// The `cells` layout: what contexts take, their padding, windows for each slot, states, and the largest that a budget holds.
#include "kv/layouts/cells.hpp"

#include <gtest/gtest.h>

#include "unit/kv/hand_made.hpp"

namespace plimsoll {
namespace {

constexpr Wide kMib = 1 << 20;

class Cells : public HandMade {
public:
  Cells() : HandMade(KvLayoutKind::kCells, 1) { rules.null_pages = 0; }
};

// gpt-oss-20b: 12 layers that see all and 12 with a window of 128 tokens, 8 heads of 64 elements in 16 bits: 2,048 B a cell.
class GptOss : public Cells {
public:
  GptOss() {
    full(12, 2048).window(12, 2048, 128);
    input.sequences = 8;
    input.max_batch_input_tokens = 256;
  }
};

// A context of 16,384 over 8 slots: 8 x 2,048 cells, 384 MiB; windows of 128 + 256 tokens, padded to 512 cells, 96 MiB.
TEST(CellsLayout, SlotsShareOneContext) {
  GptOss made;
  const auto layout = made.layout();
  const KvCut cut = layout->cut(480 * kMib, demand_of(8, 16'384), kWideMax);
  EXPECT_TRUE(cut.fits);
  EXPECT_EQ(cut.pages, 16'384U);
  EXPECT_EQ(cut.capacity_tokens, 16'384U);
  EXPECT_EQ(cut.used_bytes, 480 * kMib);
  const std::vector<KvGroupShare> shares = layout->shares(cut, demand_of(8, 16'384));
  EXPECT_EQ(shares[0].bytes, 384 * kMib);
  EXPECT_EQ(shares[0].pages, 8U * 2048);
  EXPECT_EQ(shares[1].bytes, 96 * kMib);
  EXPECT_EQ(shares[1].pages, 8U * 512);
  EXPECT_FALSE(layout->cut(480 * kMib - 1, demand_of(8, 16'384), kWideMax).fits);
  EXPECT_EQ(layout->request_bytes(16'384), 480 * kMib);
}

TEST(CellsLayout, WindowsAsTheRulesSay) {
  struct Row {
    bool kv_unified, swa_full, windows;
    std::uint64_t window_cells; // of all streams
  };
  // One stream holds the windows of all 8 slots: 8 x 128 + 256 = 1,280.
  for (const Row& row : {Row{false, false, true, 8 * 512},
                         {true, false, true, 1280},
                         {false, true, true, 16'384},
                         {true, true, true, 16'384},
                         {false, false, false, 16'384}}) {
    GptOss made;
    made.rules.cells.kv_unified = row.kv_unified;
    made.rules.cells.swa_full = row.swa_full;
    made.rules.windows = row.windows;
    const auto layout = made.layout();
    const std::vector<KvGroupShare> shares = layout->shares(layout->cut(kWideMax, demand_of(8, 16'384), kWideMax), demand_of(8, 16'384));
    EXPECT_EQ(shares[0].pages, 16'384U);
    EXPECT_EQ(shares[1].pages, row.window_cells) << row.kv_unified << row.swa_full << row.windows;
  }
}

TEST(CellsLayout, CellsAreCountedInSteps) {
  struct Row {
    std::uint64_t pad, length, slots, cells; // of a stream
  };
  // A context of 1,000 is padded to 1,024; a third of it, 341, to 512.
  for (const Row& row :
       {Row{256, 1000, 1, 1024}, {256, 1000, 3, 512}, {256, 1, 1, 256}, {32, 1000, 1, 1024}, {32, 1000, 3, 352}, {1, 1000, 3, 333}}) {
    Cells made;
    made.full(1, 100);
    made.rules.cells.pad_cells = row.pad;
    made.input.sequences = row.slots;
    EXPECT_EQ(made.layout()->request_bytes(row.length), static_cast<Wide>(row.cells * row.slots * 100)) << row.pad << " " << row.slots;
  }
}

// Qwen3-30B-A3B: 48 layers of 2,048 B.
TEST(CellsLayout, TheLargestContextOfABudget) {
  Cells made;
  made.full(48, 2048);
  const auto layout = made.layout();
  EXPECT_EQ(layout->request_bytes(4096), 384 * kMib);
  EXPECT_EQ(layout->longest_request_tokens(384 * kMib, 1), 4096U);
  EXPECT_EQ(layout->longest_request_tokens(384 * kMib - 1, 1), 3840U);
  EXPECT_EQ(layout->longest_request_tokens(24 * kMib - 1, 1), std::nullopt); // 256 cells are 24 MiB
  EXPECT_EQ(layout->requests_that_fit(384 * kMib, 1024).whole(), 4U);
}

TEST(CellsLayout, StatesAreRowsOfEverySlot) {
  Cells made;
  made.full(4, 1024).state(20, 5000);
  made.input.sequences = 4;
  const auto layout = made.layout();
  EXPECT_EQ(layout->request_bytes(1024), 1024 * 4096 + 4 * 100'000);
  const std::vector<KvGroupShare> shares = layout->shares({}, demand_of(4, 1024));
  EXPECT_EQ(shares[1].state_rows, 4U);
  EXPECT_EQ(shares[1].bytes, 400'000);
  EXPECT_EQ(shares[1].pages, 0U);
}

TEST(CellsLayout, EncoderTokensAreKeptForEverySlot) {
  Cells made;
  made.full(4, 1024).cross(2, 1024, 1500);
  made.input.sequences = 2;
  EXPECT_EQ(made.layout()->request_bytes(512), 512 * 4096 + 2 * 1500 * 2048);
}

TEST(CellsLayout, StatesAloneTakeAnyLength) {
  Cells made;
  made.state(10, 100);
  const auto layout = made.layout();
  EXPECT_EQ(layout->longest_request_tokens(1000, 1), UINT64_MAX);
  EXPECT_EQ(layout->longest_request_tokens(999, 1), std::nullopt);
  EXPECT_EQ(layout->cut(1000, demand_of(1, 100), kWideMax).capacity_tokens, std::nullopt);
  EXPECT_EQ(layout->requests_that_fit(7999, 100).whole(), 7U);
}

// The context is full where its slots hold what it was made for.
TEST(CellsLayout, TheContextHoldsItsSlotsOnce) {
  GptOss made;
  const auto layout = made.layout();
  const KvCut cut = layout->cut(kWideMax, demand_of(8, 16'384), kWideMax);
  EXPECT_EQ(layout->requests_held(cut, demand_of(8, 16'384), 16'384).whole(), 1U);
  EXPECT_EQ(layout->requests_held(cut, demand_of(8, 16'384), 8192).whole(), 2U);
}

// A slot of 1,024 B for every 4 tokens and one for every 128, beside a window: a stream for each of 4 sequences, whether the context of
// 16,384 is divided (4,096 cells each: 1,024 and 256 of these slots) or not (16,384 cells each: 4,096 and 256).
TEST(CellsLayout, CompressedTokensKeepSequencesApart) {
  struct Row {
    bool kv_unified;
    std::uint64_t pages, window_cells, slots_of_4;
  };
  for (const Row& row : {Row{false, 16'384, 768, 1024}, {true, 4 * 16'384, 768, 4096}}) {
    Cells made;
    made.window(2, 1024, 256).compressed(3, 1024, 4).compressed(1, 1024, 128).state(1, 4096);
    made.input.sequences = 4;
    made.input.max_batch_input_tokens = 512;
    made.rules.cells.pad_cells = 256;
    made.rules.cells.kv_unified = row.kv_unified;
    const auto layout = made.layout();
    const KvCut cut = layout->cut(kWideMax, demand_of(4, 16'384), kWideMax);
    EXPECT_EQ(cut.pages, row.pages);
    EXPECT_EQ(cut.used_bytes, static_cast<Wide>(4 * (2 * row.window_cells * 1024 + 3 * row.slots_of_4 * 1024 + 256 * 1024 + 4096)));
  }
}

} // namespace
} // namespace plimsoll
