// The `grouped` layout: KvPool's arithmetic, see kv/pool.hpp. Shares the page number over full and latent groups; windows,
// cross attention and states have bytes of their own.
#include <algorithm>

#include "base/checked.hpp"
#include "kv/layout.hpp"

namespace plimsoll {
namespace {

class Grouped final : public KvLayout {
public:
  explicit Grouped(const KvLayoutInput& input) : input_(input), pool_(spec(input)) {}

  std::uint64_t page_tokens() const override { return input_.page_tokens; }
  std::vector<std::uint64_t> page_bytes() const override {
    std::vector<std::uint64_t> out;
    for (const KvGroupPrice& price : *input_.prices) out.push_back(price.page_bytes);
    return out;
  }
  Wide request_bytes(std::uint64_t length) const override { return pool_.request_bytes(tokens(length)) + pool_.null_bytes(); }
  std::optional<std::uint64_t> longest_request_tokens(Wide budget) const override {
    const auto longest = pool_.longest_request_tokens(budget);
    if (!longest || *longest > UINT64_MAX / ranks()) return longest;
    return *longest * ranks();
  }
  KvRequestCount requests_that_fit(Wide budget, std::uint64_t length) const override {
    return pool_.requests_that_fit(budget, tokens(length));
  }
  Wide pages_of_request(std::uint64_t length) const override {
    for (const KvPoolGroup& group : pool_.spec().groups)
      if (group.kind != CacheKind::kFull && group.kind != CacheKind::kLatent) return 0;
    return pool_.pages_of(tokens(length));
  }

  KvCut cut(Wide budget, const KvDemand& demand, Wide most_pages) const override {
    const Wide nulls = static_cast<Wide>(pool_.spec().null_pages);
    Wide wanted = most_pages - nulls;
    if (input_.rules->demand_limited && demand.limited)
      wanted = std::min(wanted, pool_.pages_of(tokens(demand.length_tokens)) * static_cast<Wide>(demand.sequences));
    const KvPoolCut found = pool_.cut(budget, demand.sequences, demand.sequences, std::max<Wide>(wanted, 0));
    KvCut cut;
    cut.fits = found.fits, cut.pages = found.pages;
    if (found.capacity_tokens) cut.capacity_tokens = *found.capacity_tokens * ranks();
    cut.used_bytes = found.fits
                         ? found.used_bytes
                         : pool_.sequence_bytes() * static_cast<Wide>(demand.sequences) + pool_.null_bytes() + pool_.full_page_bytes();
    Wide rest = cut.used_bytes;
    const std::vector<KvPoolGroup>& groups = pool_.spec().groups;
    for (std::size_t i = 0; i < groups.size(); ++i) {
      const Wide bytes = i + 1 == groups.size() ? rest : std::clamp<Wide>(group_bytes(groups[i], cut.pages, demand.sequences), 0, rest);
      cut.group_bytes.push_back(bytes);
      rest -= bytes;
    }
    return cut;
  }

private:
  // Decode context parallelism spreads a request's tokens over ranks.
  std::uint64_t ranks() const { return input_.rules->decode_context_parallel; }
  std::uint64_t tokens(std::uint64_t length) const { return ceil_div(length, ranks()); }

  static KvPoolSpec spec(const KvLayoutInput& input) {
    KvPoolSpec spec;
    spec.page_tokens = input.page_tokens;
    spec.null_pages = input.rules->null_pages;
    spec.slack_tokens = input.slack_tokens;
    for (const KvGroupPrice& price : *input.prices) {
      KvPoolGroup group;
      group.kind = layout_kind(*price.group, *input.rules);
      group.page_bytes = price.page_bytes;
      group.window_tokens = price.group->window_tokens;
      group.fixed_tokens = price.group->fixed_tokens;
      group.state_bytes = price.state_bytes;
      group.rows_per_sequence = input.rules->rows_per_sequence(input.draft_tokens);
      spec.groups.push_back(group);
    }
    return spec;
  }

  Wide group_bytes(const KvPoolGroup& group, std::uint64_t pages, std::uint64_t sequences) const {
    const auto nulls = static_cast<Wide>(pool_.spec().null_pages), own = static_cast<Wide>(pages) - nulls;
    const auto page = static_cast<Wide>(group.page_bytes), n = static_cast<Wide>(sequences);
    switch (group.kind) {
    case CacheKind::kFull:
    case CacheKind::kLatent: return page * static_cast<Wide>(pages);
    case CacheKind::kWindow:
    case CacheKind::kChunk: return page * (std::min(own, (wide_ceil_div(group.window_tokens, page_tokens()) + 1) * n) + nulls);
    case CacheKind::kCross: return page * (wide_ceil_div(group.fixed_tokens, page_tokens()) * n + nulls);
    case CacheKind::kState: return static_cast<Wide>(group.state_bytes) * static_cast<Wide>(group.rows_per_sequence) * n;
    }
    return 0;
  }

  KvLayoutInput input_;
  KvPool pool_;
};

} // namespace

std::unique_ptr<KvLayout> make_grouped_layout(const KvLayoutInput& input) { return std::make_unique<Grouped>(input); }

CacheKind layout_kind(const KvGroup& group, const EngineProfile::Kv& rules) {
  return is_windowed(group.kind) && !rules.windows ? CacheKind::kFull : group.kind;
}

std::unique_ptr<KvLayout> make_kv_layout(const KvLayoutInput& input) {
  switch (input.rules->layout) {
  case KvLayoutKind::kUnified: return make_unified_layout(input);
  case KvLayoutKind::kSplit: return make_split_layout(input);
  case KvLayoutKind::kCells: return make_cells_layout(input);
  case KvLayoutKind::kGrouped: break;
  }
  return make_grouped_layout(input);
}

} // namespace plimsoll
