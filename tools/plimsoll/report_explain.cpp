// Every byte of a plan with its formula: see report.hpp. Ranks that hold the same items are one section.
#include <fmt/format.h>

#include "plan_view.hpp"
#include "plimsoll/human.hpp"
#include "report.hpp"
#include "table.hpp"

namespace plimsoll::cli {
namespace {

Table item_table() {
  return Table(
      {{"item", Align::kLeft, true}, {"bytes", Align::kRight}, {"exactly", Align::kRight}, {"basis"}, {"planner", Align::kLeft, true}});
}

void add_item(Table& table, const Item& item, std::size_t rank) {
  const std::uint64_t bytes = bytes_on(item, rank);
  table.row({printable(item.label), human_bytes(bytes), human_count(bytes), std::string(basis_name(item.basis)), printable(item.planner)});
  if (const std::string& formula = item.formula_on(rank); !formula.empty()) table.note("= " + printable(formula));
}

std::string rank_section(const Plan& plan, const std::vector<std::size_t>& positions, const Style& style) {
  const std::size_t rank = positions.front();
  std::vector<std::uint32_t> numbers;
  for (const std::size_t position : positions) numbers.push_back(plan.devices[position].rank);
  std::string out = "\n" + heading(fmt::format("{} {} ({})", numbers.size() == 1 ? "Rank" : "Ranks", rank_list(numbers),
                                               printable(plan.devices[rank].name)),
                                   style);
  for (const ItemGroup& group : item_groups(plan, rank)) {
    Table table = item_table();
    for (const Item* item : group.items) add_item(table, *item, rank);
    out +=
        fmt::format("  {}: {} ({} bytes)\n", style.paint(Paint::kBold, group.title), human_bytes(group.bytes), human_count(group.bytes)) +
        table.render(style, 4);
  }
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
  for (const auto& positions : ranks_with_equal_items(plan)) out += rank_section(plan, positions, style);
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
