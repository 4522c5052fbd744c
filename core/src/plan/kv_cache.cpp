#include "plan/kv_cache.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <functional>

#include "base/checked.hpp"
#include "base/exact_fraction.hpp"
#include "base/human.hpp"
#include "plan/kv_geometry.hpp"
#include "plan/refusals.hpp"

namespace plimsoll {
namespace {

std::string human(Wide bytes) { return human_bytes(bounded_count(bytes)); }

class KvStep {
public:
  KvStep(const Settled& settled, const KvStages& stages, const std::vector<Wide>& rooms, Ledger& ledger, Findings& findings, Plan& plan)
      : s_(settled), stages_(stages), rooms_(rooms), memory_(stages.memory(rooms)), ledger_(ledger), findings_(findings), plan_(plan),
        kv_(plan.kv_cache), room_before_(!findings.error) {}

  Result<void> run(std::optional<std::uint64_t> batch, std::uint64_t requests) {
    describe_groups();
    KvWish wish = kv_wish(s_, batch);
    wish.most_requests = std::min(wish.most_requests, requests);
    sizing_ = size_kv(memory_, wish);
    if (room_before_) report_sizing();
    fill_capacity();
    if (has_recurrent_states()) missing_blocks_ = check_state_blocks(s_, kv_, findings_);
    fill_limits();
    const bool both_given = s_.batch && s_.request().max_length && !s_.request().max_length_auto;
    if (both_given && s_.input.for_a_reader && sizing_.shortage == KvShortage::kNone) fill_needed(*s_.batch);
    const bool short_of_memory = !room_before_ || sizing_.shortage != KvShortage::kNone;
    return short_of_memory ? add_shortage() : add_items();
  }

  std::uint64_t missing_blocks() const { return missing_blocks_; }

private:
  const EngineProfile::Kv& rules() const { return s_.profile().kv; }

  void describe_groups() {
    kv_.dtype = s_.kv_types.name;
    if (rules().bound)
      findings_.warn(WarningCode::kKvRuleIsABound,
                     fmt::format("how this release of {} lays out the caches of this model is not known to the byte; their size "
                                 "is a safe upper bound, that of an earlier release",
                                 s_.profile().name));
    for (std::size_t stage = 0; stage < stages_.count(); ++stage) {
      kv_.page_tokens = std::max(kv_.page_tokens, stages_.layout(stage).page_tokens());
      const std::vector<std::uint64_t> page_bytes = stages_.layout(stage).page_bytes();
      std::uint64_t token_bytes = 0;
      for (std::size_t i = 0; i < stages_.prices(stage).size(); ++i) {
        const KvGroupPrice& price = stages_.prices(stage)[i];
        if (kv_.groups.size() <= i) kv_.groups.push_back(describe(price));
        kv_.groups[i].page_bytes_per_device = std::max(kv_.groups[i].page_bytes_per_device, page_bytes[i]);
        kv_.groups[i].state_bytes_per_sequence = std::max(kv_.groups[i].state_bytes_per_sequence, price.state_bytes);
        token_bytes += price.token_bytes;
      }
      kv_.bytes_per_token_per_device = std::max(kv_.bytes_per_token_per_device, token_bytes);
    }
  }

  KvGroupPlan describe(const KvGroupPrice& price) {
    const KvGroup& group = *price.group;
    KvGroupPlan out;
    out.label = group.label;
    out.kind = price.slot.kind;
    out.layers = group.layers.size();
    out.basis = group.bound || rules().bound ? Basis::kBound : Basis::kExact;
    if (is_windowed(group.kind)) out.window_tokens = group.window_tokens;
    if (group.bound)
      findings_.warn(WarningCode::kKvRuleIsABound,
                     fmt::format("the cache rule of '{}' is not publicly known; its size is a safe upper bound", group.label));
    return out;
  }

