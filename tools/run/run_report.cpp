#include "run_report.hpp"

#include <fmt/format.h>

#include "plimsoll/human.hpp"

namespace plimsoll::cli {

std::string usage_lines(std::span<const UsageRow> usage, const Style& style) {
  std::string out;
  const bool several = !usage.empty() && usage.back().rank > 0;
  for (const UsageRow& row : usage) {
    if (row.planned_bytes == 0 && row.peak_bytes == 0) continue;
    const std::string rank = several ? fmt::format("rank {:<3}", row.rank) : "";
    const std::string line = fmt::format("{}{:<14}{:>12} of {:>12} planned", rank, category_name(row.category), human_bytes(row.peak_bytes),
                                         human_bytes(row.planned_bytes));
    out += style.paint(row.peak_bytes > row.planned_bytes ? Paint::kRed : Paint::kDim, line) + "\n";
  }
  return out;
}

std::string run_summary(const RunResult& result, const Style& style) {
  const RunTimes& t = result.times;
  std::string out = fmt::format("{} prompt tokens", t.prompt_tokens);
  if (t.prompt_seconds > 0) out += fmt::format(", {:.0f}/s", static_cast<double>(t.prompt_tokens) / t.prompt_seconds);
  std::uint64_t generated = 0, drafted = 0, accepted = 0;
  for (const TextGenerationOutput& of : result.outputs) {
    generated += of.tokens.size();
    drafted += of.drafted_tokens;
    accepted += of.accepted_tokens;
  }
  out += fmt::format("; {} generated", generated);
  if (drafted > 0) out += fmt::format(", {} of {} drafted accepted", accepted, drafted);
  if (t.generate_seconds > 0 && t.generated_tokens > 0)
    out += fmt::format(", {:.0f}/s", static_cast<double>(t.generated_tokens) / t.generate_seconds);
  out += "\n";
  return out + usage_lines(result.usage, style);
}

} // namespace plimsoll::cli
