// See compare_report.hpp.
#include "compare_report.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "plimsoll/human.hpp"
#include "report.hpp"
#include "table.hpp"

namespace plimsoll::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kGiB = 1073741824, kMiB = 1048576;

std::string_view outcome_name(Outcome outcome) {
  switch (outcome) {
  case Outcome::kWithin: return "within";
  case Outcome::kBeyond: return "beyond";
  case Outcome::kSkipped: return "skipped";
  case Outcome::kError: break;
  }
  return "error";
}

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

Json number(double value) {
  if (value == std::floor(value) && std::abs(value) < 9e15) return static_cast<std::int64_t>(value);
  return value;
}

Json document(const Comparison& start) {
  Json out{{"schema", "plimsoll.compare/1"},
           {"engine", start.engine},
           {"engine_version", start.release.empty() ? Json() : Json(start.release)},
           {"model", start.model}};
  Json& lines = out["lines"] = Json::array();
  for (const ComparedLine& line : start.lines) {
    Json entry{{"figure", line.figure},
               {"printed", number(line.printed.value)},
               {"predicted", number(line.figure == "max_concurrency" ? line.predicted : std::round(line.predicted))}};
    entry["ratio"] = line.printed.value == 0 ? Json() : Json(line.ratio());
    entry["rounding"] = line.printed.step / 2;
    entry["within"] = line.within ? Json(*line.within) : Json();
    entry["known_outlier"] = line.outlier;
    entry["place"] = line.printed.place;
    entry["note"] = line.note;
    lines.push_back(std::move(entry));
  }
  out["verdict"] = outcome_name(start.outcome);
  out["note"] = start.note;
  out["error"] = start.error
                     ? Json{{"code", error_code_name(start.error->code)}, {"message", start.error->message}, {"where", start.error->where}}
                     : Json();
  return out;
}

struct Count {
  std::size_t within = 0, outliers = 0, all = 0;
  std::vector<double> deviations; // |ratio - 1|, sorted
  double median() const { return deviations.empty() ? 0 : deviations[(deviations.size() - 1) / 2]; }
  double percentile(double p) const {
    return deviations.empty() ? 0 : deviations[static_cast<std::size_t>(std::ceil(p * static_cast<double>(deviations.size()))) - 1];
  }
  double worst() const { return deviations.empty() ? 0 : deviations.back(); }
};

// Judged lines of one kind; known outliers are counted, their deviations are not.
Count count(const std::vector<Comparison>& starts, Judge judge) {
  Count out;
  for (const Comparison& start : starts)
    for (const ComparedLine& line : start.lines) {
      if (line.judge != judge || !line.within) continue;
      ++out.all;
      if (line.outlier) {
        ++out.outliers;
        continue;
      }
      if (*line.within) ++out.within;
      if (line.printed.value != 0) out.deviations.push_back(std::abs(line.ratio() - 1));
    }
  std::sort(out.deviations.begin(), out.deviations.end());
  return out;
}

std::size_t count(const std::vector<Comparison>& starts, Outcome outcome) {
  return static_cast<std::size_t>(
      std::count_if(starts.begin(), starts.end(), [&](const Comparison& start) { return start.outcome == outcome; }));
}

std::vector<std::string> summary(const std::vector<Comparison>& starts) {
  const Count kv = count(starts, Judge::kRounding), weights = count(starts, Judge::kWeights), memory = count(starts, Judge::kMemory);
  return {fmt::format("{} starts: {} within, {} beyond, {} not comparable, {} errors", starts.size(), count(starts, Outcome::kWithin),
                      count(starts, Outcome::kBeyond), count(starts, Outcome::kSkipped), count(starts, Outcome::kError)),
          fmt::format("KV figures inside the printed rounding: {} of {}, {} known outliers", kv.within, kv.all, kv.outliers),
          fmt::format("weights: {} figures, median deviation {:.2f} %, worst {:.2f} %, {} known outliers", weights.all - weights.outliers,
                      100 * weights.median(), 100 * weights.worst(), weights.outliers),
          fmt::format("available KV memory: {} figures, median deviation {:.2f} %, 95th percentile {:.2f} %, {} known outliers",
                      memory.all - memory.outliers, 100 * memory.median(), 100 * memory.percentile(0.95), memory.outliers)};
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

Outcome outcome_of(const std::vector<Comparison>& starts) {
  for (const Outcome outcome : {Outcome::kError, Outcome::kBeyond, Outcome::kWithin})
    if (count(starts, outcome) > 0) return outcome;
  return Outcome::kSkipped;
}

std::string compare_report(const std::vector<Comparison>& starts, const Style& style, bool quiet) {
  std::string out;
  for (const Comparison& start : starts) {
    const Paint paint = start.outcome == Outcome::kWithin    ? Paint::kGreen
                        : start.outcome == Outcome::kSkipped ? Paint::kYellow
                                                             : Paint::kRed;
    out += style.paint(paint, outcome_name(start.outcome)) + " " + title(start) + "\n";
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

std::string compare_to_json(const std::vector<Comparison>& starts, bool many) {
  if (starts.size() == 1 && !many) return document(starts.front()).dump(2, ' ', false, Json::error_handler_t::replace);
  Json out{{"schema", "plimsoll.compare/1"}};
  Json& list = out["starts"] = Json::array();
  for (const Comparison& start : starts) {
    Json entry{{"id", start.id}, {"place", start.place}};
    entry.update(document(start));
    list.push_back(std::move(entry));
  }
  const Count kv = count(starts, Judge::kRounding), weights = count(starts, Judge::kWeights), memory = count(starts, Judge::kMemory);
  Json& sums = out["summary"] = Json::object();
  for (const Outcome outcome : {Outcome::kWithin, Outcome::kBeyond, Outcome::kSkipped, Outcome::kError})
    sums[std::string(outcome_name(outcome))] = count(starts, outcome);
  sums["kv"] = {{"figures", kv.all}, {"within", kv.within}, {"known_outliers", kv.outliers}};
  sums["weights"] = {
      {"figures", weights.all}, {"known_outliers", weights.outliers}, {"median", weights.median()}, {"worst", weights.worst()}};
  sums["available_kv"] = {
      {"figures", memory.all}, {"known_outliers", memory.outliers}, {"median", memory.median()}, {"p95", memory.percentile(0.95)}};
  out["verdict"] = outcome_name(outcome_of(starts));
  out["error"] = nullptr;
  return out.dump(2, ' ', false, Json::error_handler_t::replace);
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
    if (start.outcome == Outcome::kSkipped || start.error)
      out += fmt::format("| {} | {} | {} | {} |\n", cell(start.id), cell(start.engine), cell(start.model),
                         cell(start.error ? start.error->message : start.note));
  return out;
}

} // namespace plimsoll::cli
