// Open addressing over numbers whose keys lie elsewhere: a bucket holds a number above 0, or 0. Linear probing, and deletion that
// shifts back what follows, so that there are no tombstones and a table never ages. Whoever owns the buckets keeps at least half
// of them empty and their number a power of two. Used for pages by key and requests by id. Threads: [serial].
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace plimsoll {

// Buckets for so many numbers.
constexpr std::size_t buckets_for(std::size_t numbers) { return std::bit_ceil(2 * numbers + 2); }

// The first number from `home` on for which `matches` holds; 0: none.
template <class Matches>
std::uint32_t find_in_buckets(std::span<const std::uint32_t> buckets, std::size_t home, Matches&& matches) {
  const std::size_t mask = buckets.size() - 1;
  for (std::size_t i = home & mask; buckets[i] != 0; i = (i + 1) & mask)
    if (matches(buckets[i])) return buckets[i];
  return 0;
}

inline void insert_into_buckets(std::span<std::uint32_t> buckets, std::size_t home, std::uint32_t number) {
  const std::size_t mask = buckets.size() - 1;
  std::size_t i = home & mask;
  while (buckets[i] != 0) i = (i + 1) & mask;
  buckets[i] = number;
}

// Removes a number that is there. `home_of(number)`: where the search for it begins.
template <class HomeOf>
void erase_from_buckets(std::span<std::uint32_t> buckets, std::uint32_t number, HomeOf&& home_of) {
  const std::size_t mask = buckets.size() - 1;
  std::size_t hole = home_of(number) & mask;
  while (buckets[hole] != number) hole = (hole + 1) & mask;
  for (std::size_t i = (hole + 1) & mask; buckets[i] != 0; i = (i + 1) & mask) {
    const std::size_t home = home_of(buckets[i]) & mask;
    if (((i - home) & mask) < ((i - hole) & mask)) continue; // its search begins behind the hole
    buckets[hole] = buckets[i];
    hole = i;
  }
  buckets[hole] = 0;
}

} // namespace plimsoll
