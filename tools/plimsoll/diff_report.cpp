// See diff_report.hpp.
#include "diff_report.hpp"

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>
#include <vector>

#include "markdown.hpp"
#include "plimsoll/device_figures.hpp"
#include "plimsoll/human.hpp"
#include "report.hpp"
#include "table.hpp"

namespace plimsoll::cli {
namespace {

constexpr std::size_t kMostRows = 24; // of one table; smaller causes are added up

// A table of either kind.
struct DiffSection {
  std::string title;
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> rows;
};

bool of_bytes(const DiffChange& change, std::string_view what) { return change.bytes && change.what == what; }

bool is_balance(const DiffChange& change) { return of_bytes(change, "kv_cache_bytes") || of_bytes(change, "unused_bytes"); }

std::string title_of(std::string_view key) {
  for (const DeviceFigure& figure : kDeviceFigures)
    if (figure.key == key) return std::string(figure.title);
  return std::string(key);
}

std::string change_text(std::int64_t bytes) { return (bytes > 0 ? "+" : "") + human_signed_bytes(bytes); }

std::string value_text(const DiffValue& value, bool bytes) {
  if (const auto* const count = std::get_if<std::int64_t>(&value)) {
    if (bytes) return human_signed_bytes(*count);
    return *count < 0 ? fmt::to_string(*count) : human_count(static_cast<std::uint64_t>(*count));
  }
  if (const auto* const number = std::get_if<double>(&value)) return fmt::format("{:.4g}", *number);
  if (const auto* const text = std::get_if<std::string>(&value)) return text->empty() ? "\"\"" : printable(*text);
  if (const auto* const truth = std::get_if<bool>(&value)) return *truth ? "yes" : "no";
  return "-";
}

// A key as people say it: "request.kv_dtype" is "kv dtype".
std::string words_of(std::string_view what) {
  std::string out(what.substr(std::min(what.size(), what.find('.') + 1))); // npos + 1: all of it
  std::replace(out.begin(), out.end(), '_', ' ');
  return printable(out);
}

std::string factor_text(const DiffChange& change) {
  const auto number = [](const DiffValue& value) {
    if (const auto* const count = std::get_if<std::int64_t>(&value)) return static_cast<double>(*count);
    const auto* const fraction = std::get_if<double>(&value);
    return fraction != nullptr ? *fraction : 0.0;
  };
  const double from = number(change.from), to = number(change.to);
  return from > 0 && to > 0 ? fmt::format("{:+.1f} %", 100 * (to / from - 1)) : std::string();
}

// A figure that is a setting too, "limits.max_batch_size": once is enough.
bool is_shown_as_setting(const PlanDiff& diff, const DiffChange& change) {
  const std::string setting = "request" + change.what.substr(std::min(change.what.size(), change.what.find('.')));
  return std::any_of(diff.changes.begin(), diff.changes.end(), [&](const DiffChange& other) {
    return other.what == setting && other.from == change.from && other.to == change.to && &other != &change;
  });
}

DiffSection values_section(const PlanDiff& diff, std::string title, bool settings) {
  DiffSection out{std::move(title), {{"what"}, {"from", Align::kRight, true}, {"to", Align::kRight, true}}, {}};
  if (!settings) out.columns.push_back({"change", Align::kRight});
  for (const DiffChange& change : diff.changes) {
    if (change.bytes || change.what == "error" || (change.cause == "setting") != settings) continue;
    if (!settings && is_shown_as_setting(diff, change)) continue;
    std::vector<std::string> row{words_of(change.what), value_text(change.from, false), value_text(change.to, false)};
    if (!settings) row.push_back(factor_text(change));
    out.rows.push_back(std::move(row));
  }
  return out;
}

// The row that a step of the balance names: of a part, or the setting behind a step of the budget.
const DiffChange* named_by(const PlanDiff& diff, const DiffChange& step) {
  for (const DiffChange& change : diff.changes) {
    if (&change == &step || is_balance(change)) continue;
    if (change.bytes && change.what + ": " + change.cause == step.cause && change.what != "budget_bytes") return &change;
    if (change.cause == "setting" && step.cause == "budget_bytes: " + change.what) return &change;
  }
  return nullptr;
}

std::string cause_words(std::string_view cause) {
  const std::size_t colon = cause.find(": ");
  if (colon == std::string_view::npos) return title_of(cause);
  std::string_view rest = cause.substr(colon + 2);
  if (rest.starts_with("request.")) return fmt::format("{}: {}", title_of(cause.substr(0, colon)), words_of(rest));
  return fmt::format("{}: {}", title_of(cause.substr(0, colon)), printable(rest));
}

// Causes with what each does, the largest first; small ones are one row, so that the rows still add up.
DiffSection causes_section(const PlanDiff& diff, std::string_view what, std::string title) {
  DiffSection out{std::move(title),
                  {{"cause", Align::kLeft, true}, {"from", Align::kRight, true}, {"to", Align::kRight, true}, {"change", Align::kRight}},
                  {}};
  std::vector<const DiffChange*> rows;
  for (const DiffChange& change : diff.changes)
    if (of_bytes(change, what)) rows.push_back(&change);
  std::stable_sort(rows.begin(), rows.end(),
                   [](const DiffChange* a, const DiffChange* b) { return std::abs(*a->bytes) > std::abs(*b->bytes); });
  std::int64_t rest = 0;
  for (std::size_t at = 0; at < rows.size(); ++at) {
    if (rows.size() > kMostRows && at >= kMostRows - 1) {
      rest += *rows[at]->bytes;
      continue;
    }
    const DiffChange* const named = is_balance(*rows[at]) ? named_by(diff, *rows[at]) : rows[at];
    out.rows.push_back({cause_words(rows[at]->cause), named == nullptr ? "" : value_text(named->from, named->bytes.has_value()),
                        named == nullptr ? "" : value_text(named->to, named->bytes.has_value()), change_text(*rows[at]->bytes)});
  }
  if (rows.size() > kMostRows)
    out.rows.push_back({fmt::format("{} smaller causes", rows.size() - kMostRows + 1), "", "", change_text(rest)});
  return out;
}

// What a figure of bytes changed by, from the first row of it to the last.
std::string total_title(const PlanDiff& diff, std::string_view what) {
  std::int64_t sum = 0;
  for (const DiffChange& change : diff.changes)
    if (of_bytes(change, what)) sum += *change.bytes;
  return fmt::format("{}: {}", title_of(what), change_text(sum));
}

std::vector<DiffSection> sections(const PlanDiff& diff) {
  std::vector<DiffSection> out{values_section(diff, "Settings", true)};
  const auto balance = std::find_if(diff.changes.begin(), diff.changes.end(), is_balance);
  if (balance != diff.changes.end()) {
    const auto& from = std::get<std::int64_t>(balance->from);
    std::int64_t to = from;
    for (const DiffChange& change : diff.changes)
      if (of_bytes(change, balance->what)) to += *change.bytes;
    std::string title =
        fmt::format("{}, over all devices: {} -> {}", total_title(diff, balance->what), human_signed_bytes(from), human_signed_bytes(to));
    const auto average = [](std::int64_t bytes, const DiffSide& side) {
      return human_signed_bytes(bytes / static_cast<std::int64_t>(std::max<std::uint64_t>(1, side.n_devices)));
    };
    if (diff.from.n_devices != diff.to.n_devices)
      title += fmt::format(" (on average {} -> {} each)", average(from, diff.from), average(to, diff.to));
    out.push_back(causes_section(diff, balance->what, title + ", by cause"));
  } else {
    for (const DeviceFigure& figure : kDeviceFigures)
      if (figure.category) out.push_back(causes_section(diff, figure.key, total_title(diff, figure.key) + ", over all devices, by item"));
  }
  out.push_back(causes_section(diff, "host_memory_bytes", "host memory, by item"));
  out.push_back(values_section(diff, "What follows", false));
  out.erase(std::remove_if(out.begin(), out.end(), [](const DiffSection& section) { return section.rows.empty(); }), out.end());
  return out;
}

std::string verdict_words(Verdict verdict) {
  std::string out(verdict_name(verdict));
  std::replace(out.begin(), out.end(), '_', ' ');
  return out;
}

std::string outcome(const PlanDiff& diff) {
  const std::string to = verdict_words(diff.to.verdict);
  if (diff.from.verdict == diff.to.verdict) return diff.changes.empty() ? "no difference: " + to : "the same verdict: " + to;
  return fmt::format("{}: {} -> {}", diff.worse() ? "worse" : "better", verdict_words(diff.from.verdict), to);
}

std::string side_text(const DiffSide& side) {
  std::string out = printable(side.name);
  if (!side.model.empty()) out += fmt::format(": {}, {} on {}", printable(side.model), printable(side.engine), printable(side.devices));
  return fmt::format("{}; {}", out, verdict_words(side.verdict));
}

// Why a side has no plan, or one that does not fit.
std::vector<std::string> errors(const PlanDiff& diff) {
  std::vector<std::string> out;
  for (const DiffChange& change : diff.changes) {
    if (change.what != "error") continue;
    if (const auto* const text = std::get_if<std::string>(&change.from)) out.push_back("from: " + printable(*text));
    if (const auto* const text = std::get_if<std::string>(&change.to)) out.push_back("to: " + printable(*text));
  }
  return out;
}

} // namespace

std::string diff_report(const PlanDiff& diff, const Style& style, bool quiet) {
  const Paint paint = diff.worse() ? Paint::kRed : diff.from.verdict == diff.to.verdict ? Paint::kBold : Paint::kGreen;
  std::string out = style.paint(paint, outcome(diff)) + "\n";
  if (quiet) return out;
  out += "\n" + paragraph("from  " + side_text(diff.from), style, 2) + paragraph("to    " + side_text(diff.to), style, 2);
  for (const std::string& error : errors(diff)) out += paragraph(error, style, 2);
  for (const DiffSection& section : sections(diff)) {
    Table table(section.columns);
    for (const std::vector<std::string>& row : section.rows) table.row(row);
    out += "\n" + paragraph(style.paint(Paint::kBold, section.title), style, 0) + table.render(style);
  }
  return out;
}

std::string diff_markdown(const PlanDiff& diff) {
  std::string out = fmt::format("# {}\n\n* from {}\n* to {}\n", markdown_text(outcome(diff)), markdown_text(side_text(diff.from)),
                                markdown_text(side_text(diff.to)));
  for (const std::string& error : errors(diff)) out += "* " + markdown_text(error) + "\n";
  for (const DiffSection& section : sections(diff)) {
    out += fmt::format("\n## {}\n\n{}", markdown_text(section.title), markdown_heading(section.columns));
    for (const std::vector<std::string>& row : section.rows) out += markdown_row(row);
  }
  return out;
}

} // namespace plimsoll::cli
