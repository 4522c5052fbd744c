// See compare_report.hpp.
#include "compare_report.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "markdown.hpp"
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
  return fmt::format("{:.{}f}", value, step > 0 ? std::clamp(static_cast<int>(std::round(-std::log10(step))), 0, 9) : 2);
}

std::string printed_of(const ComparedLine& line) {
  return line.judge == Judge::kStart ? line.printed_text : shown(line, line.printed.value);
}

// What the plan makes of it; of an engine's sentence in one word, the rest is a note.
std::string predicted_of(const ComparedLine& line) {
  if (line.judge == Judge::kStart) return line.predicted_text.substr(0, line.predicted_text.find(':'));
  return line.predicts() ? shown(line, line.predicted) : "";
}

std::string ratio_of(const ComparedLine& line) {
  return line.judge == Judge::kStart || line.printed.value == 0 || !line.predicts() ? "" : fmt::format("{:.4f}", line.ratio());
}

std::string status_of(const ComparedLine& line) { return line.outlier ? "known outlier" : std::string(compare_status_name(line.status)); }

std::string note_of(const ComparedLine& line) {
  if (line.judge != Judge::kStart) return line.note;
  std::string out = line.printed_text.starts_with("refused") ? line.printed_text : "";
  if (const std::size_t colon = line.predicted_text.find(": "); colon != std::string::npos)
    out += (out.empty() ? "" : "; ") + ("the plan: " + line.predicted_text.substr(colon + 2));
  return out + (line.note.empty() ? "" : (out.empty() ? "" : "; ") + line.note);
}

std::string words(const CompareTally& tally) {
  const std::string known = tally.known_outliers == 0 ? "" : fmt::format(", {} known outliers", tally.known_outliers);
  return fmt::format("{} judged: {} within, {} beyond{}; {} consistent with other printed figures, {} only shown", tally.judged,
                     tally.within, tally.beyond, known, tally.consistent, tally.shown);
}

std::vector<std::string> summary(const std::vector<Comparison>& starts) {
  const CompareSummary sums = compare_summary(starts);
  const CompareCount &kv = sums.kv, &weights = sums.weights, &memory = sums.available_kv;
  return {
      fmt::format("{} starts: {} within, {} beyond, {} with nothing judged, {} errors", starts.size(), sums.within, sums.beyond,
                  sums.nothing_judged, sums.errors),
      fmt::format("figures {}", words(sums.lines)),
      fmt::format("counts and sizes of the KV cache: {} predicted within the printed rounding, {} consistent with the printed memory or "
                  "counts, {} beyond, {} known outliers",
                  kv.within, kv.consistent, kv.beyond, kv.known_outliers),
      fmt::format("weights: {} judged, median deviation {:.2f} %, worst {:.2f} %, {} beyond, {} known outliers",
                  weights.within + weights.beyond, 100 * weights.median, 100 * weights.worst, weights.beyond, weights.known_outliers),
      fmt::format("memory for the KV cache: {} judged, median deviation {:.2f} %, 95th percentile {:.2f} %, {} beyond, {} known outliers",
                  memory.within + memory.beyond, 100 * memory.median, 100 * memory.p95, memory.beyond, memory.known_outliers)};
}

std::string title(const Comparison& start) {
  return fmt::format("{}: {}{}, {}", printable(start.id), printable(start.engine),
                     start.release.empty() ? "" : " " + printable(start.release),
                     start.model.empty() ? "model not known" : printable(start.model));
}

} // namespace

std::string compare_report(const std::vector<Comparison>& starts, const Style& style, bool quiet) {
  std::string out;
  for (const Comparison& start : starts) {
    const Paint paint = start.verdict == CompareVerdict::kWithin          ? Paint::kGreen
                        : start.verdict == CompareVerdict::kNothingJudged ? Paint::kYellow
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
                 {"plan", Align::kRight},
                 {"ratio", Align::kRight},
                 {"status"},
                 {"place", Align::kLeft, true}});
    for (const ComparedLine& line : start.lines) {
      const std::string printed = line.judge == Judge::kStart ? line.printed_text.substr(0, line.printed_text.find(':')) : printed_of(line);
      table.row({line.figure, printed, predicted_of(line), ratio_of(line), status_of(line), printable(line.printed.place)});
      if (const std::string note = note_of(line); !note.empty()) table.note(printable(note));
    }
    if (!table.empty()) out += table.render(style);
    if (!start.lines.empty()) out += paragraph("figures " + words(compare_tally(start.lines)), style, 2);
    for (const Advice& advice : start.advice)
      out += paragraph(fmt::format("would start with {}  {}", style.paint(Paint::kBold, printable(advice.option + " " + advice.value)),
                                   printable(advice.message)),
                       style, 2);
    out += "\n";
  }
  if (starts.size() > 1)
    for (const std::string& line : summary(starts)) out += line + "\n";
  return out;
}

