// More devices like those of a request, written as --devices takes them, so that whoever is told of them can ask for them. Every list is
// read back as a user's would be. For advice. Threads: one advice, one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "device/device.hpp"

namespace plimsoll {

// What --devices SPEC means.
using DeviceReader = std::function<Result<std::vector<Device>>(const std::string& spec)>;

struct MoreDevices {
  std::string spec;
  std::vector<Device> devices;
  std::uint32_t nodes = 0; // that the list names; 0: none
};

class DeviceGrowth {
public:
  // `given` is the request's --devices and `now` what it means; `whole_nodes` of a request that says how many nodes there are.
  DeviceGrowth(std::string given, const std::vector<Device>& now, std::optional<std::uint32_t> whole_nodes, DeviceReader reader);

  // Devices that come together: those of a node, or one.
  std::uint32_t step() const { return step_; }
  // The list and `steps` more of its kind; of several kinds the one with the most memory. Nothing where that cannot be said in a list.
  std::optional<MoreDevices> grown(std::uint32_t steps) const;

private:
  std::string item_of(const Device& device) const;
  std::string largest_item() const;
  std::string with(std::uint32_t steps) const;

  std::string given_;
  const std::vector<Device>& now_;
  DeviceReader reader_;
  bool listed_ = true; // given as a list, and not as this machine or as a file
  bool one_kind_ = true;
  bool machine_ = false;    // item_ is a machine of a cloud, a node with its cards
  std::uint32_t nodes_ = 0; // that the list names
  std::uint32_t step_ = 1;
  std::string item_; // what comes more, without counts; empty: cannot be said
};

} // namespace plimsoll
