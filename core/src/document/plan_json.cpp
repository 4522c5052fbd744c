// The order of the keys below is the contract.
#include "document/plan_json.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/document_text.hpp"
#include "document/yaml.hpp"
#include "plimsoll/device_figures.hpp"

namespace plimsoll {
namespace {

using Json = nlohmann::ordered_json;

Json nullable(const std::optional<std::uint64_t>& value) { return value ? Json(*value) : Json(nullptr); }

// A value of an advice, typed as the option takes it: "65536" is a number, "fp8" and "auto:4096" are not.
Json typed_value(const std::string& text) {
  const bool digits =
      !text.empty() && text.size() <= 19 && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (digits && (text.size() == 1 || text[0] != '0')) {
    std::uint64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
  }
  const auto point = text.find('.');
  const bool decimal = point != std::string::npos && point > 0 && point + 1 < text.size() && text.size() <= 17 &&
                       std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || c == '.'; }) &&
                       text.find('.', point + 1) == std::string::npos;
  if (decimal) {
    double value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
  }
  return text;
}

Json model_object(const ModelInfo& model) {
  Json planners = Json::array();
  for (const PlannerInfo& planner : model.planners) {
    planners.push_back(Json{{"id", planner.id}, {"version", planner.version}, {"aspects", planner.aspects}});
    if (!planner.replaces.empty()) planners.back()["replaces"] = planner.replaces;
    if (!planner.as.empty()) planners.back()["as"] = planner.as;
    if (!planner.aliased_by.empty()) planners.back()["aliased_by"] = planner.aliased_by;
  }
  return Json{{"path", model.path},
              {"architecture", model.architecture},
              {"model_type", model.model_type},
              {"family", model.family},
              {"planners", std::move(planners)},
              {"parameters", model.parameters},
              {"weights_source", weights_source_name(model.weights_source)}};
}

Json request_object(const EffectiveRequest& request) {
  Json overrides = Json::object();
  for (const auto& [key, value] : request.engine_overrides) overrides[key] = value;
  Json out{{"tp", request.tp}, {"pp", request.pp}, {"dp", request.dp}, {"ep", request.ep}};
  if (request.nodes > 1) out["nodes"] = request.nodes; // a key of deployments over several machines
  out.update(Json{{"accounting", accounting_name(request.accounting)},
                  {"device_memory_utilization", request.device_memory_utilization},
                  {"max_length", request.max_length},
                  {"max_batch_size", request.max_batch_size},
                  {"max_batch_input_tokens", request.max_batch_input_tokens},
                  {"max_batch_total_tokens", nullable(request.max_batch_total_tokens)},
                  {"kv_dtype", request.kv_dtype},
                  {"dtype", request.dtype},
                  {"page_tokens", request.page_tokens},
                  {"vision_cache_utilization", request.vision_cache_utilization},
                  {"num_draft_tokens", request.num_draft_tokens},
                  {"redundant_experts", request.redundant_experts},
                  {"phase", phase_name(request.phase)}});
  if (request.max_loras > 0)
    out.update(Json{{"max_loras", request.max_loras}, {"max_lora_rank", request.max_lora_rank}, {"lora_dtype", request.lora_dtype}});
  out.update(Json{{"engine_overrides", std::move(overrides)}});
  return out;
}

// `workspace`: the plan has some; a key of the plans of plugins that take it.
void append_figures(Json& out, const DevicePlan& device, bool workspace) {
  for (const DeviceFigure& figure : kDeviceFigures) {
    if (figure.category == Category::kWorkspace && !workspace) continue;
    if (figure.bytes == nullptr) out[figure.key] = device.unused_bytes;
    else out[figure.key] = device.*figure.bytes;
  }
}

Json device_object(const DevicePlan& device, bool workspace) {
  Json out{{"rank", device.rank}, {"name", device.name}};
  append_figures(out, device, workspace);
  return out;
}

// Sums that stop at the largest value instead of wrapping.
Json totals_object(const std::vector<DevicePlan>& devices) {
  DevicePlan sum;
  for (const DevicePlan& device : devices) {
    for (const DeviceFigure& figure : kDeviceFigures)
      if (figure.bytes != nullptr && __builtin_add_overflow(sum.*figure.bytes, device.*figure.bytes, &(sum.*figure.bytes)))
        sum.*figure.bytes = UINT64_MAX;
    if (__builtin_add_overflow(sum.unused_bytes, device.unused_bytes, &sum.unused_bytes))
      sum.unused_bytes = device.unused_bytes < 0 ? INT64_MIN : INT64_MAX;
  }
  Json out = Json::object();
  append_figures(out, sum, sum.workspace_bytes > 0);
  return out;
}

Json kv_object(const KvPlan& kv) {
  Json groups = Json::array();
  for (const KvGroupPlan& group : kv.groups)
    groups.push_back(Json{{"label", group.label},
                          {"kind", cache_kind_name(group.kind)},
                          {"layers", group.layers},
                          {"page_bytes_per_device", group.page_bytes_per_device},
                          {"window_tokens", nullable(group.window_tokens)},
                          {"state_bytes_per_sequence", group.state_bytes_per_sequence},
                          {"basis", basis_name(group.basis)}});
  return Json{{"dtype", kv.dtype},
              {"page_tokens", kv.page_tokens},
              {"pages", kv.pages},
              {"capacity_tokens", kv.capacity_tokens},
              {"capacity_requests", kv.capacity_requests},
              {"engine_reported_tokens", kv.engine_reported_tokens},
              {"bytes_per_token_per_device", kv.bytes_per_token_per_device},
              {"state_slots", nullable(kv.state_slots)},
              {"groups", std::move(groups)}};
}

