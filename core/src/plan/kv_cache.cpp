// The KV cache of a plan: pages, capacity, limits on every rank, and what binds. How memory is cut up is the layout's
// business (kv/layout.hpp).
#include <algorithm>
#include <fmt/format.h>

#include "base/checked.hpp"
#include "base/human.hpp"
#include "plan/kv_stages.hpp"

namespace plimsoll {
namespace {

std::string human(Wide bytes) { return human_bytes(bounded_count(bytes)); }

class KvPlanner {
public:
  KvPlanner(PlanState& state, std::vector<KvStage> stages) : s_(state), stages_(std::move(stages)), budgets_(kv_budgets(state)) {}

  Result<void> run() {
    describe_groups();
    const bool room = !s_.plan.error; // weights and the like fit
    const std::uint64_t longest = longest_request();
    s_.plan.limits.max_supported_sequence_length = longest == UINT64_MAX ? s_.max_length : longest;
    if (room) settle_length(longest);
    settle_batch();
    fill_frontier(s_, stages_);
    size_pools(room);
    s_.plan.limits.max_length = s_.max_length;
    s_.plan.limits.max_batch_size = s_.max_batch_size;
    return {};
  }

private:
  const EngineProfile& profile() const { return s_.profile(); }
  const KvStage& stage_of(std::uint32_t rank) const { return stages_[s_.layout.stage_of_rank(rank)]; }
  const KvLayout& layout_of(std::uint32_t rank) const { return *stage_of(rank).layout; }
  std::string device_name(std::uint32_t rank) const { return fmt::format("device {} ({})", rank, s_.devices()[rank].name); }
  KvRequestCount requests_of(std::uint64_t length) const { return requests_that_fit(s_, stages_, budgets_, length); }

  void describe_groups() {
    KvPlan& kv = s_.plan.kv_cache;
    kv.dtype = s_.kv_types.name;
    if (profile().kv.bound)
      s_.warn("kv_rule_is_a_bound",
              fmt::format("how this release of {} lays out the caches of this model is not known to the byte; their size "
                          "is a safe upper bound, that of an earlier release",
                          profile().name));
    for (const KvStage& stage : stages_) {
      kv.page_tokens = std::max(kv.page_tokens, stage.layout->page_tokens());
      const std::vector<std::uint64_t> page_bytes = stage.layout->page_bytes();
      std::uint64_t token_bytes = 0;
      for (std::size_t i = 0; i < stage.prices->size(); ++i) {
        const KvGroupPrice& price = (*stage.prices)[i];
        const KvGroup& g = *price.group;
        if (kv.groups.size() <= i) {
          KvGroupPlan out;
          out.label = g.label, out.kind = cache_kind_name(g.kind), out.layers = g.layers.size();
          out.basis = g.bound || profile().kv.bound ? "bound" : "exact";
          if (out.kind == "window") out.window_tokens = g.window_tokens;
          if (g.bound)
            s_.warn("kv_rule_is_a_bound",
                    fmt::format("the cache rule of '{}' is not publicly known; its size is a safe upper bound", g.label));
          kv.groups.push_back(std::move(out));
        }
        kv.groups[i].page_bytes_per_device = std::max(kv.groups[i].page_bytes_per_device, page_bytes[i]);
        kv.groups[i].state_bytes_per_sequence = std::max(kv.groups[i].state_bytes_per_sequence, price.state_bytes);
        token_bytes += price.token_bytes;
      }
      kv.bytes_per_token_per_device = std::max(kv.bytes_per_token_per_device, token_bytes);
    }
  }

  std::uint64_t longest_request() {
    std::uint64_t longest = UINT64_MAX;
    for (std::uint32_t rank = 0; rank < s_.layout.ranks(); ++rank) {
      if (same_as_before(s_, budgets_, rank)) continue;
      const std::uint64_t here = layout_of(rank).longest_request_tokens(budgets_[rank]).value_or(0);
      if (here < longest) longest = here, scarce_ = rank;
    }
    return longest;
  }

