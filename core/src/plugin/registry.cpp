#include "plugin/registry.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <filesystem>
#include <fmt/format.h>
#include <unordered_map>

#include "base/nearest.hpp"
#include "plugin/agreement.hpp"
#include "plugin/host_table.hpp"
#include "plugin/library.hpp"
#include "plugin/trust.hpp"

namespace plimsoll {
namespace {

// How many registries use a plugin: init runs for the first, fini after the last.
struct Uses {
  std::mutex mutex;
  std::unordered_map<const plimsoll_plugin*, std::uint64_t> count;
};
Uses& uses() {
  static Uses* const instance = new Uses; // never destroyed: plugins may outlive static destruction
  return *instance;
}

void anchor() {}

const char* environment(const char* name) { return ::secure_getenv(name); }

void add_paths(std::vector<std::string>& places, const char* list) {
  if (list == nullptr) return;
  std::string_view rest = list;
  while (!rest.empty()) {
    const std::size_t end = rest.find(':');
    if (end != 0) places.emplace_back(rest.substr(0, end));
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  }
}

} // namespace

std::string installation_prefix() {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<void*>(&anchor), &info) == 0 || info.dli_fname == nullptr) return ".";
  std::error_code failed;
  const std::filesystem::path file = std::filesystem::canonical(info.dli_fname, failed);
  return failed ? "." : file.parent_path().parent_path().string();
}

Registry::Registry(const std::vector<std::string>& paths, Trust trust, LogCallback log)
    : trust_(trust), log_(std::move(log)), host_table_{make_host_table(), this} {
  std::vector<std::string> places = paths;
  add_paths(places, environment("PLIMSOLL_PLUGIN_PATH"));
  if (const char* data = environment("XDG_DATA_HOME"); data != nullptr && *data == '/')
    places.push_back(std::string(data) + "/plimsoll/plugins");
  else if (const char* home = environment("HOME"); home != nullptr && *home == '/')
    places.push_back(std::string(home) + "/.local/share/plimsoll/plugins");
  for (const std::string& place : places) discover(place, false);
  discover(installation_prefix() + "/lib/plimsoll/plugins", true);
  discover("/usr/local/lib/plimsoll/plugins", false);
  discover("/usr/lib/plimsoll/plugins", false);
}

void Registry::log_from_plugin(const plimsoll_host* host, std::uint32_t level, std::string_view message) {
  static_assert(offsetof(HostTable, table) == 0);
  const Registry& registry = *reinterpret_cast<const HostTable*>(host)->registry;
  if (registry.log_) registry.log_(static_cast<LogLevel>(std::min<std::uint32_t>(level, 3)), message.substr(0, 1024));
}

Registry::~Registry() {
  for (const auto& plugin : plugins_) {
    if (!plugin->descriptor || *plugin->descriptor == nullptr) continue;
    const std::lock_guard lock(uses().mutex);
    if (--uses().count[*plugin->descriptor] == 0 && (*plugin->descriptor)->fini != nullptr) (*plugin->descriptor)->fini();
  }
}

void Registry::discover(const std::string& place, bool trusted) {
  std::error_code failed;
  std::vector<std::string> directories;
  if (std::filesystem::is_regular_file(place + "/plugin.yaml", failed)) {
    directories.push_back(place);
  } else {
    for (std::filesystem::directory_iterator it(place, failed), end; !failed && it != end; it.increment(failed))
      if (std::filesystem::is_regular_file(it->path() / "plugin.yaml", failed)) directories.push_back(it->path().string());
    std::sort(directories.begin(), directories.end());
  }
  for (const std::string& directory : directories) {
    auto plugin = std::make_unique<Plugin>();
    plugin->trusted_place = trusted;
    if (auto manifest = read_manifest(directory)) {
      plugin->manifest = std::move(*manifest);
      for (const auto& other : plugins_)
        if (other->manifest.id == plugin->manifest.id && other->status == PluginStatus::kAvailable) {
          plugin->status = PluginStatus::kShadowed;
          plugin->reason = fmt::format("{} {} in {} comes first", other->manifest.id, other->manifest.version, other->manifest.directory);
        }
    } else {
      plugin->manifest.directory = directory;
      plugin->status = PluginStatus::kRefused;
      plugin->reason = fmt::format("{} ({})", manifest.error().message, manifest.error().where);
    }
    if (plugin->status == PluginStatus::kAvailable) index(*plugin);
    plugins_.push_back(std::move(plugin));
  }
}

