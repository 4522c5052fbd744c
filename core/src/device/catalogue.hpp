// The catalogue of known cards (core/catalogue/devices.yaml). Called when a device is named, and by
// `plimsoll devices`. The file is read when the first name needs it, and a lookup parses the one line that has
// the name; only the whole list and an unknown name cost a whole parse. Threads: any; copies share what was read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "device/device.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

struct Card {
  Device device; // as it idles: free_bytes is the known idle figure, or the total
  std::vector<std::string> aliases;
  std::uint64_t nominal_bytes = 0;
  bool free_known = false; // free_bytes was observed
  bool reported = false;   // total_bytes was observed; else it comes from a data sheet
  std::string source;
};

// A machine that a cloud rents out under that name.
struct Instance {
  std::string name, card; // the card's name in the catalogue
  std::uint64_t count = 0;
  std::string source;
};

class DeviceCatalogue {
public:
  // Nothing is read yet.
  explicit DeviceCatalogue(std::filesystem::path file);
  // For tests and for hosts that carry the text; `origin` stands for the path in messages.
  static DeviceCatalogue from_text(std::string text, std::string origin);

  // The card of that name or alias; empty where there is none. An error only where the file is at fault.
  Result<std::optional<Card>> find(std::string_view name) const;
  // All cards in the file's order, checked: unique names, sizes in order, known keys.
  Result<std::vector<Card>> cards() const;
  // The machines of clouds (instances.yaml beside the cards), in the file's order; none where there is no such file. Read when first asked
  // for.
  Result<std::vector<Instance>> instances() const;
  // The machine of that name; empty where there is none.
  Result<std::optional<Instance>> find_instance(std::string_view name) const;
  // Up to three names that look like `name`, the likeliest first.
  Result<std::vector<std::string>> nearest(std::string_view name) const;

private:
  struct State;
  std::shared_ptr<State> state_;
};

// "NVIDIA GeForce RTX 4090" and "rtx-4090" are one name: lower case, no separators, no vendor in front.
std::string device_name_key(std::string_view name);

} // namespace plimsoll
