// Pages for the next step of a request: look up, count, compare once, then touch every hit, then allocate. A hit that nobody holds is
// a free page, so it counts as demand; and all are touched before anything is allocated, lest one table evict what another one hit.
#include <algorithm>
#include <fmt/format.h>

#include "base/checked.hpp"
#include "kv_cache/manager.hpp"
#include "kv_cache/prefix_search.hpp"
#include "plimsoll/limits.hpp"

namespace plimsoll {
namespace {

// A request's memory is reserved for its largest length, so that steps take none; longer ones grow as vectors do.
constexpr std::uint64_t kMostReserved = 65'536;

std::uint64_t new_pages(const TableSpec& table, const PageRow& row, std::uint64_t end_tokens) {
  const std::uint64_t wanted = table.pages_for(end_tokens);
  return wanted > row.pages.size() ? wanted - row.pages.size() : 0;
}

} // namespace

tl::unexpected<Error> PagedKvManager::Impl::not_claimed(const TextContext& context) const {
  return fail(ErrorCode::kBadRequest, fmt::format("request {} is not claimed; claim it first", context.id()));
}

Result<void> PagedKvManager::Impl::check_position(const Request& request, const TextContext& context) const {
  const std::uint64_t processed = context.processed_length();
  if (!request.started && processed > 0)
    return fail(ErrorCode::kBadRequest,
                fmt::format("request {} calls {} tokens processed and holds none of them; rewind a context whose request "
                            "was released to 0",
                            request.id, processed));
  for (const TableSpec& table : layout_.tables) {
    if (!table.grows()) continue;
    const PageRow& row = request.rows[table.first_row];
    if (row.pages.size() * table.page_tokens < processed)
      return fail(ErrorCode::kBadRequest,
                  fmt::format("request {} calls {} tokens processed and holds pages of {}; call alloc before each step", request.id,
                              processed, row.pages.size() * table.page_tokens));
    if (table.pages_filled(table.first_seen(processed)) < row.first_held)
      return fail(ErrorCode::kBadRequest,
                  fmt::format("request {} was rewound to token {}, whose window is gone; release it, rewind it to 0 "
                              "and claim it again",
                              request.id, processed));
  }
  return {};
}

void PagedKvManager::Impl::count_demand(const Request& request, std::uint64_t end_tokens) {
  std::fill(demand_.begin(), demand_.end(), 0U);
  const std::vector<BlockPool>& pools = replicas_[request.replica].pools;
  for (const TableSpec& table : layout_.tables) {
    if (!table.grows()) continue;
    demand_[table.pool] += new_pages(table, request.rows[table.first_row], end_tokens) * table.lanes;
    if (request.started) continue;
    for (std::size_t lane = 0; lane < table.lanes; ++lane)
      for (const PageId hit : request.rows[table.first_row + lane].pages) demand_[table.pool] += pools[table.pool].is_free(hit) ? 1U : 0U;
  }
}

bool PagedKvManager::Impl::enough(const Request& request) const {
  const std::vector<BlockPool>& pools = replicas_[request.replica].pools;
  for (std::size_t pool = 0; pool < demand_.size(); ++pool)
    if (demand_[pool] > pools[pool].free_pages()) return false;
  return true;
}

tl::unexpected<Error> PagedKvManager::Impl::too_few(const Request& request) const {
  const std::vector<BlockPool>& pools = replicas_[request.replica].pools;
  std::size_t pool = 0;
  while (pool + 1 < demand_.size() && demand_[pool] <= pools[pool].free_pages()) ++pool;
  return fail(ErrorCode::kInsufficientBlocks,
              fmt::format("request {} needs {} free pages and {} of {} are free; release a request, make its chunk smaller, or plan for a "
                          "larger cache",
                          request.id, demand_[pool], pools[pool].free_pages(), pools[pool].total_pages()));
}

std::uint64_t PagedKvManager::Impl::look_up(const TextContext& context, Request& request) {
  const std::uint64_t realised = context.realised_length();
  if (layout_.hit_alignment_tokens == 0 || context.skip_prefix_read() || realised <= 1) return 0;
  for (std::size_t i = 0; i < request.keys.size(); ++i)
    if (!request.keys[i].begun()) request.keys[i].begin(context, layout_.page_sizes[i], seed_);
  // The newest token is computed again, whatever the cache has: its logits choose the next one.
  return PrefixSearch(layout_, replicas_[request.replica].pools, salts_)
      .find(context, request, std::min(realised, context.size_tokens() - 1));
}

void PagedKvManager::Impl::drop_hits(Request& request) const {
  for (const TableSpec& table : layout_.tables)
    for (std::size_t lane = 0; lane < table.lanes && table.grows(); ++lane) {
      PageRow& row = request.rows[table.first_row + lane];
      row.pages.clear();
      row.first_held = row.published = 0;
    }
}

void PagedKvManager::Impl::start(const TextContext& context, Request& request) {
  const std::uint64_t longest = context.max_length() + options_.slack_tokens;
  for (const TableSpec& table : layout_.tables)
    for (std::size_t lane = 0; lane < table.lanes && table.grows(); ++lane)
      request.rows[table.first_row + lane].pages.reserve(std::min(table.pages_for(longest), kMostReserved));
  for (std::size_t i = 0; i < request.keys.size() && layout_.hit_alignment_tokens > 0; ++i) {
    if (!request.keys[i].begun()) request.keys[i].begin(context, layout_.page_sizes[i], seed_);
    request.keys[i].reserve(std::min(ceil_div(longest, layout_.page_sizes[i]), kMostReserved));
  }
  std::vector<BlockPool>& pools = replicas_[request.replica].pools;
  for (const TableSpec& table : layout_.tables)
    for (std::size_t lane = 0; lane < table.lanes && table.grows(); ++lane) {
      const PageRow& row = request.rows[table.first_row + lane];
      static_cast<void>(pools[table.pool].touch(std::span(row.pages).subspan(row.first_held)));
    }
  request.started = true;
}

std::uint64_t PagedKvManager::Impl::grow(Request& request, std::uint64_t end_tokens) {
  std::uint64_t taken = 0;
  std::vector<BlockPool>& pools = replicas_[request.replica].pools;
  for (const TableSpec& table : layout_.tables) {
    if (!table.grows()) continue;
    const std::uint64_t count = new_pages(table, request.rows[table.first_row], end_tokens);
    for (std::size_t lane = 0; lane < table.lanes && count > 0; ++lane) {
      std::vector<PageId>& pages = request.rows[table.first_row + lane].pages;
      pages.resize(pages.size() + count);
      static_cast<void>(pools[table.pool].allocate(std::span(pages).last(count))); // check_demand counted them
      taken += count;
    }
  }
  return taken;
}

Result<KvAllocation> PagedKvManager::Impl::alloc(TextContext& context) {
  Request* const request = requests_.find(context.id());
  if (request == nullptr) return not_claimed(context);
  PLIMSOLL_TRY(check_position(*request, context));
  KvAllocation out;
  const bool first = !request->started;
  if (first) out.hit_tokens = look_up(context, *request);
  const std::uint64_t processed = context.processed_length() + out.hit_tokens;
  const std::uint64_t end = processed + context.active_length_at(processed) + options_.slack_tokens;
  count_demand(*request, end);
  if (!enough(*request)) {
    if (out.hit_tokens > 0) drop_hits(*request);
    return too_few(*request);
  }
  if (first) {
    start(context, *request);
    PLIMSOLL_TRY(context.skip_processing(out.hit_tokens));
    hit_tokens_ += out.hit_tokens;
    if (layout_.hit_alignment_tokens > 0 && !context.skip_prefix_read()) queried_tokens_ += context.realised_length();
  }
  out.new_pages = grow(*request, end);
  return out;
}

Result<void> PagedKvManager::Impl::reserve(const TextContext& context, std::uint64_t further_tokens) {
  Request* const request = requests_.find(context.id());
  if (request == nullptr) return not_claimed(context);
  PLIMSOLL_TRY(check_position(*request, context));
  if (!request->started)
    return fail(ErrorCode::kBadRequest, fmt::format("request {} has no pages yet; call alloc before it reserves any", request->id));
  if (further_tokens > kMaxTokens)
    return fail(ErrorCode::kBadRequest,
                fmt::format("pages for {} further tokens were asked for, {} are the most", further_tokens, kMaxTokens));
  const std::uint64_t end = end_of(context) + further_tokens;
  count_demand(*request, end);
  if (!enough(*request)) return too_few(*request);
  grow(*request, end);
  return {};
}

Result<std::uint64_t> PagedKvManager::Impl::fitting_tokens(const TextContext& context) {
  Request* const request = requests_.find(context.id());
  if (request == nullptr) return not_claimed(context);
  PLIMSOLL_TRY(check_position(*request, context));
  const std::uint64_t hit = request->started ? 0 : look_up(context, *request), begin = context.processed_length() + hit;
  std::uint64_t low = 0, high = context.active_length_at(begin);
  while (low < high) {
    const std::uint64_t middle = low + (high - low + 1) / 2;
    count_demand(*request, begin + middle + options_.slack_tokens);
    if (enough(*request)) low = middle;
    else high = middle - 1;
  }
  if (hit > 0) drop_hits(*request);
  return low;
}

} // namespace plimsoll
