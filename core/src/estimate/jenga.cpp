// The search for a huge page behind jenga.hpp, and the capacity of the slab it gives.
// Called through jenga.hpp. Never changes a pooled plan, whose capacity rule is uniform. Threads: pure functions.
#include "estimate/jenga.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "base/human.hpp"

namespace plimsoll {
namespace {

constexpr Wide kHugePageCeiling = static_cast<Wide>(128) << 20;
constexpr std::int64_t kMostTimes = 256;
constexpr Wide kTooLarge = static_cast<Wide>(1) << 100;

Wide gcd(Wide a, Wide b) {
  while (b != 0) a = std::exchange(b, a % b);
  return a;
}

Wide lcm(Wide a, Wide b) {
  if (a == 0 || b == 0) return 0;
  return std::min((CheckedWide(a / gcd(a, b)) * b).saturated(), kTooLarge);
}

std::string human(Wide bytes) { return human_bytes(bytes > INT64_MAX ? UINT64_MAX : static_cast<std::uint64_t>(bytes)); }

Result<SlabGeometry> too_few(Wide huge_page_bytes, Wide budget) {
  return fail(ErrorCode::kNoPageFits,
              fmt::format("two huge pages of {} do not fit {}; give the cache more memory", human(huge_page_bytes), human(budget)),
              "/kv_cache");
}

// One candidate size, or nothing where a leaf cannot be tiled into it within the limit.
std::optional<std::pair<SlabGeometry, double>> candidate(std::span<const KvLeaf> leaves, Wide huge, Wide budget, double padding_limit) {
  SlabGeometry geometry;
  geometry.huge_page_bytes = huge;
  geometry.huge_pages = budget / huge;
  if (geometry.huge_pages < 2) return std::nullopt;
  double padding = 0;
  for (const KvLeaf& leaf : leaves) {
    Wide ratio = leaf.page_bytes == 0 ? 0 : huge / leaf.page_bytes;
    while (ratio > 0 && (huge % ratio != 0 || (huge / ratio) % leaf.row_bytes != 0)) --ratio;
    if (ratio == 0) return std::nullopt;
    const double waste = 1.0 - static_cast<double>(leaf.page_bytes) / static_cast<double>(huge / ratio);
    if (waste > padding_limit) return std::nullopt;
    padding += waste;
    geometry.ratios.push_back(static_cast<std::int64_t>(ratio));
  }
  const Wide lost = budget - geometry.huge_pages * huge + huge;
  const double cost = padding / static_cast<double>(leaves.size()) + static_cast<double>(lost) / static_cast<double>(budget);
  return std::pair(std::move(geometry), cost);
}

bool slab_fits(const KvParams& params, const SlabGeometry& geometry, Wide slots) {
  CheckedWide used;
  for (std::size_t i = 0; i < params.leaves.size(); ++i)
    used += wide_ceil_div(params.leaves[i].pages_to_reserve(slots, params.page_tokens), geometry.ratios[i]);
  return used.saturated() <= geometry.huge_pages - 1;
}

} // namespace

Result<SlabGeometry> tile_exactly(std::span<const Wide> page_bytes, Wide device_budget) {
  SlabGeometry geometry;
  geometry.huge_page_bytes = 1;
  for (const Wide bytes : page_bytes) geometry.huge_page_bytes = lcm(geometry.huge_page_bytes, bytes);
  if (geometry.huge_page_bytes == 0) return fail(ErrorCode::kBadRequest, "a page of the cache has no bytes", "/kv_cache/caches");
  geometry.huge_pages = std::max<Wide>(0, device_budget) / geometry.huge_page_bytes;
  if (geometry.huge_pages < 2) return too_few(geometry.huge_page_bytes, device_budget);
  for (const Wide bytes : page_bytes) geometry.ratios.push_back(narrow(geometry.huge_page_bytes / bytes).value_or(INT64_MAX));
  return geometry;
}

Result<SlabGeometry> tile(std::span<const KvLeaf> leaves, Wide device_budget, double padding_limit) {
  std::vector<Wide> sizes;
  Wide rows = 1, largest = 0;
  for (const KvLeaf& leaf : leaves) {
    sizes.push_back(leaf.page_bytes);
    rows = lcm(rows, leaf.row_bytes);
    largest = std::max(largest, leaf.page_bytes);
  }
  auto best = tile_exactly(sizes, device_budget);
  double cost = 2;
  if (best) {
    const Wide lost = device_budget - best->huge_pages * best->huge_page_bytes + best->huge_page_bytes;
    cost = static_cast<double>(lost) / static_cast<double>(device_budget);
  }
  if (rows <= 0 || rows >= kTooLarge) return best;
  const Wide ceiling = std::min(kHugePageCeiling, device_budget / 2);
  std::vector<Wide> candidates;
  for (const Wide size : sizes)
    for (std::int64_t times = 1; times <= kMostTimes; ++times) {
      const Wide huge = wide_ceil_div(size * times, rows) * rows;
      if (huge > ceiling) break;
      if (huge >= largest) candidates.push_back(huge);
    }
  std::sort(candidates.begin(), candidates.end());
  candidates.erase(std::unique(candidates.begin(), candidates.end()), candidates.end());
  for (const Wide huge : candidates)
    if (auto next = candidate(leaves, huge, device_budget, padding_limit); next && next->second < cost) {
      best = std::move(next->first);
      cost = next->second;
    }
  return best;
}

Result<std::optional<Wide>> slab_capacity_tokens(const KvParams& params, Wide budget) {
  const bool grows =
      std::any_of(params.leaves.begin(), params.leaves.end(), [](const KvLeaf& leaf) { return leaf.kind == KvLeafKind::kFull; });
  PLIMSOLL_ASSIGN(const SlabGeometry geometry, tile(params.leaves, budget / (params.data_parallel * params.tensor_parallel)));
  // Past this many slots no window grows, and every further full page is one more.
  Wide high = 1;
  while (slab_fits(params, geometry, high)) {
    if (!grows && high > (static_cast<Wide>(1) << 64)) return std::optional<Wide>();
    high *= 2;
  }
  Wide low = 0;
  while (high - low > 1) {
    const Wide middle = low + (high - low) / 2;
    if (slab_fits(params, geometry, middle)) low = middle;
    else high = middle;
  }
  return std::optional<Wide>(std::max<Wide>(1, low * params.page_tokens - params.slack_tokens));
}

} // namespace plimsoll
