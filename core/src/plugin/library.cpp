#define BOOST_DLL_USE_STD_FS
#include "plugin/library.hpp"

#include <boost/dll/shared_library.hpp>
#include <fmt/format.h>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

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
  if (plugin->id == nullptr || plugin->version == nullptr || plugin->n_families == 0 || plugin->n_families > 256 ||
      plugin->families == nullptr)
    return fail(ErrorCode::kPluginFailed, "its descriptor lacks an id, a version or families", path);
  for (std::uint64_t i = 0; i < plugin->n_families; ++i) {
    const plimsoll_family* family = plugin->families[i];
    if (family == nullptr || family->struct_size < PLIMSOLL_SIZE_THROUGH(plimsoll_family, api) || family->id == nullptr ||
        family->api == nullptr || !PLIMSOLL_HAS(family->api, plimsoll_planner_api, destroy) || family->api->create == nullptr ||
        family->api->destroy == nullptr)
      return fail(ErrorCode::kPluginFailed, fmt::format("its family {} lacks an id, create or destroy", i), path);
  }
  return plugin;
}

// Holds a library for the life of the process: reachable, so that leak checkers see intent, and never destroyed, so
// that nothing is unmapped at exit while a thread still runs in it.
void keep(std::unique_ptr<boost::dll::shared_library> library) {
  static std::mutex guard;
  static auto& kept = *new std::vector<std::unique_ptr<boost::dll::shared_library>>;
  const std::lock_guard lock(guard);
  kept.push_back(std::move(library));
}

} // namespace

Result<const plimsoll_plugin*> open_plugin_library(const std::string& path) {
  try {
    // Kept for the life of the process on purpose: see the head of library.hpp.
    auto library = std::make_unique<boost::dll::shared_library>(path, boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local);
    if (!library->has(kSymbol))
      return fail(ErrorCode::kPluginFailed,
                  fmt::format("does not export {}; it was not built for ABI major {}", kSymbol, PLIMSOLL_ABI_MAJOR), path);
    const plimsoll_plugin& plugin = library->get<const plimsoll_plugin>(kSymbol);
    keep(std::move(library));
    return negotiate(&plugin, path);
  } catch (const std::exception& e) {
    return fail(ErrorCode::kPluginFailed, fmt::format("cannot be loaded: {}", e.what()), path);
  }
}

} // namespace plimsoll
