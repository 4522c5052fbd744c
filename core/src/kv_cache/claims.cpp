// Making the manager, claiming and releasing requests, and what the whole of it holds.
#include <algorithm>
#include <fmt/format.h>
#include <numeric>
#include <sys/random.h>

#include "base/checked.hpp"
#include "kv_cache/manager.hpp"
#include "plimsoll/limits.hpp"

namespace plimsoll {
namespace {

Result<std::uint64_t> seed_of(const KvOptions& options) {
  if (options.key_seed) return *options.key_seed;
  std::uint64_t seed = 0;
  if (getrandom(&seed, sizeof seed, 0) != static_cast<ssize_t>(sizeof seed))
    return fail(ErrorCode::kInternal, "the system gave no random seed for the keys of pages; set KvOptions::key_seed");
  return seed;
}

} // namespace

Result<std::unique_ptr<PagedKvManager::Impl>> PagedKvManager::Impl::create(KvGeometry geometry, const KvOptions& options) {
  if (options.slack_tokens > kMaxTokens)
    return fail(ErrorCode::kBadRequest,
                fmt::format("{} tokens of slack were asked for, {} are the most", options.slack_tokens, kMaxTokens));
  PLIMSOLL_ASSIGN(CacheLayout layout, CacheLayout::of(geometry, options));
  PLIMSOLL_ASSIGN(const std::uint64_t seed, seed_of(options));
  std::unique_ptr<Impl> impl(new Impl(std::move(geometry), options, std::move(layout), seed));
  PLIMSOLL_TRY(impl->make_replicas());
  return impl;
}

PagedKvManager::Impl::Impl(KvGeometry geometry, const KvOptions& options, CacheLayout layout, std::uint64_t seed)
    : geometry_(std::move(geometry)), options_(options), layout_(std::move(layout)), seed_(seed), demand_(layout_.n_pools) {
  for (std::size_t row = 0; row < layout_.n_rows; ++row) salts_.push_back(table_salt(row, seed_));
}

Result<void> PagedKvManager::Impl::make_replicas() {
  for (std::uint32_t index = 0; index < options_.replicas; ++index) {
    Replica replica{{}, {}, PageTables(layout_, index, options_)};
    for (const PoolSpec& spec : layout_.pools[index]) {
      PLIMSOLL_ASSIGN(BlockPool pool, BlockPool::create(spec.usable()));
      replica.pools.push_back(std::move(pool));
    }
    for (const std::uint64_t rows : layout_.state_rows[index]) {
      std::vector<std::uint32_t>& free = replica.free_rows.emplace_back(rows);
      std::iota(free.rbegin(), free.rend(), 0U);
    }
    replicas_.push_back(std::move(replica));
  }
  return {};
}

Result<void> PagedKvManager::Impl::check_claim(RequestId id, std::uint32_t index) {
  if (index >= replicas_.size())
    return fail(ErrorCode::kBadRequest, fmt::format("request {} is claimed for replica {} of {}", id, index, replicas_.size()));
  if (const Request* other = requests_.find(id))
    return fail(ErrorCode::kBadRequest, fmt::format("request {} is claimed already, for replica {}; release it first", id, other->replica));
  const Replica& replica = replicas_[index];
  std::fill(demand_.begin(), demand_.end(), 0U);
  for (const TableSpec& table : layout_.tables)
    if (!table.grows()) demand_[table.pool] += table.pages_for(table.fixed_tokens) * table.lanes;
  for (std::size_t i = 0; i < layout_.states.size(); ++i) {
    const StateSpec& state = layout_.states[i];
    if (state.pool != kNoPool) demand_[state.pool] += state.rows;
    else if (replica.free_rows[i].size() < state.rows)
      return fail(ErrorCode::kInsufficientBlocks, fmt::format("request {} needs {} state rows and {} are free; release a request", id,
                                                              state.rows, replica.free_rows[i].size()));
  }
  for (std::size_t pool = 0; pool < demand_.size(); ++pool)
    if (demand_[pool] > replica.pools[pool].free_pages())
      return fail(ErrorCode::kInsufficientBlocks,
                  fmt::format("request {} needs {} pages whatever its length and {} of {} are free; release a request", id, demand_[pool],
                              replica.pools[pool].free_pages(), replica.pools[pool].total_pages()));
  return {};
}

Result<void> PagedKvManager::Impl::claim(RequestId id, std::uint32_t index) {
  PLIMSOLL_TRY(check_claim(id, index));
  Request& request = requests_.add(id);
  request.replica = index;
  request.started = false;
  request.publishes = true;
  request.rows.resize(layout_.n_rows);
  for (PageRow& row : request.rows) {
    row.pages.clear();
    row.first_held = row.published = 0;
  }
  request.keys.resize(layout_.page_sizes.size());
  for (PageKeys& keys : request.keys) keys.clear();
  take_fixed_pages(request, replicas_[index]);
  take_state_rows(request, replicas_[index]);
  return {};
}

void PagedKvManager::Impl::take_fixed_pages(Request& request, Replica& replica) {
  for (const TableSpec& table : layout_.tables)
    for (std::size_t lane = 0; lane < table.lanes && !table.grows(); ++lane) {
      std::vector<PageId>& pages = request.rows[table.first_row + lane].pages;
      pages.resize(table.pages_for(table.fixed_tokens));
      static_cast<void>(replica.pools[table.pool].allocate(pages)); // check_claim counted them
    }
}

void PagedKvManager::Impl::take_state_rows(Request& request, Replica& replica) {
  request.state_rows.resize(layout_.n_state_rows);
  for (std::size_t i = 0; i < layout_.states.size(); ++i) {
    const StateSpec& state = layout_.states[i];
    const std::span<std::uint32_t> rows = std::span(request.state_rows).subspan(state.first_row, state.rows);
    if (state.pool != kNoPool) {
      static_cast<void>(replica.pools[state.pool].allocate(rows));
      continue;
    }
    std::vector<std::uint32_t>& free = replica.free_rows[i];
    for (std::uint32_t& row : rows) {
      row = free.back();
      free.pop_back();
    }
  }
}

void PagedKvManager::Impl::give_back_pages(BlockPool& pool, PageRow& row, std::size_t begin, std::size_t end) {
  order_.clear();
  for (std::size_t i = end; i > begin; --i)
    if (row.pages[i - 1] != kNullPage) order_.push_back(row.pages[i - 1]);
  static_cast<void>(pool.release(order_)); // a request's own
}

Result<void> PagedKvManager::Impl::release(RequestId id) {
  Request* request = requests_.find(id);
  if (request == nullptr) return fail(ErrorCode::kBadRequest, fmt::format("request {} is released, which is not claimed", id));
  Replica& replica = replicas_[request->replica];
  for (const TableSpec& table : layout_.tables)
    for (std::size_t lane = 0; lane < table.lanes; ++lane) {
      PageRow& row = request->rows[table.first_row + lane];
      give_back_pages(replica.pools[table.pool], row, row.first_held, row.pages.size());
    }
  for (std::size_t i = 0; i < layout_.states.size(); ++i) {
    const StateSpec& state = layout_.states[i];
    const std::span<std::uint32_t> rows = std::span(request->state_rows).subspan(state.first_row, state.rows);
    if (state.pool != kNoPool) static_cast<void>(replica.pools[state.pool].release(rows));
    else replica.free_rows[i].insert(replica.free_rows[i].end(), rows.rbegin(), rows.rend());
  }
  requests_.remove(*request);
  return {};
}

void PagedKvManager::Impl::reset_prefix_cache() {
  for (Replica& replica : replicas_)
    for (BlockPool& pool : replica.pools) pool.forget_all();
  // What a running request computes from now on still rests on what it computed before.
  requests_.for_each([](Request& request) { request.publishes = !request.started; });
}

std::uint64_t PagedKvManager::Impl::total_pages(std::size_t group, std::uint32_t replica) const {
  if (replica >= replicas_.size() || group >= layout_.table_of_group.size()) return 0;
  if (geometry_.shared_blocks) return layout_.pools[replica].front().pages;
  if (const std::size_t table = layout_.table_of_group[group]; table != kNoPool)
    return layout_.pools[replica][layout_.tables[table].pool].pages;
  return layout_.state_rows[replica][layout_.state_of_group[group]];
}

std::uint64_t PagedKvManager::Impl::free_pages(std::size_t group, std::uint32_t index) const {
  if (index >= replicas_.size() || group >= layout_.table_of_group.size()) return 0;
  const Replica& replica = replicas_[index];
  if (geometry_.shared_blocks) return replica.pools.front().free_pages();
  if (const std::size_t table = layout_.table_of_group[group]; table != kNoPool)
    return replica.pools[layout_.tables[table].pool].free_pages();
  return replica.free_rows[layout_.state_of_group[group]].size();
}

KvMetrics PagedKvManager::Impl::metrics() const {
  KvMetrics out;
  for (const Replica& replica : replicas_)
    for (const BlockPool& pool : replica.pools) {
      out.total_pages += pool.total_pages();
      out.used_pages += pool.used_pages();
      out.free_pages += pool.free_pages();
      out.cached_pages += pool.cached_pages();
      out.evictions += pool.evictions();
    }
  out.hit_tokens = hit_tokens_;
  out.queried_tokens = queried_tokens_;
  out.requests = requests_.size();
  return out;
}

} // namespace plimsoll
