#include "runtime/pool_check.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <optional>
#include <span>

#include "runtime/exercise.hpp"
#include "runtime/kv_pool_label.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kPartBytes = 1U << 20;
constexpr RequestId kFirstId = 1ULL << 32; // unlike those of the exercise

// How one group's memory lies on a rank.
struct PoolView {
  std::span<std::byte> memory;
  std::uint64_t stride_bytes = 0, null_units = 0, units = 0; // null pages are the last ones
};
PoolView view_of(KvCache& cache, std::uint32_t rank, std::size_t group) {
  const KvGeometry& geometry = cache.manager().geometry();
  const std::size_t owner = geometry.shared_blocks ? 0 : group;
  const Tensor blocks = cache.blocks(rank, owner);
  const KvGroupPool& pool = geometry.pool(rank, owner);
  const KvGroupGeometry& layout = geometry.group(rank, group);
  PoolView view;
  view.memory = {blocks.data(), blocks.bytes()};
  const bool rows = !geometry.shared_blocks && layout.kind == CacheKind::kState;
  view.stride_bytes = geometry.shared_blocks ? geometry.block_bytes(rank) : rows ? layout.state_row_bytes : layout.page_bytes;
  view.units = rows ? pool.state_rows : pool.pages;
  view.null_units = rows ? 0 : pool.null_pages;
  return view;
}

class PoolCheck {
public:
  PoolCheck(KvCache& cache, const PoolMemory& memory, std::uint64_t seed)
      : cache_(cache), manager_(cache.manager()), memory_(memory), seed_(seed) {}

  Result<PoolFindings> run(std::uint64_t max_length) {
    const KvGeometry& geometry = manager_.geometry();
    for (std::size_t group = 0; group < geometry.n_groups(); ++group) {
      const PoolView view = view_of(cache_, 0, group);
      found_.groups.push_back({kv_pool_label(geometry, 0, group), view.units - view.null_units, 0});
      found_.null_pages += view.null_units;
      seen_.emplace_back(view.units, false);
    }
    check_sizes();
    manager_.reset_prefix_cache();
    PLIMSOLL_TRY(sweep(max_length));
    if (!all_handed_out()) PLIMSOLL_TRY(sweep(1)); // pools that are cut for few tokens of many requests
    manager_.reset_prefix_cache();
    found_.null_pages_are_zero = null_pages_are_zero(cache_, memory_);
    if (auto audit = manager_.audit(); !audit) broken(audit.error().message, "");
    return std::move(found_);
  }

private:
  void broken(std::string what, std::string label) {
    if (!found_.broken.empty()) return;
    found_.broken = std::move(what);
    found_.broken_label = std::move(label);
  }
  bool all_handed_out() const {
    return std::all_of(found_.groups.begin(), found_.groups.end(), [](const PoolFinding& g) { return g.handed_out == g.units; });
  }

  void check_sizes() {
    const KvGeometry& geometry = manager_.geometry();
    for (std::uint32_t rank = 0; rank < manager_.ranks_per_replica(); ++rank)
      for (std::size_t group = 0; group < geometry.n_groups() && cache_.holds(rank); ++group) {
        const PoolView view = view_of(cache_, rank, group);
        if (view.units * view.stride_bytes != view.memory.size())
          broken(fmt::format("{} pages of {} B are not the {} B that were taken on rank {}", view.units, view.stride_bytes,
                             view.memory.size(), rank),
                 kv_pool_label(geometry, rank, group));
      }
  }

  // Requests until not even one token of another one has room; then marks, and one page more.
  Result<void> sweep(std::uint64_t tokens) {
    std::vector<TextContext> held;
    while (true) {
      const RequestId id = next_id_++;
      if (const auto claimed = manager_.claim(id); !claimed) {
        if (claimed.error().code != ErrorCode::kInsufficientBlocks) return tl::unexpected(claimed.error());
        PLIMSOLL_TRY(finish_sweep(held, false));
        return {};
      }
      TextContextOptions options;
      options.id = id;
      options.prompt = drawn_tokens(seed_, id, tokens, 1U << 30);
      options.max_length = tokens + 1;
      options.cache_salt = fmt::format("verify {}", id); // no page is shared
      PLIMSOLL_ASSIGN(TextContext context, TextContext::create(std::move(options)));
      PLIMSOLL_ASSIGN(const bool has_any, grow(context));
      if (!has_any) PLIMSOLL_TRY(manager_.release(id));
      if (!has_any) return finish_sweep(held, true);
      held.push_back(std::move(context));
    }
  }

