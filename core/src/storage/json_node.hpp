// A JSON value with the pointer that leads to it, and readers of the kinds of values that quantisation settings have. Every reader names
// the value at fault; every number is range-checked before it becomes a divisor. Never throws. Threads: pure functions.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

// A JSON value and the pointer that leads to it.
struct Node {
  const Json* json = nullptr;
  std::string pointer; // "config.json#/quantization_config"

  bool present() const { return json != nullptr && !json->is_null(); }
  std::string at(std::string_view key) const;
  // Absent keys and null are the same: a node that is not present.
  Node operator[](std::string_view key) const;
  // The first key that is present, else the first.
  Node any(std::initializer_list<std::string_view> keys) const;
};

// The error that `node` is not what was expected; kBadConfig.
tl::unexpected<Error> bad(const Node& node, std::string_view expected);

// What is wrong with a key that nobody reads: the name that was probably meant, or all that are known.
std::string unknown_key(std::string_view key, const std::vector<std::string_view>& known);
// An object whose every key is known: a misspelt one would be without effect, and nobody would notice.
Result<void> only(const Node& node, const std::vector<std::string_view>& known);

// Absent is the fallback.
Result<std::int64_t> integer(const Node& node, std::int64_t fallback, std::int64_t least, std::int64_t most);
Result<bool> boolean(const Node& node, bool fallback);
Result<std::string> text(const Node& node, std::string fallback);
// Exporters' group_size: -1 (and modelopt's absence) mean one group, 0 and all else is an error. 0 stands for one group.
Result<std::uint32_t> group_size(const Node& node, std::uint32_t fallback);
Result<std::uint32_t> bits(const Node& node, std::uint32_t fallback, std::initializer_list<std::uint32_t> allowed);

struct Block {
  std::uint32_t out = 0, in = 0;
};
// [128, 128], or compressed-tensors' older "128x128".
Result<Block> block_size(const Node& node);

// Without regard to case; `lower` is in small letters.
bool same_text(std::string_view a, std::string_view lower);

} // namespace plimsoll
