// The plugins of one context: where they are searched, which manifest wins, which family plans what.
// Libraries are opened at the first planner of a family, not before.
// Threads: find_* any; the list of plugins is fixed after discover.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/abi.h"
#include "plimsoll/host.hpp"
#include "plugin/manifest.hpp"

namespace plimsoll {

struct Plugin {
  Manifest manifest;
  PluginStatus status = PluginStatus::kAvailable; // never kLoaded
  std::string reason;
  bool trusted_place = false; // beside the core library: whoever may write there may replace the core itself
  std::once_flag once;        // of `descriptor`
  Result<const plimsoll_plugin*> descriptor = nullptr;
};

// A family of one plugin, found by architecture, model_type or id.
struct FamilyRef {
  Plugin* plugin = nullptr;
  const FamilyManifest* family = nullptr;
  std::uint32_t signal_policy = 0;
  explicit operator bool() const { return plugin != nullptr; }
};

class Registry {
public:
  // Reads the manifests of every search place: `paths`, PLIMSOLL_PLUGIN_PATH, the user's data folder, beside
  // the core library, the system's. One level deep, names sorted, the first of an id wins. A broken manifest
  // is listed as refused and does not disturb the others.
  Registry(const std::vector<std::string>& paths, Trust trust, LogCallback log);
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  FamilyRef for_architecture(std::string_view name) const;
  FamilyRef for_model_type(std::string_view name) const;
  FamilyRef for_family(std::string_view id) const;
  // The class defaults of a model_type over all manifests; nullptr where there are none.
  const Json* class_defaults(std::string_view model_type) const;
  // Known architectures closest to `name`, best first, at most three.
  std::vector<std::string> nearest_architectures(std::string_view name) const;

  // The family's table, its library opened and initialised at the first call. kPluginFailed otherwise.
  Result<const plimsoll_family*> load(const FamilyRef& family) const;

  const std::vector<std::unique_ptr<Plugin>>& plugins() const { return plugins_; }
  const LogCallback& log() const { return log_; }
  const plimsoll_host* host() const { return &host_table_.table; }
  // A plugin's log line, handed to the callback of the registry that gave out `host`.
  static void log_from_plugin(const plimsoll_host* host, std::uint32_t level, std::string_view message);

private:
  // What init and create receive; the registry stands behind it.
  struct HostTable {
    plimsoll_host table;
    const Registry* registry;
  };
  void discover(const std::string& place, bool trusted);
  void index(Plugin& plugin); // takes the class defaults out of its manifest
  Result<const plimsoll_plugin*> open(Plugin& plugin) const;

  Trust trust_;
  LogCallback log_;
  HostTable host_table_;
  std::vector<std::unique_ptr<Plugin>> plugins_;
  std::map<std::string_view, FamilyRef> architectures_, model_types_, families_; // keys lie in the manifests
  std::map<std::string, Json, std::less<>> defaults_;
};

// The folder that holds lib/plimsoll/plugins and share/plimsoll of the library this code is in.
std::string installation_prefix();

} // namespace plimsoll
