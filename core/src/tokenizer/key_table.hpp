// A map of 64-bit keys to small values, made for one number of entries: what vocabularies, merges and prefix trees are looked up in.
// Keys may collide on purpose: an entry that finds no place within kMaxProbes is refused, so that no file makes a lookup slow.
// Threads: find from any thread once filled.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace plimsoll {

template <class Value>
class KeyTable {
public:
  static constexpr std::size_t kMaxProbes = 512; // with half the places free, a million honest keys need some 50
  static constexpr std::uint64_t kNoKey = ~std::uint64_t{0};

  explicit KeyTable(std::size_t entries = 0) : slots_(std::bit_ceil(2 * entries + 2)) {}

  // The key's value from now on, in the place of the one of which `same` holds; false where too many keys collide. `key` is not kNoKey.
  template <class Same>
  bool assign(std::uint64_t key, const Value& value, Same&& same) {
    std::size_t at = place(key);
    for (std::size_t probe = 0; probe < kMaxProbes && probe < slots_.size(); ++probe, at = (at + 1) & (slots_.size() - 1)) {
      Slot& slot = slots_[at];
      if (slot.key != kNoKey && !(slot.key == key && same(slot.value))) continue;
      slot = {key, value};
      return true;
    }
    return false;
  }
  bool assign(std::uint64_t key, const Value& value) {
    return assign(key, value, [](const Value&) { return true; });
  }

  // The value of the key of which `same` holds; nullptr where there is none.
  template <class Same>
  const Value* find(std::uint64_t key, Same&& same) const {
    std::size_t at = place(key);
    for (std::size_t probe = 0; probe < kMaxProbes && slots_[at].key != kNoKey; ++probe, at = (at + 1) & (slots_.size() - 1))
      if (slots_[at].key == key && same(slots_[at].value)) return &slots_[at].value;
    return nullptr;
  }
  const Value* find(std::uint64_t key) const {
    return find(key, [](const Value&) { return true; });
  }

private:
  struct Slot {
    std::uint64_t key = kNoKey;
    Value value{};
  };

  // Bits mixed as MurmurHash3's 64-bit finalizer does.
  std::size_t place(std::uint64_t key) const {
    key = (key ^ (key >> 33U)) * 0xff51afd7ed558ccdULL;
    key = (key ^ (key >> 33U)) * 0xc4ceb9fe1a85ec53ULL;
    return static_cast<std::size_t>(key ^ (key >> 33U)) & (slots_.size() - 1);
  }

  std::vector<Slot> slots_;
};

} // namespace plimsoll
