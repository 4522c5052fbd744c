// Every byte of a plan with its formula: see report.hpp. Ranks that hold the same items are one section.
#include <algorithm>
#include <fmt/format.h>
#include <map>

#include "plimsoll/device_figures.hpp"
#include "plimsoll/human.hpp"
#include "report.hpp"
#include "table.hpp"

namespace plimsoll::cli {
namespace {

std::uint64_t bytes_on(const Item& item, std::size_t rank) { return rank < item.bytes.size() ? item.bytes[rank] : 0; }

// The position of the rank in items is its position in `devices`.
std::vector<std::vector<std::size_t>> equal_ranks(const Plan& plan) {
  std::map<std::pair<std::string, std::vector<std::uint64_t>>, std::size_t> known;
  std::vector<std::vector<std::size_t>> out;
  for (std::size_t rank = 0; rank < plan.devices.size(); ++rank) {
    std::vector<std::uint64_t> figures;
    for (const Item& item : plan.items) figures.push_back(bytes_on(item, rank));
    const auto [found, added] = known.emplace(std::pair(plan.devices[rank].name, std::move(figures)), out.size());
    if (added) out.emplace_back();
    out[found->second].push_back(rank);
  }
  return out;
}

Table item_table() {
  return Table(
      {{"item", Align::kLeft, true}, {"bytes", Align::kRight}, {"exactly", Align::kRight}, {"basis"}, {"planner", Align::kLeft, true}});
}

void add_item(Table& table, const Item& item, std::uint64_t bytes) {
  table.row({printable(item.label), human_bytes(bytes), human_count(bytes), std::string(basis_name(item.basis)), printable(item.planner)});
  if (!item.formula.empty()) table.note("= " + printable(item.formula));
}

std::string rank_section(const Plan& plan, const std::vector<std::size_t>& positions, const Style& style) {
  const std::size_t rank = positions.front();
  std::vector<std::uint32_t> numbers;
  for (const std::size_t position : positions) numbers.push_back(plan.devices[position].rank);
  std::string out = "\n" + heading(fmt::format("{} {} ({})", numbers.size() == 1 ? "Rank" : "Ranks", rank_list(numbers),
                                               printable(plan.devices[rank].name)),
                                   style);
  const auto category_section = [&](std::string_view title, auto&& wanted) {
    Table table = item_table();
    std::uint64_t sum = 0;
    for (const Item& item : plan.items) {
      const std::uint64_t bytes = bytes_on(item, rank);
      if (bytes == 0 || !wanted(item)) continue;
      add_item(table, item, bytes);
      sum += std::min(bytes, UINT64_MAX - sum);
    }
    if (table.empty()) return;
    out +=
        fmt::format("  {}: {} ({} bytes)\n", style.paint(Paint::kBold, title), human_bytes(sum), human_count(sum)) + table.render(style, 4);
  };
  for (const DeviceFigure& figure : kDeviceFigures)
    if (figure.category)
      category_section(figure.title, [&](const Item& item) {
        return item.counted && item.memory == MemoryKind::kDevice && item.category == *figure.category;
      });
  category_section("covered by a larger phase, not added", [](const Item& item) { return !item.counted; });
  category_section("in host memory, on no device", [](const Item& item) { return item.memory == MemoryKind::kHost; });
  return out;
}

std::string kv_section(const Plan& plan, const Style& style) {
  if (plan.kv_cache.groups.empty()) return {};
  Table table({{"group", Align::kLeft, true},
               {"kind"},
               {"layers", Align::kRight},
               {"page bytes", Align::kRight},
               {"window", Align::kRight},
               {"state bytes per sequence", Align::kRight},
               {"basis"}});
  for (const KvGroupPlan& group : plan.kv_cache.groups)
    table.row({printable(group.label), std::string(cache_kind_name(group.kind)), human_count(group.layers),
               group.page_bytes_per_device == 0 ? std::string() : human_count(group.page_bytes_per_device),
               group.window_tokens ? human_count(*group.window_tokens) : std::string(),
               group.state_bytes_per_sequence == 0 ? std::string() : human_count(group.state_bytes_per_sequence),
               std::string(basis_name(group.basis))});
  return "\n" +
         heading(fmt::format("KV groups, {}, pages of {} tokens", printable(plan.kv_cache.dtype), human_count(plan.kv_cache.page_tokens)),
                 style) +
         table.render(style);
}

} // namespace

std::string explain_report(const Plan& plan, const Style& style) {
  std::string out = verdict_line(plan, style);
  for (const auto& positions : equal_ranks(plan)) out += rank_section(plan, positions, style);
  out += kv_section(plan, style);
  if (!plan.model.planners.empty()) {
    Table table({{"planner"}, {"version"}, {"counted", Align::kLeft, true}});
    for (const PlannerInfo& planner : plan.model.planners) {
      std::string aspects;
      for (const std::string& aspect : planner.aspects) aspects += (aspects.empty() ? "" : ", ") + printable(aspect);
      table.row({printable(planner.id), printable(planner.version), aspects});
    }
    out += "\n" + heading("Planners", style) + table.render(style);
  }
  return out;
}

} // namespace plimsoll::cli
