// The plugins of one context: where they are searched, which are refused, which manifest wins, which family plans what. What is refused
// counts nowhere. Libraries are opened at the first planner of a family, not before. Threads: find_* any; the list of plugins is fixed
// after the constructor.
#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/abi.h"
#include "plimsoll/host.hpp"
#include "plugin/manifest.hpp"
#include "plugin/trust.hpp"

namespace plimsoll {

// What the classes of some families fill in; where several speak of a model_type, of each key the first. Threads: find any, once all are
// added.
class ClassDefaults {
public:
  void add(const FamilyManifest& family) { families_.push_back(&family); }
  // Keeps what it answers; nullptr where nothing is filled in.
  const Json* find(std::string_view model_type) const;

private:
  std::vector<const FamilyManifest*> families_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, Json, std::less<>> found_;
};

struct Plugin {
  Manifest manifest;                              // its directory is a path without links
  PluginStatus status = PluginStatus::kAvailable; // never kLoaded
  std::string reason;
  bool built_in = false;  // in the installation's own folder
  bool preferred = false; // the host asked for it by its id: it may replace what its manifest says
  std::vector<ShadowedClaim> shadowed;
  std::shared_ptr<ClassDefaults> defaults; // the built-in plugins share one set
  FileIdentity library;                    // as it was when it was checked
  std::once_flag once;                     // of `descriptor`
  std::atomic<std::uint32_t> log_lines{0};
  Result<const plimsoll_plugin*> descriptor = nullptr;

  bool available() const { return status == PluginStatus::kAvailable; }
  // Whether it may take over what `other`, a built-in plugin, calls `name` and plans with the family `family`.
  bool may_replace(const Plugin& other, std::string_view name, std::string_view family) const;
};

// A family of one plugin, found by architecture, model_type or id.
struct FamilyRef {
  Plugin* plugin = nullptr;
  const FamilyManifest* family = nullptr;
  std::uint32_t signal_policy = 0;
  const Plugin* replaced = nullptr; // the built-in plugin whose place is taken under this name
  // Where the name is an alias: the model_type that it stands for, and whose manifest says so.
  std::string_view as = {};
  const Plugin* aliased_by = nullptr;
  explicit operator bool() const { return plugin != nullptr; }
};

struct RegistryOptions {
  std::vector<std::string> paths;
  Trust trust = Trust::kChecked;
  std::vector<std::string> prefer = {};
  Isolation isolation = Isolation::kOff;
  std::chrono::milliseconds plugin_timeout = kPluginTimeout; // of a worker, for each answer
};

class Registry {
public:
  // Reads the manifests of every search place: the options' `paths`, PLIMSOLL_PLUGIN_PATH, the user's data folder, beside
  // the core library, the system's. One level deep, names sorted, the first of an id wins, in one place its newest version, and what is
  // built in wins over all that are not `prefer`red. A plugin that is broken, of another ABI, or not to be trusted is listed as refused and
  // does not disturb the others.
  Registry(RegistryOptions options, LogCallback log);
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // What is wrong with `paths` (a folder that is not there, or yields no plugin: kBadRequest) and `prefer`.
  Result<void> arguments() const;
  // What is wrong with the plugins of `paths`: none in a folder can be used. kPluginFailed.
  Result<void> usable() const;

  // The first that claims a name; empty where nobody does. An alias answers with the family that plans what it stands for.
  FamilyRef for_architecture(std::string_view name) const;
  FamilyRef for_model_type(std::string_view name) const;
  FamilyRef for_family(std::string_view id) const;
  // All that claim it, the first first: whom to ask where that one does not want it.
  std::vector<FamilyRef> claims_of_architecture(std::string_view name) const;
  std::vector<FamilyRef> claims_of_model_type(std::string_view name) const;
  // What `plugin` fills in for a model_type, and for no view that others plan; nullptr where there is nothing.
  static const Json* class_defaults(const Plugin& plugin, std::string_view model_type);
  // What an alias stands for, whoever plans that or nobody; empty where the name is none.
  std::string alias_target(std::string_view name) const;
  // Known names closest to `name`, best first, at most three.
  std::vector<std::string> nearest_architectures(std::string_view name) const;
  std::vector<std::string> nearest_model_types(std::string_view name) const;

  // Whether this plugin's code may run in a worker only.
  bool isolates(const Plugin& plugin) const;
  const RegistryOptions& options() const { return options_; }

  // The family's table, its library opened and initialised at the first call. kPluginFailed otherwise.
  Result<const plimsoll_family*> load(const FamilyRef& family) const;

  // All of its families, so that its library proves to be what the manifest says.
  Result<void> load_all(Plugin& plugin) const;

  // The plugin in that folder, a path without links; nullptr where there is none.
  Plugin* plugin_in(const std::string& folder) const;
  const std::vector<std::unique_ptr<Plugin>>& plugins() const { return plugins_; }
  // Claims a name for those of our families that have it, in their order; without one, all names. Whoever lists plugins sees the whole.
  void learn(std::optional<std::string_view> only) const;
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
  // Who has a name, and who would. Keys lie in the manifests. A ref without a family is an alias.
  struct Claims {
    std::map<std::string_view, FamilyRef> first;
    std::multimap<std::string_view, FamilyRef> others;
  };
  // A family of ours whose names are claimed as they are asked for.
  struct Late {
    Plugin* plugin;
    const FamilyManifest* family;
    bool said = false; // that its file is broken
  };
  std::vector<std::string_view> known(const Claims& claims) const;
  FamilyRef settled(const FamilyRef& claim) const;
  FamilyRef claim_of(const Claims& claims, std::string_view name) const;
  FamilyRef first_of(const Claims& claims, std::string_view name) const;
  std::vector<FamilyRef> all_of(const Claims& claims, std::string_view name) const;
  void say(LogLevel level, const std::string& line) const;
  void discover(const std::string& place, bool given);
  void put_newest_first(std::size_t from);
  void find_given(const std::string& place, const std::string& real, const std::vector<Plugin*>& found);
  Plugin& add(const std::string& directory);
  std::optional<Error> refusal(Plugin& plugin);
  void prefer(const std::string& id);
  void shadow_equal_ids();
  void index(Plugin& plugin);
  void warn_of_other_defaults(const Plugin& plugin) const;
  void claim(Claims& claims, std::string_view name, const FamilyRef& ref) const;
  void drop_claims_of(const Plugin& plugin);
  Result<const plimsoll_plugin*> open(Plugin& plugin) const;

  RegistryOptions options_;
  LogCallback log_;
  HostTable host_table_;
  std::string built_in_place_;
  TrustCheck built_in_check_, check_;
  std::map<std::string, Plugin*> seen_; // by folder
  std::optional<Error> bad_argument_, unusable_;
  std::vector<std::unique_ptr<Plugin>> plugins_;
  std::shared_ptr<ClassDefaults> built_in_defaults_ = std::make_shared<ClassDefaults>();
  Claims families_;
  mutable std::mutex names_mutex_; // of what follows
  mutable std::vector<Late> late_;
  mutable Claims architectures_, model_types_;
};

// The folder that holds lib/plimsoll/plugins and share/plimsoll of the library this code is in.
std::string installation_prefix();
// The same of a library in <prefix>/lib, or in a folder of lib for one machine's code, as lib/x86_64-linux-gnu.
std::string prefix_of(const std::string& library);

} // namespace plimsoll