  // What did not fit, or was cut to fit.
  void report_sizing() {
    const std::uint32_t rank = sizing_.scarce_rank;
    const Wide has = rooms_[rank], needs = sizing_.needed_bytes.empty() ? 0 : sizing_.needed_bytes[rank];
    switch (sizing_.shortage) {
    case KvShortage::kNone:
      if (sizing_.shortened && !s_.request().max_length_auto)
        findings_.warn(WarningCode::kCapacityClamped,
                       fmt::format("the KV cache holds one request of {} tokens{}; the default length of {} is cut to that",
                                   sizing_.max_length, beside_batch(), s_.max_length));
      return;
    case KvShortage::kNoPage:
      return findings_.does_not_fit(ErrorCode::kNoPageFits,
                                    fmt::format("{} has {} left for the KV cache; one page and what a sequence needs beside it take {}{}",
                                                place(rank), human(has), human(needs), has <= 0 ? nothing_left(rank) : std::string()),
                                    s_.device_name(rank));
    case KvShortage::kTooLong:
      return findings_.does_not_fit(
          ErrorCode::kOutOfMemory,
          fmt::format("one request of {} tokens needs {} of KV cache on {}, which has {}: {} short; the longest that fits is {}{}",
                      sizing_.max_length, human(needs), place(rank), human(has), human(needs - has), sizing_.longest_tokens,
                      engine_says(s_, "one_request",
                                  {{"length", fmt::to_string(sizing_.max_length)},
                                   {"needed", gib(needs)},
                                   {"available", gib(has)},
                                   {"longest", fmt::to_string(sizing_.longest_tokens)}})),
          s_.device_name(rank));
    case KvShortage::kTooMany:
      return findings_.does_not_fit(ErrorCode::kOutOfMemory,
                                    fmt::format("{} sequences need {} of KV cache and state on {} before any further page, which has {}",
                                                sizing_.batch, human(needs), place(rank), human(has)),
                                    s_.device_name(rank));
    }
  }

  // The engine's words where not a byte is left: that there is none, or which fraction would leave some.
  std::string nothing_left(std::uint32_t rank) const {
    const double free = static_cast<double>(s_.devices()[rank].free_bytes);
    const double least = free > 0 ? static_cast<double>(ledger_.sum(Category::kWeights, rank)) / free : 1;
    return engine_says(s_, "no_kv_memory", {}) +
           engine_says(s_, "weights_leave_nothing",
                       {{"fraction", fmt::format("{}", s_.utilization)}, {"least", fmt::format("{:.4f}", least)}});
  }

  std::string place(std::uint32_t rank) const { return rank == stages_.n_ranks() ? "the host" : fmt::format("rank {}", rank); }
  std::string beside_batch() const {
    if (!sizing_.shortened_for_batch) return {};
    return fmt::format(" beside what a batch of {} takes from the start", sizing_.batch);
  }

  // Whole pages of every rank, and what they hold. A stage whose layers keep only windows or states has as many as it needs: it counts
  // where no other has any.
  void fill_capacity() {
    std::optional<std::uint64_t> growing, others, capacity;
    for (const KvCut& cut : sizing_.cuts) {
      std::optional<std::uint64_t>& fewest = cut.capacity_tokens ? growing : others;
      if (cut.pages > 0) fewest = std::min(fewest.value_or(UINT64_MAX), cut.pages);
      if (cut.capacity_tokens) capacity = std::min(capacity.value_or(UINT64_MAX), *cut.capacity_tokens);
      if (cut.state_rows) kv_.state_slots = std::min(kv_.state_slots.value_or(UINT64_MAX), *cut.state_rows);
    }
    kv_.pages = growing.value_or(others.value_or(0));
    // Where every layer has a window no page is of full attention; then the windows' own pages are the capacity.
    kv_.capacity_tokens = capacity.value_or(own_pages() * kv_.page_tokens);
    kv_.capacity_requests = kv_.groups.empty()       ? static_cast<double>(requests_of_a_pass())
                            : sizing_.held.unlimited ? static_cast<double>(sizing_.batch)
                                                     : sizing_.held.ratio();
    kv_.engine_reported_tokens = reported_tokens();
    if (has_states() && !kv_.state_slots) kv_.state_slots = state_slots();
  }

