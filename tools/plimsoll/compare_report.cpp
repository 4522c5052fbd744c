// See compare_report.hpp.
#include "compare_report.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "plimsoll/human.hpp"
#include "report.hpp"
#include "table.hpp"

namespace plimsoll::cli {
namespace {

constexpr double kGiB = 1073741824, kMiB = 1048576;

// As the engine printed it: in the unit and with the decimals that the step tells.
std::string shown(const ComparedLine& line, double value) {
  const double step = line.printed.step;
  if (line.figure.ends_with("_bytes")) {
    if (step == 0) return fmt::format("{:.0f}", value);
    const bool mib = std::abs(line.printed.value) < kGiB && std::fmod(step, kMiB / 100) < 1;
    return fmt::format("{:.{}f} {}", value / (mib ? kMiB : kGiB),
                       mib ? 2 : static_cast<int>(std::max(2.0, std::round(-std::log10(step / kGiB)))), mib ? "MiB" : "GiB");
  }
  if (step == 0 && value >= 0) return human_count(static_cast<std::uint64_t>(value + 0.5));
  return fmt::format("{:.2f}", value);
}

std::string_view judgement(const ComparedLine& line) {
  if (!line.within) return "shown";
  if (*line.within) return "yes";
  return line.outlier ? "known outlier" : "no";
}

std::vector<std::string> summary(const std::vector<Comparison>& starts) {
  const CompareSummary sums = compare_summary(starts);
  const CompareCount &kv = sums.kv, &weights = sums.weights, &memory = sums.available_kv;
  return {fmt::format("{} starts: {} within, {} beyond, {} not comparable, {} errors", starts.size(), sums.within, sums.beyond,
                      sums.skipped, sums.errors),
          fmt::format("KV figures inside the printed rounding: {} of {}, {} known outliers", kv.within, kv.figures, kv.known_outliers),
          fmt::format("weights: {} figures, median deviation {:.2f} %, worst {:.2f} %, {} known outliers",
                      weights.figures - weights.known_outliers, 100 * weights.median, 100 * weights.worst, weights.known_outliers),
          fmt::format("available KV memory: {} figures, median deviation {:.2f} %, 95th percentile {:.2f} %, {} known outliers",
                      memory.figures - memory.known_outliers, 100 * memory.median, 100 * memory.p95, memory.known_outliers)};
}

std::string title(const Comparison& start) {
  return fmt::format("{}: {}{}, {}", printable(start.id), printable(start.engine),
                     start.release.empty() ? "" : " " + printable(start.release),
                     start.model.empty() ? "model not known" : printable(start.model));
}

// A table cell of Markdown.
std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

} // namespace

std::string compare_report(const std::vector<Comparison>& starts, const Style& style, bool quiet) {
  std::string out;
  for (const Comparison& start : starts) {
    const Paint paint = start.verdict == CompareVerdict::kWithin    ? Paint::kGreen
                        : start.verdict == CompareVerdict::kSkipped ? Paint::kYellow
                                                                    : Paint::kRed;
    out += style.paint(paint, std::string(compare_verdict_name(start.verdict))) + " " + title(start) + "\n";
    if (quiet) continue;
    if (!start.note.empty()) out += paragraph(printable(start.note), style, 2);
    if (start.error)
      out += paragraph(
          printable(start.error->where.empty() ? start.error->message : fmt::format("{} ({})", start.error->message, start.error->where)),
          style, 2);
    Table table({{"figure"},
                 {"printed", Align::kRight},
                 {"predicted", Align::kRight},
                 {"ratio", Align::kRight},
                 {"within"},
                 {"place", Align::kLeft, true}});
    for (const ComparedLine& line : start.lines) {
      table.row({line.figure, shown(line, line.printed.value), shown(line, line.predicted),
                 line.printed.value == 0 ? "" : fmt::format("{:.4f}", line.ratio()), std::string(judgement(line)),
                 printable(line.printed.place)});
      if (!line.note.empty()) table.note(printable(line.note));
    }
    if (!table.empty()) out += table.render(style);
    out += "\n";
  }
  if (starts.size() > 1)
    for (const std::string& line : summary(starts)) out += line + "\n";
  return out;
}

std::string compare_markdown(const std::vector<Comparison>& starts) {
  std::string out = "# Predicted against printed\n\nWritten by `plimsoll compare --format markdown`; do not edit.\n\n";
  for (const std::string& line : summary(starts)) out += "* " + line + "\n";
  out += "\nKV figures are predicted from the printed memory, the others from device, fraction and model. \"shown\" is not judged.\n\n"
         "| start | engine | model | figure | printed | predicted | ratio | within | note |\n|---|---|---|---|---:|---:|---:|---|---|\n";
  for (const Comparison& start : starts)
    for (const ComparedLine& line : start.lines)
      out += fmt::format("| {} | {} | {} | {} | {} | {} | {} | {} | {} |\n", cell(start.id),
                         cell(start.release.empty() ? start.engine : start.engine + " " + start.release), cell(start.model), line.figure,
                         shown(line, line.printed.value), shown(line, line.predicted),
                         line.printed.value == 0 ? "" : fmt::format("{:.4f}", line.ratio()), judgement(line), cell(line.note));
  out += "\n## Not compared\n\n| start | engine | model | why |\n|---|---|---|---|\n";
  for (const Comparison& start : starts)
    if (start.verdict == CompareVerdict::kSkipped || start.error)
      out += fmt::format("| {} | {} | {} | {} |\n", cell(start.id), cell(start.engine), cell(start.model),
                         cell(start.error ? start.error->message : start.note));
  return out;
}

} // namespace plimsoll::cli
