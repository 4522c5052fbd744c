// Inside the device room: which node (machine) holds each device of a list. The list is followed entry by entry, and
// refused where it contradicts itself or what a layout needs. Threads: one list, one thread.
#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "device/device.hpp"

namespace plimsoll {

// How an entry says its nodes: not at all, by the key `node`, or by a count as in 2x8xH200.
enum class NodesBy { kNothing, kKey, kCount };

// A name is short and printable.
Result<void> check_node_name(std::string_view name, const std::string& where);

class NodeList {
public:
  // Takes the devices of one entry. All entries say their nodes alike, and the devices of a node stand one after the other.
  Result<void> take(std::span<const Device> entry, NodesBy by, const std::string& where);
  // After the last entry: every node holds the same number.
  Result<void> close(const std::string& where) const;

private:
  struct Node {
    std::string name;
    std::uint64_t devices = 0;
  };
  NodesBy by_ = NodesBy::kNothing;
  std::uint64_t devices_ = 0;
  std::vector<Node> nodes_; // in the list's order
  std::set<std::string> names_;
};

} // namespace plimsoll
