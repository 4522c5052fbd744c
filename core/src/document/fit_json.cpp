#include "document/fit_json.hpp"

#include <utility>

#include "base/document_text.hpp"

namespace plimsoll {
namespace {

using Json = nlohmann::ordered_json;

Json layout_object(const FitLayout& layout) {
  return Json{{"tp", layout.tp},
              {"pp", layout.pp},
              {"dp", layout.dp},
              {"ep", layout.ep},
              {"stage_layers", layout.stage_layers},
              {"context_parallel", layout.context_parallel}};
}

} // namespace

nlohmann::ordered_json fit_document(const FitReport& report) {
  Json rows = Json::array();
  for (const FitRow& row : report.rows)
    rows.push_back(Json{{"devices", row.devices},
                        {"layout", layout_object(row.layout)},
                        {"verdict", verdict_name(row.verdict)},
                        {"capacity_requests", row.capacity_requests},
                        {"headroom_bytes", row.headroom_bytes},
                        {"price", row.price ? Json(*row.price) : Json(nullptr)},
                        {"plan_command", row.plan_command},
                        {"total_requests", row.total_requests},
                        {"max_length", row.max_length},
                        {"quantize", row.quantize.empty() ? Json(nullptr) : Json(row.quantize)}});
  Json failure;
  if (report.first_failure)
    failure = Json{{"devices", report.first_failure->devices},
                   {"layout", layout_object(report.first_failure->layout)},
                   {"error", error_object(report.first_failure->error)}};
  return Json{{"schema", "plimsoll.fit/1"}, {"rows", std::move(rows)},           {"first_failure", std::move(failure)},
              {"error", nullptr},           {"folded_rows", report.folded_rows}, {"plans", report.plans}};
}

std::string fit_to_json(const FitReport& report, int indent) { return dump_document(fit_document(report), indent); }

} // namespace plimsoll
