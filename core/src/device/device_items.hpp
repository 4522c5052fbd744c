// Inside the device room: one item of a device list, and the bounds of the whole list.
// The command line and device files read items alike. Threads: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "device/catalogue.hpp"

namespace plimsoll {

// Reads one item such as `4xH100` or `2x8xH200` and appends its devices.
Result<void> append_item(std::string_view item, const DeviceCatalogue& catalogue, const std::string& where, std::vector<Device>& out);
// Appends `count` copies after checking the device and the list's bounds.
Result<void> append_copies(Device device, std::uint64_t count, const std::string& where, std::vector<Device>& out);
// "unknown card 'H201'; ..." with the nearest names.
tl::unexpected<Error> unknown_card(std::string_view name, const DeviceCatalogue& catalogue, const std::string& where);

} // namespace plimsoll
