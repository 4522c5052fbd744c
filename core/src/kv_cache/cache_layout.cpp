#include "kv_cache/cache_layout.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <numeric>

#include "base/checked.hpp"
#include "kv_cache/block_packing.hpp"
#include "plimsoll/limits.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kMaxLanes = 4'096, kMaxRowsPerSequence = 4'096, kMaxLayers = 1'000'000;
constexpr std::size_t kMaxGroups = 4'096;

tl::unexpected<Error> wrong(const std::string& group, const std::string& what) {
  return fail(ErrorCode::kBadRequest, "the KV geometry's group '" + group + "' " + what + "; take the geometry of a plan that fits");
}

// Bytes of one layer of a page, or of a state row; 0 where the rank has none.
std::uint64_t layer_bytes_of(const KvGroupGeometry& group) {
  if (group.n_layers == 0) return 0;
  return (group.kind == CacheKind::kState ? group.state_row_bytes : group.page_bytes) / group.n_layers;
}

Result<void> check_shape(const KvGeometry& g, const KvOptions& options) {
  if (g.n_ranks() == 0)
    return fail(ErrorCode::kBadRequest, "the KV geometry has no rank: its plan does not fit, or is pooled; there is nothing to manage");
  if (options.replicas == 0 || g.n_ranks() % options.replicas != 0)
    return fail(ErrorCode::kBadRequest, fmt::format("{} ranks cannot be dealt to {} replicas; give the plan's data-parallel degree",
                                                    g.n_ranks(), options.replicas));
  bool whole = g.n_groups() <= kMaxGroups && g.pools.size() == std::size_t{g.n_ranks()} * g.n_groups();
  for (const KvStageGeometry& stage : g.stages) whole = whole && stage.groups.size() == g.n_groups();
  for (const std::uint32_t stage : g.stage_of_rank) whole = whole && stage < g.stages.size();
  if (!whole)
    return fail(ErrorCode::kBadRequest, "the KV geometry contradicts itself: every stage has the same groups, every rank a pool for each");
  return {};
}

Result<void> check_group(const KvGroupGeometry& first, const KvGroupGeometry& group) {
  const bool same = group.kind == first.kind && group.page_tokens == first.page_tokens && group.window_tokens == first.window_tokens &&
                    group.fixed_tokens == first.fixed_tokens && group.rows_per_sequence == first.rows_per_sequence;
  if (!same) return wrong(group.label, "differs between stages in more than its layers and bytes");
  if (group.n_layers > kMaxLayers) return wrong(group.label, fmt::format("has {} layers, {} are the most", group.n_layers, kMaxLayers));
  if (group.kind == CacheKind::kState) {
    if (group.rows_per_sequence > kMaxRowsPerSequence)
      return wrong(group.label, fmt::format("has {} rows a sequence, {} are the most", group.rows_per_sequence, kMaxRowsPerSequence));
    return {};
  }
  if (group.page_tokens == 0 || group.page_tokens > kMaxPageTokens)
    return wrong(group.label, fmt::format("has pages of {} tokens, 1 to {} can be", group.page_tokens, kMaxPageTokens));
  if (is_windowed(group.kind) && (group.window_tokens == 0 || group.window_tokens > kMaxTokens))
    return wrong(group.label, fmt::format("has a window of {} tokens", group.window_tokens));
  if (group.fixed_tokens > kMaxTokens) return wrong(group.label, fmt::format("has {} encoder tokens", group.fixed_tokens));
  return {};
}

// Blocks that one page of these groups takes on a rank.
Result<std::uint64_t> lanes_on(const KvGeometry& g, std::uint32_t rank, const std::vector<std::size_t>& groups) {
  const std::uint64_t block = g.block_bytes(rank);
  BlockCursor end;
  for (const std::size_t index : groups) {
    const KvGroupGeometry& group = g.group(rank, index);
    const std::uint64_t layer = layer_bytes_of(group);
    if (layer == 0) continue;
    if (layer > block) return wrong(group.label, fmt::format("has layers of {} B in blocks of {} B", layer, block));
    end = after_layers(end, group.n_layers, layer, block);
  }
  if (end.block >= kMaxLanes) return wrong(g.group(rank, groups.front()).label, fmt::format("needs {} blocks for a page", end.block + 1));
  return end.block + 1;
}

