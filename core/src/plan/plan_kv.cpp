// The KV pool of a plan, per rank: pages, capacity, limits, and what binds.
#include <algorithm>
#include <fmt/format.h>

#include "base/human.hpp"
#include "plan/kv_pool.hpp"
#include "plan/plan_state.hpp"

namespace plimsoll {
namespace {

KvGroupKind pool_kind(std::uint32_t kind) {
  switch (kind) {
  case PLIMSOLL_KV_WINDOW:
  case PLIMSOLL_KV_CHUNK: return KvGroupKind::kWindow;
  case PLIMSOLL_KV_LATENT: return KvGroupKind::kLatent;
  case PLIMSOLL_KV_STATE: return KvGroupKind::kState;
  case PLIMSOLL_KV_CROSS: return KvGroupKind::kCross;
  default: return KvGroupKind::kFull;
  }
}

std::string_view kind_text(std::uint32_t kind) {
  switch (kind) {
  case PLIMSOLL_KV_WINDOW:
  case PLIMSOLL_KV_CHUNK: return "window";
  case PLIMSOLL_KV_LATENT: return "latent";
  case PLIMSOLL_KV_STATE: return "state";
  case PLIMSOLL_KV_CROSS: return "cross";
  default: return "full";
  }
}

// One pipeline stage's groups and their pool.
struct Stage {
  std::vector<KvGroupPrice> prices;
  KvPool pool;
};

Result<std::vector<Stage>> price_stages(const PlanState& s) {
  std::vector<Stage> stages;
  const std::uint32_t drafted = s.request().num_draft_tokens;
  for (std::uint32_t stage = 0; stage < s.layout.pp; ++stage) {
    PLIMSOLL_ASSIGN(std::vector<KvGroupPrice> prices, price_kv(s.model().declared, s.layout, stage, s.kv_types, s.page_tokens, drafted,
                                                               s.speculative && s.input.draft == nullptr));
    if (s.input.draft != nullptr) {
      PLIMSOLL_ASSIGN(const std::vector<KvGroupPrice> draft,
                      price_kv(s.input.draft->declared, s.draft_layout, stage, s.kv_types, s.page_tokens, 0, false));
      prices.insert(prices.end(), draft.begin(), draft.end());
    }
    KvPoolSpec spec;
    spec.page_tokens = s.page_tokens;
    spec.null_pages = s.profile().null_pages;
    // A request may hold the tokens of two drafts in flight and the accepted ones of a third.
    spec.slack_tokens = s.speculative && drafted > 0 ? 3ULL * drafted + 1 : 0;
    for (const KvGroupPrice& price : prices) {
      KvPoolGroup group;
      group.kind = pool_kind(price.group->kind);
      group.page_bytes = price.page_bytes;
      group.window_tokens = price.group->window_tokens;
      group.fixed_tokens = price.group->fixed_tokens;
      group.state_bytes = price.state_bytes;
      group.rows_per_sequence = s.profile().rows_per_sequence();
      spec.groups.push_back(group);
    }
    stages.push_back({std::move(prices), KvPool(std::move(spec))});
  }
  return stages;
}

// Bytes for the KV cache on each rank: what the budget leaves, or the absolute figure.
std::vector<Wide> kv_budgets(const PlanState& s) {
  std::vector<Wide> out;
  for (std::uint32_t rank = 0; rank < s.layout.ranks(); ++rank)
    out.push_back(s.request().kv_cache_bytes ? static_cast<Wide>(*s.request().kv_cache_bytes)
                                             : static_cast<Wide>(s.budget[rank]) - static_cast<Wide>(s.ledger.used(rank)));
  return out;
}

std::uint64_t narrow_bytes(Wide bytes) {
  return bytes < 0 ? 0 : bytes > INT64_MAX ? static_cast<std::uint64_t>(INT64_MAX) : static_cast<std::uint64_t>(bytes);
}

class KvPlanner {
public:
  KvPlanner(PlanState& state, std::vector<Stage> stages) : s_(state), stages_(std::move(stages)), budgets_(kv_budgets(state)) {}

  Result<void> run() {
    describe_groups();
    const bool room = !s_.plan.error;
    const std::uint64_t longest = room ? longest_request() : 0;
    s_.plan.limits.max_supported_sequence_length = longest == UINT64_MAX ? s_.max_length : longest;
    if (room) settle_length(longest);
    settle_batch();
    size_pools(room);
    s_.plan.limits.max_length = s_.max_length;
    s_.plan.limits.max_batch_size = s_.max_batch_size;
    return {};
  }

private:
  const Stage& stage_of(std::uint32_t rank) const { return stages_[s_.layout.stage_of_rank(rank)]; }
  bool same_as_before(std::uint32_t rank) const {
    return rank > 0 && budgets_[rank] == budgets_[rank - 1] && s_.layout.stage_of_rank(rank) == s_.layout.stage_of_rank(rank - 1);
  }