  void settle_length(std::uint64_t longest) {
    if (longest >= s_.max_length) return;
    const KvLayout& layout = layout_of(scarce_);
    const Wide has = budgets_[scarce_];
    if (longest == 0) {
      s_.does_not_fit(ErrorCode::kNoPageFits,
                      fmt::format("rank {} has {} left for the KV cache; one page and what a sequence needs beside it take {}", scarce_,
                                  human(has), human(layout.request_bytes(1))),
                      device_name(scarce_));
      return;
    }
    const Wide needed = layout.request_bytes(s_.max_length);
    if (s_.max_length_given || !(s_.request().max_length_auto || profile().batch.default_length == DefaultLength::kClamp)) {
      s_.does_not_fit(
          ErrorCode::kOutOfMemory,
          fmt::format("one request of {} tokens needs {} of KV cache on rank {}, which has {}: {} short; the longest that fits is {}",
                      s_.max_length, human(needed), scarce_, human(has), human(needed - has), longest),
          device_name(scarce_));
      return;
    }
    if (!s_.request().max_length_auto)
      s_.warn("capacity_clamped",
              fmt::format("the KV cache holds one request of {} tokens; the default length of {} is cut to that", longest, s_.max_length));
    s_.max_length = longest;
  }

  void settle_batch() {
    if (s_.max_batch_size != 0) return;
    std::uint64_t holds = 1;
    if (!s_.plan.error) {
      holds = requests_of(std::min(s_.max_length, profile().batch.default_request_tokens)).whole();
      if (profile().batch.requests_per_context > 0) holds = std::min(holds, requests_of_context());
    }
    s_.max_batch_size = std::max<std::uint64_t>(1, std::min({profile().batch.default_max_batch_size, s_.max_batch_input_tokens, holds}));
  }

  // Engines that derive the number of requests from the tokens that their pool holds for each token of the context.
  std::uint64_t requests_of_context() const {
    std::uint64_t least = UINT64_MAX;
    for (std::uint32_t rank = 0; rank < s_.layout.ranks(); ++rank) {
      if (same_as_before(s_, budgets_, rank)) continue;
      const KvCut cut = layout_of(rank).cut(budgets_[rank], {}, kWideMax);
      const std::uint64_t tokens = cut.capacity_tokens.value_or(UINT64_MAX);
      const std::uint64_t wanted =
          std::clamp(mul_div(tokens, profile().batch.requests_per_context, s_.max_length), profile().batch.least_requests,
                     std::max(profile().batch.least_requests, profile().batch.most_requests));
      least = std::min({least, wanted, tokens / 2, cut.most_sequences.value_or(UINT64_MAX)});
    }
    return least;
  }

  // Whole pages of every rank: as many as the poorest rank of its replica has, since a page number spans the replica.
  void size_pools(bool room) {
    KvPlan& kv = s_.plan.kv_cache;
    KvDemand demand;
    demand.sequences = s_.max_batch_size, demand.sequences_given = s_.max_batch_given;
    demand.length_tokens = s_.max_length;
    demand.limited = !s_.request().kv_cache_bytes;
    std::vector<KvCut> cuts(s_.layout.ranks());
    std::uint64_t fewest = UINT64_MAX;
    std::optional<std::uint64_t> capacity;
    const std::uint32_t per_replica = s_.layout.pp * s_.layout.tp;
    for (std::uint32_t first = 0; first < s_.layout.ranks(); first += per_replica) {
      Wide pages = kWideMax;
      for (std::uint32_t rank = first; rank < first + per_replica; ++rank) {
        if (rank > first && same_as_before(s_, budgets_, rank)) continue;
        const KvCut alone = layout_of(rank).cut(budgets_[rank], demand, kWideMax);
        if (!alone.fits && !s_.plan.error) shortage(rank, alone, demand.sequences);
        if (alone.pages > 0 || !alone.fits) pages = std::min(pages, static_cast<Wide>(alone.pages));
      }
      for (std::uint32_t rank = first; rank < first + per_replica; ++rank) {
        cuts[rank] = layout_of(rank).cut(budgets_[rank], demand, pages);
        if (cuts[rank].pages > 0) fewest = std::min(fewest, cuts[rank].pages);
        if (cuts[rank].capacity_tokens) capacity = std::min(capacity.value_or(UINT64_MAX), *cuts[rank].capacity_tokens);
        if (cuts[rank].state_rows) kv.state_slots = std::min(kv.state_slots.value_or(UINT64_MAX), *cuts[rank].state_rows);
        if (cuts[rank].most_sequences)
          s_.max_batch_size = std::max<std::uint64_t>(1, std::min(s_.max_batch_size, *cuts[rank].most_sequences));
      }
    }
    kv.pages = fewest == UINT64_MAX ? 0 : fewest;
    // Where every layer has a window no page is of full attention; then the windows' own pages are the capacity.
    kv.capacity_tokens = capacity.value_or((kv.pages - std::min(kv.pages, profile().kv.null_pages)) * kv.page_tokens);
    // The pool holds what was asked for, or as many pages as the poorest rank, and no more.
    const bool pages_are_all = profile().kv.layout == KvLayoutKind::kUnified;
    if (room && !s_.plan.error && (pages_are_all || demand_limits(cuts, demand)))
      for (std::uint32_t rank = 0; rank < s_.layout.ranks(); ++rank) budgets_[rank] = cuts[rank].used_bytes;
    // What does not fit shows as negative unused bytes: what one request needs at least.
    if (s_.plan.error)
      for (std::uint32_t rank = 0; rank < s_.layout.ranks(); ++rank) {
        const Wide needs =
            !room ? 0
                  : std::max(cuts[rank].fits ? 0 : cuts[rank].used_bytes,
                             layout_of(rank).request_bytes(
                                 s_.max_length_given || profile().batch.default_length != DefaultLength::kClamp ? s_.max_length : 1));
        cuts[rank].group_bytes = {needs};
      }
    add_items(cuts);
    fill_limits();
  }

