// Slab geometry of the hybrid KV manager: huge pages, each tiled into little pages of one leaf. Called by the tests and
// by whoever asks what that manager would hold. Never the rule of the pooled plan, which is uniform. Threads: pure.
// Source: the documented hybrid block pool. Example: leaves of 104,857,600 and 10,485,760 bytes in 20 GiB: huge pages of
// 104,857,600, 204 of them, 249,600 tokens for a window of 1,024 and pages of 128.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/wide.hpp"
#include "estimate/kv_params.hpp"

namespace plimsoll {

struct SlabGeometry {
  Wide huge_page_bytes = 0;
  Wide huge_pages = 0;              // the first is the null page
  std::vector<std::int64_t> ratios; // little pages per huge page, by leaf
};

// The exact tiling: the least common multiple of the page sizes. kNoPageFits below two huge pages.
Result<SlabGeometry> tile_exactly(std::span<const Wide> page_bytes, Wide device_budget);

// The cheaper of the exact tiling and of padded ones: candidate sizes are multiples of each leaf's page up to 256 times,
// aligned to the rows, at most the smaller of 128 MiB and half the budget; a leaf may waste at most `padding_limit`.
Result<SlabGeometry> tile(std::span<const KvLeaf> leaves, Wide device_budget, double padding_limit = 0.0);

// The longest single request in `budget` bytes over all devices; empty where nothing grows with the length.
Result<std::optional<Wide>> slab_capacity_tokens(const KvParams& params, Wide budget);

} // namespace plimsoll
