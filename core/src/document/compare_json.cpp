#include "document/compare_json.hpp"

#include <cmath>
#include <utility>

#include "base/document_text.hpp"
#include "document/plan_json.hpp"

namespace plimsoll {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kLargestWhole = 9e15; // where a double still counts in ones

Json number(double value) {
  if (value == std::floor(value) && std::abs(value) < kLargestWhole) return static_cast<std::int64_t>(value);
  return value;
}

Json line_object(const ComparedLine& line) {
  const bool words = line.judge == Judge::kStart;
  const bool fraction = line.figure == "max_concurrency" || line.figure.ends_with("_utilization");
  Json out{{"figure", line.figure}, {"status", compare_status_name(line.status)}};
  out["printed"] = words ? Json(line.printed_text) : number(line.printed.value);
  out["predicted"] = words              ? Json(line.predicted_text)
                     : !line.predicts() ? Json()
                                        : number(fraction ? line.predicted : std::round(line.predicted));
  out["ratio"] = words || line.printed.value == 0 || !line.predicts() ? Json() : Json(line.ratio());
  out["rounding"] = line.printed.step / 2;
  out["within"] = line.judged() ? Json(line.status == CompareStatus::kWithin) : Json();
  out["known_outlier"] = line.outlier;
  out["place"] = line.printed.place;
  out["note"] = line.note;
  return out;
}

Json tally_object(const CompareTally& tally) {
  return {{"judged", tally.judged},         {"within", tally.within}, {"beyond", tally.beyond}, {"known_outliers", tally.known_outliers},
          {"consistent", tally.consistent}, {"shown", tally.shown}};
}

Json comparison_object(const Comparison& start) {
  Json out{{"schema", "plimsoll.compare/1"},
           {"engine", start.engine},
           {"engine_version", start.release.empty() ? Json() : Json(start.release)},
           {"model", start.model}};
  Json& lines = out["lines"] = Json::array();
  for (const ComparedLine& line : start.lines) lines.push_back(line_object(line));
  out["figures"] = tally_object(compare_tally(start.lines));
  out["verdict"] = compare_verdict_name(start.verdict);
  out["note"] = start.note;
  out["advice"] = advice_array(start.advice);
  out["error"] = start.error ? error_object(*start.error) : Json();
  return out;
}

Json count_object(const CompareCount& count) {
  return {{"figures", count.figures},
          {"within", count.within},
          {"beyond", count.beyond},
          {"known_outliers", count.known_outliers},
          {"consistent", count.consistent},
          {"shown", count.shown},
          {"median", count.median},
          {"p95", count.p95},
          {"worst", count.worst}};
}

Json summary_object(const CompareSummary& summary) {
  Json out{{"within", summary.within},
           {"beyond", summary.beyond},
           {"nothing_judged", summary.nothing_judged},
           {"error", summary.errors},
           {"figures", tally_object(summary.lines)},
           {"kv", count_object(summary.kv)},
           {"weights", count_object(summary.weights)},
           {"available_kv", count_object(summary.available_kv)}};
  Json& figures = out["by_figure"] = Json::object();
  for (const auto& [name, count] : summary.by_figure) figures[name] = count_object(count);
  const CompareStarts& starts = summary.starts;
  out["starts"] = {{"fits_started", starts.fits_started},
                   {"fits_refused", starts.fits_refused},
                   {"does_not_fit_started", starts.does_not_fit_started},
                   {"does_not_fit_refused", starts.does_not_fit_refused},
                   {"not_judged", starts.not_judged}};
  return out;
}

} // namespace

nlohmann::ordered_json compare_document(const std::vector<Comparison>& comparisons, bool many) {
  if (comparisons.size() == 1 && !many) return comparison_object(comparisons.front());
  Json out{{"schema", "plimsoll.compare/1"}};
  Json& list = out["starts"] = Json::array();
  for (const Comparison& start : comparisons) {
    Json entry{{"id", start.id}, {"place", start.place}};
    entry.update(comparison_object(start));
    list.push_back(std::move(entry));
  }
  out["summary"] = summary_object(compare_summary(comparisons));
  out["verdict"] = compare_verdict_name(compare_verdict(comparisons));
  out["error"] = nullptr;
  return out;
}

std::string compare_to_json(const std::vector<Comparison>& comparisons, bool many, int indent) {
  return dump_document(compare_document(comparisons, many), indent);
}

} // namespace plimsoll