  // Whether the demand, not the memory, sets the number of pages.
  bool demand_limits(const std::vector<KvCut>& cuts, KvDemand demand) const {
    if (!profile().kv.demand_limited || !demand.limited) return false;
    demand.limited = false;
    for (std::uint32_t rank = 0; rank < s_.layout.ranks(); ++rank)
      if (!same_as_before(s_, budgets_, rank) && layout_of(rank).cut(budgets_[rank], demand, kWideMax).pages > cuts[rank].pages)
        return true;
    return false;
  }

  void shortage(std::uint32_t rank, const KvCut& cut, std::uint64_t sequences) {
    s_.does_not_fit(ErrorCode::kOutOfMemory,
                    fmt::format("{} sequences need {} of KV cache and state on rank {} before any further page, which has {}", sequences,
                                human(cut.used_bytes), rank, human(budgets_[rank])),
                    device_name(rank));
  }

  void fill_limits() {
    const KvRequestCount full = requests_of(s_.max_length);
    Limits& limits = s_.plan.limits;
    limits.max_batch_at_max_length = full.unlimited ? s_.max_batch_size : full.whole();
    KvPlan& kv = s_.plan.kv_cache;
    const std::uint64_t own_pages = kv.pages - std::min(kv.pages, profile().kv.null_pages);
    Wide pages_needed = 0;
    for (const KvStage& stage : stages_) pages_needed = std::max(pages_needed, stage.layout->pages_of_request(s_.max_length));
    const bool whole_pages = profile().kv.layout == KvLayoutKind::kGrouped || profile().kv.layout == KvLayoutKind::kCells;
    if (full.unlimited) kv.capacity_requests = static_cast<double>(s_.max_batch_size);
    else if (whole_pages && pages_needed > 0) // engines count whole blocks
      kv.capacity_requests = static_cast<double>(own_pages) / static_cast<double>(pages_needed);
    else kv.capacity_requests = static_cast<double>(full.numerator) / static_cast<double>(full.denominator);
    kv.engine_reported_tokens = reported_tokens(own_pages, pages_needed);
    if (limits.max_batch_at_max_length < s_.max_batch_size && s_.max_batch_given && !s_.plan.error)
      s_.warn(
          "batch_exceeds_capacity",
          fmt::format("at full length {} requests fit at once ({} tokens each); a batch of {} will be pre-empted when they grow that long",
                      limits.max_batch_at_max_length, s_.max_length, s_.max_batch_size));
    const bool states = std::any_of(stage_of(scarce_).prices->begin(), stage_of(scarce_).prices->end(),
                                    [](const KvGroupPrice& price) { return price.state_bytes > 0; });
    if (const KvRequestCount shortest = requests_of(1); states && !kv.state_slots && !shortest.unlimited) kv.state_slots = shortest.whole();
    if (!limits.binding.empty()) return; // something before the cache did not fit
    // States bind where they cost a request of full length more than its pages do.
    const KvLayout& scarce = layout_of(scarce_);
    const char* what = kv.groups.empty()                                                             ? "no KV cache"
                       : states && 2 * scarce.request_bytes(1) > scarce.request_bytes(s_.max_length) ? "state slots"
                                                                                                     : "KV pages";
    limits.binding = kv.groups.empty() ? what : fmt::format("{} on rank {} ({})", what, scarce_, s_.devices()[scarce_].name);
  }