  void describe_groups() {
    KvPlan& kv = s_.plan.kv_cache;
    kv.dtype = s_.kv_types.name;
    kv.page_tokens = s_.page_tokens;
    for (const Stage& stage : stages_) {
      std::uint64_t token_bytes = 0;
      for (std::size_t i = 0; i < stage.prices.size(); ++i) {
        const KvGroupPrice& price = stage.prices[i];
        const KvGroup& g = *price.group;
        if (kv.groups.size() <= i) {
          KvGroupPlan out;
          out.label = g.label, out.kind = kind_text(g.kind), out.layers = g.layers.size();
          out.basis = g.bound ? "bound" : "exact";
          if (pool_kind(g.kind) == KvGroupKind::kWindow) out.window_tokens = g.window_tokens;
          if (g.bound)
            s_.warn("kv_rule_is_a_bound",
                    fmt::format("the cache rule of '{}' is not publicly known; its size is a safe upper bound", g.label));
          kv.groups.push_back(std::move(out));
        }
        kv.groups[i].page_bytes_per_device = std::max(kv.groups[i].page_bytes_per_device, price.page_bytes);
        kv.groups[i].state_bytes_per_sequence = std::max(kv.groups[i].state_bytes_per_sequence, price.state_bytes);
        token_bytes += price.token_bytes;
      }
      kv.bytes_per_token_per_device = std::max(kv.bytes_per_token_per_device, token_bytes);
    }
  }

  std::uint64_t longest_request() {
    std::uint64_t longest = UINT64_MAX;
    for (std::uint32_t rank = 0; rank < s_.layout.ranks(); ++rank) {
      if (same_as_before(rank)) continue;
      const std::uint64_t here = stage_of(rank).pool.longest_request_tokens(budgets_[rank]).value_or(0);
      if (here < longest) longest = here, scarce_ = rank;
    }
    return longest;
  }

  std::string device_name(std::uint32_t rank) const { return fmt::format("device {} ({})", rank, s_.devices()[rank].name); }

  void settle_length(std::uint64_t longest) {
    if (longest >= s_.max_length) return;
    const Wide needed = stage_of(scarce_).pool.request_bytes(s_.max_length) + stage_of(scarce_).pool.null_bytes();
    if (longest == 0) {
      const Wide least = stage_of(scarce_).pool.request_bytes(1) + stage_of(scarce_).pool.null_bytes();
      s_.does_not_fit(ErrorCode::kNoPageFits,
                      fmt::format("rank {} has {} left for the KV cache; one page and what a sequence needs beside it take {}", scarce_,
                                  human_bytes(narrow_bytes(budgets_[scarce_])), human_bytes(narrow_bytes(least))),
                      device_name(scarce_));
      return;
    }
    if (s_.max_length_given) {
      s_.does_not_fit(
          ErrorCode::kOutOfMemory,
          fmt::format("one request of {} tokens needs {} of KV cache on rank {}, which has {}: {} short; the longest that fits is {}",
                      s_.max_length, human_bytes(narrow_bytes(needed)), scarce_, human_bytes(narrow_bytes(budgets_[scarce_])),
                      human_bytes(narrow_bytes(needed - budgets_[scarce_])), longest),
          device_name(scarce_));
      return;
    }
    if (!s_.request().max_length_auto)
      s_.warn("capacity_clamped",
              fmt::format("the KV cache holds one request of {} tokens; the default length of {} is cut to that", longest, s_.max_length));
    s_.max_length = longest;
  }

  // Requests of that length on the poorest rank.
  KvRequestCount requests_of(std::uint64_t length) const {
    KvRequestCount least;
    least.unlimited = true;
    for (std::uint32_t rank = 0; rank < s_.layout.ranks(); ++rank) {
      if (same_as_before(rank)) continue;
      const KvRequestCount here = stage_of(rank).pool.requests_that_fit(budgets_[rank], length);
      if (here.unlimited) continue;
      if (least.unlimited || static_cast<double>(here.numerator) * static_cast<double>(least.denominator) <
                                 static_cast<double>(least.numerator) * static_cast<double>(here.denominator))
        least = here;
    }
    return least;
  }

  void settle_batch() {
    if (s_.max_batch_size != 0) return;
    const EngineProfile& p = s_.profile();
    const std::uint64_t holds = s_.plan.error ? 1 : requests_of(std::min(s_.max_length, p.default_request_tokens)).whole();
    s_.max_batch_size = std::max<std::uint64_t>(1, std::min({p.default_max_batch_size, s_.max_batch_input_tokens, holds}));
  }

