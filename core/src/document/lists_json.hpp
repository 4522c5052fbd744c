// The documents beside the plan as ordered JSON: weights, verify, plugins, models, devices; `..._to_json` of plimsoll/host.hpp
// print them. Computes nothing; key order is fixed in the .cpp. Threads: pure functions.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "plimsoll/host.hpp"

namespace plimsoll {

nlohmann::ordered_json weights_document(const WeightsReport& report);
nlohmann::ordered_json verify_document(const VerifyReport& report);
nlohmann::ordered_json plugins_document(const std::vector<PluginInfo>& plugins);
nlohmann::ordered_json models_document(const std::vector<CatalogueModel>& models);
// `real`: the devices of this machine, or why there are none.
nlohmann::ordered_json devices_document(const std::vector<DeviceCard>& cards, const Result<std::vector<RealDevice>>& real);

} // namespace plimsoll
