#include "plugin/registry.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <filesystem>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unordered_map>
#include <utility>

#include "base/nearest.hpp"
#include "base/printable.hpp"
#include "plugin/abi_text.hpp"
#include "plugin/agreement.hpp"
#include "plugin/call_scope.hpp"
#include "plugin/calls.hpp"
#include "plugin/host_table.hpp"
#include "plugin/library.hpp"

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

constexpr std::size_t kMaxLogBytes = 1024; // of a plugin's line

void anchor() {}

const char* environment(const char* name) { return ::secure_getenv(name); }

// The file that this code is in, links followed; empty where the loader does not say.
std::string core_library() {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<void*>(&anchor), &info) == 0 || info.dli_fname == nullptr) return {};
  return real_path(info.dli_fname);
}

// Something of that name lies there, whatever it is.
bool is_there(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0;
}

// The folders of one place that have a manifest: itself, or those in it.
std::vector<std::string> plugin_folders(const std::string& place) {
  if (is_there(place + "/plugin.yaml")) return {place};
  std::vector<std::string> out;
  std::error_code failed;
  for (std::filesystem::directory_iterator it(place, failed), end; !failed && it != end; it.increment(failed)) {
    std::string folder = it->path().string();
    if (!is_there(folder + "/plugin.yaml")) continue;
    std::error_code ignored;
    out.push_back(it->is_symlink(ignored) ? real_path(folder) : std::move(folder));
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::string said(const Error& error) { return fmt::format("{} ({})", error.message, error.where); }

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

} // namespace

std::string prefix_of(const std::string& library) {
  std::filesystem::path folder = std::filesystem::path(library).parent_path();
  if (folder.filename().string().find("-linux-") != std::string::npos) folder = folder.parent_path();
  return folder.parent_path().string();
}

std::string installation_prefix() {
  const std::string file = core_library();
  return file.empty() ? "." : prefix_of(file);
}

const Json* ClassDefaults::find(std::string_view model_type) const {
  const std::lock_guard lock(mutex_);
  if (const auto known = found_.find(model_type); known != found_.end()) return &known->second;
  std::optional<Json> merged;
  for (const FamilyManifest* family : families_) {
    if (!family->late_names->may_fill_in(model_type)) continue;
    const auto& all = family->names().class_defaults;
    const auto own = all.find(model_type);
    if (own == all.end()) continue;
    if (!merged) merged = Json::object();
    for (const auto& [key, value] : own->second.get().items())
      if (!merged->contains(key)) (*merged)[key] = value;
  }
  if (!merged) return nullptr;
  return &found_.emplace(model_type, std::move(*merged)).first->second;
}

bool Plugin::may_replace(const Plugin& other, std::string_view name, std::string_view family) const {
  const std::vector<std::string>& names = manifest.replaces;
  return preferred && other.built_in && (contains(names, name) || contains(names, family) || contains(names, other.manifest.id));
}

Registry::Registry(RegistryOptions options, LogCallback log)
    : options_(std::move(options)), log_(std::move(log)), host_table_{make_host_table(), this},
      built_in_check_(believed_like(core_library())) {
  const std::string built_in = installation_prefix() + "/lib/plimsoll/plugins";
  built_in_place_ = real_path(built_in);
  for (const std::string& path : options_.paths) discover(path, true);
  std::string_view rest;
  if (const char* list = environment("PLIMSOLL_PLUGIN_PATH")) rest = list;
  while (!rest.empty()) {
    const std::size_t end = rest.find(':');
    const std::string place(rest.substr(0, end));
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    if (place.starts_with('/')) discover(place, false);
    else if (!place.empty())
      say(LogLevel::kWarning, fmt::format("PLIMSOLL_PLUGIN_PATH: '{}' is passed over; write whole paths, which begin with /", place));
  }
  if (const char* data = environment("XDG_DATA_HOME"); data != nullptr && *data == '/')
    discover(std::string(data) + "/plimsoll/plugins", false);
  else if (const char* home = environment("HOME"); home != nullptr && *home == '/')
    discover(std::string(home) + "/.local/share/plimsoll/plugins", false);
  discover(built_in, false);
  discover("/usr/local/lib/plimsoll/plugins", false);
  discover("/usr/lib/plimsoll/plugins", false);

  for (const std::string& id : options_.prefer) prefer(id);
  shadow_equal_ids();
  for (const auto& plugin : plugins_)
    if (plugin->built_in && plugin->status != PluginStatus::kRefused) index(*plugin);
  for (const auto& plugin : plugins_)
    if (!plugin->built_in && plugin->available()) index(*plugin);
  for (const auto& plugin : plugins_)
    if (plugin->built_in && plugin->status == PluginStatus::kShadowed) drop_claims_of(*plugin);
}

Result<void> Registry::arguments() const {
  if (bad_argument_) return tl::unexpected(*bad_argument_);
  return {};
}
Result<void> Registry::usable() const {
  if (unusable_) return tl::unexpected(*unusable_);
  return {};
}

void Registry::say(LogLevel level, const std::string& line) const {
  if (log_) log_(level, line);
}

void Registry::log_from_plugin(const plimsoll_host* host, std::uint32_t level, std::string_view message) {
  static_assert(offsetof(HostTable, table) == 0);
  const Registry& registry = *reinterpret_cast<const HostTable*>(host)->registry;
  Plugin* const plugin = Speaking::now();
  const std::uint32_t line = plugin == nullptr ? 0 : plugin->log_lines++;
  if (!registry.log_ || line > PLIMSOLL_MAX_LOG_LINES) return;
  const std::string who = plugin == nullptr ? "a plugin" : "plugin " + plugin->manifest.id;
  if (line == PLIMSOLL_MAX_LOG_LINES)
    return registry.log_(LogLevel::kWarning, fmt::format("{}: says more than {} lines; the rest is not shown", who, line));
  registry.log_(static_cast<LogLevel>(std::min<std::uint32_t>(level, PLIMSOLL_LOG_ERROR)),
                fmt::format("{}: {}", who, printable_text(message, kMaxLogBytes)));
}

Registry::~Registry() {
  for (const auto& plugin : plugins_) {
    if (!plugin->descriptor || *plugin->descriptor == nullptr) continue;
    const std::lock_guard lock(uses().mutex);
    if (--uses().count[*plugin->descriptor] == 0 && (*plugin->descriptor)->fini != nullptr) (*plugin->descriptor)->fini();
  }
}

void Registry::discover(const std::string& place, bool given) {
  const std::string real = real_path(place);
  std::vector<Plugin*> found;
  const std::size_t first = plugins_.size();
  if (!real.empty())
    for (const std::string& folder : plugin_folders(real)) found.push_back(&add(folder));
  put_newest_first(first);
  if (given) find_given(place, real, found);
}

// Versions of one plugin side by side in a place: the newest comes first of them, and so is the one that counts.
void Registry::put_newest_first(std::size_t from) {
  std::map<std::string, std::vector<std::size_t>> places;
  for (std::size_t i = from; i < plugins_.size(); ++i)
    if (plugins_[i]->status != PluginStatus::kRefused) places[plugins_[i]->manifest.id].push_back(i);
  for (const auto& [id, indices] : places) {
    std::vector<std::unique_ptr<Plugin>> versions;
    for (const std::size_t i : indices) versions.push_back(std::move(plugins_[i]));
    std::stable_sort(versions.begin(), versions.end(),
                     [](const auto& a, const auto& b) { return is_newer_version(a->manifest.version, b->manifest.version); });
    for (std::size_t n = 0; n < indices.size(); ++n) plugins_[indices[n]] = std::move(versions[n]);
  }
}

// A folder that somebody named must be good for something.
void Registry::find_given(const std::string& place, const std::string& real, const std::vector<Plugin*>& found) {
  std::error_code failed;
  const auto bad = [&](const char* what) {
    if (!bad_argument_) bad_argument_ = Error{ErrorCode::kBadRequest, what, fmt::format("plugin path {}", place)};
  };
  if (real.empty()) return bad("there is no such folder; give a plugin's folder, or a folder of such folders");
  if (!std::filesystem::is_directory(real, failed)) return bad("is no folder; give a plugin's folder, or a folder of such folders");
  if (found.empty()) return bad("holds no plugin: there is no plugin.yaml in it, nor in a folder in it");
  const bool good = std::any_of(found.begin(), found.end(), [](const Plugin* plugin) { return plugin->status != PluginStatus::kRefused; });
  if (good)
    for (const Plugin* plugin : found)
      if (plugin->status == PluginStatus::kRefused)
        say(LogLevel::kWarning, fmt::format("plugin in {} is refused: {}", plugin->manifest.directory, plugin->reason));
  if (good || unusable_) return;
  const std::string more = found.size() == 1 ? "" : fmt::format("; {} more are refused, `plimsoll plugins` lists why", found.size() - 1);
  unusable_ = Error{ErrorCode::kPluginFailed, fmt::format("plugin refused: {}{}", found.front()->reason, more),
                    fmt::format("plugin path {}", place)};
}

// The plugin of a folder; once, however often the folder is searched.
Plugin& Registry::add(const std::string& directory) {
  const auto [seen, fresh] = seen_.emplace(directory, nullptr);
  if (!fresh) return *seen->second;
  Plugin& plugin = *plugins_.emplace_back(std::make_unique<Plugin>());
  seen->second = &plugin;
  plugin.built_in = std::string_view(directory).substr(0, directory.rfind('/')) == built_in_place_;
  plugin.manifest.directory = directory;
  if (const std::optional<Error> error = refusal(plugin)) {
    plugin.status = PluginStatus::kRefused;
    plugin.reason = said(*error);
    say(plugin.built_in ? LogLevel::kWarning : LogLevel::kInfo, fmt::format("plugin in {} is refused: {}", directory, plugin.reason));
  }
  return plugin;
}

// Why a plugin must not count, whatever it says: its manifest is read, its library is not opened.
std::optional<Error> Registry::refusal(Plugin& plugin) {
  auto manifest = read_manifest(plugin.manifest.directory, plugin.built_in);
  if (!manifest) return manifest.error();
  plugin.manifest = std::move(*manifest);
  const Manifest& m = plugin.manifest;
  const std::string library = m.directory + "/" + (m.library.empty() ? "plugin.yaml" : m.library);
  if (m.abi_major != PLIMSOLL_ABI_MAJOR || m.min_host_minor > PLIMSOLL_ABI_MINOR)
    return Error{ErrorCode::kPluginFailed,
                 fmt::format("was made for ABI {}.{} and needs a host of {}.{} or newer; this host is {}.{}", m.abi_major, m.abi_minor,
                             m.abi_major, m.min_host_minor, PLIMSOLL_ABI_MAJOR, PLIMSOLL_ABI_MINOR),
                 library};
  if (const auto fault = (plugin.built_in ? built_in_check_ : check_).fault(m.directory, files_of(m))) {
    if (!fault->of_writers || options_.trust == Trust::kChecked) return fault->error;
    say(LogLevel::kWarning, fmt::format("{}: {}", fault->error.where, fault->error.message));
  }
  if (m.library.empty()) return std::nullopt; // data without code
  const auto identity = identify_file(library);
  if (!identity) return Error{ErrorCode::kPluginFailed, "is not there", library};
  plugin.library = *identity;
  return std::nullopt;
}

void Registry::prefer(const std::string& id) {
  const auto wrong = [&](ErrorCode code, std::string message) {
    if (!bad_argument_) bad_argument_ = Error{code, std::move(message), fmt::format("prefer {}", id)};
  };
  const Plugin* refused = nullptr;
  bool built_in = false;
  for (const auto& plugin : plugins_) {
    if (plugin->manifest.id != id) continue;
    if (plugin->built_in) {
      built_in = true;
    } else if (plugin->status == PluginStatus::kRefused) {
      refused = plugin.get();
    } else if (plugin->manifest.replaces.empty()) {
      return wrong(ErrorCode::kBadRequest,
                   fmt::format("replaces nothing: its manifest in {} has no 'replaces'", plugin->manifest.directory));
    } else {
      plugin->preferred = true;
      return;
    }
  }
  if (refused != nullptr) return wrong(ErrorCode::kPluginFailed, fmt::format("plugin refused: {}", refused->reason));
  if (built_in) return wrong(ErrorCode::kBadRequest, "is built in; give the id of the plugin that is to replace it");
  wrong(ErrorCode::kBadRequest, "no plugin of this id is found; `plimsoll plugins` lists what is");
}

// Of one id the first counts; a built-in one before all, unless it is replaced.
void Registry::shadow_equal_ids() {
  std::map<std::string_view, Plugin*> winners;
  for (const bool built_in : {true, false})
    for (const auto& plugin : plugins_) {
      if (plugin->built_in != built_in || !plugin->available()) continue;
      Plugin*& winner = winners[plugin->manifest.id];
      if (winner == nullptr) {
        winner = plugin.get();
        continue;
      }
      const bool replaces = plugin->may_replace(*winner, plugin->manifest.id, plugin->manifest.id);
      Plugin& loser = replaces ? *winner : *plugin;
      if (replaces) winner = plugin.get();
      const Manifest& first = winner->manifest;
      loser.status = PluginStatus::kShadowed;
      if (replaces) loser.reason = fmt::format("{} {} in {} replaces it", first.id, first.version, first.directory);
      else if (winner->built_in)
        loser.reason =
            fmt::format("'{}' is built in; to replace it, say `replaces: [{}]` in {}/plugin.yaml, and ask for it with --prefer {}",
                        first.id, first.id, loser.manifest.directory, loser.manifest.id);
      else loser.reason = fmt::format("{} {} in {} comes first", first.id, first.version, first.directory);
    }
}

void Registry::claim(Claims& claims, std::string_view name, const FamilyRef& ref) const {
  const auto [it, fresh] = claims.first.emplace(name, ref);
  if (fresh) return;
  const auto same = [&](const FamilyRef& known) { return known.plugin == ref.plugin && known.family == ref.family; };
  FamilyRef& other = it->second;
  if (same(other)) return;
  const auto [begin, end] = claims.others.equal_range(name);
  if (std::any_of(begin, end, [&](const auto& entry) { return same(entry.second); })) return;
  Plugin& plugin = *ref.plugin;
  if (!plugin.built_in && plugin.may_replace(*other.plugin, name, other.family == nullptr ? "" : other.family->id)) {
    claims.others.emplace(name, other);
    const Plugin* replaced = other.plugin;
    other = ref;
    other.replaced = replaced;
    return;
  }
  claims.others.emplace(name, ref);
  std::string reason = "comes later";
  if (other.plugin->built_in && !plugin.built_in)
    reason = fmt::format("does not replace it; that takes `replaces: [{}]` in its manifest, and --prefer {}", name, plugin.manifest.id);
  say(LogLevel::kWarning,
      fmt::format("'{}' is planned by {}; {} offers it too and {}", name, other.plugin->manifest.id, plugin.manifest.id, reason));
  plugin.shadowed.push_back({std::string(name), other.plugin->manifest.id, std::move(reason)});
}

void Registry::drop_claims_of(const Plugin& plugin) {
  std::erase_if(late_, [&](const Late& late) { return late.plugin == &plugin; });
  const auto its = [&](const auto& entry) { return entry.second.plugin == &plugin; };
  for (Claims* claims : {&families_, &architectures_, &model_types_}) {
    std::erase_if(claims->first, its);
    std::erase_if(claims->others, its);
  }
}

void Registry::index(Plugin& plugin) {
  plugin.defaults = plugin.built_in ? built_in_defaults_ : std::make_shared<ClassDefaults>();
  const bool ours = plugin.built_in && plugin.manifest.vendor == kOwnVendor;
  for (const FamilyManifest& family : plugin.manifest.families) {
    claim(families_, family.id, {&plugin, &family, family.signal_policy});
    plugin.defaults->add(family);
    if (ours) {
      late_.push_back({&plugin, &family});
      continue;
    }
    for (const auto& [name, policy] : family.names().architectures) {
      learn(name);
      claim(architectures_, name, {&plugin, &family, policy});
    }
    for (const std::string& type : family.names().model_types) {
      learn(type);
      claim(model_types_, type, {&plugin, &family, family.signal_policy});
    }
  }
  for (const auto& [name, as] : plugin.manifest.aliases) {
    FamilyRef alias;
    alias.plugin = &plugin;
    alias.as = as;
    if (!ours) learn(name);
    claim(architectures_, name, alias);
    claim(model_types_, name, alias);
  }
  if (!plugin.built_in) warn_of_other_defaults(plugin);
}

void Registry::warn_of_other_defaults(const Plugin& plugin) const {
  std::map<std::string_view, Json> before;
  for (const FamilyManifest& family : plugin.manifest.families)
    for (const auto& [type, defaults] : family.names().class_defaults) {
      const auto [known, fresh] = before.emplace(type, defaults.get());
      if (fresh) continue;
      for (const auto& [key, value] : defaults.get().items()) {
        if (!known->second.contains(key)) known->second[key] = value;
        else if (known->second[key] != value)
          say(LogLevel::kWarning,
              fmt::format("class default {}.{} of {} is set by an earlier family already", type, key, plugin.manifest.id));
      }
    }
}

void Registry::learn(std::optional<std::string_view> only) const {
  std::vector<const Late*> broken;
  {
    const std::lock_guard lock(names_mutex_);
    for (Late& late : late_) {
      if (only && !late.family->late_names->may_have(*only)) continue;
      const FamilyNames& names = late.family->names();
      for (const auto& [name, policy] : names.architectures)
        if (!only || name == *only) claim(architectures_, name, {late.plugin, late.family, policy});
      for (const std::string& type : names.model_types)
        if (!only || type == *only) claim(model_types_, type, {late.plugin, late.family, late.family->signal_policy});
      if (late.family->late_names->fault() && !std::exchange(late.said, true)) broken.push_back(&late);
    }
  }
  for (const Late* late : broken) // the host's callback may ask for names
    say(LogLevel::kWarning, fmt::format("plugin in {}: {}", late->plugin->manifest.directory, said(*late->family->late_names->fault())));
}

// An alias is planned by whoever plans what it stands for; one that stands for another alias is nobody's.
FamilyRef Registry::settled(const FamilyRef& claim) const {
  if (claim.family != nullptr || claim.plugin == nullptr) return claim;
  learn(claim.as);
  FamilyRef out = claim_of(model_types_, claim.as);
  if (out.family == nullptr) return {};
  out.as = claim.as;
  out.aliased_by = claim.plugin;
  if (claim.replaced != nullptr) out.replaced = claim.replaced;
  return out;
}
FamilyRef Registry::claim_of(const Claims& claims, std::string_view name) const {
  const std::lock_guard lock(names_mutex_);
  const auto it = claims.first.find(name);
  return it == claims.first.end() ? FamilyRef{} : it->second;
}
FamilyRef Registry::first_of(const Claims& claims, std::string_view name) const {
  learn(name);
  return settled(claim_of(claims, name));
}
std::vector<FamilyRef> Registry::all_of(const Claims& claims, std::string_view name) const {
  std::vector<FamilyRef> out;
  if (const FamilyRef first = first_of(claims, name)) out.push_back(first);
  std::vector<FamilyRef> others;
  {
    const std::lock_guard lock(names_mutex_);
    const auto [begin, end] = claims.others.equal_range(name);
    for (auto it = begin; it != end; ++it) others.push_back(it->second);
  }
  for (const FamilyRef& other : others)
    if (const FamilyRef ref = settled(other)) out.push_back(ref);
  return out;
}

FamilyRef Registry::for_architecture(std::string_view name) const { return first_of(architectures_, name); }
FamilyRef Registry::for_model_type(std::string_view name) const { return first_of(model_types_, name); }
FamilyRef Registry::for_family(std::string_view id) const { return first_of(families_, id); }
std::vector<FamilyRef> Registry::claims_of_architecture(std::string_view name) const { return all_of(architectures_, name); }
std::vector<FamilyRef> Registry::claims_of_model_type(std::string_view name) const { return all_of(model_types_, name); }

std::string Registry::alias_target(std::string_view name) const {
  learn(name);
  return std::string(claim_of(architectures_, name).as);
}
const Json* Registry::class_defaults(const Plugin& plugin, std::string_view model_type) {
  return plugin.defaults == nullptr ? nullptr : plugin.defaults->find(model_type);
}

std::vector<std::string_view> Registry::known(const Claims& claims) const {
  learn(std::nullopt);
  const std::lock_guard lock(names_mutex_);
  std::vector<std::string_view> out;
  for (const auto& [name, family] : claims.first) out.push_back(name);
  return out;
}

std::vector<std::string> Registry::nearest_architectures(std::string_view name) const {
  // "ForCausalLM" and the like say nothing about likeness.
  const auto stem = [](std::string_view full) { return full.substr(0, std::min(full.find("For"), full.find("LMHead"))); };
  const std::vector<std::string_view> names = known(architectures_);
  std::vector<std::string_view> stems;
  for (const std::string_view full : names) stems.push_back(stem(full));
  std::vector<std::string> out;
  for (const std::string& best : nearest(stem(name), stems, 3))
    for (const std::string_view full : names)
      if (stem(full) == best && out.size() < 3 && std::find(out.begin(), out.end(), full) == out.end()) out.emplace_back(full);
  return out;
}

std::vector<std::string> Registry::nearest_model_types(std::string_view name) const { return nearest(name, known(model_types_), 3); }

Result<const plimsoll_plugin*> Registry::open(Plugin& plugin) const {
  const Manifest& m = plugin.manifest;
  const std::string path = m.directory + "/" + m.library;
  if (plugin.status == PluginStatus::kRefused) return fail(ErrorCode::kPluginFailed, plugin.reason, path);
  const Speaking opening(plugin, "its constructors");
  PLIMSOLL_ASSIGN(const plimsoll_plugin* descriptor, open_plugin_library(path, plugin.library));
  PLIMSOLL_TRY(check_agreement(m, *descriptor, path));
  const std::lock_guard lock(uses().mutex);
  if (uses().count[descriptor]++ == 0 && descriptor->init != nullptr) {
    plimsoll_error err = blank_error();
    const Speaking speaking(plugin, "init()");
    if (descriptor->init(host(), &err) != PLIMSOLL_OK) {
      --uses().count[descriptor];
      return fail(ErrorCode::kPluginFailed, fmt::format("its init failed: {}", message_of(err)), path);
    }
  }
  return descriptor;
}

bool Registry::isolates(const Plugin& plugin) const {
  if (plugin.manifest.library.empty()) return false; // no code
  // In the installation's folder stand packages of other vendors too.
  const bool stranger = !plugin.built_in || plugin.manifest.vendor != kOwnVendor;
  return options_.isolation == Isolation::kAll || (options_.isolation == Isolation::kStrangers && stranger);
}

Result<const plimsoll_family*> Registry::load(const FamilyRef& ref) const {
  Plugin& plugin = *ref.plugin;
  std::call_once(plugin.once, [&] {
    plugin.descriptor = open(plugin);
    if (!plugin.descriptor) plugin.descriptor.error().message.insert(0, fmt::format("plugin {}: ", plugin.manifest.id));
  });
  if (!plugin.descriptor) return tl::unexpected(plugin.descriptor.error());
  for (std::uint64_t i = 0; i < (*plugin.descriptor)->n_families; ++i)
    if (ref.family->id == text_of((*plugin.descriptor)->families[i]->id)) return (*plugin.descriptor)->families[i];
  return fail(ErrorCode::kPluginFailed,
              fmt::format("plugin {}: has no family '{}', which its manifest declares", plugin.manifest.id, ref.family->id),
              plugin.manifest.directory + "/" + plugin.manifest.library);
}

Result<void> Registry::load_all(Plugin& plugin) const {
  for (const FamilyManifest& family : plugin.manifest.families) PLIMSOLL_TRY(load({&plugin, &family, family.signal_policy}));
  return {};
}

Plugin* Registry::plugin_in(const std::string& folder) const {
  const auto it = seen_.find(folder);
  return it == seen_.end() ? nullptr : it->second;
}

} // namespace plimsoll
