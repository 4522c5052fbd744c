#include "document/diff_json.hpp"

#include <type_traits>
#include <utility>

#include "base/document_text.hpp"

namespace plimsoll {
namespace {

using Json = nlohmann::ordered_json;

Json value_json(const DiffValue& value) {
  return std::visit(
      [](const auto& held) {
        if constexpr (std::is_same_v<std::decay_t<decltype(held)>, std::monostate>) return Json();
        else return Json(held);
      },
      value);
}

Json side_object(const DiffSide& side) {
  return Json{
      {"name", side.name}, {"model", side.model}, {"engine", side.engine}, {"devices", side.devices}, {"n_devices", side.n_devices}};
}

} // namespace

nlohmann::ordered_json diff_document(const PlanDiff& diff) {
  Json changes = Json::array();
  for (const DiffChange& change : diff.changes)
    changes.push_back(Json{{"what", change.what},
                           {"from", value_json(change.from)},
                           {"to", value_json(change.to)},
                           {"bytes", change.bytes ? Json(*change.bytes) : Json()},
                           {"cause", change.cause}});
  return Json{{"schema", "plimsoll.diff/1"},
              {"from", side_object(diff.from)},
              {"to", side_object(diff.to)},
              {"changes", std::move(changes)},
              {"verdict", Json{{"from", verdict_name(diff.from.verdict)}, {"to", verdict_name(diff.to.verdict)}}},
              {"error", nullptr}};
}

std::string diff_to_json(const PlanDiff& diff, int indent) { return dump_document(diff_document(diff), indent); }

} // namespace plimsoll
