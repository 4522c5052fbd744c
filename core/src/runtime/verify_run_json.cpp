// The document plimsoll.verify/1 of an execution. Threads: a pure function.
#include "base/document_text.hpp"
#include "plimsoll/verify_run.hpp"

namespace plimsoll {
namespace {

using VerifyJson = nlohmann::ordered_json;

VerifyJson category_entry(const CategoryVerdict& of, bool on_device) {
  VerifyJson lines = VerifyJson::array();
  for (const LineVerdict& line : of.lines)
    lines.push_back({{"label", line.label},
                     {"planned_bytes", line.planned_bytes},
                     {"peak_bytes", line.peak_bytes},
                     {"left_bytes", line.left_bytes},
                     {"verdict", memory_verdict_name(line.verdict)}});
  VerifyJson out = {{"category", category_name(of.category)},
                    {"planned_bytes", of.planned_bytes},
                    {"peak_bytes", of.peak_bytes},
                    {"verdict", memory_verdict_name(of.verdict)},
                    {"basis", basis_name(of.basis)},
                    {"left_bytes", of.left_bytes},
                    {"not_planned_bytes", of.not_planned_bytes},
                    {"reason", of.reason.empty() ? VerifyJson(nullptr) : VerifyJson(of.reason)},
                    {"lines", std::move(lines)}};
  if (on_device) out["driver_bytes"] = of.driver_bytes;
  return out;
}

VerifyJson check_entry(const VerifyCheck& of) {
  VerifyJson figures = VerifyJson::object();
  for (const auto& [name, value] : of.figures) figures[name] = value;
  return {{"check", of.number},
          {"name", of.name},
          {"verdict", check_result_name(of.result)},
          {"message", of.message},
          {"category", of.category ? VerifyJson(category_name(*of.category)) : VerifyJson(nullptr)},
          {"label", of.label.empty() ? VerifyJson(nullptr) : VerifyJson(of.label)},
          {"figures", std::move(figures)}};
}

} // namespace

std::string verify_run_to_json(const VerifyRunReport& report, int indent) {
  VerifyJson devices = VerifyJson::array(), checks = VerifyJson::array();
  for (const RankVerdict& rank : report.ranks) {
    VerifyJson categories = VerifyJson::array();
    for (const CategoryVerdict& category : rank.categories) categories.push_back(category_entry(category, report.memory != "host"));
    devices.push_back({{"rank", rank.rank}, {"name", rank.name}, {"categories", std::move(categories)}});
  }
  for (const VerifyCheck& check : report.checks) checks.push_back(check_entry(check));
  const VerifyJson out = {{"schema", "plimsoll.verify/1"},
                          {"verdict", run_verdict_name(report.verdict)},
                          {"model", report.model},
                          {"engine", {{"name", report.engine.name}, {"version", report.engine.version}}},
                          {"memory", report.memory},
                          {"seed", report.seed},
                          {"injected", report.injected == Fault::kNone ? VerifyJson(nullptr) : VerifyJson(fault_name(report.injected))},
                          {"devices", std::move(devices)},
                          {"checks", std::move(checks)},
                          {"error", report.error ? error_object(*report.error) : VerifyJson(nullptr)}};
  return dump_document(out, indent);
}

} // namespace plimsoll
