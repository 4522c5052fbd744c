// The plan as an operator wants to see it: see report.hpp.
#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "plan_view.hpp"
#include "plimsoll/human.hpp"
#include "report.hpp"
#include "table.hpp"

namespace plimsoll::cli {
namespace {

// How a part of a device's memory is drawn.
struct Look {
  std::string_view unicode, ascii;
  Paint paint = Paint::kPlain;
};

Look look_of(Category category) {
  switch (category) {
  case Category::kWeights: return {"\u2588", "W", Paint::kBlue};
  case Category::kActivation: return {"\u2593", "A", Paint::kMagenta};
  case Category::kSignalBuffer: return {"\u259e", "S", Paint::kYellow};
  case Category::kWorkspace: return {"\u259c", "B", Paint::kMagenta};
  case Category::kVisionCache: return {"\u259a", "V", Paint::kCyan};
  case Category::kOverhead: return {"\u2592", "O", Paint::kDim};
  case Category::kKvCache: return {"\u2591", "K", Paint::kGreen};
  }
  return {"?", "?", Paint::kPlain};
}

// One unit for the whole table, so that a row stays short.
struct Unit {
  const char* name;
  double bytes;
};

Unit table_unit(const std::vector<Fold>& folds) {
  for (const Fold& fold : folds)
    if (fold.device->total_bytes >= 1ULL << 30) return {"GiB", 1073741824.0};
  return {"MiB", 1048576.0};
}

// What is zero stays empty, so that an unused column disappears.
std::string cell(std::uint64_t bytes, const Unit& unit) {
  if (bytes == 0) return {};
  const double value = static_cast<double>(bytes) / unit.bytes;
  return value < 0.005 ? std::string("<0.01") : fmt::format("{:.2f}", value);
}

std::string signed_cell(std::int64_t bytes, const Unit& unit) {
  if (bytes == 0) return "0.00";
  const std::string digits = cell(bytes < 0 ? 0 - static_cast<std::uint64_t>(bytes) : static_cast<std::uint64_t>(bytes), unit);
  return bytes < 0 ? "-" + digits : digits;
}

std::string title_lines(const Plan& plan, const Style& style) {
  std::string out = style.paint(Paint::kBold, plan_title(plan)) + "\n";
  for (const std::string& line : plan_subject(plan)) out += paragraph(line, style, 2);
  return out;
}

std::string device_bar(const DevicePlan& device, std::size_t width, const Style& style) {
  const BarSegments drawn = bar_segments(device);
  std::vector<Segment> segments;
  for (std::size_t at = 0; at < plan_parts().size(); ++at) {
    const Look look = look_of(plan_parts()[at].category);
    segments.push_back({drawn.part_bytes[at], look.unicode, look.ascii, look.paint});
  }
  segments.push_back({drawn.unused_bytes, "\u00b7", ".", Paint::kDim});
  segments.push_back({drawn.over_bytes, "!", "!", Paint::kRed});
  segments.push_back({drawn.outside_bytes, " ", " ", Paint::kPlain});
  return bar(segments, width, style);
}

std::string legend(const std::vector<Fold>& folds, const Style& style) {
  std::string out;
  const auto explain = [&](const Look& look, std::string_view title) {
    if (!out.empty()) out += "  ";
    out += fmt::format("{} {}", style.paint(look.paint, style.unicode ? look.unicode : look.ascii), title);
  };
  const auto any = [&](auto&& has) { return std::any_of(folds.begin(), folds.end(), [&](const Fold& fold) { return has(*fold.device); }); };
  for (const PlanPart& part : plan_parts())
    if (any([&](const DevicePlan& device) { return device.*part.bytes > 0; })) explain(look_of(part.category), part.title);
  if (any([](const DevicePlan& device) { return device.unused_bytes >= 0; })) explain({"\u00b7", ".", Paint::kDim}, "unused budget");
  if (any([](const DevicePlan& device) { return device.unused_bytes < 0; })) explain({"!", "!", Paint::kRed}, "too much");
  return paragraph(out, style, 2);
}

std::string bars(const std::vector<Fold>& folds, const Style& style) {
  std::size_t label_columns = 0;
  for (const Fold& fold : folds) label_columns = std::max(label_columns, columns_of(fold_name(fold)));
  label_columns = std::min(label_columns, style.width_columns / 3);
  const std::size_t taken = label_columns + 6; // margin, blank, brackets
  const std::size_t width = style.width_columns > taken + 10 ? style.width_columns - taken : 10;
  std::string out;
  for (const Fold& fold : folds) {
    std::string label = fold_name(fold);
    const std::size_t columns = columns_of(label);
    if (columns < label_columns) label.append(label_columns - columns, ' ');
    out += fmt::format("  {} [{}]\n", label, device_bar(*fold.device, width, style));
  }
  return out + legend(folds, style);
}

std::string device_table(const std::vector<Fold>& folds, const Style& style) {
  std::vector<Column> columns{{"rank", Align::kLeft, true}, {"device", Align::kLeft, true}};
  for (const PlanPart& part : plan_parts()) columns.push_back({std::string(part.column), Align::kRight});
  columns.push_back({"unused", Align::kRight});
  columns.push_back({"budget", Align::kRight});
  columns.push_back({"free", Align::kRight});
  columns.push_back({"total", Align::kRight});
  Table table(std::move(columns));
  const Unit unit = table_unit(folds);
  for (const Fold& fold : folds) {
    const DevicePlan& device = *fold.device;
    std::vector<std::string> cells{rank_list(fold.ranks), device_name(device)};
    for (const PlanPart& part : plan_parts()) cells.push_back(cell(device.*part.bytes, unit));
    cells.push_back(signed_cell(device.unused_bytes, unit));
    cells.push_back(cell(device.budget_bytes, unit));
    cells.push_back(device.free_bytes == device.total_bytes ? std::string() : cell(device.free_bytes, unit));
    cells.push_back(cell(device.total_bytes, unit));
    table.row(std::move(cells));
  }
  if (table.width_columns() + 2 <= style.width_columns)
    return heading(fmt::format("Devices, in {}", unit.name), style) + table.render(style);
  // Too narrow for one row each: one figure per line.
  std::string out = heading("Devices", style);
  for (const Fold& fold : folds) {
    const DevicePlan& device = *fold.device;
    out += fmt::format("  {}\n", fold_name(fold));
    const auto line = [&](std::string_view title, const std::string& value) { out += fmt::format("    {:<15}{:>13}\n", title, value); };
    for (const PlanPart& part : plan_parts())
      if (device.*part.bytes > 0) line(part.title, human_bytes(device.*part.bytes));
    line("unused", human_signed_bytes(device.unused_bytes));
    line("budget", human_bytes(device.budget_bytes));
    if (device.free_bytes != device.total_bytes) line("free", human_bytes(device.free_bytes));
    line("total", human_bytes(device.total_bytes));
  }
  return out;
}

std::string limits_section(const Plan& plan, const Style& style) {
  std::string out = heading("Limits", style);
  for (const LimitLine& line : limit_lines(plan)) out += paragraph(fmt::format("{:<18}{}", line.title, line.text), style, 2);
  return out;
}

std::string reasons_section(const Plan& plan, const Style& style) {
  std::string out;
  for (const LimitLine& broken : broken_limits(plan)) out += paragraph(broken.title + "  " + broken.text, style, 2);
  return out.empty() ? out : heading("Limits that are broken", style) + out + "\n";
}

// Every point of a curve as a bar, on a logarithmic scale: a batch is near to one over its length. `most`: the largest of all curves.
std::string curve_line(const FrontierCurve& curve, std::uint64_t most, std::size_t label_columns, const Style& style) {
  std::vector<double> heights;
  for (const FrontierPoint& point : curve.points)
    heights.push_back(point.max_batch_size == 0
                          ? -1
                          : std::log2(static_cast<double>(point.max_batch_size)) / std::max(1.0, std::log2(static_cast<double>(most))));
  const FrontierPoint &first = curve.points.front(), &last = curve.points.back();
  const std::string ends = fmt::format("{} of {} tokens to {} of {}", human_count(first.max_batch_size), human_count(first.max_length),
                                       human_count(last.max_batch_size), human_count(last.max_length));
  const std::size_t before = label_columns + 4; // margin and gap
  const std::size_t room = style.width_columns > before + 8 ? style.width_columns - before : 8;
  std::string label = printable(curve.kv_dtype);
  label.append(label_columns - std::min(label_columns, columns_of(label)), ' ');
  const std::string bars = fmt::format("  {}  {}", label, style.paint(Paint::kGreen, sparkline(heights, room, style)));
  const bool beside = std::min(heights.size(), room) + 2 + columns_of(ends) <= room;
  return beside ? fmt::format("{}  {}\n", bars, ends) : bars + "\n" + paragraph(ends, style, before);
}

std::string frontier_section(const Plan& plan, const Style& style) {
  if (plan.frontier.empty()) return {};
  const FrontierRows rows = frontier_rows(plan);
  std::vector<Column> columns{{"length", Align::kRight}};
  std::size_t label_columns = 0;
  for (const std::string& type : rows.kv_dtypes) {
    columns.push_back({type, Align::kRight});
    label_columns = std::max(label_columns, columns_of(type));
  }
  Table table(std::move(columns));
  for (const FrontierRows::Row& row : rows.rows) {
    std::vector<std::string> cells{human_count(row.max_length)};
    cells.insert(cells.end(), row.batches.begin(), row.batches.end());
    table.row(std::move(cells));
  }
  std::string out = "\n" +
                    paragraph(style.paint(Paint::kBold, "Frontier: requests that fit at once, by their length and the KV type"), style, 0) +
                    table.render(style) + "\n";
  std::uint64_t most = 1;
  for (const FrontierCurve& curve : plan.frontier)
    for (const FrontierPoint& point : curve.points) most = std::max(most, point.max_batch_size);
  for (const FrontierCurve& curve : plan.frontier)
    if (!curve.points.empty()) out += curve_line(curve, most, label_columns, style);
  return out;
}

// A row for each method that was asked for.
std::string quantizations_section(const Plan& plan, const Style& style) {
  if (plan.quantizations.empty()) return {};
  Table table({{"quantize", Align::kLeft, true}, {"weights", Align::kRight}, {"KV tokens", Align::kRight}, {"verdict", Align::kLeft}});
  for (const QuantizationRow& row : plan.quantizations)
    table.row({printable(row.quantize), human_bytes(row.weights_bytes), human_count(row.capacity_tokens),
               row.verdict == Verdict::kDoesNotFit ? "does not fit" : std::string(verdict_name(row.verdict))});
  return "\n" + heading("Weights of all devices as exporters would write them; the first that fits is planned", style) +
         table.render(style);
}

std::string remarks(const Plan& plan, const Style& style) {
  std::string out;
  if (!plan.warnings.empty()) out += "\n" + heading("Warnings", style);
  for (const Warning& warning : plan.warnings)
    out += paragraph(
        fmt::format("{} {}", style.paint(Paint::kYellow, std::string(warning_name(warning.code)) + ":"), printable(warning.message)), style,
        2);
  if (!plan.advice.empty()) out += "\n" + heading("What would help", style);
  for (const Advice& advice : plan.advice)
    out += paragraph(fmt::format("{}  {}", style.paint(Paint::kBold, printable(fmt::format("{} {}", advice.option, advice.value))),
                                 printable(advice.message)),
                     style, 2) +
           shell_lines(printable(advice.command), style, 4);
  return out;
}

} // namespace

std::string verdict_line(const Plan& plan, const Style& style) {
  const Paint paint = plan.verdict == Verdict::kFits ? Paint::kGreen : plan.verdict == Verdict::kTight ? Paint::kYellow : Paint::kRed;
  const VerdictText verdict = verdict_text(plan);
  return paragraph(style.paint(paint, verdict.word + ":") + " " + verdict.text, style, 0);
}

std::string longest_line(const Plan& plan, const Style& style) {
  if (plan.verdict != Verdict::kFits && plan.verdict != Verdict::kTight) return {};
  return paragraph(fmt::format("longest request: {} tokens", plan.limits.max_length), style, 0);
}

std::string plan_report(const Plan& plan, const Style& style, bool quiet) {
  if (quiet) return verdict_line(plan, style);
  const std::vector<Fold> folds = alike_devices(plan);
  std::string out = verdict_line(plan, style) + "\n" + title_lines(plan, style) + "\n";
  if (!folds.empty()) out += device_table(folds, style) + "\n" + bars(folds, style) + "\n";
  out += reasons_section(plan, style);
  return out + limits_section(plan, style) + frontier_section(plan, style) + quantizations_section(plan, style) + remarks(plan, style);
}

} // namespace plimsoll::cli