void Registry::index(Plugin& plugin) {
  const auto claim = [&](auto& map, const std::string& name, const FamilyRef& ref) {
    const auto [it, fresh] = map.emplace(name, ref);
    if (!fresh && log_)
      log_(LogLevel::kWarning, fmt::format("'{}' is planned by {}; {} offers it too and comes later", name, it->second.plugin->manifest.id,
                                           plugin.manifest.id));
  };
  for (FamilyManifest& family : plugin.manifest.families) {
    claim(families_, family.id, {&plugin, &family, family.signal_policy});
    for (const auto& [name, policy] : family.architectures) claim(architectures_, name, {&plugin, &family, policy});
    for (const std::string& type : family.model_types) claim(model_types_, type, {&plugin, &family, family.signal_policy});
    while (!family.class_defaults.empty()) {
      auto inserted = defaults_.insert(family.class_defaults.extract(family.class_defaults.begin()));
      if (inserted.inserted) continue;
      const std::string& type = inserted.node.key();
      Json& merged = inserted.position->second;
      for (const auto& [key, value] : inserted.node.mapped().items())
        if (!merged.contains(key)) merged[key] = value;
        else if (merged[key] != value && log_)
          log_(LogLevel::kWarning,
               fmt::format("class default {}.{} of {} is set by an earlier plugin already", type, key, plugin.manifest.id));
    }
  }
}

FamilyRef Registry::for_architecture(std::string_view name) const {
  const auto it = architectures_.find(name);
  return it == architectures_.end() ? FamilyRef{} : it->second;
}
FamilyRef Registry::for_model_type(std::string_view name) const {
  const auto it = model_types_.find(name);
  return it == model_types_.end() ? FamilyRef{} : it->second;
}
FamilyRef Registry::for_family(std::string_view id) const {
  const auto it = families_.find(id);
  return it == families_.end() ? FamilyRef{} : it->second;
}
const Json* Registry::class_defaults(std::string_view model_type) const {
  const auto it = defaults_.find(model_type);
  return it == defaults_.end() ? nullptr : &it->second;
}

std::vector<std::string> Registry::nearest_architectures(std::string_view name) const {
  // "ForCausalLM" and the like say nothing about likeness.
  const auto stem = [](std::string_view full) { return full.substr(0, std::min(full.find("For"), full.find("LMHead"))); };
  std::vector<std::string_view> stems;
  for (const auto& [known, family] : architectures_) stems.push_back(stem(known));
  std::vector<std::string> out;
  for (const std::string& best : nearest(stem(name), stems, 3))
    for (const auto& [known, family] : architectures_)
      if (stem(known) == best && out.size() < 3 && std::find(out.begin(), out.end(), known) == out.end()) out.emplace_back(known);
  return out;
}

Result<const plimsoll_plugin*> Registry::open(Plugin& plugin) const {
  const Manifest& m = plugin.manifest;
  const std::string path = m.directory + "/" + m.library;
  if (m.abi_major != PLIMSOLL_ABI_MAJOR || m.min_host_minor > PLIMSOLL_ABI_MINOR)
    return fail(ErrorCode::kPluginFailed,
                fmt::format("was made for ABI {}.{} and needs a host of {}.{} or newer; this host is {}.{}", m.abi_major, m.abi_minor,
                            m.abi_major, m.min_host_minor, PLIMSOLL_ABI_MAJOR, PLIMSOLL_ABI_MINOR),
                path);
  if (!plugin.trusted_place)
    if (auto checked = check_plugin_files(m.directory, m.library); !checked) {
      if (trust_ == Trust::kChecked) return tl::unexpected(checked.error());
      if (log_) log_(LogLevel::kWarning, fmt::format("{}: {}", checked.error().where, checked.error().message));
    }
  PLIMSOLL_ASSIGN(const plimsoll_plugin* descriptor, open_plugin_library(path));
  PLIMSOLL_TRY(check_agreement(m, *descriptor, path));
  const std::lock_guard lock(uses().mutex);
  if (uses().count[descriptor]++ == 0 && descriptor->init != nullptr) {
    plimsoll_error err{};
    err.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_error, message);
    if (descriptor->init(host(), &err) != PLIMSOLL_OK) {
      --uses().count[descriptor];
      return fail(ErrorCode::kPluginFailed, fmt::format("its init failed: {}", err.message), path);
    }
  }
  return descriptor;
}

Result<const plimsoll_family*> Registry::load(const FamilyRef& ref) const {
  Plugin& plugin = *ref.plugin;
  std::call_once(plugin.once, [&] { plugin.descriptor = open(plugin); });
  if (!plugin.descriptor) return tl::unexpected(plugin.descriptor.error());
  for (std::uint64_t i = 0; i < (*plugin.descriptor)->n_families; ++i)
    if (ref.family->id == (*plugin.descriptor)->families[i]->id) return (*plugin.descriptor)->families[i];
  return fail(ErrorCode::kPluginFailed, fmt::format("has no family '{}', which its manifest declares", ref.family->id),
              plugin.manifest.directory + "/" + plugin.manifest.library);
}

} // namespace plimsoll