  // As many tokens as there is room for; false where there is none. It stays at its last token, for which it has a page, and has given back
  // what its windows and chunks are past.
  Result<bool> grow(TextContext& context) {
    bool has_any = false;
    while (true) {
      context.set_chunk_limit(0);
      auto taken = manager_.alloc(context);
      if (!taken && taken.error().code == ErrorCode::kInsufficientBlocks) {
        PLIMSOLL_ASSIGN(const std::uint64_t fitting, manager_.fitting_tokens(context));
        if (fitting == 0) break;
        context.set_chunk_limit(fitting);
        taken = manager_.alloc(context);
      }
      if (!taken) return tl::unexpected(std::move(taken.error()));
      has_any = true;
      note(context);
      const std::uint64_t active = context.active_length();
      if (active <= 1) break;
      context.set_chunk_limit(active - 1);
      PLIMSOLL_TRY(context.advance_chunk());
      const TextContext* const one = &context;
      PLIMSOLL_TRY(manager_.step(std::span(&one, 1)));
    }
    context.set_chunk_limit(1);
    return has_any;
  }

  // Calls with each page or row of a request: group, its number, and the lane of the group's table that it stands in.
  template <class F>
  void for_each_unit(const TextContext& context, F&& use) {
    const TextContext* const one = &context;
    const auto inputs = manager_.runtime_inputs(std::span(&one, 1));
    if (!inputs) return broken(inputs.error().message, "");
    for (std::size_t group = 0; group < inputs->groups.size(); ++group) {
      const KvGroupInputs& of = inputs->groups[group];
      const std::size_t lanes = std::max<std::size_t>(of.lanes, 1);
      const std::span<const std::uint32_t> numbers = of.rows_per_request > 0 ? of.state_rows : of.table;
      for (std::size_t i = 0; i < numbers.size(); ++i) {
        if (of.rows_per_request == 0 && numbers[i] == of.fill) continue;
        const std::size_t lane = of.rows_per_request > 0 ? i % lanes : i / std::max<std::size_t>(of.columns, 1);
        if (numbers[i] >= seen_[group].size())
          return broken(fmt::format("page {} of {}", numbers[i], seen_[group].size()), found_.groups[group].label);
        use(group, numbers[i], static_cast<std::uint32_t>(lane));
      }
    }
  }

  void note(const TextContext& context) {
    for_each_unit(context, [&](std::size_t group, std::uint32_t unit, std::uint32_t) {
      if (seen_[group][unit]) return;
      seen_[group][unit] = true;
      ++found_.groups[group].handed_out;
    });
  }

  // Calls with both ends of every layer's part of a page, on every rank, and what stands there when it is marked.
  template <class F>
  void for_each_end(const TextContext& context, F&& use) {
    for_each_unit(context, [&](std::size_t group, std::uint32_t unit, std::uint32_t lane) {
      for (std::uint32_t rank = 0; rank < manager_.ranks_per_replica(); ++rank) {
        if (!cache_.holds(rank)) continue;
        const PoolView view = view_of(cache_, rank, group);
        for (std::uint64_t layer = 0; layer < manager_.geometry().group(rank, group).n_layers; ++layer) {
          const KvPlace place = manager_.place(rank, group, layer);
          const std::uint64_t begin = unit * view.stride_bytes + place.offset_bytes;
          if (place.lane != lane || place.bytes < 2) continue;
          if (begin + place.bytes > view.memory.size())
            return broken(fmt::format("page {} ends beyond its pool", unit), found_.groups[group].label);
          const std::uint64_t mark = ((std::uint64_t{rank} << 16 | group) << 24 | layer) << 32 ^ (unit + 1) * 0x9E3779B97F4A7C15ULL;
          const std::uint64_t n = std::min<std::uint64_t>(sizeof(mark), place.bytes / 2);
          use(group, unit, memory_(rank), view.memory.subspan(begin, n), mark);
          use(group, unit, memory_(rank), view.memory.subspan(begin + place.bytes - n, n), ~mark);
        }
      }
    });
  }

