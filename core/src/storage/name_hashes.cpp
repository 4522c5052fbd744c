#include "storage/name_hashes.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

namespace plimsoll {
namespace {

constexpr unsigned kPassBits = 11;
constexpr std::size_t kBuckets = std::size_t{1} << kPassBits;

using Starts = std::array<std::size_t, kBuckets>;

std::size_t bucket(std::uint64_t hash, unsigned pass) { return (hash >> (pass * kPassBits)) % kBuckets; }

// Counts become places.
void add_up(Starts& counts) {
  std::size_t sum = 0;
  for (std::size_t& count : counts) sum += std::exchange(count, sum);
}

} // namespace

// Two counting passes over the low bits bring equal values together, at a tenth of a comparison sort's time; those that
// agree in these bits by chance (or by design) are sorted among themselves.
std::vector<std::uint64_t> repeated(std::span<const std::vector<std::uint64_t>> parts) {
  Starts low{}, high{};
  std::size_t size = 0;
  for (const auto& part : parts) {
    size += part.size();
    for (const std::uint64_t h : part) {
      ++low[bucket(h, 0)];
      ++high[bucket(h, 1)];
    }
  }
  add_up(low), add_up(high);
  const auto half = std::make_unique_for_overwrite<std::uint64_t[]>(size), hashes = std::make_unique_for_overwrite<std::uint64_t[]>(size);
  for (const auto& part : parts)
    for (const std::uint64_t h : part) half[low[bucket(h, 0)]++] = h;
  for (std::size_t i = 0; i < size; ++i) hashes[high[bucket(half[i], 1)]++] = half[i];

  constexpr std::uint64_t kLowMask = (std::uint64_t{1} << (2 * kPassBits)) - 1;
  std::vector<std::uint64_t> found;
  for (std::size_t begin = 0; begin < size;) {
    std::size_t end = begin + 1;
    while (end < size && ((hashes[end] ^ hashes[begin]) & kLowMask) == 0) ++end;
    if (end - begin > 1) {
      std::sort(&hashes[begin], hashes.get() + end);
      for (std::size_t i = begin + 1; i < end; ++i)
        if (hashes[i] == hashes[i - 1] && (found.empty() || found.back() != hashes[i])) found.push_back(hashes[i]);
    }
    begin = end;
  }
  std::sort(found.begin(), found.end());
  return found;
}

} // namespace plimsoll
