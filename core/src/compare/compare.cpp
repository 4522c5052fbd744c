// The functions of plimsoll/compare.hpp but the document's: logs to starts, starts to comparisons, and what they add up to.
#include "plimsoll/compare.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "compare/comparison.hpp"
#include "compare/log_reader.hpp"
#include "compare/start_record.hpp"

namespace plimsoll {
namespace {

constexpr std::string_view kBlanks = " \t\r";

Result<std::vector<EngineStart>> read_records(std::string_view text, const std::string& name, const std::vector<Wording>& wordings) {
  std::vector<EngineStart> out;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.find_first_not_of(kBlanks) == std::string_view::npos) continue;
    PLIMSOLL_ASSIGN(EngineStart start, read_record(line, fmt::format("{}:{}", name, number), wordings));
    out.push_back(std::move(start));
  }
  return out;
}

std::size_t count(const std::vector<Comparison>& comparisons, CompareVerdict verdict) {
  return static_cast<std::size_t>(
      std::count_if(comparisons.begin(), comparisons.end(), [&](const Comparison& start) { return start.verdict == verdict; }));
}

double percentile(const std::vector<double>& sorted, double p) {
  if (sorted.empty()) return 0;
  return sorted[static_cast<std::size_t>(std::ceil(p * static_cast<double>(sorted.size()))) - 1];
}

std::size_t one_if(bool holds) { return holds ? 1 : 0; }

// Counts the lines for which `counts` holds.
template <class Counts>
CompareCount count_lines(const std::vector<Comparison>& comparisons, Counts&& counts) {
  CompareCount out;
  std::vector<double> judged, shown;
  for (const Comparison& start : comparisons)
    for (const ComparedLine& line : start.lines) {
      if (!counts(line)) continue;
      out.figures += one_if(line.status != CompareStatus::kShown);
      out.within += one_if(line.status == CompareStatus::kWithin);
      out.beyond += one_if(line.status == CompareStatus::kBeyond && !line.outlier);
      out.known_outliers += one_if(line.outlier);
      out.consistent += one_if(line.status == CompareStatus::kConsistent);
      out.shown += one_if(line.status == CompareStatus::kShown);
      if (line.printed.value == 0 || line.outlier || line.judge == Judge::kStart) continue;
      if (line.judged()) judged.push_back(std::abs(line.ratio() - 1));
      else if (line.status == CompareStatus::kShown && line.predicted != 0) shown.push_back(std::abs(line.ratio() - 1));
    }
  std::vector<double>& deviations = judged.empty() ? shown : judged;
  std::sort(deviations.begin(), deviations.end());
  out.median = deviations.empty() ? 0 : deviations[(deviations.size() - 1) / 2];
  out.p95 = percentile(deviations, 0.95);
  out.worst = deviations.empty() ? 0 : deviations.back();
  return out;
}

CompareCount count(const std::vector<Comparison>& comparisons, Judge judge) {
  return count_lines(comparisons, [&](const ComparedLine& line) { return line.judge == judge; });
}

CompareStarts count_starts(const std::vector<Comparison>& comparisons) {
  CompareStarts out;
  for (const Comparison& comparison : comparisons) {
    const CompareStart& start = comparison.start;
    if (comparison.error || !start.judged) ++out.not_judged;
    else if (start.said_fits) (start.started ? out.fits_started : out.fits_refused) += 1;
    else (start.started ? out.does_not_fit_started : out.does_not_fit_refused) += 1;
  }
  return out;
}

void add_tally(const std::vector<ComparedLine>& lines, CompareTally& out) {
  for (const ComparedLine& line : lines) {
    out.judged += one_if(line.judged());
    out.known_outliers += one_if(line.outlier);
    out.within += one_if(line.status == CompareStatus::kWithin);
    out.beyond += one_if(line.status == CompareStatus::kBeyond && !line.outlier);
    out.consistent += one_if(line.status == CompareStatus::kConsistent);
    out.shown += one_if(line.status == CompareStatus::kShown);
  }
}

} // namespace

std::string_view compare_status_name(CompareStatus status) noexcept {
  switch (status) {
  case CompareStatus::kWithin: return "within";
  case CompareStatus::kBeyond: return "beyond";
  case CompareStatus::kConsistent: return "consistent";
  case CompareStatus::kShown: break;
  }
  return "shown";
}

std::string_view compare_verdict_name(CompareVerdict verdict) noexcept {
  switch (verdict) {
  case CompareVerdict::kWithin: return "within";
  case CompareVerdict::kBeyond: return "beyond";
  case CompareVerdict::kNothingJudged: return "nothing_judged";
  case CompareVerdict::kError: break;
  }
  return "error";
}

CompareTally compare_tally(const std::vector<ComparedLine>& lines) {
  CompareTally out;
  add_tally(lines, out);
  return out;
}

Result<std::vector<EngineStart>> read_starts(const Context& context, const EngineLog& log) {
  PLIMSOLL_ASSIGN(const std::vector<Wording> wordings, read_wordings(context.catalogue_path()));
  const std::string_view text = std::string_view(log.text).substr(0, kMaxLogBytes);
  if (log.records) return read_records(text, log.name, wordings);
  PLIMSOLL_ASSIGN(EngineStart start, read_log(text, log.name, wordings));
  return std::vector<EngineStart>{std::move(start)};
}

Result<std::vector<Comparison>> compare_starts(const Context& context, const std::vector<EngineStart>& starts,
                                               const CompareRequest& request) {
  if (request.tolerance && !(*request.tolerance >= 0 && *request.tolerance <= 1))
    return fail(ErrorCode::kBadRequest, fmt::format("is {}; a fraction from 0 to 1 was expected", *request.tolerance), "--tolerance");
  PLIMSOLL_ASSIGN(const std::vector<Wording> wordings, read_wordings(context.catalogue_path()));
  PLIMSOLL_ASSIGN(const auto model_keys, read_model_keys(context.catalogue_path()));
  Comparer comparer(context, wordings, model_keys, request);
  std::vector<Comparison> out;
  out.reserve(starts.size());
  for (const EngineStart& start : starts) out.push_back(comparer.compare(start));
  return out;
}

CompareVerdict compare_verdict(const std::vector<Comparison>& comparisons) {
  for (const CompareVerdict verdict : {CompareVerdict::kError, CompareVerdict::kBeyond, CompareVerdict::kWithin})
    if (count(comparisons, verdict) > 0) return verdict;
  return CompareVerdict::kNothingJudged;
}

CompareSummary compare_summary(const std::vector<Comparison>& comparisons) {
  CompareSummary out;
  out.within = count(comparisons, CompareVerdict::kWithin);
  out.beyond = count(comparisons, CompareVerdict::kBeyond);
  out.nothing_judged = count(comparisons, CompareVerdict::kNothingJudged);
  out.errors = count(comparisons, CompareVerdict::kError);
  for (const Comparison& comparison : comparisons) add_tally(comparison.lines, out.lines);
  out.kv = count(comparisons, Judge::kRounding);
  out.weights = count(comparisons, Judge::kWeights);
  out.available_kv = count(comparisons, Judge::kMemory);
  for (const FigureInfo& info : kComparedFigures) {
    const CompareCount figure = count_lines(comparisons, [&](const ComparedLine& line) { return line.figure == info.name; });
    if (figure.figures + figure.shown > 0) out.by_figure.emplace_back(info.name, figure);
  }
  out.starts = count_starts(comparisons);
  return out;
}

} // namespace plimsoll