  Result<void> finish_sweep(const std::vector<TextContext>& held, bool refused) {
    for (const TextContext& context : held)
      for_each_end(context, [](std::size_t, std::uint32_t, MemorySource& memory, std::span<std::byte> at, std::uint64_t mark) {
        memory.copy_in(at.data(), &mark, at.size());
      });
    for (const TextContext& context : held)
      for_each_end(context, [&](std::size_t group, std::uint32_t unit, MemorySource& memory, std::span<std::byte> at, std::uint64_t mark) {
        std::uint64_t there = 0;
        memory.copy_out(&there, at.data(), at.size());
        if (std::memcmp(&there, &mark, at.size()) != 0)
          broken(fmt::format("page {} does not hold what was written to it", unit), found_.groups[group].label);
      });
    if (refused) PLIMSOLL_TRY(ask_for_one_more());
    for (const TextContext& context : held) PLIMSOLL_TRY(manager_.release(context.id()));
    return {};
  }

  Result<void> ask_for_one_more() {
    const RequestId id = next_id_++;
    const KvMetrics before = manager_.metrics();
    TextContextOptions options;
    options.id = id;
    options.prompt = {0};
    options.max_length = 1;
    options.cache_salt = "one more";
    PLIMSOLL_ASSIGN(TextContext context, TextContext::create(std::move(options)));
    PLIMSOLL_TRY(manager_.claim(id));
    const auto taken = manager_.alloc(context);
    PLIMSOLL_TRY(manager_.release(id));
    const KvMetrics after = manager_.metrics();
    ++found_.refusals;
    if (taken) found_.refusal_problem = "a page came out of an empty pool";
    else if (taken.error().code != ErrorCode::kInsufficientBlocks) found_.refusal_problem = taken.error().message;
    else if (before.used_pages != after.used_pages || before.requests != after.requests)
      found_.refusal_problem = fmt::format("{} pages were in use before and {} are after it", before.used_pages, after.used_pages);
    else if (auto audit = manager_.audit(); !audit) found_.refusal_problem = audit.error().message;
    return {};
  }

  KvCache& cache_;
  PagedKvManager& manager_;
  const PoolMemory& memory_;
  std::uint64_t seed_;
  RequestId next_id_ = kFirstId;
  std::vector<std::vector<bool>> seen_; // by group: pages that were handed out
  PoolFindings found_;
};

} // namespace

bool null_pages_are_zero(KvCache& cache, const PoolMemory& memory) {
  std::vector<std::byte> part;
  const KvGeometry& geometry = cache.manager().geometry();
  for (std::uint32_t rank = 0; rank < cache.manager().ranks_per_replica(); ++rank)
    for (std::size_t group = 0; group < geometry.n_groups(); ++group) {
      const PoolView view = view_of(cache, rank, group);
      const std::uint64_t begin = (view.units - view.null_units) * view.stride_bytes;
      const std::uint64_t end = std::min<std::uint64_t>(view.units * view.stride_bytes, view.memory.size());
      for (std::uint64_t at = begin; at < end && cache.holds(rank); at += part.size()) {
        part.resize(std::min(kPartBytes, end - at));
        memory(rank).copy_out(part.data(), view.memory.data() + at, part.size());
        if (std::any_of(part.begin(), part.end(), [](std::byte b) { return b != std::byte{0}; })) return false;
      }
    }
  return true;
}

Result<PoolFindings> check_pools(KvCache& cache, const PoolMemory& memory, std::uint64_t max_length, std::uint64_t seed) {
  return PoolCheck(cache, memory, seed).run(max_length);
}

} // namespace plimsoll
