#include "fit_report.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "plimsoll/human.hpp"
#include "report.hpp"
#include "table.hpp"

namespace plimsoll::cli {
namespace {

// "tp 2, pp 2 (41 + 39 layers)": degrees of 1 say nothing.
std::string layout_text(const FitLayout& layout) {
  std::string out;
  const auto add = [&](std::string_view name, std::uint32_t degree) {
    if (degree > 1) out += fmt::format("{}{} {}", out.empty() ? "" : ", ", name, degree);
  };
  add("tp", layout.tp);
  add("pp", layout.pp);
  if (!layout.stage_layers.empty() && layout.pp > 1) out += fmt::format(" ({} layers)", fmt::join(layout.stage_layers, " + "));
  add("dp", layout.dp);
  add("ep", layout.ep);
  add("context parallel", layout.context_parallel);
  return out.empty() ? "one device" : out;
}

bool one_length(const FitReport& report) {
  return std::all_of(report.rows.begin(), report.rows.end(),
                     [&](const FitRow& row) { return row.max_length == report.rows.front().max_length; });
}

std::string rows_table(const FitReport& report, const Style& style) {
  const bool alike = one_length(report);
  Table table({{"devices"},
               {"layout", Align::kLeft, true},
               {alike ? fmt::format("requests of {}", human_count(report.rows.front().max_length)) : "requests", Align::kRight},
               {"tokens", Align::kRight},
               {"headroom", Align::kRight},
               {"price/h", Align::kRight},
               {"quantize"},
               {""}});
  for (const FitRow& row : report.rows)
    table.row({printable(row.devices), layout_text(row.layout), fmt::format("{:.1f}", row.total_requests),
               alike ? "" : human_count(row.max_length), human_bytes(row.headroom_bytes),
               row.price ? fmt::format("{:.2f}", *row.price) : "", printable(row.quantize), row.verdict == Verdict::kTight ? "tight" : ""});
  return table.render(style);
}

std::string failure_text(const FitFailure& failure, const Style& style) {
  return paragraph(fmt::format("{}, {}: {}", printable(failure.devices), layout_text(failure.layout), printable(failure.error.message)),
                   style, 2);
}

std::string sentence(const FitReport& report, const Style& style) {
  if (report.rows.empty()) return style.paint(Paint::kRed, "does not fit") + ": nothing that was tried serves it\n";
  const FitRow& row = report.rows.front();
  return fmt::format("{}: {}, {}{}: {:.1f} requests of {} tokens at once\n", style.paint(Paint::kGreen, "fits"), printable(row.devices),
                     layout_text(row.layout), row.quantize.empty() ? "" : ", as " + printable(row.quantize), row.total_requests,
                     human_count(row.max_length));
}

} // namespace

std::string fit_report(const FitReport& report, const Style& style, bool quiet) {
  std::string out = sentence(report, style);
  if (quiet) return out;
  if (!report.rows.empty()) {
    out += "\n" + heading("What serves it", style) + rows_table(report, style);
    if (report.folded_rows > 0)
      out += paragraph(
          fmt::format("{} more {} folded; --all shows every row", human_count(report.folded_rows), report.folded_rows == 1 ? "is" : "are"),
          style, 2);
  }
  if (report.first_failure)
    out += "\n" + heading(report.rows.empty() ? "The nearest" : "What does not", style) + failure_text(*report.first_failure, style);
  if (!report.rows.empty()) out += "\n" + heading("The first as a plan", style) + shell_lines(report.rows.front().plan_command, style, 2);
  return out;
}

} // namespace plimsoll::cli
