// Devices to plan for: what each can hold, and how a user's `--devices` becomes a list of them.
// It never decides how memory is used, and asks real
// hardware only where the specification says `auto`. Threads: plain values, pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/result.hpp"

namespace plimsoll {

class DeviceCatalogue;

enum class DeviceKind {
  kGpu,    // memory of its own
  kUnified // shares the system's memory; wired_limit_bytes says how much of it
};
std::string_view device_kind_name(DeviceKind kind) noexcept; // "gpu", "unified"

struct Device {
  std::string name;                 // the catalogue's name, or the user's label
  std::uint64_t total_bytes = 0;    // what the driver reports to a process
  std::uint64_t free_bytes = 0;     // free once a process has its context, at most total_bytes and wired_limit_bytes
  std::uint64_t reserved_bytes = 0; // that such a card never has free, even where nothing else runs on it
  DeviceKind kind = DeviceKind::kGpu;
  std::optional<std::uint64_t> max_allocation_bytes; // largest single allocation, where the runtime has such a limit
  std::optional<std::uint64_t> wired_limit_bytes;    // unified memory: what the system lets the accelerator hold
  std::uint32_t compute_capability = 0;              // 90 for 9.0; 0: unknown, or not NVIDIA's
  std::string vendor;                                // "nvidia"; empty: unknown
  std::string arch;                                  // "hopper", "gfx942"; empty: unknown
  std::string card;                                  // the catalogue's name, where it is one of its cards
  std::vector<std::uint32_t> peers;                  // real devices: indices it reaches without the host
  std::string node;                                  // the machine that holds it; empty: unsaid
  // What others hold of it.
  std::uint64_t in_use_bytes() const {
    const std::uint64_t not_free = total_bytes - free_bytes;
    return not_free > reserved_bytes ? not_free - reserved_bytes : 0;
  }
  friend bool operator==(const Device&, const Device&) = default;
};

// Reads a list of devices: items joined by commas, each `[COUNTx]` or `NODESxCOUNTx` (or x8, *8 behind a card) with
//   H200  H200:120GiB        a card of the catalogue, with other free bytes
//   80GiB  79.19GiB:78.5GiB  a size, with free bytes
//   p5.48xlarge          a machine of a cloud: a node with its cards; 2xp5.48xlarge are two
//   NAME=80GiB[:70GiB]       a size under a name; the other properties are kept where NAME is a card
// or `auto` (the devices of this machine, one node), or the path of a YAML or JSON file (see device_file.hpp).
// Names ignore case, spaces, - and _. Free bytes default to the card's own, for sizes to the total. Two counts make nodes:
// 2x8xH200 are two machines of eight cards each, numbered through the list. Either all devices have a node or none; those of a
// node stand one after the other, and every node holds the same number.
// kBadRequest, `where` naming the option or the file and pointer.
Result<std::vector<Device>> parse_devices(std::string_view spec, const DeviceCatalogue& catalogue);

// Nodes that such a list names; 0 where it names none.
std::uint32_t listed_nodes(const std::vector<Device>& devices);

} // namespace plimsoll
