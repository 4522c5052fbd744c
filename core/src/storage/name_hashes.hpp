// Which tensor names occur twice? Eight bytes per name, one sort at the end.
// Takes every name of every shard. Equal hashes are suspects only: the caller compares the
// names themselves before it reports one. No input makes it slower than a sort. Threads: one at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace plimsoll {

// Spreads a hash over all 64 bits (the finishing steps of MurmurHash3).
constexpr std::uint64_t mixed(std::uint64_t h) {
  h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdULL;
  h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53ULL;
  return h ^ (h >> 33);
}

// Eight letters at a time; the last ones overlap those before.
inline std::uint64_t name_hash(std::string_view name) {
  constexpr std::uint64_t kFactor = 0x9e3779b97f4a7c15ULL;
  std::uint64_t hash = name.size() * kFactor, word = 0;
  const auto add = [&hash](std::uint64_t letters) {
    hash = (hash ^ letters) * kFactor;
    hash ^= hash >> 32;
  };
  if (name.size() < sizeof word) {
    for (const char c : name) word = word << 8 | static_cast<unsigned char>(c);
    add(word);
    return hash;
  }
  const char* const last = name.data() + name.size() - sizeof word;
  for (const char* at = name.data(); at < last; at += sizeof word) {
    std::memcpy(&word, at, sizeof word);
    add(word);
  }
  std::memcpy(&word, last, sizeof word);
  add(word);
  return hash;
}

// What an index and the headers must agree on, added up over all tensors: both sides sum pair_fingerprint and compare.
inline std::uint64_t shard_salt(std::string_view file_name) { return mixed(name_hash(file_name)); }
constexpr std::uint64_t pair_fingerprint(std::uint64_t name_hash, std::uint64_t shard_salt) { return mixed(name_hash ^ shard_salt); }

// The values that occur more than once in all parts together, ascending, each once.
std::vector<std::uint64_t> repeated(std::span<const std::vector<std::uint64_t>> parts);

} // namespace plimsoll
