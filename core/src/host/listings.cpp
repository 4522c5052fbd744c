#include "host/listings.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <iterator>
#include <map>
#include <utility>

#include "base/words.hpp"
#include "checkpoint/known_models.hpp"
#include "host/config_files.hpp"
#include "model/loaded_model.hpp"
#include "plan/weights_report.hpp"
#include "plugin/gguf_meaning.hpp"
#include "worker/isolated_planners.hpp"

namespace plimsoll {
namespace {

PluginFamily plugin_family(const FamilyManifest& family) {
  PluginFamily out;
  out.id = family.id;
  out.aspects = aspect_names(family.aspects);
  out.signal_policy = signal_policy_name(family.signal_policy);
  out.signal_sites = family.signal_sites;
  out.signal_bytes = family.signal_bytes;
  for (const auto& [name, policy] : family.names().architectures) out.architectures.push_back(name);
  out.model_types = family.names().model_types;
  out.class_defaults = family.names().class_defaults.size();
  out.never_quantized = family.names().modules.never_quantized;
  out.draft_modules = family.names().modules.draft_modules;
  out.draft_joins = family.names().modules.draft_joins;
  for (const auto& [fused, parts] : family.names().fusions) out.fusions.push_back(fused);
  out.models_file = family.models_file;
  out.gguf_file = family.gguf_file;
  return out;
}

// The tensors that stand in place of x.weight, with their types.
PluginFormat plugin_format(const Storage& format) {
  PluginFormat out{format.name(), format.weight_bits(), {}};
  constexpr std::string_view kName = "x.weight";
  const Dtype base = find_dtype("bfloat16").value_or(Dtype{}); // every part has a type of its own
  format.tensors(kName, LinearShape::matrix(1, 1, base), [&](std::string_view name, const Dtype& type, std::span<const std::uint64_t>) {
    out.tensors.push_back(std::string(name.substr(2)) + " " + std::string(type.name));
  });
  return out;
}

PluginInfo plugin_info(const Plugin& plugin) {
  const Manifest& m = plugin.manifest;
  PluginInfo info;
  info.id = m.id;
  info.version = m.version;
  info.vendor = m.vendor;
  info.directory = m.directory;
  info.status = plugin.status;
  info.reason = plugin.reason;
  info.shadowed = plugin.shadowed;
  info.abi = {m.abi_major, m.abi_minor, m.min_host_minor};
  if (plugin.status == PluginStatus::kRefused) return info;
  info.library = m.library;
  info.aliases = m.aliases;
  info.replaces = m.replaces;
  for (const Dtype& type : m.formats->types) info.types.push_back({std::string(type.name), type.block_elements, type.block_bytes});
  for (const Storage& format : m.formats->formats) info.formats.push_back(plugin_format(format));
  for (const FamilyManifest& family : m.families) {
    if (const std::optional<Error>& fault = family.late_names->fault()) { // a file of ours that somebody has changed
      info.status = PluginStatus::kRefused;
      info.reason = fmt::format("{} ({})", fault->message, fault->where);
    }
    info.families.push_back(family.id);
    for (const auto& [name, policy] : family.names().architectures) info.architectures.push_back(name);
    info.model_types.insert(info.model_types.end(), family.names().model_types.begin(), family.names().model_types.end());
    info.family_details.push_back(plugin_family(family));
  }
  return info;
}

// The entry of org/name is a file org__name.
std::string model_name(const std::filesystem::path& file) {
  std::string name = file.stem().string();
  if (const std::size_t at = name.find("__"); at != std::string::npos) name.replace(at, 2, 1, '/');
  return name;
}

// What the catalogue's folder of models calls `name`.
std::string entry_file(const std::string& directory, std::string name) {
  if (const std::size_t at = name.find('/'); at != std::string::npos) name.replace(at, 1, "__");
  return (std::filesystem::path(directory) / (name + ".json")).string();
}

Result<CatalogueModel> catalogue_model(const std::shared_ptr<const Registry>& registry, const std::string& directory,
                                       const OtherName& listed) {
  const std::string file = entry_file(directory, listed.model);
  PLIMSOLL_ASSIGN(ConfigFiles config, read_config(file, std::nullopt, {}));
  config.change(listed.changes);
  PLIMSOLL_ASSIGN(const std::shared_ptr<const Model::Data> model,
                  load_model(registry, std::move(config.config), config.quant(), listed.name, file));
  CatalogueModel entry;
  entry.name = listed.name;
  entry.architecture = model->info.architecture;
  entry.family = model->info.family;
  entry.parameters = model->parameters;
  entry.weights_bytes = model->declared_bytes;
  entry.kv_bytes_per_token = kv_bytes_per_token(*model);
  return entry;
}

// Every name of the catalogue, sorted: entries, variants of them, and other names of either.
Result<std::vector<OtherName>> listed_names(const std::string& directory) {
  std::vector<OtherName> out;
  std::error_code failed;
  for (std::filesystem::directory_iterator it(directory, failed), end; !failed && it != end; it.increment(failed))
    if (it->path().extension() == ".json") out.push_back({model_name(it->path()), model_name(it->path()), {}, {}});
  PLIMSOLL_ASSIGN(std::vector<OtherName> others, read_other_names(directory));
  std::move(others.begin(), others.end(), std::back_inserter(out));
  std::sort(out.begin(), out.end(), [](const OtherName& a, const OtherName& b) { return a.name < b.name; });
  return out;
}

} // namespace

std::vector<PluginInfo> list_plugins(const Registry& registry) {
  registry.learn(std::nullopt);
  std::vector<PluginInfo> out;
  for (const auto& plugin : registry.plugins()) out.push_back(plugin_info(*plugin));
  return out;
}

Result<PluginInfo> inspect_plugin(const std::string& directory, const RegistryOptions& like, const std::string& gguf_words) {
  // A registry of its own, so that no other vendor's plugin comes first.
  RegistryOptions options = like;
  options.paths = {directory};
  options.prefer = {};
  const Registry registry(std::move(options), {});
  PLIMSOLL_TRY(registry.arguments());
  std::error_code failed;
  const std::filesystem::path folder = std::filesystem::canonical(directory, failed);
  for (const auto& plugin : registry.plugins()) {
    if (std::filesystem::path(plugin->manifest.directory) != folder) continue;
    if (plugin->status == PluginStatus::kRefused) return fail(ErrorCode::kPluginFailed, plugin->reason, directory);
    PLIMSOLL_TRY(open_plugin(registry, *plugin));
    PLIMSOLL_TRY(check_gguf_words(plugin->manifest, gguf_words));
    PluginInfo info = plugin_info(*plugin);
    if (!plugin->manifest.library.empty()) info.status = PluginStatus::kLoaded;
    return info;
  }
  return fail(ErrorCode::kPluginFailed, "holds no plugin.yaml", directory);
}

Result<std::vector<CatalogueModel>> list_models(const std::shared_ptr<const Registry>& registry, const std::string& directory,
                                                std::string_view pattern) {
  PLIMSOLL_ASSIGN(const std::vector<OtherName> names, listed_names(directory));
  std::map<std::string, CatalogueModel, std::less<>> made; // of entries and variants, whatever they are called
  std::vector<CatalogueModel> out;
  for (const OtherName& listed : names) {
    if (!matches_pattern(listed.name, pattern)) continue;
    const auto meant = std::find_if(names.begin(), names.end(), [&](const OtherName& one) { return one.name == listed.model; });
    const OtherName& model = !listed.is_variant() && meant != names.end() ? *meant : listed;
    auto found = made.find(model.name);
    if (found == made.end()) {
      PLIMSOLL_ASSIGN(CatalogueModel entry, catalogue_model(registry, directory, model));
      found = made.emplace(model.name, std::move(entry)).first;
    }
    out.push_back(found->second);
    out.back().name = listed.name;
  }
  return out;
}

Result<std::vector<DeviceCard>> list_cards(const DeviceCatalogue& catalogue) {
  PLIMSOLL_ASSIGN(const std::vector<Card> cards, catalogue.cards());
  std::vector<DeviceCard> out;
  PLIMSOLL_ASSIGN(const std::vector<Instance> instances, catalogue.instances());
  for (const Card& card : cards) {
    out.push_back({card.device.name,
                   card.device.vendor,
                   std::string(device_kind_name(card.device.kind)),
                   card.reported ? "reported" : "nominal",
                   card.aliases,
                   card.device.total_bytes,
                   {}});
    for (const Instance& instance : instances)
      if (instance.card == card.device.name) out.back().machines.push_back({instance.name, instance.count});
  }
  return out;
}

Result<std::vector<RealDevice>> list_real_devices(const DeviceCatalogue& catalogue) {
  PLIMSOLL_ASSIGN(const std::vector<Device> real, parse_devices("auto", catalogue));
  std::vector<RealDevice> out;
  for (const Device& device : real)
    out.push_back({static_cast<std::uint32_t>(out.size()), device.name, device.card, std::string(device_kind_name(device.kind)),
                   device.arch, device.compute_capability, device.total_bytes, device.free_bytes, device.peers});
  return out;
}

} // namespace plimsoll
