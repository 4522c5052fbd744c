// A plan for a ticket or a pull request: see report.hpp.
#include <fmt/format.h>

#include "markdown.hpp"
#include "plan_view.hpp"
#include "plimsoll/device_figures.hpp"
#include "plimsoll/human.hpp"
#include "report.hpp"
#include "table.hpp"

namespace plimsoll::cli {
namespace {

// A command to paste, whatever quotes it holds.
std::string fenced(std::string_view command) {
  std::string fence = "```";
  while (command.find(fence) != std::string_view::npos) fence += '`';
  return fmt::format("\n{}sh\n{}\n{}\n", fence, printable(command), fence);
}

std::string devices_markdown(const Plan& plan) {
  const std::vector<Fold> folds = alike_devices(plan);
  if (folds.empty()) return {};
  std::vector<const DeviceFigure*> figures; // parts that some device has, and what is no part
  for (const DeviceFigure& figure : kDeviceFigures) {
    bool any = !figure.category;
    for (const Fold& fold : folds) any = any || bytes_of(*fold.device, figure) != 0;
    if (any) figures.push_back(&figure);
  }
  std::vector<Column> columns{{"rank"}, {"device"}};
  for (const DeviceFigure* figure : figures) columns.push_back({std::string(figure->title), Align::kRight});
  std::string out = "\n## Devices\n\n" + markdown_heading(columns);
  for (const Fold& fold : folds) {
    std::vector<std::string> cells{rank_list(fold.ranks), device_name(*fold.device)};
    for (const DeviceFigure* figure : figures) cells.push_back(human_signed_bytes(bytes_of(*fold.device, *figure)));
    out += markdown_row(cells);
  }
  return out;
}

std::string broken_markdown(const Plan& plan) {
  std::string out;
  for (const LimitLine& broken : broken_limits(plan)) out += markdown_row({broken.title, broken.text});
  return out.empty() ? out : "\n## Limits that are broken\n\n" + markdown_heading({{"device"}, {"what"}}) + out;
}

std::string limits_markdown(const Plan& plan) {
  std::string out = "\n## Limits\n\n" + markdown_heading({{"limit"}, {"value"}});
  for (const LimitLine& line : limit_lines(plan)) out += markdown_row({line.title, line.text});
  return out;
}

std::string frontier_markdown(const Plan& plan) {
  const FrontierRows rows = frontier_rows(plan);
  if (rows.rows.empty()) return {};
  std::vector<Column> columns{{"tokens of a request", Align::kRight}};
  for (const std::string& type : rows.kv_dtypes) columns.push_back({"requests at once, " + type, Align::kRight});
  std::string out = "\n## Frontier\n\n" + markdown_heading(columns);
  for (const FrontierRows::Row& row : rows.rows) {
    std::vector<std::string> cells{human_count(row.max_length)};
    cells.insert(cells.end(), row.batches.begin(), row.batches.end());
    out += markdown_row(cells);
  }
  return out;
}

std::string remarks_markdown(const Plan& plan) {
  std::string out;
  if (!plan.warnings.empty()) out += "\n## Warnings\n\n";
  for (const Warning& warning : plan.warnings)
    out += fmt::format("* `{}`: {}\n", warning_name(warning.code), markdown_text(printable(warning.message)));
  if (!plan.advice.empty()) out += "\n## What would help\n";
  for (const Advice& advice : plan.advice)
    out +=
        fmt::format("\n{} {}\n", markdown_code(printable(advice.option + " " + advice.value)), markdown_text(printable(advice.message))) +
        fenced(advice.command);
  return out;
}

} // namespace

std::string plan_markdown(const Plan& plan, std::string_view command) {
  const VerdictText verdict = verdict_text(plan);
  std::string out = fmt::format("# {}: {}\n\n{}\n\n", verdict.word, markdown_code(plan_title(plan)), markdown_text(verdict.text));
  for (const std::string& line : plan_subject(plan)) out += "* " + markdown_text(line) + "\n";
  return out + devices_markdown(plan) + broken_markdown(plan) + limits_markdown(plan) + frontier_markdown(plan) + remarks_markdown(plan) +
         "\n## Command\n" + fenced(command);
}

} // namespace plimsoll::cli