  // The least room of any rank in which so many requests of full length stand at once.
  void fill_needed(std::uint64_t batch) {
    if (kv_.groups.empty() || rules().layout == KvLayoutKind::kCells) return; // cells are shared by design
    std::uint64_t needed = 0;
    for (std::uint32_t rank = 0; rank < stages_.n_ranks(); ++rank) {
      if (memory_.same_as_before(rank)) continue;
      const KvLayout& layout = memory_.layout(rank);
      const auto stand = [&](std::uint64_t room) {
        const KvRequestCount held = layout.requests_that_fit(static_cast<Wide>(room), sizing_.max_length);
        return held.unlimited || held.whole() >= batch;
      };
      // Each alone, with what the pool keeps for itself: more than all together.
      const std::uint64_t most = (Checked(bounded_count(layout.request_bytes(sizing_.max_length))) * batch).saturated();
      if (!stand(most)) return;
      needed = std::max(needed, most - largest(most, [&](std::uint64_t less) { return stand(most - less); }));
    }
    kv_.needed_bytes_per_device = needed;
  }

  // Requests of full length that run together where nothing but the tokens of a pass limits them.
  std::uint64_t requests_of_a_pass() const {
    if (!s_.whole_requests()) return sizing_.batch;
    return std::clamp<std::uint64_t>(s_.max_batch_input_tokens / std::max<std::uint64_t>(1, sizing_.max_length), 1, sizing_.batch);
  }
  std::uint64_t own_pages() const { return kv_.pages - std::min(kv_.pages, rules().null_pages); }
  bool has_states() const {
    const std::vector<KvGroupPrice>& prices = stages_.prices(stages_.stage_of(sizing_.scarce_rank));
    return std::any_of(prices.begin(), prices.end(), [](const KvGroupPrice& price) { return price.state_bytes > 0; });
  }
  // States of recurrent layers, and not rows of the last tokens.
  bool has_recurrent_states() const {
    const std::vector<KvGroup>& groups = s_.model().declared.kv;
    return std::any_of(groups.begin(), groups.end(), [](const KvGroup& group) {
      return group.kind == CacheKind::kState &&
             std::any_of(group.regions.begin(), group.regions.end(), [](const StateRegion& region) { return region.recurrent; });
    });
  }
  // Requests whose state the planned memory holds beside one page each.
  std::optional<std::uint64_t> state_slots() const {
    KvRequestCount least;
    least.unlimited = true;
    for (std::uint32_t rank = 0; rank < memory_.n_ranks(); ++rank)
      if (const KvRequestCount here = memory_.layout(rank).requests_held(sizing_.cuts[rank], sizing_.demand, 1); here < least) least = here;
    if (least.unlimited) return std::nullopt;
    return least.whole();
  }

  std::uint64_t reported_tokens() const {
    switch (rules().reported_tokens) {
    case ReportedTokens::kPages: break;
    case ReportedTokens::kGroupPages: return stages_.layout(0).group_tokens(own_pages());
    case ReportedTokens::kRequests: {
      Wide needed = 0;
      for (std::size_t stage = 0; stage < stages_.count(); ++stage)
        needed = std::max(needed, stages_.layout(stage).pages_of_request(sizing_.max_length));
      if (needed > 0) return bounded_count(static_cast<Wide>(own_pages()) * static_cast<Wide>(sizing_.max_length) / needed);
    }
    }
    return kv_.capacity_tokens;
  }

  void fill_limits() {
    Limits& limits = plan_.limits;
    limits.max_length = sizing_.max_length;
    limits.max_batch_size = sizing_.batch;
    // Where length costs nothing more, what is promised, or what the windows' pages would hold of one.
    limits.max_supported_sequence_length =
        sizing_.longest_tokens == UINT64_MAX ? std::max(sizing_.max_length, kv_.capacity_tokens) : sizing_.longest_tokens;
    limits.max_batch_at_max_length = kv_.groups.empty() ? requests_of_a_pass() : sizing_.batch_at_max_length();
    // Slots of one context share its length by design.
    const bool preempts = !kv_.groups.empty() && rules().layout != KvLayoutKind::kCells;
    if (limits.max_batch_at_max_length < sizing_.batch && s_.batch && !findings_.error && preempts)
      findings_.warn(
          WarningCode::kBatchExceedsCapacity,
          fmt::format("at full length {} requests fit at once ({} tokens each); a batch of {} will be pre-empted when they grow that long",
                      limits.max_batch_at_max_length, sizing_.max_length, sizing_.batch));
    if (findings_.binding.empty()) findings_.binding = what_binds();
  }

