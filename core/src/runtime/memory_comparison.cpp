#include "runtime/memory_comparison.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "base/checked.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kLeastPercent = 95;

bool is_wasted(std::uint64_t peak_bytes, std::uint64_t planned_bytes) { return peak_bytes < mul_div_up(planned_bytes, kLeastPercent, 100); }

MemoryVerdict verdict_of(const LineVerdict& line, bool own_plan, bool is_overhead) {
  if (line.left_bytes > 0) return MemoryVerdict::kOver;
  if (line.planned_bytes == 0 && !own_plan) return MemoryVerdict::kNotPlanned;
  if (line.peak_bytes > line.planned_bytes) return MemoryVerdict::kOver;
  if (own_plan && !is_overhead && is_wasted(line.peak_bytes, line.planned_bytes)) return MemoryVerdict::kWasted;
  return MemoryVerdict::kWithin;
}

// Why a line is over: "'activation.slab' took 12 B, 4 B more than the 8 B planned".
std::string reason_of(const LineVerdict& line) {
  if (line.peak_bytes > line.planned_bytes)
    return fmt::format("'{}' took {} B, {} B more than the {} B planned", line.label, line.peak_bytes, line.peak_bytes - line.planned_bytes,
                       line.planned_bytes);
  return fmt::format("{} B of '{}' were never given back", line.left_bytes, line.label);
}

void settle(CategoryVerdict& category, bool own_plan) {
  for (const LineVerdict& line : category.lines) {
    if (line.verdict != MemoryVerdict::kOver) continue;
    category.verdict = MemoryVerdict::kOver;
    category.reason = reason_of(line);
    return;
  }
  if (!own_plan || category.category == Category::kOverhead || !is_wasted(category.peak_bytes, category.planned_bytes)) return;
  category.verdict = MemoryVerdict::kWasted;
  const auto most = std::max_element(category.lines.begin(), category.lines.end(), [](const LineVerdict& a, const LineVerdict& b) {
    return a.planned_bytes - std::min(a.planned_bytes, a.peak_bytes) < b.planned_bytes - std::min(b.planned_bytes, b.peak_bytes);
  });
  category.reason = fmt::format("only {} B of {} B were taken, of '{}' {} B of {} B", category.peak_bytes, category.planned_bytes,
                                most->label, most->peak_bytes, most->planned_bytes);
}

} // namespace

std::vector<CategoryVerdict> compare_memory(const RankMeasurement& measured, bool own_plan) {
  std::vector<CategoryVerdict> out(kCategories);
  for (std::size_t i = 0; i < kCategories; ++i) out[i].category = static_cast<Category>(i);
  for (const Usage& usage : measured.lines) {
    CategoryVerdict& category = out[static_cast<std::size_t>(usage.category)];
    const bool is_overhead = usage.category == Category::kOverhead;
    LineVerdict line{usage.label, usage.planned_bytes, usage.peak_bytes, is_overhead ? 0 : usage.live_bytes};
    line.verdict = verdict_of(line, own_plan, is_overhead);
    category.planned_bytes += line.planned_bytes;
    category.driver_bytes += usage.driver_bytes;
    category.left_bytes += line.left_bytes;
    if (line.verdict == MemoryVerdict::kNotPlanned) category.not_planned_bytes += line.peak_bytes;
    else category.peak_bytes += line.peak_bytes;
    category.lines.push_back(std::move(line));
  }
  for (std::size_t i = 0; i < kCategories; ++i) {
    CategoryVerdict& category = out[i];
    // Lines may have peaked one after the other.
    if (category.not_planned_bytes == 0) category.peak_bytes = std::min(category.peak_bytes, measured.categories[i].peak_bytes);
    std::sort(category.lines.begin(), category.lines.end(), [](const LineVerdict& a, const LineVerdict& b) { return a.label < b.label; });
    settle(category, own_plan);
  }
  return out;
}

} // namespace plimsoll
