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

CompareCount count(const std::vector<Comparison>& comparisons, Judge judge) {
  CompareCount out;
  std::vector<double> deviations;
  for (const Comparison& start : comparisons)
    for (const ComparedLine& line : start.lines) {
      if (line.judge != judge || !line.within) continue;
      ++out.figures;
      if (line.outlier) {
        ++out.known_outliers;
        continue;
      }
      if (*line.within) ++out.within;
      if (line.printed.value != 0) deviations.push_back(std::abs(line.ratio() - 1));
    }
  std::sort(deviations.begin(), deviations.end());
  out.median = deviations.empty() ? 0 : deviations[(deviations.size() - 1) / 2];
  out.p95 = percentile(deviations, 0.95);
  out.worst = deviations.empty() ? 0 : deviations.back();
  return out;
}

} // namespace

std::string_view compare_verdict_name(CompareVerdict verdict) noexcept {
  switch (verdict) {
  case CompareVerdict::kWithin: return "within";
  case CompareVerdict::kBeyond: return "beyond";
  case CompareVerdict::kSkipped: return "skipped";
  case CompareVerdict::kError: break;
  }
  return "error";
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
  return CompareVerdict::kSkipped;
}

CompareSummary compare_summary(const std::vector<Comparison>& comparisons) {
  CompareSummary out;
  out.within = count(comparisons, CompareVerdict::kWithin);
  out.beyond = count(comparisons, CompareVerdict::kBeyond);
  out.skipped = count(comparisons, CompareVerdict::kSkipped);
  out.errors = count(comparisons, CompareVerdict::kError);
  out.kv = count(comparisons, Judge::kRounding);
  out.weights = count(comparisons, Judge::kWeights);
  out.available_kv = count(comparisons, Judge::kMemory);
  return out;
}

} // namespace plimsoll
