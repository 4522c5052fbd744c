// plimsoll/kv_geometry.hpp - how the KV memory of every rank is cut, for whoever enacts a plan: a host's page tables, the
// allocation that `plimsoll verify` tries, a runtime's pools. The one output of the planner that says it; documents and the
// C API show parts of it. Values; nothing in it refers to a model or a context. Threads: immutable once made.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "plimsoll/cache_kind.hpp"

namespace plimsoll {

// A field of a mixed record, or a region of a state.
struct KvFieldGeometry {
  std::string dtype;
  std::uint64_t elements = 0;
};

// Layers that store alike, as one pipeline stage holds them. Figures are of one rank.
struct KvGroupGeometry {
  std::string label;
  CacheKind kind = CacheKind::kFull;
  bool draft = false;                                       // of a draft model or a drafting head
  std::shared_ptr<const std::vector<std::uint32_t>> layers; // of the whole model, ascending; may be null where the group has none
  std::uint64_t first_layer = 0, n_layers = 0;              // those of the stage: (*layers)[first_layer ... first_layer + n_layers)
  std::uint64_t page_tokens = 0;                            // tokens of one page; 0 for state
  std::uint64_t page_bytes = 0;                             // one page, all layers of the stage; 0 for state
  std::uint64_t kv_heads = 0;                               // on one rank; 1 for a latent that is kept whole
  std::uint64_t k_elements = 0, v_elements = 0;             // of one head as it is stored; a latent counts as k
  std::uint64_t latent_elements = 0, rope_elements = 0;     // of a latent; both are part of k_elements
  std::string k_dtype, v_dtype;                             // empty for state and for a mixed record
  std::vector<KvFieldGeometry> record;                      // of a head and token, one after another; empty: keys, then values
  std::uint64_t window_tokens = 0;                          // windows and chunks
  std::uint64_t fixed_tokens = 0;                           // cross attention: encoder tokens of a sequence
  std::uint64_t state_row_bytes = 0;                        // state: one row, all layers of the stage
  std::uint64_t rows_per_sequence = 0;                      // state
  std::vector<KvFieldGeometry> regions;                     // state: what a layer's part of a row is made of, one after another
};

struct KvStageGeometry {
  std::vector<KvGroupGeometry> groups; // the same groups in the same order on every stage
  std::uint64_t block_bytes = 0;       // where groups share blocks: of one block, all layers of the stage
};

// What one rank holds of one group.
struct KvGroupPool {
  std::uint64_t pages = 0;      // null pages included; where groups share blocks, the blocks of them all
  std::uint64_t null_pages = 0; // that no request gets
  std::uint64_t state_rows = 0; // 0 for rings that lie in the engine's own pages; their bytes say all
  std::uint64_t bytes = 0;      // where groups share blocks, of them all, stated with the first group
};

struct KvGeometry {
  bool shared_blocks = false; // all groups of a rank draw blocks of one size from one pool
  std::vector<KvStageGeometry> stages;
  std::vector<std::uint32_t> stage_of_rank;
  std::vector<KvGroupPool> pools; // rank-major: pools[rank * n_groups + group]

  std::uint32_t n_ranks() const { return static_cast<std::uint32_t>(stage_of_rank.size()); }
  std::size_t n_groups() const { return stages.empty() ? 0 : stages.front().groups.size(); }
  const KvGroupGeometry& group(std::uint32_t rank, std::size_t index) const { return stages[stage_of_rank[rank]].groups[index]; }
  const KvGroupPool& pool(std::uint32_t rank, std::size_t index) const { return pools[rank * n_groups() + index]; }
  std::uint64_t block_bytes(std::uint32_t rank) const { return stages[stage_of_rank[rank]].block_bytes; }
  // All KV memory of a rank.
  std::uint64_t bytes(std::uint32_t rank) const {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < n_groups(); ++i) sum += pool(rank, i).bytes;
    return sum;
  }
};

} // namespace plimsoll