  std::uint64_t reported_tokens(std::uint64_t pages, Wide pages_needed) const {
    const KvPlan& kv = s_.plan.kv_cache;
    switch (profile().kv.reported_tokens) {
    case ReportedTokens::kPages: break;
    case ReportedTokens::kGroupPages: return stages_.front().layout->group_tokens(pages);
    case ReportedTokens::kRequests:
      if (pages_needed > 0) return bounded_count(static_cast<Wide>(pages) * static_cast<Wide>(s_.max_length) / pages_needed);
    }
    return kv.capacity_tokens;
  }

  // A figure for each group, or one for all where they share blocks.
  void add_items(const std::vector<KvCut>& cuts) {
    const KvPlan& kv = s_.plan.kv_cache;
    std::size_t figures = 0;
    for (const KvCut& cut : cuts) figures = std::max(figures, cut.group_bytes.size());
    for (std::size_t i = 0; i < figures && !kv.groups.empty(); ++i) {
      Item item;
      item.bytes.assign(s_.layout.ranks(), 0);
      for (std::uint32_t rank = 0; rank < s_.layout.ranks(); ++rank)
        if (i < cuts[rank].group_bytes.size()) item.bytes[rank] = bounded_count(cuts[rank].group_bytes[i]);
      const bool shared = figures != kv.groups.size();
      item.label = shared ? "kv_cache" : "kv_cache." + kv.groups[i].label;
      item.basis = kv.groups[i].basis;
      if (shared && std::any_of(kv.groups.begin(), kv.groups.end(), [](const KvGroupPlan& g) { return g.basis == "bound"; }))
        item.basis = "bound";
      if (i < stages_.front().prices->size()) item.planner = (*stages_.front().prices)[i].group->planner;
      if (s_.explains()) item.formula = formula(shared ? nullptr : &kv.groups[i]);
      // Sums were bounded when the groups were priced.
      static_cast<void>(s_.ledger.add(Category::kKvCache, std::move(item)));
    }
  }

  std::string formula(const KvGroupPlan* group) const {
    const KvPlan& kv = s_.plan.kv_cache;
    if (group == nullptr) {
      std::string parts;
      for (const KvGroupPlan& g : kv.groups) parts += fmt::format("{}{} x {} layers", parts.empty() ? "" : ", ", g.label, g.layers);
      return fmt::format("{} blocks of {} tokens, shared by {}", kv.pages, kv.page_tokens, parts);
    }
    if (group->kind == "state")
      return fmt::format("rows of {} B, {} for each of {} sequences", group->state_bytes_per_sequence,
                         profile().kv.rows_per_sequence(s_.request().num_draft_tokens), s_.max_batch_size);
    if (group->window_tokens)
      return fmt::format("pages of {} B, window {} tokens, {} sequences", group->page_bytes_per_device, *group->window_tokens,
                         s_.max_batch_size);
    return fmt::format("{} pages x {} tokens, {} B a page, {} layers, {} null", kv.pages, kv.page_tokens, group->page_bytes_per_device,
                       group->layers, profile().kv.null_pages);
  }

  PlanState& s_;
  std::vector<KvStage> stages_;
  std::vector<Wide> budgets_;
  std::uint32_t scarce_ = 0;
};

} // namespace

Result<void> plan_kv_cache(PlanState& state) {
  PLIMSOLL_ASSIGN(std::vector<KvStage> stages, price_stages(state, state.kv_types));
  return KvPlanner(state, std::move(stages)).run();
}

} // namespace plimsoll