  // Whole pages of every rank: as many as the poorest rank of its replica has, since a page number spans the replica.
  void size_pools(bool room) {
    KvPlan& kv = s_.plan.kv_cache;
    std::vector<Wide> used(s_.layout.ranks(), 0);
    const std::uint64_t batch = s_.max_batch_size;
    if (!room || s_.plan.error) {
      // What the request would have needed: the shortfall shows as negative unused bytes.
      for (std::uint32_t rank = 0; room && rank < s_.layout.ranks(); ++rank)
        used[rank] = stage_of(rank).pool.request_bytes(s_.max_length_given ? s_.max_length : 1) + stage_of(rank).pool.null_bytes();
      add_items(used, 0, 0);
      return;
    }
    std::uint64_t fewest = UINT64_MAX;
    std::optional<std::uint64_t> capacity;
    bool demand_limits = false;
    for (std::uint32_t dp = 0; dp < s_.layout.dp; ++dp) {
      const std::uint32_t first = dp * s_.layout.pp * s_.layout.tp, last = first + s_.layout.pp * s_.layout.tp;
      const Wide wanted = demand_pages(batch);
      Wide pages = wanted;
      for (std::uint32_t rank = first; rank < last; ++rank) {
        if (rank > first && same_as_before(rank)) continue;
        const KvPoolLayout alone = stage_of(rank).pool.layout(budgets_[rank], batch, batch, wanted);
        if (!alone.fits) {
          state_shortage(rank, batch);
          for (std::uint32_t r = 0; r < s_.layout.ranks(); ++r)
            used[r] = stage_of(r).pool.sequence_bytes() * static_cast<Wide>(batch) + stage_of(r).pool.null_bytes() +
                      stage_of(r).pool.full_page_bytes();
          add_items(used, 0, batch);
          return;
        }
        if (stage_of(rank).pool.null_bytes() > 0)
          pages = std::min(pages, static_cast<Wide>(alone.pages) - static_cast<Wide>(s_.profile().null_pages));
      }
      demand_limits = demand_limits || pages == wanted;
      for (std::uint32_t rank = first; rank < last; ++rank) {
        const KvPoolLayout cut = stage_of(rank).pool.layout(budgets_[rank], batch, batch, pages);
        used[rank] = cut.used_bytes;
        if (stage_of(rank).pool.null_bytes() > 0) fewest = std::min(fewest, cut.pages);
        if (cut.capacity_tokens) capacity = std::min(capacity.value_or(UINT64_MAX), *cut.capacity_tokens);
      }
    }
    kv.pages = fewest == UINT64_MAX ? 0 : fewest;
    // Where every layer has a window no page is of full attention; then the windows' own pages are the capacity.
    const std::uint64_t held = kv.pages - std::min(kv.pages, s_.profile().null_pages);
    kv.capacity_tokens = capacity.value_or(held * s_.page_tokens);
    kv.engine_reported_tokens = kv.capacity_tokens;
    add_items(used, kv.pages, batch);
    if (demand_limits) budgets_ = used; // the pool holds what was asked for and no more
    fill_limits();
  }

  // Pages beside the null page that max_batch_size requests of max_length take.
  Wide demand_pages(std::uint64_t batch) const {
    if (!s_.profile().kv_demand_limited || s_.request().kv_cache_bytes) return kWideMax / 2;
    return stages_.front().pool.pages_of(s_.max_length) * static_cast<Wide>(batch);
  }

  void state_shortage(std::uint32_t rank, std::uint64_t batch) {
    const KvPool& pool = stage_of(rank).pool;
    const Wide needs = pool.sequence_bytes() * static_cast<Wide>(batch) + pool.null_bytes() + pool.full_page_bytes();
    s_.does_not_fit(ErrorCode::kOutOfMemory,
                    fmt::format("{} sequences need {} of KV cache and state on rank {} before any further page, which has {}", batch,
                                human_bytes(narrow_bytes(needs)), rank, human_bytes(narrow_bytes(budgets_[rank]))),
                    device_name(rank));
  }

  void fill_limits() {
    const KvRequestCount full = requests_of(s_.max_length);
    Limits& limits = s_.plan.limits;
    limits.max_batch_at_max_length = full.unlimited ? s_.max_batch_size : full.whole();
    KvPlan& kv = s_.plan.kv_cache;
    if (full.unlimited) kv.capacity_requests = static_cast<double>(s_.max_batch_size);
    else if (uniform()) // engines count whole blocks
      kv.capacity_requests = static_cast<double>(kv.pages - std::min(kv.pages, s_.profile().null_pages)) /
                             static_cast<double>(stages_.front().pool.pages_of(s_.max_length));
    else kv.capacity_requests = static_cast<double>(full.numerator) / static_cast<double>(full.denominator);
    if (limits.max_batch_at_max_length < s_.max_batch_size && s_.max_batch_given)
      s_.warn(
          "batch_exceeds_capacity",
          fmt::format("at full length {} requests fit at once ({} tokens each); a batch of {} will be pre-empted when they grow that long",
                      limits.max_batch_at_max_length, s_.max_length, s_.max_batch_size));
    const bool states = !stages_.empty() && stages_[s_.layout.stage_of_rank(scarce_)].pool.sequence_bytes() > 0;
    limits.binding = s_.plan.kv_cache.groups.empty() ? "no KV cache"
                                                     : fmt::format("{} on rank {} ({})", states ? "KV pages and states" : "KV pages",
                                                                   scarce_, s_.devices()[scarce_].name);
  }

