// `--devices` and device files: any text is a list of devices or an error with a place.
#include "device/device_file.hpp"
#include "fuzz/fuzz.hpp"
#include "plimsoll/limits.hpp"

#include <cstdlib>

namespace plimsoll::fuzz {

std::vector<std::string> seeds() {
  return {
      "8xH200", "4xH100,4xA100-40GB", "2x79.19GiB,name=80GiB:70GiB,4090",
      "devices:\n  - 4xH100\n  - {name: A100-40GB, count: 4, free_bytes: 38GiB}\n  - {name: edge, total_bytes: 24GiB, kind: unified, "
      "wired_limit_bytes: 18GiB, max_allocation_bytes: 4GiB, compute_capability: 8.9}\n",
      "schema: plimsoll.devices/1\ndevices:\n- {name: T4, aliases: [Tesla-T4], vendor: nvidia, arch: turing, cc: 75, nominal_bytes: 16GB, "
      "total_bytes: 14.74GiB, basis: reported, source: \"a log\"}\n"};
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
  };
  if (input != "auto") check(parse_devices(input, catalogue));
  check(read_device_text(std::string(input), "devices.yaml", catalogue));
  const auto cards = DeviceCatalogue::from_text(std::string(input), "catalogue.yaml");
  (void)cards.find("T4");
  (void)cards.nearest("T5");
}

} // namespace plimsoll::fuzz
