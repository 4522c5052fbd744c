// The order of the keys below is the contract.
#include "document/plan_json.hpp"

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>

#include "base/document_text.hpp"
#include "document/yaml.hpp"
#include "plimsoll/device_figures.hpp"
#include "plimsoll/options.hpp"

namespace plimsoll {
namespace {

using Json = nlohmann::ordered_json;

Json nullable(const std::optional<std::uint64_t>& value) { return value ? Json(*value) : Json(nullptr); }

// A number as it was written; text that is none stays text.
Json number_or_text(const std::string& text) {
  Json value = Json::parse(text, nullptr, false);
  return value.is_number() ? value : Json(text);
}

// A list of numbers with commas, "54,26".
Json numbers(std::string_view text) {
  Json out = Json::array();
  while (true) {
    const std::size_t comma = text.find(',');
    out.push_back(number_or_text(std::string(text.substr(0, comma))));
    if (comma == std::string_view::npos) return out;
    text.remove_prefix(comma + 1);
  }
}

// An option's value as a JSON request has it, by its kind; `name` is its name or its flag.
Json option_value(std::string_view name, const std::string& text) {
  std::string key(name.substr(std::min(name.size(), name.find_first_not_of('-'))));
  std::replace(key.begin(), key.end(), '-', '_');
  const std::span<const OptionInfo> options = plan_options();
  const auto option = std::find_if(options.begin(), options.end(), [&](const OptionInfo& info) { return info.name == key; });
  switch (option == options.end() ? OptionKind::kText : option->kind) {
  case OptionKind::kNumber:
  case OptionKind::kSize:
  case OptionKind::kLength:
  case OptionKind::kLayers: return number_or_text(text);
  case OptionKind::kNumbers: return numbers(text);
  case OptionKind::kSwitch: return text == "true";
  default: return text;
  }
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

// Where layers lie, of engines that deal them to devices.
void append_dealt(Json& out, const DealtPlan& dealt) {
  out["split_mode"] = split_mode_name(dealt.split_mode);
  out["stage_layers"] = dealt.stage_layers;
  out["gpu_layers"] = dealt.gpu_layers;
  out["n_cpu_moe"] = dealt.cpu_moe_layers;
}

Json request_object(const EffectiveRequest& request, const std::optional<DealtPlan>& dealt) {
  Json overrides = Json::object();
  for (const auto& [key, value] : request.engine_overrides) overrides[key] = value;
  Json out{{"tp", request.tp}, {"pp", request.pp}, {"dp", request.dp}, {"ep", request.ep}};
  if (request.nodes > 1) out["nodes"] = request.nodes; // a key of deployments over several machines
  if (dealt) append_dealt(out, *dealt);
  else if (!request.stage_layers.empty()) out["stage_layers"] = request.stage_layers;
  out.update(Json{{"accounting", accounting_name(request.accounting)},
                  {"device_memory_utilization", request.device_memory_utilization},
                  {"max_length", request.max_length},
                  {"max_batch_size", request.max_batch_size},
                  {"max_batch_input_tokens", request.max_batch_input_tokens},
                  {"max_batch_total_tokens", nullable(request.max_batch_total_tokens)},
                  {"kv_dtype", request.kv_dtype},
                  {"dtype", request.dtype}});
  if (!request.quantize.empty()) out["quantize"] = request.quantize; // a key of what-ifs
  out.update(Json{{"page_tokens", request.page_tokens},
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

Json device_object(const DevicePlan& device, bool is_host, bool workspace) {
  Json out{{"rank", is_host ? Json(nullptr) : Json(device.rank)}, {"name", device.name}, {"kind", is_host ? "host" : "gpu"}};
  append_figures(out, device, workspace);
  if (device.reasons.empty()) return out; // a key of devices that break a limit
  Json reasons = Json::array();
  for (const BrokenLimit& broken : device.reasons)
    reasons.push_back(Json{{"limit", broken.limit},
                           {"bytes", broken.needed_bytes - broken.limit_bytes},
                           {"needed_bytes", broken.needed_bytes},
                           {"limit_bytes", broken.limit_bytes},
                           {"message", broken.message}});
  out["reasons"] = std::move(reasons);
  return out;
}

// Sums that stop at the largest value instead of wrapping.
Json totals_object(const Plan& plan) {
  DevicePlan sum;
  std::vector<DevicePlan> devices = plan.devices;
  if (plan.host) devices.push_back(*plan.host);
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
  Json out{{"dtype", kv.dtype},
           {"page_tokens", kv.page_tokens},
           {"pages", kv.pages},
           {"capacity_tokens", kv.capacity_tokens},
           {"capacity_requests", kv.capacity_requests},
           {"engine_reported_tokens", kv.engine_reported_tokens},
           {"bytes_per_token_per_device", kv.bytes_per_token_per_device},
           {"state_slots", nullable(kv.state_slots)}};
  if (kv.needed_bytes_per_device)
    out["needed_bytes_per_device"] = *kv.needed_bytes_per_device; // of a length and a batch that were asked for
  out["groups"] = std::move(groups);
  return out;
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
      if (const std::string& formula = item.formula_on(rank); !formula.empty()) entry["formula"] = formula;
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

Json quantizations_array(const std::vector<QuantizationRow>& rows) {
  Json out = Json::array();
  for (const QuantizationRow& row : rows)
    out.push_back(Json{{"quantize", row.quantize},
                       {"weights_bytes", row.weights_bytes},
                       {"capacity_tokens", row.capacity_tokens},
                       {"verdict", verdict_name(row.verdict)}});
  return out;
}

Json warnings_array(const std::vector<Warning>& warnings) {
  Json out = Json::array();
  for (const Warning& warning : warnings) out.push_back(Json{{"code", warning_name(warning.code)}, {"message", warning.message}});
  return out;
}

} // namespace

nlohmann::ordered_json advice_array(const std::vector<Advice>& advice) {
  Json out = Json::array();
  for (const Advice& line : advice) {
    Json options = Json::object();
    for (const AdvisedOption& option : line.options)
      options[option.name] = option.value ? option_value(option.name, *option.value) : Json(nullptr);
    out.push_back(Json{{"option", line.option},
                       {"value", option_value(line.option, line.value)},
                       {"message", line.message},
                       {"command", line.command},
                       {"options", std::move(options)}});
  }
  return out;
}

nlohmann::ordered_json plan_document(const Plan& plan) {
  Json devices = Json::array();
  const bool workspace =
      std::any_of(plan.devices.begin(), plan.devices.end(), [](const DevicePlan& device) { return device.workspace_bytes > 0; });
  for (const DevicePlan& device : plan.devices) devices.push_back(device_object(device, false, workspace));
  if (plan.host) devices.push_back(device_object(*plan.host, true, workspace));
  Json out = Json::object();
  out["schema"] = "plimsoll.plan/1";
  out["verdict"] = verdict_name(plan.verdict);
  out["model"] = model_object(plan.model);
  out["engine"] = Json{{"name", plan.engine.name}, {"version", plan.engine.version}};
  out["request"] = request_object(plan.request, plan.dealt);
  out["devices"] = std::move(devices);
  out["totals"] = totals_object(plan);
  out["kv_cache"] = kv_object(plan.kv_cache);
  out["limits"] = limits_object(plan.limits);
  if (!plan.frontier.empty()) out["frontier"] = frontier_array(plan.frontier);
  if (!plan.quantizations.empty()) out["quantizations"] = quantizations_array(plan.quantizations);
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