  // States bind where they cost a request of full length more than its pages do.
  std::string what_binds() const {
    if (kv_.groups.empty()) return "no KV cache";
    const KvLayout& scarce = memory_.layout(sizing_.scarce_rank);
    const bool states = has_states() && 2 * scarce.request_bytes(1) > scarce.request_bytes(sizing_.max_length);
    return fmt::format("{} on {}", states ? "state slots" : "KV pages", s_.rank_name(sizing_.scarce_rank));
  }

  // What does not fit shows what it needs at least.
  Result<void> add_shortage() {
    std::vector<std::uint64_t> bytes(memory_.n_ranks(), 0);
    for (std::uint32_t rank = 0; room_before_ && rank < memory_.n_ranks(); ++rank) bytes[rank] = bounded_count(sizing_.needed_bytes[rank]);
    return add_item(bytes, kv_.groups.size() != 1, 0);
  }

  // A figure for each group, or one for all where they share blocks.
  Result<void> add_items() {
    std::vector<std::vector<KvGroupShare>> shares;
    shares.reserve(memory_.n_ranks());
    for (std::uint32_t rank = 0; rank < memory_.n_ranks(); ++rank) {
      if (rank > 0 && memory_.same_as_before(rank)) shares.push_back(shares.back());
      else shares.push_back(memory_.layout(rank).shares(sizing_.cuts[rank], sizing_.demand));
    }
    const bool shared = kv_.groups.size() > 1 && stages_.layout(0).block_bytes() > 0;
    for (std::size_t i = 0; i < (shared ? 1 : kv_.groups.size()); ++i) {
      std::vector<std::uint64_t> bytes(memory_.n_ranks(), 0);
      for (std::uint32_t rank = 0; rank < memory_.n_ranks(); ++rank) bytes[rank] = bounded_count(shares[rank][i].bytes);
      PLIMSOLL_TRY(add_item(bytes, shared, i));
    }
    shares.resize(stages_.n_ranks());
    plan_.kv_geometry = kv_geometry(s_, stages_, shares);
    return {};
  }

  // Bytes of every rank; where the host has layers, its own stand behind them.
  Result<void> add_item(std::vector<std::uint64_t> bytes, bool shared, std::size_t group) {
    if (kv_.groups.empty()) return {};
    Item item;
    const std::uint64_t on_host = bytes.size() > stages_.n_ranks() ? bytes.back() : 0;
    bytes.resize(stages_.n_ranks());
    item.bytes = std::move(bytes);
    item.label = shared ? "kv_cache" : "kv_cache." + kv_.groups[group].label;
    item.basis = kv_.groups[group].basis;
    if (shared && std::any_of(kv_.groups.begin(), kv_.groups.end(), [](const KvGroupPlan& g) { return g.basis == Basis::kBound; }))
      item.basis = Basis::kBound;
    item.planner = stages_.prices(0)[group].group->planner;
    if (s_.explains()) item.formula = formula(shared ? nullptr : &kv_.groups[group], item.bytes);
    if (on_host > 0) {
      Item there = item;
      there.memory = MemoryKind::kHost;
      there.bytes.assign(stages_.n_ranks(), 0);
      there.bytes.front() = on_host;
      PLIMSOLL_TRY(ledger_.add(Category::kKvCache, std::move(there)));
    }
    return ledger_.add(Category::kKvCache, std::move(item));
  }

  // "5085 pages x 8994816 B": so many on every rank; else each rank has its own number, of that size.
  static std::string counted(const std::vector<std::uint64_t>& bytes, std::string_view what, std::uint64_t unit_bytes) {
    const bool alike = std::adjacent_find(bytes.begin(), bytes.end(), std::not_equal_to<>()) == bytes.end();
    if (!alike || unit_bytes == 0 || bytes.front() % unit_bytes != 0) return fmt::format("{} of {} B", what, unit_bytes);
    return fmt::format("{} {} x {} B", bytes.front() / unit_bytes, what, unit_bytes);
  }

