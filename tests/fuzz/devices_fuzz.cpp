// `--devices` and device files: any text is a list of devices or an error with a place.
#include "device/device_file.hpp"
#include "fuzz/fuzz.hpp"
#include "plimsoll/limits.hpp"

#include <cstdlib>
#include <set>

namespace plimsoll::fuzz {

std::vector<std::string> seeds() {
  return {
      "8xH200",
      "2x8xH200",
      "1x4xH100,2x4xT4",
      "H100x8,8*T4",
      "2xp5.48xlarge,g6e.12xlarge:40GiB",
      "4xH100,4xA100-40GB",
      "2x79.19GiB,name=80GiB:70GiB,4090",
      "devices:\n  - 4xH100\n  - {name: A100-40GB, count: 4, free_bytes: 38GiB}\n  - {name: edge, total_bytes: 24GiB, kind: unified, "
      "wired_limit_bytes: 18GiB, max_allocation_bytes: 4GiB, compute_capability: 8.9}\n",
      "- {name: H200, count: 8, node: a}\n- {name: H100, count: 4, node: 1}\n- {name: T4, count: 4, node: 1}\n",
      "schema: plimsoll.devices/1\ndevices:\n- {name: T4, aliases: [Tesla-T4], vendor: nvidia, arch: turing, cc: 75, nominal_bytes: 16GB, "
      "total_bytes: 14.74GiB, basis: reported, source: \"a log\"}\n"};
}

// All or none, the same number on each, one after the other.
void check_nodes(const std::vector<Device>& devices) {
  const std::uint32_t nodes = listed_nodes(devices);
  if (nodes == 0) return;
  const std::size_t each = devices.size() / nodes;
  std::set<std::string> names;
  for (std::size_t at = 0; at < devices.size(); ++at) {
    if (devices[at].node.empty() || each * nodes != devices.size()) std::abort();
    if (at % each == 0 ? !names.insert(devices[at].node).second : devices[at].node != devices[at - 1].node) std::abort();
  }
}

void fuzz_one(std::string_view input) {
  static const DeviceCatalogue catalogue(PLIMSOLL_SOURCE_DIR "/core/catalogue/devices.yaml");
  const auto check = [](const Result<std::vector<Device>>& devices) {
    if (!devices) {
      if (devices.error().message.empty() || devices.error().where.empty()) std::abort();
      return;
    }
    if (devices->empty() || devices->size() > kMaxRanks) std::abort();
    for (const Device& device : *devices)
      if (device.total_bytes == 0 || device.free_bytes > device.total_bytes) std::abort();
    check_nodes(*devices);
  };
  if (input != "auto") check(parse_devices(input, catalogue));
  check(read_device_text(std::string(input), "devices.yaml", catalogue));
  const auto cards = DeviceCatalogue::from_text(std::string(input), "catalogue.yaml");
  (void)cards.find("T4");
  (void)cards.nearest("T5");
}

} // namespace plimsoll::fuzz
