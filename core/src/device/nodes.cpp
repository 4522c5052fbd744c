// See nodes.hpp.
#include "device/nodes.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace plimsoll {
namespace {

constexpr std::size_t kMaxNodeNameBytes = 128;
constexpr std::size_t kShownNodes = 8; // in a message

std::string_view shown(std::string_view name) { return name.substr(0, 64); }

} // namespace

std::uint32_t listed_nodes(const std::vector<Device>& devices) {
  std::uint32_t nodes = 0;
  const std::string* last = nullptr;
  for (const Device& device : devices) {
    if (device.node.empty()) continue;
    if (last == nullptr || *last != device.node) ++nodes;
    last = &device.node;
  }
  return nodes;
}

Result<void> check_node_name(std::string_view name, const std::string& where) {
  if (name.empty()) return fail(ErrorCode::kBadRequest, "a node's name is empty; leave the key out, or give a text or a number", where);
  if (name.size() > kMaxNodeNameBytes)
    return fail(ErrorCode::kBadRequest, fmt::format("a node's name has at most {} characters", kMaxNodeNameBytes), where);
  if (std::any_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }))
    return fail(ErrorCode::kBadRequest, "a node's name must not hold control characters", where);
  return {};
}

Result<void> NodeList::take(std::span<const Device> entry, NodesBy by, const std::string& where) {
  if (devices_ == 0) by_ = by;
  const auto refuse = [&](std::string_view what) {
    return fail(ErrorCode::kBadRequest, fmt::format("device {} ({}) {}", devices_, shown(entry.front().name), what), where);
  };
  if (by != by_) {
    if (by == NodesBy::kNothing) return refuse("has no node, but those before it have; either all devices have a node or none");
    if (by_ == NodesBy::kNothing) return refuse("has a node, but those before it have none; either all devices have a node or none");
    return refuse("mixes two ways to say nodes; either each entry has the key 'node', or each counts them as in 2x8xH200");
  }
  for (const Device& device : entry) {
    if (by != NodesBy::kNothing && (nodes_.empty() || nodes_.back().name != device.node)) {
      if (!names_.insert(device.node).second)
        return refuse(fmt::format("is of node '{}' again, after node '{}'; the devices of a node stand one after the other",
                                  shown(device.node), shown(nodes_.back().name)));
      nodes_.push_back({device.node, 0});
    }
    if (!nodes_.empty()) ++nodes_.back().devices;
    ++devices_;
  }
  return {};
}

Result<void> NodeList::close(const std::string& where) const {
  const auto odd = [this](const Node& node) { return node.devices != nodes_.front().devices; };
  if (std::none_of(nodes_.begin(), nodes_.end(), odd)) return {};
  // Of many nodes the first and those that differ from it.
  std::string counts;
  std::size_t listed = 0;
  for (const Node& node : nodes_) {
    if (listed == kShownNodes || (nodes_.size() > kShownNodes && listed > 0 && !odd(node))) continue;
    counts += fmt::format("{}'{}' {}", listed++ == 0 ? "" : ", ", shown(node.name), node.devices);
  }
  if (listed < nodes_.size()) counts += fmt::format(", and {} more", nodes_.size() - listed);
  return fail(ErrorCode::kBadRequest, fmt::format("the nodes hold different numbers of devices ({}); all must hold the same", counts),
              where);
}

} // namespace plimsoll
