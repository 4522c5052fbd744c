#include "document/lists_json.hpp"

#include <utility>

#include "base/document_text.hpp"
#include "document/plan_json.hpp"

namespace plimsoll {
namespace {

using Json = nlohmann::ordered_json;

Json weight_class(const WeightClassInfo& info) {
  return Json{{"label", info.label},
              {"pattern", info.pattern},
              {"count", info.count},
              {"shape", info.shape},
              {"dtype", info.dtype},
              {"bytes", info.bytes},
              {"stored_bytes", info.stored_bytes ? Json(*info.stored_bytes) : Json(nullptr)},
              {"parameters", info.parameters},
              {"placement", info.placement},
              {"role", info.role},
              {"planner", info.planner}};
}

Json real_device(const RealDevice& device) {
  return Json{{"index", device.index},
              {"name", device.name},
              {"card", device.card.empty() ? Json(nullptr) : Json(device.card)},
              {"kind", device.kind},
              {"arch", device.arch},
              {"compute_capability", device.compute_capability},
              {"total_bytes", device.total_bytes},
              {"free_bytes", device.free_bytes},
              {"peers", device.peers}};
}

Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

Json plugin_family(const PluginFamily& family) {
  return Json{{"id", family.id},
              {"aspects", family.aspects},
              {"signal_buffers", family.signal_policy},
              {"signal_sites", family.signal_sites},
              {"signal_bytes", family.signal_bytes},
              {"architectures", family.architectures},
              {"model_types", family.model_types},
              {"class_defaults", family.class_defaults},
              {"never_quantized", family.never_quantized},
              {"draft_modules", family.draft_modules},
              {"draft_joins", family.draft_joins},
              {"fusions", family.fusions},
              {"models", text_or_null(family.models_file)},
              {"gguf", text_or_null(family.gguf_file)}};
}

Json plugin_entry(const PluginInfo& plugin) {
  Json shadowed = Json::array(), aliases = Json::object(), types = Json::array(), formats = Json::array(), details = Json::array();
  for (const ShadowedClaim& claim : plugin.shadowed)
    shadowed.push_back(Json{{"name", claim.name}, {"by", claim.by}, {"reason", claim.reason}});
  for (const auto& [name, type] : plugin.aliases) aliases[name] = type;
  for (const PluginType& type : plugin.types)
    types.push_back(Json{{"name", type.name}, {"block", type.block_elements}, {"bytes", type.block_bytes}});
  for (const PluginFormat& format : plugin.formats)
    formats.push_back(Json{{"name", format.name}, {"bits_per_element", format.bits_per_element}, {"tensors", format.tensors}});
  for (const PluginFamily& family : plugin.family_details) details.push_back(plugin_family(family));
  const Json abi = {{"major", plugin.abi.major}, {"minor", plugin.abi.minor}, {"min_host_minor", plugin.abi.min_host_minor}};
  return Json{{"id", plugin.id},
              {"version", plugin.version},
              {"vendor", plugin.vendor},
              {"directory", plugin.directory},
              {"status", plugin_status_name(plugin.status)},
              {"reason", plugin.reason},
              {"families", plugin.families},
              {"architectures", plugin.architectures},
              {"model_types", plugin.model_types},
              {"shadowed", std::move(shadowed)},
              {"abi", plugin.abi.major == 0 ? Json(nullptr) : abi},
              {"library", text_or_null(plugin.library)},
              {"aliases", std::move(aliases)},
              {"replaces", plugin.replaces},
              {"types", std::move(types)},
              {"formats", std::move(formats)},
              {"family_details", std::move(details)}};
}

} // namespace

nlohmann::ordered_json weights_document(const WeightsReport& report) {
  Json classes = Json::array(), unclaimed = Json::array(), mismatched = Json::array(), not_loaded = Json::array(), ranks = Json::array();
  for (const WeightClassInfo& info : report.classes) classes.push_back(weight_class(info));
  for (const TensorBytes& tensor : report.unclaimed) unclaimed.push_back(Json{{"name", tensor.name}, {"bytes", tensor.bytes}});
  for (const Mismatch& tensor : report.mismatched)
    mismatched.push_back(Json{{"name", tensor.name}, {"declared", tensor.declared}, {"stored", tensor.stored}});
  for (const NotLoaded& part : report.not_loaded)
    not_loaded.push_back(Json{{"label", part.label}, {"bytes", part.bytes}, {"reason", part.reason}});
  for (std::size_t rank = 0; rank < report.rank_bytes.size(); ++rank)
    ranks.push_back(Json{{"rank", rank}, {"bytes", report.rank_bytes[rank]}});
  Json out = Json::object();
  out["schema"] = "plimsoll.weights/1";
  out["source"] = weights_source_name(report.source);
  out["parameters"] = report.parameters;
  out["declared_bytes"] = report.declared_bytes;
  out["stored_bytes"] = report.stored_bytes ? Json(*report.stored_bytes) : Json(nullptr);
  out["classes"] = std::move(classes);
  out["unclaimed"] = std::move(unclaimed);
  out["missing"] = report.missing;
  out["mismatched"] = std::move(mismatched);
  out["not_loaded"] = std::move(not_loaded);
  out["ranks"] = std::move(ranks);
  out["notes"] = report.notes;
  return out;
}

nlohmann::ordered_json verify_document(const VerifyReport& report) {
  Json devices = Json::array();
  for (const VerifiedDevice& device : report.devices) {
    Json parts = Json::array();
    for (const VerifiedPart& part : device.parts)
      parts.push_back(
          Json{{"category", category_name(part.category)},
               {"planned_bytes", part.planned_bytes},
               {"taken_bytes", part.taken_bytes},
               {"difference_bytes", static_cast<std::int64_t>(part.taken_bytes) - static_cast<std::int64_t>(part.planned_bytes)}});
    devices.push_back(Json{{"rank", device.rank},
                           {"name", device.name},
                           {"free_before_bytes", device.free_before_bytes},
                           {"free_after_bytes", device.free_after_bytes},
                           {"parts", std::move(parts)}});
  }
  return Json{{"schema", "plimsoll.verify/1"},
              {"holds", report.holds},
              {"backend", report.backend},
              {"granularity_bytes", report.granularity_bytes},
              {"devices", std::move(devices)},
              {"plan", plan_document(report.plan)},
              {"error", report.error ? error_object(*report.error) : Json(nullptr)}};
}

nlohmann::ordered_json plugins_document(const std::vector<PluginInfo>& plugins) {
  Json list = Json::array();
  for (const PluginInfo& plugin : plugins) list.push_back(plugin_entry(plugin));
  return Json{{"schema", "plimsoll.plugins/1"}, {"plugins", std::move(list)}, {"error", nullptr}};
}

nlohmann::ordered_json models_document(const std::vector<CatalogueModel>& models) {
  Json list = Json::array();
  for (const CatalogueModel& model : models)
    list.push_back(Json{{"name", model.name},
                        {"architecture", model.architecture},
                        {"family", model.family},
                        {"parameters", model.parameters},
                        {"weights_bytes", model.weights_bytes},
                        {"kv_bytes_per_token", model.kv_bytes_per_token}});
  return Json{{"schema", "plimsoll.models/1"}, {"models", std::move(list)}, {"error", nullptr}};
}

nlohmann::ordered_json devices_document(const std::vector<DeviceCard>& cards, const Result<std::vector<RealDevice>>& real) {
  Json catalogue = Json::array(), found = Json::array();
  for (const DeviceCard& card : cards) {
    Json machines = Json::array();
    for (const CloudMachine& machine : card.machines) machines.push_back(Json{{"name", machine.name}, {"count", machine.count}});
    catalogue.push_back(Json{{"name", card.name},
                             {"aliases", card.aliases},
                             {"vendor", card.vendor},
                             {"kind", card.kind},
                             {"total_bytes", card.total_bytes},
                             {"basis", card.basis},
                             {"machines", std::move(machines)}});
  }
  if (real)
    for (const RealDevice& device : *real) found.push_back(real_device(device));
  return Json{{"schema", "plimsoll.devices/1"},
              {"devices", std::move(found)},
              {"no_devices_because", real ? Json(nullptr) : error_object(real.error())},
              {"catalogue", std::move(catalogue)},
              {"error", nullptr}};
}

std::string weights_to_json(const WeightsReport& report, int indent) { return dump_document(weights_document(report), indent); }
std::string verify_to_json(const VerifyReport& report, int indent) { return dump_document(verify_document(report), indent); }
std::string plugins_to_json(const std::vector<PluginInfo>& plugins, int indent) { return dump_document(plugins_document(plugins), indent); }
std::string models_to_json(const std::vector<CatalogueModel>& models, int indent) { return dump_document(models_document(models), indent); }
std::string devices_to_json(const std::vector<DeviceCard>& cards, const Result<std::vector<RealDevice>>& real, int indent) {
  return dump_document(devices_document(cards, real), indent);
}

} // namespace plimsoll