Result<std::size_t> lanes_of(const KvGeometry& g, const std::vector<std::size_t>& groups) {
  std::uint64_t lanes = 1;
  if (g.shared_blocks)
    for (std::uint32_t rank = 0; rank < g.n_ranks(); ++rank) {
      PLIMSOLL_ASSIGN(const std::uint64_t own, lanes_on(g, rank, groups));
      lanes = std::max(lanes, own);
    }
  return static_cast<std::size_t>(lanes);
}

// The smallest pool of these groups on the replica's ranks that hold layers of them.
Result<PoolSpec> pool_of(const KvGeometry& g, std::uint32_t first_rank, std::uint32_t ranks, const std::vector<std::size_t>& groups) {
  PoolSpec out;
  bool found = false;
  for (std::uint32_t rank = first_rank; rank < first_rank + ranks; ++rank)
    for (const std::size_t index : groups) {
      const KvGroupPool& pool = g.pool(rank, index);
      if (g.group(rank, index).n_layers == 0) continue;
      if (pool.pages < pool.null_pages)
        return wrong(g.group(rank, index).label, fmt::format("has {} pages, {} of them null", pool.pages, pool.null_pages));
      const PoolSpec own{pool.pages, pool.null_pages};
      if (!found || own.usable() < out.usable()) out = own;
      found = true;
    }
  if (out.usable() > kMaxPages)
    return wrong(g.group(first_rank, groups.front()).label, fmt::format("has {} pages, {} are the most", out.usable(), kMaxPages));
  return out;
}

Result<std::uint64_t> rows_of(const KvGeometry& g, std::uint32_t first_rank, std::uint32_t ranks, std::size_t group) {
  std::optional<std::uint64_t> least;
  for (std::uint32_t rank = first_rank; rank < first_rank + ranks; ++rank)
    if (g.group(rank, group).n_layers > 0) least = std::min(least.value_or(UINT64_MAX), g.pool(rank, group).state_rows);
  const std::uint64_t rows = least.value_or(0);
  if (rows > kMaxPages) return wrong(g.group(first_rank, group).label, fmt::format("has {} state rows, {} are the most", rows, kMaxPages));
  return rows;
}

class Builder {
public:
  Builder(const KvGeometry& geometry, const KvOptions& options) : g_(geometry), options_(options) {}

  Result<CacheLayout> build() {
    out_.ranks_per_replica = g_.n_ranks() / options_.replicas;
    out_.table_of_group.assign(g_.n_groups(), kNoPool);
    out_.state_of_group.assign(g_.n_groups(), kNoPool);
    for (std::size_t i = 0; i < g_.n_groups(); ++i) {
      const KvGroupGeometry& first = one_with_layers(i);
      for (const KvStageGeometry& stage : g_.stages)
        if (stage.groups[i].n_layers > 0) PLIMSOLL_TRY(check_group(first, stage.groups[i]));
      PLIMSOLL_TRY(check_group(first, first));
      if (first.kind == CacheKind::kState) PLIMSOLL_TRY(add_state(first, i));
      else add_to_tables(first, i);
    }
    for (TableSpec& table : out_.tables) {
      PLIMSOLL_ASSIGN(table.lanes, lanes_of(g_, table.groups));
      table.first_row = out_.n_rows;
      out_.n_rows += table.lanes;
    }
    PLIMSOLL_TRY(size_pools());
    align_hits();
    return std::move(out_);
  }

private:
  // A stage without layers of a group says little of it.
  const KvGroupGeometry& one_with_layers(std::size_t index) const {
    for (const KvStageGeometry& stage : g_.stages)
      if (stage.groups[index].n_layers > 0) return stage.groups[index];
    return g_.stages.front().groups[index];
  }

  // Full and latent groups of one page size have one number for a page of them all.
  void add_to_tables(const KvGroupGeometry& group, std::size_t index) {
    const CacheKind kind = plimsoll::grows(group.kind) ? CacheKind::kFull : group.kind;
    auto table = std::find_if(out_.tables.begin(), out_.tables.end(), [&](const TableSpec& t) {
      return kind == CacheKind::kFull && t.kind == kind && t.page_tokens == group.page_tokens;
    });
    if (table == out_.tables.end()) {
      TableSpec made;
      made.kind = kind;
      made.page_tokens = group.page_tokens;
      made.window_tokens = group.window_tokens;
      made.fixed_tokens = group.fixed_tokens;
      made.pool = g_.shared_blocks ? 0 : out_.tables.size();
      const auto size = std::find(out_.page_sizes.begin(), out_.page_sizes.end(), group.page_tokens);
      made.keys = static_cast<std::size_t>(size - out_.page_sizes.begin());
      if (size == out_.page_sizes.end()) out_.page_sizes.push_back(group.page_tokens);
      table = out_.tables.insert(out_.tables.end(), made);
    }
    table->groups.push_back(index);
    out_.table_of_group[index] = static_cast<std::size_t>(table - out_.tables.begin());
  }

