// Which tensor names occur twice? Eight bytes per name, one sort at the end.
// Called by checkpoint.cpp with every name of every shard. Equal hashes are suspects only: the caller compares the names
// themselves before it reports one. No input makes it slower than a sort. Threads: one at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

namespace plimsoll {

inline std::uint64_t name_hash(std::string_view name) { return std::hash<std::string_view>{}(name); }

// Spreads a hash over all 64 bits (the finishing steps of MurmurHash3).
constexpr std::uint64_t mixed(std::uint64_t h) {
  h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdULL;
  h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53ULL;
  return h ^ (h >> 33);
}

// The values that occur more than once, ascending, each once. Reorders `hashes`.
std::vector<std::uint64_t> repeated(std::vector<std::uint64_t>& hashes);

} // namespace plimsoll