namespace {

// How each figure fared over all starts.
std::string figures_markdown(const CompareSummary& sums) {
  std::string out =
      "\n## By figure\n\nDeviations are those of judged lines without known outliers, or, where none is judged, of those only "
      "shown.\n\n| figure | within | beyond | known outliers | consistent | only shown | median | 95th percentile | worst |\n"
      "|---|---:|---:|---:|---:|---:|---:|---:|---:|\n";
  for (const auto& [name, count] : sums.by_figure) {
    const bool deviates = name != kStartFigure && (count.within + count.beyond > 0 || (count.shown > 0 && count.worst > 0));
    const auto percent = [&](double value) { return deviates ? fmt::format("{:.2f} %", 100 * value) : std::string(); };
    out += fmt::format("| {} | {} | {} | {} | {} | {} | {} | {} | {} |\n", name, count.within, count.beyond, count.known_outliers,
                       count.consistent, count.shown, percent(count.median), percent(count.p95), percent(count.worst));
  }
  return out;
}

std::string starts_markdown(const std::vector<Comparison>& starts, const CompareStarts& sums) {
  std::string out = fmt::format("\n## Said to fit, and really started\n\nOf {} starts all that decides was printed; of {} it was not.\n\n"
                                "| the plan says | started | refused |\n|---|---:|---:|\n| fits | {} | {} |\n| does not fit | {} | {} |\n",
                                starts.size() - sums.not_judged, sums.not_judged, sums.fits_started, sums.fits_refused,
                                sums.does_not_fit_started, sums.does_not_fit_refused);
  std::string wrong;
  for (const Comparison& start : starts)
    if (start.start.judged && start.start.said_fits != start.start.started)
      wrong += fmt::format("* {}: said to {}, and {}\n", markdown_text(start.id), start.start.said_fits ? "fit" : "not fit",
                           start.start.started ? "started" : "was refused");
  return out + (wrong.empty() ? "" : "\nWrong:\n\n" + wrong);
}

// What is beyond, known or not, once more where it is seen.
std::string outliers_markdown(const std::vector<Comparison>& starts) {
  std::string out = "\n## Beyond\n\n| start | figure | printed | plan | ratio | status | why |\n|---|---|---:|---:|---:|---|---|\n";
  for (const Comparison& start : starts)
    for (const ComparedLine& line : start.lines)
      if (line.status == CompareStatus::kBeyond)
        out += fmt::format("| {} | {} | {} | {} | {} | {} | {} |\n", markdown_text(start.id), line.figure, markdown_text(printed_of(line)),
                           markdown_text(predicted_of(line)), ratio_of(line), status_of(line), markdown_text(note_of(line)));
  return out;
}

} // namespace

std::string compare_markdown(const std::vector<Comparison>& starts) {
  std::string out = "# Predicted against printed\n\nWritten by `plimsoll compare --format markdown`; do not edit.\n\n";
  for (const std::string& line : summary(starts)) out += "* " + line + "\n";
  const CompareSummary sums = compare_summary(starts);
  out += "\n`within` and `beyond` are judged: predicted from device, fraction, model and settings. `consistent` follows from other printed "
         "figures, so that the formulas are tested and nothing is predicted; where it does not follow it is `beyond`. `shown` is not "
         "judged.\n";
  out += starts_markdown(starts, sums.starts) + figures_markdown(sums) + outliers_markdown(starts);
  out += "\n## Every figure\n\n| start | engine | model | figure | printed | plan | ratio | status | note |\n"
         "|---|---|---|---|---:|---:|---:|---|---|\n";
  for (const Comparison& start : starts)
    for (const ComparedLine& line : start.lines)
      out += fmt::format(
          "| {} | {} | {} | {} | {} | {} | {} | {} | {} |\n", markdown_text(start.id),
          markdown_text(start.release.empty() ? start.engine : start.engine + " " + start.release), markdown_text(start.model), line.figure,
          markdown_text(printed_of(line).substr(0, line.judge == Judge::kStart ? line.printed_text.find(':') : std::string::npos)),
          markdown_text(predicted_of(line)), ratio_of(line), status_of(line), markdown_text(note_of(line)));
  out += "\n## Nothing judged\n\n| start | engine | model | why |\n|---|---|---|---|\n";
  for (const Comparison& start : starts)
    if (start.verdict == CompareVerdict::kNothingJudged || start.error)
      out += fmt::format("| {} | {} | {} | {} |\n", markdown_text(start.id), markdown_text(start.engine), markdown_text(start.model),
                         markdown_text(start.error           ? start.error->message
                                       : start.lines.empty() ? start.note
                                                             : "figures " + words(compare_tally(start.lines))));
  return out;
}

} // namespace plimsoll::cli