  // Every group takes a page per page_tokens tokens and nothing else.
  bool uniform() const {
    for (const Stage& stage : stages_)
      for (const KvGroupPrice& price : stage.prices)
        if (price.group->kind != PLIMSOLL_KV_FULL && price.group->kind != PLIMSOLL_KV_LATENT) return false;
    return true;
  }

  void add_items(const std::vector<Wide>& used, std::uint64_t pages, std::uint64_t sequences) {
    const std::size_t n_groups = s_.plan.kv_cache.groups.size();
    std::vector<Wide> rest = used;
    for (std::size_t i = 0; i < n_groups; ++i) {
      Item item;
      item.bytes.assign(s_.layout.ranks(), 0);
      const KvGroupPlan& shown = s_.plan.kv_cache.groups[i];
      for (std::uint32_t rank = 0; rank < s_.layout.ranks(); ++rank) {
        const Stage& stage = stage_of(rank);
        Wide bytes = 0;
        if (i + 1 == n_groups) {
          bytes = rest[rank];
        } else if (i < stage.prices.size()) {
          bytes = group_bytes(stage, i, pages, sequences, rest[rank]);
        }
        rest[rank] -= bytes;
        item.bytes[rank] = narrow_bytes(bytes);
      }
      item.label = "kv_cache." + shown.label;
      item.basis = shown.basis;
      item.planner = i < stages_.front().prices.size() ? std::string(stages_.front().prices[i].group->planner) : "";
      if (s_.explains())
        item.formula = shown.kind == "state" ? fmt::format("{} sequences x {} rows x {} B", sequences, s_.profile().rows_per_sequence(),
                                                           shown.state_bytes_per_sequence)
                       : shown.window_tokens ? fmt::format("up to {} pages of {} B for each of {} sequences, window {} tokens",
                                                           (*shown.window_tokens + s_.page_tokens - 1) / s_.page_tokens + 1,
                                                           shown.page_bytes_per_device, sequences, *shown.window_tokens)
                                             : fmt::format("{} pages x {} tokens, {} B a page, {} layers, {} null", pages, s_.page_tokens,
                                                           shown.page_bytes_per_device, shown.layers, s_.profile().null_pages);
      // Sums were bounded when the groups were priced.
      static_cast<void>(s_.ledger.add(Category::kKvCache, std::move(item)));
    }
  }

  Wide group_bytes(const Stage& stage, std::size_t i, std::uint64_t pages, std::uint64_t sequences, Wide rest) const {
    const KvGroupPrice& price = stage.prices[i];
    const Wide nulls = static_cast<Wide>(s_.profile().null_pages), own = static_cast<Wide>(pages) - nulls;
    const auto page = static_cast<Wide>(price.page_bytes);
    Wide bytes = 0;
    switch (pool_kind(price.group->kind)) {
    case KvGroupKind::kFull:
    case KvGroupKind::kLatent: bytes = page * static_cast<Wide>(pages); break;
    case KvGroupKind::kWindow:
      bytes =
          page * (std::min(own, (wide_ceil_div(price.group->window_tokens, s_.page_tokens) + 1) * static_cast<Wide>(sequences)) + nulls);
      break;
    case KvGroupKind::kCross:
      bytes = page * (wide_ceil_div(price.group->fixed_tokens, s_.page_tokens) * static_cast<Wide>(sequences) + nulls);
      break;
    case KvGroupKind::kState:
      bytes = static_cast<Wide>(price.state_bytes) * static_cast<Wide>(s_.profile().rows_per_sequence()) * static_cast<Wide>(sequences);
      break;
    }
    return std::min(std::max<Wide>(bytes, 0), rest);
  }

  PlanState& s_;
  std::vector<Stage> stages_;
  std::vector<Wide> budgets_;
  std::uint32_t scarce_ = 0;
};

} // namespace

Result<void> plan_kv_cache(PlanState& state) {
  PLIMSOLL_ASSIGN(std::vector<Stage> stages, price_stages(state));
  return KvPlanner(state, std::move(stages)).run();
}

} // namespace plimsoll