  Result<void> add_state(const KvGroupGeometry& group, std::size_t index) {
    StateSpec state;
    state.group = index;
    PLIMSOLL_ASSIGN(state.lanes, lanes_of(g_, {index}));
    state.rows = static_cast<std::size_t>(group.rows_per_sequence) * state.lanes;
    state.first_row = out_.n_state_rows;
    if (g_.shared_blocks) state.pool = 0;
    else if (!has_rows(index)) state.rows = 0; // rings that lie in the engine's own pages
    out_.n_state_rows += state.rows;
    out_.state_of_group[index] = out_.states.size();
    out_.states.push_back(state);
    return {};
  }

  bool has_rows(std::size_t group) const {
    for (std::uint32_t rank = 0; rank < g_.n_ranks(); ++rank)
      if (g_.pool(rank, group).state_rows > 0) return true;
    return false;
  }

  Result<void> size_pools() {
    std::vector<std::size_t> all(g_.n_groups());
    std::iota(all.begin(), all.end(), std::size_t{0});
    const bool shared = g_.shared_blocks && !all.empty();
    out_.n_pools = shared ? 1 : out_.tables.size();
    for (std::uint32_t replica = 0; replica < options_.replicas; ++replica) {
      const std::uint32_t first = replica * out_.ranks_per_replica;
      std::vector<PoolSpec> pools;
      for (std::size_t i = 0; i < out_.n_pools; ++i) {
        PLIMSOLL_ASSIGN(const PoolSpec pool, pool_of(g_, first, out_.ranks_per_replica, shared ? all : out_.tables[i].groups));
        pools.push_back(pool);
      }
      out_.pools.push_back(std::move(pools));
      std::vector<std::uint64_t> rows;
      for (const StateSpec& state : out_.states) {
        PLIMSOLL_ASSIGN(const std::uint64_t own, rows_of(g_, first, out_.ranks_per_replica, state.group));
        rows.push_back(own);
      }
      out_.state_rows.push_back(std::move(rows));
    }
    return {};
  }

  // A hit ends where a page of every table does. What a prefix left in a state, or of an encoder, no page can say.
  void align_hits() {
    out_.hit_alignment_tokens = options_.prefix_caching && out_.states.empty() && !out_.tables.empty() ? 1 : 0;
    for (const TableSpec& table : out_.tables) {
      if (!table.grows()) out_.hit_alignment_tokens = 0;
      if (out_.hit_alignment_tokens == 0) return;
      const std::uint64_t common = std::gcd(out_.hit_alignment_tokens, table.page_tokens);
      const Checked least = Checked(out_.hit_alignment_tokens / common) * table.page_tokens;
      out_.hit_alignment_tokens = least.overflowed() || least.value() > kMaxTokens ? 0 : least.value();
    }
  }

  const KvGeometry& g_;
  const KvOptions& options_;
  CacheLayout out_;
};

} // namespace

Result<CacheLayout> CacheLayout::of(const KvGeometry& geometry, const KvOptions& options) {
  PLIMSOLL_TRY(check_shape(geometry, options));
  return Builder(geometry, options).build();
}

KvPlace place_of(const KvGeometry& g, const CacheLayout& layout, std::uint32_t rank, std::size_t index, std::uint64_t layer) {
  const std::uint64_t bytes = layer_bytes_of(g.group(rank, index));
  if (bytes == 0 || !g.shared_blocks) return {0, layer * bytes, bytes};
  BlockCursor at;
  if (const std::size_t table = layout.table_of_group[index]; table != kNoPool)
    for (const std::size_t before : layout.tables[table].groups) {
      if (before == index) break;
      const std::uint64_t own = layer_bytes_of(g.group(rank, before));
      if (own > 0) at = after_layers(at, g.group(rank, before).n_layers, own, g.block_bytes(rank));
    }
  at = next_layer(after_layers(at, layer, bytes, g.block_bytes(rank)), bytes, g.block_bytes(rank));
  return {static_cast<std::uint32_t>(at.block), at.offset_bytes, bytes};
}

} // namespace plimsoll
