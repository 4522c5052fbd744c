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
  Json out{{"figure", line.figure},
           {"printed", number(line.printed.value)},
           {"predicted", number(line.figure == "max_concurrency" ? line.predicted : std::round(line.predicted))}};
  out["ratio"] = line.printed.value == 0 ? Json() : Json(line.ratio());
  out["rounding"] = line.printed.step / 2;
  out["within"] = line.within ? Json(*line.within) : Json();
  out["known_outlier"] = line.outlier;
  out["place"] = line.printed.place;
  out["note"] = line.note;
  return out;
}

Json comparison_object(const Comparison& start) {
  Json out{{"schema", "plimsoll.compare/1"},
           {"engine", start.engine},
           {"engine_version", start.release.empty() ? Json() : Json(start.release)},
           {"model", start.model}};
  Json& lines = out["lines"] = Json::array();
  for (const ComparedLine& line : start.lines) lines.push_back(line_object(line));
  out["verdict"] = compare_verdict_name(start.verdict);
  out["note"] = start.note;
  out["error"] = start.error ? error_object(*start.error) : Json();
  return out;
}

Json summary_object(const CompareSummary& summary) {
  const CompareCount &kv = summary.kv, &weights = summary.weights, &memory = summary.available_kv;
  Json out{{"within", summary.within}, {"beyond", summary.beyond}, {"skipped", summary.skipped}, {"error", summary.errors}};
  out["kv"] = {{"figures", kv.figures}, {"within", kv.within}, {"known_outliers", kv.known_outliers}};
  out["weights"] = {
      {"figures", weights.figures}, {"known_outliers", weights.known_outliers}, {"median", weights.median}, {"worst", weights.worst}};
  out["available_kv"] = {
      {"figures", memory.figures}, {"known_outliers", memory.known_outliers}, {"median", memory.median}, {"p95", memory.p95}};
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
