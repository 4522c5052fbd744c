// A device list as a YAML file, for mixed machines and orchestrators.
//   devices:
//     - 4xH100                                        as on the command line
//     - {name: A100-40GB, count: 4, free_bytes: 38GiB}  a card, properties overridden
//     - {name: edge, total_bytes: 24GiB, kind: unified, wired_limit_bytes: 18GiB, max_allocation_bytes: 4GiB, compute_capability: 89}
//     - {name: H200, count: 8, node: a}               which machine; a text or a number, for all devices or none
// Or the list alone. The devices of a node stand one after the other; every node holds the same number. It never follows a
// path inside the file. Threads: pure function.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "device/catalogue.hpp"

namespace plimsoll {

Result<std::vector<Device>> read_device_file(const std::filesystem::path& file, const DeviceCatalogue& catalogue);
// The same for text that was read already; `origin` stands for the file in messages.
Result<std::vector<Device>> read_device_text(const std::string& text, const std::string& origin, const DeviceCatalogue& catalogue);

} // namespace plimsoll