Json limits_object(const Limits& limits) {
  return Json{{"max_length", limits.max_length},
              {"max_batch_size", limits.max_batch_size},
              {"max_supported_sequence_length", limits.max_supported_sequence_length},
              {"max_batch_at_max_length", limits.max_batch_at_max_length},
              {"binding", limits.binding}};
}

// One entry per rank that holds bytes of the item, rank by rank; `memory` and `counted` pick which items.
Json items_array(const Plan& plan, MemoryKind memory, bool counted) {
  std::size_t ranks = 0;
  for (const Item& item : plan.items) ranks = std::max(ranks, item.bytes.size());
  Json out = Json::array();
  for (std::size_t rank = 0; rank < ranks; ++rank)
    for (const Item& item : plan.items) {
      if (item.memory != memory || item.counted != counted || rank >= item.bytes.size() || item.bytes[rank] == 0) continue;
      Json entry{{"rank", rank},
                 {"category", category_name(item.category)},
                 {"label", item.label},
                 {"bytes", item.bytes[rank]},
                 {"basis", basis_name(item.basis)},
                 {"planner", item.planner}};
      if (!item.formula.empty()) entry["formula"] = item.formula;
      out.push_back(std::move(entry));
    }
  return out;
}

// The largest entry, and every modality that the model takes.
Json vision_object(const Plan& plan) {
  Json out{{"entry_bytes", plan.vision_entry_bytes}, {"entries", plan.vision_entries}};
  if (plan.entries.empty()) return out;
  Json modalities = Json::array();
  for (const EntryPlan& entry : plan.entries)
    modalities.push_back(Json{{"modality", modality_name(entry.modality)},
                              {"label", entry.label},
                              {"rows", entry.rows},
                              {"entry_bytes", entry.entry_bytes},
                              {"entries", entry.entries},
                              {"most_per_request", entry.most_per_request == 0 ? Json(nullptr) : Json(entry.most_per_request)}});
  out["modalities"] = std::move(modalities);
  return out;
}

Json frontier_array(const std::vector<FrontierCurve>& frontier) {
  Json out = Json::array();
  for (const FrontierCurve& curve : frontier) {
    Json points = Json::array();
    for (const FrontierPoint& point : curve.points)
      points.push_back(Json{{"max_length", point.max_length}, {"max_batch_size", point.max_batch_size}});
    out.push_back(Json{{"kv_dtype", curve.kv_dtype}, {"points", std::move(points)}});
  }
  return out;
}

Json warnings_array(const std::vector<Warning>& warnings) {
  Json out = Json::array();
  for (const Warning& warning : warnings) out.push_back(Json{{"code", warning_name(warning.code)}, {"message", warning.message}});
  return out;
}

Json advice_array(const std::vector<Advice>& advice) {
  Json out = Json::array();
  for (const Advice& line : advice)
    out.push_back(Json{{"option", line.option}, {"value", typed_value(line.value)}, {"message", line.message}});
  return out;
}

} // namespace

nlohmann::ordered_json plan_document(const Plan& plan) {
  Json devices = Json::array();
  const bool workspace =
      std::any_of(plan.devices.begin(), plan.devices.end(), [](const DevicePlan& device) { return device.workspace_bytes > 0; });
  for (const DevicePlan& device : plan.devices) devices.push_back(device_object(device, workspace));
  Json out = Json::object();
  out["schema"] = "plimsoll.plan/1";
  out["verdict"] = verdict_name(plan.verdict);
  out["model"] = model_object(plan.model);
  out["engine"] = Json{{"name", plan.engine.name}, {"version", plan.engine.version}};
  out["request"] = request_object(plan.request);
  out["devices"] = std::move(devices);
  out["totals"] = totals_object(plan.devices);
  out["kv_cache"] = kv_object(plan.kv_cache);
  out["limits"] = limits_object(plan.limits);
  if (!plan.frontier.empty()) out["frontier"] = frontier_array(plan.frontier);
  out["vision_cache"] = vision_object(plan);
  out["items"] = items_array(plan, MemoryKind::kDevice, true);
  out["covered_items"] = items_array(plan, MemoryKind::kDevice, false);
  if (plan.host_memory_bytes > 0)
    out["host_memory"] = Json{{"bytes", plan.host_memory_bytes}, {"items", items_array(plan, MemoryKind::kHost, true)}};
  out["warnings"] = warnings_array(plan.warnings);
  out["advice"] = advice_array(plan.advice);
  out["error"] = plan.error ? error_object(*plan.error) : Json(nullptr);
  return out;
}

std::string plan_to_json(const Plan& plan, int indent) { return dump_document(plan_document(plan), indent); }

std::string plan_to_yaml(const Plan& plan) { return emit_yaml(plan_document(plan)); }

std::string error_to_json(const Error& error, int indent) {
  Json out = Json::object();
  out["schema"] = "plimsoll.plan/1";
  out["verdict"] = "error";
  for (const char* key : {"model", "engine", "request"}) out[key] = nullptr;
  out["devices"] = Json::array();
  for (const char* key : {"totals", "kv_cache", "limits", "vision_cache"}) out[key] = nullptr;
  for (const char* key : {"items", "covered_items", "warnings", "advice"}) out[key] = Json::array();
  out["error"] = error_object(error);
  return dump_document(out, indent);
}

std::string failure_to_json(std::string_view schema, const Error& error, int indent) {
  return dump_document(Json{{"schema", schema}, {"error", error_object(error)}}, indent);
}

} // namespace plimsoll
