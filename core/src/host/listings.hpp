// What a context can list: plugins, models and accelerators of the catalogue, the devices of this machine. Makes no plan.
// Threads: any; each call looks anew.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "device/catalogue.hpp"
#include "plimsoll/host.hpp"
#include "plugin/registry.hpp"

namespace plimsoll {

std::vector<PluginInfo> list_plugins(const Registry& registry);
// One plugin folder, judged as if it came first, with its library opened where it has one.
Result<PluginInfo> inspect_plugin(const std::string& directory, const RegistryOptions& like, const std::string& gguf_words);
// The models of a catalogue's folder whose names contain `pattern`, whatever the case, by name.
Result<std::vector<CatalogueModel>> list_models(const std::shared_ptr<const Registry>& registry, const std::string& directory,
                                                std::string_view pattern);
Result<std::vector<DeviceCard>> list_cards(const DeviceCatalogue& catalogue);
Result<std::vector<RealDevice>> list_real_devices(const DeviceCatalogue& catalogue);

} // namespace plimsoll