  std::string formula(const KvGroupPlan* group, const std::vector<std::uint64_t>& bytes) const {
    if (group == nullptr) {
      std::string parts;
      for (const KvGroupPlan& g : kv_.groups) parts += fmt::format("{}{} x {} layers", parts.empty() ? "" : ", ", g.label, g.layers);
      const std::string blocks = counted(bytes, "blocks", stages_.layout(0).block_bytes());
      return fmt::format("{}, of {} tokens, shared by {}", blocks, kv_.page_tokens, parts);
    }
    if (group->kind == CacheKind::kState)
      return fmt::format("{}, {} for each of {} sequences", counted(bytes, "rows", group->state_bytes_per_sequence),
                         rules().rows_per_sequence(s_.request().num_draft_tokens), sizing_.batch);
    const std::string pages = counted(bytes, "pages", group->page_bytes_per_device);
    if (group->window_tokens) return fmt::format("{}, window {} tokens, {} sequences", pages, *group->window_tokens, sizing_.batch);
    return fmt::format("{}, of {} tokens in {} layers{}", pages, kv_.page_tokens, group->layers,
                       rules().null_pages > 0 ? fmt::format(", {} of them null", rules().null_pages) : "");
  }

  const Settled& s_;
  const KvStages& stages_;
  const std::vector<Wide>& rooms_;
  KvMemory memory_;
  Ledger& ledger_;
  Findings& findings_;
  Plan& plan_;
  KvPlan& kv_;
  bool room_before_;                 // weights and the like fit
  std::uint64_t missing_blocks_ = 0; // of recurrent state, for the engine to start
  KvSizing sizing_;
};

// So many blocks on every rank, whatever the budget leaves.
Result<void> rooms_of_blocks(const Settled& s, const KvStages& stages, std::vector<Wide>& rooms) {
  for (std::uint32_t rank = 0; rank < s.layout.ranks(); ++rank) {
    const std::uint64_t block = stages.layout(stages.stage_of(rank)).block_bytes();
    if (block == 0)
      return fail(ErrorCode::kBadRequest,
                  fmt::format("the KV memory of {} is not of blocks of one size; give --kv-cache-bytes", s.profile().name),
                  "--num-gpu-blocks-override");
    rooms[rank] = static_cast<Wide>(*s.request().kv_blocks) * static_cast<Wide>(block);
  }
  return {};
}

} // namespace

Result<std::vector<KvGroupPrice>> price_stage(const Settled& s, std::uint32_t stage) {
  PLIMSOLL_ASSIGN(std::vector<KvGroupPrice> prices, price_kv(s.model().declared, s.layout, stage, s.kv_types, s.page_tokens,
                                                             s.request().num_draft_tokens, s.draft == DraftSource::kOwnHead));
  if (s.draft != DraftSource::kModel) return prices;
  PLIMSOLL_ASSIGN(const std::vector<KvGroupPrice> draft,
                  price_kv(s.input.draft->declared, s.draft_layout, stage, s.kv_types, s.page_tokens, 0, false));
  prices.insert(prices.end(), draft.begin(), draft.end());
  return prices;
}

std::vector<Wide> kv_rooms(const Settled& s, const Ledger& ledger) {
  std::vector<Wide> out;
  out.reserve(s.layout.ranks());
  const std::int64_t utilization = exact_fraction(s.utilization);
  for (std::uint32_t rank = 0; rank < s.layout.ranks(); ++rank) {
    const auto budget = static_cast<Wide>(s.budget_bytes[rank]), used = static_cast<Wide>(ledger.used(rank));
    if (s.request().kv_cache_bytes) {
      out.push_back(static_cast<Wide>(*s.request().kv_cache_bytes));
      continue;
    }
    switch (s.profile().budget.covers) {
    case BudgetCovers::kAll: out.push_back(budget - used); break;
    case BudgetCovers::kWeightsAndKv:
      out.push_back(share_of(static_cast<Wide>(s.memory_bytes[rank]), utilization) -
                    static_cast<Wide>(ledger.sum(Category::kWeights, rank)));
      break;
    case BudgetCovers::kKv: out.push_back(budget < used ? budget - used : share_of(budget - used, utilization)); break;
    }
  }
  if (s.layout.host_layers() > 0) {
    const std::optional<std::uint64_t>& host = s.request().host_bytes;
    out.push_back(host ? static_cast<Wide>(*host) - static_cast<Wide>(ledger.host_bytes()) : kBeyondAnyMemory);
  }
  return out;
}

Result<KvStages> KvStages::create(const Settled& s, std::optional<std::uint64_t> batch) {
  KvStages stages;
  const std::uint32_t drafted = s.request().num_draft_tokens;
  const bool on_host = s.layout.host_layers() > 0;
  for (std::uint32_t stage = 0; stage < s.layout.pp + (on_host ? 1 : 0); ++stage) {
    PLIMSOLL_ASSIGN(std::vector<KvGroupPrice> prices, price_stage(s, stage));
    stages.prices_.push_back(std::make_unique<const std::vector<KvGroupPrice>>(std::move(prices)));
    KvLayoutInput input;
    input.prices = stages.prices_.back().get();
    input.rules = &s.profile().kv;
    input.page_tokens = s.page_tokens;
    input.max_batch_input_tokens = s.max_batch_input_tokens;
    input.draft_tokens = drafted;
    input.sequences = s.sequences(batch);
    // A request may hold the tokens of two drafts in flight and the accepted ones of a third. Ours drafts none beyond its length.
    const bool beyond = drafted > 0 && s.profile().schedule.activations != ActivationRule::kPipeline;
    input.slack_tokens = beyond ? 3ULL * drafted + 1 : 0;
    stages.owned_.push_back(make_kv_layout(input));
    stages.layouts_.push_back(stages.owned_.back().get());
  }
  stages.stage_of_rank_.reserve(s.layout.ranks());
  for (std::uint32_t rank = 0; rank < s.layout.ranks(); ++rank) stages.stage_of_rank_.push_back(s.layout.stage_of_rank(rank));
  if (on_host) stages.stage_of_rank_.push_back(s.layout.host_stage());
  stages.n_stages_ = s.layout.pp;
  stages.n_ranks_ = s.layout.ranks();
  stages.ranks_per_replica_ = s.layout.pp * s.layout.tp;
  return stages;
}

KvMemory KvStages::memory(const std::vector<Wide>& rooms) const { return {layouts_, stage_of_rank_, rooms, ranks_per_replica_}; }

KvWish kv_wish(const Settled& s, std::optional<std::uint64_t> batch) {
  const EngineProfile::Batch& rules = s.profile().batch;
  KvWish wish;
  wish.max_length = s.max_length;
  wish.may_shorten = s.may_shorten();
  wish.length_first = s.request().max_length_auto;
  wish.batch = batch;
  wish.batch_is_asked_for = s.batch.has_value();
  wish.most_requests = std::min(rules.default_max_batch_size, s.max_batch_input_tokens);
  wish.usual_request_tokens = rules.default_request_tokens;
  wish.requests_per_context = rules.requests_per_context;
  wish.least_requests = rules.least_requests;
  wish.most_context_requests = rules.most_requests;
  wish.limited = !s.kv_given();
  return wish;
}

Result<void> plan_kv_cache(const Settled& s, std::optional<std::uint64_t> batch, std::uint64_t requests, std::vector<Wide>& rooms,
                           Ledger& ledger, Findings& findings, Plan& plan) {
  PLIMSOLL_ASSIGN(const KvStages stages, KvStages::create(s, batch));
  if (s.request().kv_blocks) PLIMSOLL_TRY(rooms_of_blocks(s, stages, rooms));
  KvStep step(s, stages, rooms, ledger, findings, plan);
  PLIMSOLL_TRY(step.run(batch, requests));
  // Blocks that are missing for the engine to start show as a shortfall.
  for (std::uint32_t rank = 0; step.missing_blocks() > 0 && rank < s.layout.ranks(); ++rank) {
    const Wide missing = static_cast<Wide>(step.missing_blocks()) * static_cast<Wide>(stages.layout(stages.stage_of(rank)).block_bytes());
    rooms[rank] = std::min(rooms[rank], static_cast<Wide>(ledger.sum(Category::kKvCache, rank)) - missing);
  }
  return {};
}

} // namespace plimsoll
