// What every picture of a plan shows, as words and figures: the verdict, what was planned, ranks that are alike, the bars' segments,
// limits, the rows of the frontier. Called by the reports as text, Markdown and HTML. Draws nothing and never writes; texts have no
// control characters and are not yet escaped for any format. Threads: pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/host.hpp"

namespace plimsoll::cli {

struct VerdictText {
  std::string word, text; // "does not fit", and why
};
VerdictText verdict_text(const Plan& plan);

// The model's name, and lines about it, the layout and the engine.
std::string plan_title(const Plan& plan);
std::vector<std::string> plan_subject(const Plan& plan);

// A part of a device's memory, in the order of bars and columns.
struct PlanPart {
  Category category = Category::kWeights;
  std::string_view title, column;
  std::uint64_t DevicePlan::*bytes = nullptr;
};
const std::vector<PlanPart>& plan_parts();

struct Fold {
  const DevicePlan* device = nullptr;
  std::vector<std::uint32_t> ranks; // none: the host
};
// Ranks with equal figures, in the order of their first; then the host, where the plan holds it against its memory.
std::vector<Fold> alike_devices(const Plan& plan);
std::string device_name(const DevicePlan& device);
std::string fold_name(const Fold& fold); // "0-7 H200"

// A device's memory from end to end: each part up to the budget, what is unused of it, what stands above it, what is outside.
struct BarSegments {
  std::array<std::uint64_t, kCategories> part_bytes{}; // in the order of plan_parts()
  std::uint64_t unused_bytes = 0, over_bytes = 0, outside_bytes = 0;
};
BarSegments bar_segments(const DevicePlan& device);

struct LimitLine {
  std::string title, text; // without a title: goes on from the line before
};
std::vector<LimitLine> limit_lines(const Plan& plan);
// Every limit that a device breaks, by device; those with equal figures as one.
std::vector<LimitLine> broken_limits(const Plan& plan);

// A row for each doubling of the length and the last, a column for each KV type.
struct FrontierRows {
  std::vector<std::string> kv_dtypes;
  struct Row {
    std::uint64_t max_length = 0;
    std::vector<std::string> batches;
  };
  std::vector<Row> rows;
};
FrontierRows frontier_rows(const Plan& plan);

// Positions of ranks in `devices` that hold the same items, by the first of each.
std::vector<std::vector<std::size_t>> ranks_with_equal_items(const Plan& plan);
std::uint64_t bytes_on(const Item& item, std::size_t rank);

// The groups in which items of a rank are explained: a category, what a larger phase covers, host memory.
struct ItemGroup {
  std::string title;
  std::vector<const Item*> items;
  std::uint64_t bytes = 0;
};
std::vector<ItemGroup> item_groups(const Plan& plan, std::size_t rank);

} // namespace plimsoll::cli
