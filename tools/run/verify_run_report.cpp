#include "verify_run_report.hpp"

#include <fmt/format.h>

#include "plimsoll/human.hpp"
#include "plimsoll/table.hpp"

namespace plimsoll::cli {
namespace {

// The first failure, which the verdict is about.
std::string first_failure(const VerifyRunReport& report) {
  for (const VerifyCheck& check : report.checks)
    if (check.result == CheckResult::kFail) return check.message;
  return {};
}

std::string verdict_of_run(const VerifyRunReport& report, const Style& style) {
  const bool good = report.verdict == RunVerdict::kWithinPlan;
  std::string words(run_verdict_name(report.verdict));
  for (char& c : words) c = c == '_' ? ' ' : c;
  return style.paint(good ? Paint::kGreen : Paint::kRed, words + ":") + " " +
         (good ? std::string("every category took what is planned, and every check passed") : printable(first_failure(report))) + "\n";
}

} // namespace

std::string verify_run_report(const VerifyRunReport& report, const Style& style, bool quiet) {
  std::string out = verdict_of_run(report, style);
  if (quiet) return out;
  Table memory({{"rank", Align::kRight},
                {"category"},
                {"planned", Align::kRight},
                {"peak", Align::kRight},
                {"not planned", Align::kRight},
                {"left", Align::kRight},
                {"verdict"}});
  for (const RankVerdict& rank : report.ranks)
    for (const CategoryVerdict& c : rank.categories) {
      if (c.planned_bytes == 0 && c.lines.empty()) continue;
      memory.row({fmt::to_string(rank.rank), std::string(category_name(c.category)), human_count(c.planned_bytes),
                  human_count(c.peak_bytes), c.not_planned_bytes == 0 ? "" : human_count(c.not_planned_bytes),
                  c.left_bytes == 0 ? "" : human_count(c.left_bytes), std::string(memory_verdict_name(c.verdict))});
    }
  Table own({{"category"}, {"label", Align::kLeft, true}, {"peak", Align::kRight}});
  bool any_own = false;
  for (const RankVerdict& rank : report.ranks)
    for (const CategoryVerdict& c : rank.categories)
      for (const LineVerdict& line : c.lines) {
        if (line.verdict != MemoryVerdict::kNotPlanned) continue;
        own.row({std::string(category_name(c.category)), printable(line.label), human_count(line.peak_bytes)});
        any_own = true;
      }
  Table checks({{"check", Align::kRight}, {"name"}, {"result"}, {"", Align::kLeft, true}});
  for (const VerifyCheck& check : report.checks)
    checks.row({fmt::to_string(check.number), check.name, std::string(check_result_name(check.result)), printable(check.message)});
  out += "\n" + style.paint(Paint::kBold, "Memory, in bytes") + "\n" + memory.render(style);
  if (any_own)
    out +=
        "\n" +
        style.paint(Paint::kBold, fmt::format("What this runtime takes and the plan of {} does not have", printable(report.engine.name))) +
        "\n" + own.render(style);
  return out + "\n" + style.paint(Paint::kBold, "Checks") + "\n" + checks.render(style);
}

} // namespace plimsoll::cli
