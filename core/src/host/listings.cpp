#include "host/listings.hpp"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "host/config_files.hpp"
#include "model/loaded_model.hpp"
#include "plan/weights_report.hpp"
#include "plugin/gguf_meaning.hpp"

namespace plimsoll {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

PluginInfo plugin_info(const Plugin& plugin) {
  const Manifest& m = plugin.manifest;
  PluginInfo info{m.id, m.version, m.vendor, m.directory, plugin.status, plugin.reason, {}, {}, {}, plugin.shadowed};
  if (plugin.status == PluginStatus::kRefused) return info;
  for (const FamilyManifest& family : m.families) {
    info.families.push_back(family.id);
    for (const auto& [name, policy] : family.architectures) info.architectures.push_back(name);
    info.model_types.insert(info.model_types.end(), family.model_types.begin(), family.model_types.end());
  }
  return info;
}

// The entry of org/name is a file org__name.
std::string model_name(const std::filesystem::path& file) {
  std::string name = file.stem().string();
  if (const std::size_t at = name.find("__"); at != std::string::npos) name.replace(at, 2, 1, '/');
  return name;
}

Result<CatalogueModel> catalogue_model(const std::shared_ptr<const Registry>& registry, const std::string& name, const std::string& file) {
  PLIMSOLL_ASSIGN(ConfigFiles config, read_config(file, std::nullopt));
  PLIMSOLL_ASSIGN(const std::shared_ptr<const Model::Data> model,
                  load_model(registry, std::move(config.config), config.quant(), name, file));
  CatalogueModel entry;
  entry.name = name;
  entry.architecture = model->info.architecture;
  entry.family = model->info.family;
  entry.parameters = model->parameters;
  entry.weights_bytes = model->declared_bytes;
  entry.kv_bytes_per_token = kv_bytes_per_token(*model);
  return entry;
}

} // namespace

std::vector<PluginInfo> list_plugins(const Registry& registry) {
  std::vector<PluginInfo> out;
  for (const auto& plugin : registry.plugins()) out.push_back(plugin_info(*plugin));
  return out;
}

Result<PluginInfo> inspect_plugin(const std::string& directory, Trust trust, const std::string& gguf_words) {
  // A registry of its own, so that no other vendor's plugin comes first.
  const Registry registry({directory}, trust, {});
  PLIMSOLL_TRY(registry.arguments());
  std::error_code failed;
  const std::filesystem::path folder = std::filesystem::canonical(directory, failed);
  for (const auto& plugin : registry.plugins()) {
    if (std::filesystem::path(plugin->manifest.directory) != folder) continue;
    if (plugin->status == PluginStatus::kRefused) return fail(ErrorCode::kPluginFailed, plugin->reason, directory);
    for (const FamilyManifest& family : plugin->manifest.families)
      PLIMSOLL_TRY(registry.load({plugin.get(), &family, family.signal_policy}));
    PLIMSOLL_TRY(check_gguf_words(plugin->manifest, gguf_words));
    PluginInfo info = plugin_info(*plugin);
    info.status = PluginStatus::kLoaded;
    return info;
  }
  return fail(ErrorCode::kPluginFailed, "holds no plugin.yaml", directory);
}

Result<std::vector<CatalogueModel>> list_models(const std::shared_ptr<const Registry>& registry, const std::string& directory,
                                                std::string_view pattern) {
  std::error_code failed;
  std::vector<std::filesystem::path> files;
  for (std::filesystem::directory_iterator it(directory, failed), end; !failed && it != end; it.increment(failed))
    if (it->path().extension() == ".json") files.push_back(it->path());
  std::sort(files.begin(), files.end());
  const std::string wanted = lower(pattern);
  std::vector<CatalogueModel> out;
  for (const std::filesystem::path& file : files) {
    const std::string name = model_name(file);
    if (lower(name).find(wanted) == std::string::npos) continue;
    PLIMSOLL_ASSIGN(CatalogueModel entry, catalogue_model(registry, name, file.string()));
    out.push_back(std::move(entry));
  }
  return out;
}

Result<std::vector<DeviceCard>> list_cards(const DeviceCatalogue& catalogue) {
  PLIMSOLL_ASSIGN(const std::vector<Card> cards, catalogue.cards());
  std::vector<DeviceCard> out;
  for (const Card& card : cards)
    out.push_back({card.device.name, card.device.vendor, std::string(device_kind_name(card.device.kind)),
                   card.reported ? "reported" : "nominal", card.aliases, card.device.total_bytes});
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
