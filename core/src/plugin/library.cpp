#define BOOST_DLL_USE_STD_FS
#include "plugin/library.hpp"

#include <boost/dll/shared_library.hpp>
#include <dlfcn.h>
#include <fmt/format.h>
#include <link.h>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "plugin/abi_text.hpp"

namespace plimsoll {
namespace {

constexpr const char* kSymbol = "plimsoll_plugin_v1";
constexpr std::uint16_t kOldestPluginMinor = 0;

Result<const plimsoll_plugin*> negotiate(const plimsoll_plugin* plugin, const std::string& path) {
  if (plugin->struct_size < PLIMSOLL_SIZE_THROUGH(plimsoll_plugin, fini))
    return fail(ErrorCode::kPluginFailed,
                fmt::format("its descriptor has {} bytes, version 1.0 has {}; rebuild it with this host's header", plugin->struct_size,
                            PLIMSOLL_SIZE_THROUGH(plimsoll_plugin, fini)),
                path);
  if (plugin->abi_minor_min > PLIMSOLL_ABI_MINOR)
    return fail(ErrorCode::kPluginFailed,
                fmt::format("needs a host of ABI {}.{} or newer; this host is {}.{}", PLIMSOLL_ABI_MAJOR, plugin->abi_minor_min,
                            PLIMSOLL_ABI_MAJOR, PLIMSOLL_ABI_MINOR),
                path);
  if (plugin->abi_minor < kOldestPluginMinor)
    return fail(ErrorCode::kPluginFailed,
                fmt::format("was built for ABI {}.{}; this host takes {}.{} and newer", PLIMSOLL_ABI_MAJOR, plugin->abi_minor,
                            PLIMSOLL_ABI_MAJOR, kOldestPluginMinor),
                path);
  if (text_of(plugin->id).empty() || text_of(plugin->version).empty() || plugin->n_families == 0 || plugin->n_families > 256 ||
      plugin->families == nullptr)
    return fail(ErrorCode::kPluginFailed, "its descriptor lacks an id, a version or families", path);
  for (std::uint64_t i = 0; i < plugin->n_families; ++i) {
    const plimsoll_family* family = plugin->families[i];
    if (family == nullptr || family->struct_size < PLIMSOLL_SIZE_THROUGH(plimsoll_family, api) || text_of(family->id).empty() ||
        family->api == nullptr || !PLIMSOLL_HAS(family->api, plimsoll_planner_api, destroy) || family->api->create == nullptr ||
        family->api->destroy == nullptr)
      return fail(ErrorCode::kPluginFailed, fmt::format("its family {} lacks an id, create or destroy", i), path);
  }
  return plugin;
}

// A library stays for the life of the process: reachable, so that leak checkers see intent, and never destroyed, so that nothing is
// unmapped at exit while a thread still runs in it.
struct Opened {
  FileIdentity identity;
  std::unique_ptr<boost::dll::shared_library> library;
};
struct Libraries {
  std::mutex mutex;
  std::map<std::string, std::vector<Opened>> opened; // by path, the newest last
};
Libraries& libraries() {
  static Libraries* const instance = new Libraries;
  return *instance;
}

// What the loader itself says, without the file's name, which the error has already.
std::string loaders_reason(const std::string& path, const std::string& otherwise) {
  const char* said = ::dlerror(); // NOLINT(concurrency-mt-unsafe): it is the thread's own
  std::string reason = said == nullptr ? otherwise : said;
  if (reason.starts_with(path + ": ")) reason.erase(0, path.size() + 2);
  return reason;
}

// The loader knows a library by its name and would answer with the one that lies there no more: every new file gets a name of its own.
std::string fresh_name(const std::string& path, std::size_t opened_before) {
  const std::size_t cut = path.rfind('/') + 1;
  std::string name = path.substr(0, cut);
  for (std::size_t i = 0; i < opened_before; ++i) name += "./";
  return name + path.substr(cut);
}

Result<const boost::dll::shared_library*> open_checked(const std::string& path, const FileIdentity& checked) {
  const auto replaced = [&] {
    return fail(ErrorCode::kPluginFailed, "was replaced after it was checked; make a new context, which checks it again", path);
  };
  const std::lock_guard lock(libraries().mutex);
  if (identify_file(path) != checked) return replaced();
  std::vector<Opened>& opened = libraries().opened[path];
  for (const Opened& known : opened) {
    if (!known.identity.same_file(checked)) continue;
    if (known.identity == checked) return known.library.get();
    return fail(ErrorCode::kPluginFailed,
                "was written over in place since this process opened it; start the process anew, and replace libraries by renaming", path);
  }
  auto library = std::make_unique<boost::dll::shared_library>();
  const std::string name = fresh_name(path, opened.size());
  boost::dll::fs::error_code failed;
  library->load(name, boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local, failed);
  if (failed) return fail(ErrorCode::kPluginFailed, fmt::format("cannot be loaded: {}", loaders_reason(name, failed.message())), path);
  opened.push_back({checked, std::move(library)}); // also where it is refused below: it is mapped
  if (identify_file(path) != checked) return replaced();
  return opened.back().library.get();
}

// A function of that name would be read as if its code were the table.
bool is_data(const void* symbol) {
  Dl_info info{};
  const ElfW(Sym)* entry = nullptr;
  if (::dladdr1(symbol, &info, reinterpret_cast<void**>(const_cast<ElfW(Sym)**>(&entry)), RTLD_DL_SYMENT) == 0) return true;
  return entry == nullptr || ELF64_ST_TYPE(entry->st_info) != STT_FUNC; // the type lies in the same bits in both classes
}

} // namespace

Result<const plimsoll_plugin*> open_plugin_library(const std::string& path, const FileIdentity& checked) {
  try {
    PLIMSOLL_ASSIGN(const boost::dll::shared_library* library, open_checked(path, checked));
    if (!library->has(kSymbol))
      return fail(ErrorCode::kPluginFailed,
                  fmt::format("does not export {}; it was not built for ABI major {}", kSymbol, PLIMSOLL_ABI_MAJOR), path);
    const plimsoll_plugin& plugin = library->get<const plimsoll_plugin>(kSymbol);
    if (!is_data(&plugin))
      return fail(ErrorCode::kPluginFailed, fmt::format("exports {} as a function; a constant was expected", kSymbol), path);
    return negotiate(&plugin, path);
  } catch (const std::exception& e) {
    return fail(ErrorCode::kPluginFailed, fmt::format("cannot be loaded: {}", e.what()), path);
  }
}

} // namespace plimsoll
