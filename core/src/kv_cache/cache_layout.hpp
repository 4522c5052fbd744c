// What the manager makes of a geometry: tables (groups whose pages have one number), states, and the pools that they draw from.
// Checks the geometry, which a host may have made by hand. Where groups share blocks, a page whose bytes exceed a block takes
// several, one for each `lane`: layers fill the blocks one after another and none is cut. gemma-3-27b under an engine that unifies
// pages: 52 layers with windows beside 10 without, blocks of 10 layers, so a window's page takes 6. Threads: immutable.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "plimsoll/kv_cache.hpp"

namespace plimsoll {

inline constexpr std::size_t kNoPool = SIZE_MAX;

// One page table per request, or one per lane.
struct TableSpec {
  CacheKind kind = CacheKind::kFull; // kFull for latent groups too
  std::uint64_t page_tokens = 1, window_tokens = 0, fixed_tokens = 0;
  std::vector<std::size_t> groups;
  std::size_t lanes = 1, first_row = 0; // rows of a request: [first_row, first_row + lanes)
  std::size_t pool = 0;
  std::size_t keys = 0; // index into page_sizes

  // Pages that tokens fill, and pages that hold them. Nearly all pages have a power of two of tokens, and a division is dear.
  std::uint64_t pages_filled(std::uint64_t tokens) const {
    return (page_tokens & (page_tokens - 1)) == 0 ? tokens >> std::countr_zero(page_tokens) : tokens / page_tokens;
  }
  std::uint64_t pages_for(std::uint64_t tokens) const { return pages_filled(tokens + page_tokens - 1); }

  bool grows() const { return kind != CacheKind::kCross; }
  // The first token that a later one than `processed` tokens can still see.
  std::uint64_t first_seen(std::uint64_t processed) const {
    if (kind == CacheKind::kWindow) return processed < window_tokens ? 0 : processed - window_tokens + 1;
    if (kind == CacheKind::kChunk) return processed - processed % window_tokens;
    return 0;
  }
};

struct StateSpec {
  std::size_t group = 0;
  std::size_t rows = 0; // of a request; where blocks are shared, blocks
  std::size_t lanes = 1;
  std::size_t first_row = 0;  // among all state rows of a request
  std::size_t pool = kNoPool; // the shared blocks; none: rows of its own
};

// One id space of a replica.
struct PoolSpec {
  std::uint64_t pages = 0, null_pages = 0;
  std::uint64_t usable() const { return pages - null_pages; }
};

struct CacheLayout {
  static Result<CacheLayout> of(const KvGeometry& geometry, const KvOptions& options);

  std::vector<TableSpec> tables;
  std::vector<StateSpec> states;
  std::vector<std::size_t> table_of_group, state_of_group; // kNoPool where it is the other, or neither
  std::vector<std::uint64_t> page_sizes;                   // in tokens, without repetition
  std::size_t n_pools = 0, n_rows = 0, n_state_rows = 0;
  std::vector<std::vector<PoolSpec>> pools;           // per replica
  std::vector<std::vector<std::uint64_t>> state_rows; // per replica and state
  std::uint32_t ranks_per_replica = 1;
  std::uint64_t hit_alignment_tokens = 1; // 0: no prefix caching
};

// Where a layer of a group lies in its page, see PagedKvManager::place.
KvPlace place_of(const KvGeometry& geometry, const CacheLayout& layout, std::uint32_t rank, std::size_t group, std::uint64_t layer);

} // namespace plimsoll
