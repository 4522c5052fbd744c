#include "kv/layouts/grouped.hpp"

#include <algorithm>

#include "base/checked.hpp"

namespace plimsoll {
namespace {

KvPoolSpec spec_of(const KvLayoutInput& input) {
  KvPoolSpec spec;
  spec.page_tokens = input.page_tokens;
  spec.null_pages = input.rules->null_pages;
  spec.slack_tokens = input.slack_tokens;
  spec.groups.reserve(input.prices->size());
  for (const KvGroupPrice& price : *input.prices) {
    KvPoolGroup group;
    group.kind = counted_kind(*price.group, *input.rules);
    group.page_bytes = price.page_bytes;
    group.window_tokens = price.group->window_tokens;
    group.fixed_tokens = price.group->fixed_tokens;
    group.state_bytes = price.state_bytes;
    group.rows_per_sequence = input.rules->rows_per_sequence(input.draft_tokens);
    spec.groups.push_back(group);
  }
  return spec;
}

} // namespace

std::vector<std::uint64_t> GroupedLayout::page_bytes() const {
  std::vector<std::uint64_t> out;
  for (const KvPoolGroup& group : pool_.spec().groups) out.push_back(group.page_bytes);
  return out;
}

Wide GroupedLayout::request_bytes(std::uint64_t length) const { return pool_.request_bytes(tokens(length)) + pool_.null_bytes(); }

std::optional<std::uint64_t> GroupedLayout::longest_request_tokens(Wide budget, std::uint64_t sequences) const {
  const auto longest = pool_.longest_request_tokens(budget, sequences);
  if (!longest || *longest > UINT64_MAX / context_ranks_) return longest;
  return *longest * context_ranks_;
}

Wide GroupedLayout::least_room_bytes(std::uint64_t length, const KvDemand& demand) const {
  return pool_.batch_bytes(tokens(length), demand.sequences) + pool_.null_bytes();
}

KvRequestCount GroupedLayout::requests_that_fit(Wide budget, std::uint64_t length) const {
  return pool_.requests_that_fit(budget, tokens(length));
}

Wide GroupedLayout::pages_of_request(std::uint64_t length) const { return pool_.pages_of_request(tokens(length)); }

KvCut GroupedLayout::cut(Wide budget, const KvDemand& demand, Wide most_pages) const {
  Wide wanted = most_pages - static_cast<Wide>(pool_.spec().null_pages);
  if (demand_limited_ && demand.limited)
    wanted = std::min(wanted, pool_.pages_of(tokens(demand.length_tokens)) * static_cast<Wide>(demand.sequences));
  const KvPoolCut found = pool_.cut(budget, demand.sequences, demand.sequences, std::max<Wide>(wanted, 0));
  KvCut cut;
  cut.fits = found.fits;
  cut.endless = found.endless;
  cut.pages = found.pages;
  if (found.capacity_tokens) cut.capacity_tokens = *found.capacity_tokens * context_ranks_;
  cut.used_bytes =
      found.fits ? found.used_bytes : pool_.bytes_of_sequences(demand.sequences) + pool_.null_bytes() + pool_.full_page_bytes();
  return cut;
}

std::vector<KvGroupShare> GroupedLayout::shares(const KvCut& cut, const KvDemand& demand) const {
  std::vector<KvGroupShare> out;
  out.reserve(pool_.spec().groups.size());
  Wide rest = cut.used_bytes; // the last takes what is left, so that the parts are the whole
  for (const KvPoolGroup& group : pool_.spec().groups) {
    KvGroupShare share = share_of_group(group, cut.pages, demand.sequences);
    share.bytes = out.size() + 1 == pool_.spec().groups.size() ? rest : std::clamp<Wide>(share.bytes, 0, rest);
    rest -= share.bytes;
    out.push_back(share);
  }
  return out;
}

KvGroupShare GroupedLayout::share_of_group(const KvPoolGroup& group, std::uint64_t pages, std::uint64_t sequences) const {
  KvGroupShare share;
  const auto nulls = static_cast<Wide>(pool_.spec().null_pages), n = static_cast<Wide>(sequences);
  Wide own = std::max<Wide>(0, static_cast<Wide>(pages) - nulls);
  switch (group.kind) {
  case CacheKind::kFull:
  case CacheKind::kLatent: break;
  case CacheKind::kWindow:
  case CacheKind::kChunk: own = std::min(own, pool_.window_pages(group) * n); break;
  case CacheKind::kCross: own = wide_ceil_div(group.fixed_tokens, page_tokens()) * n; break;
  case CacheKind::kState:
    share.state_rows = bounded_count(static_cast<Wide>(group.rows_per_sequence) * n);
    share.bytes = static_cast<Wide>(group.state_bytes) * static_cast<Wide>(group.rows_per_sequence) * n;
    return share;
  }
  share.null_pages = pool_.spec().null_pages;
  share.pages = bounded_count(own + nulls);
  share.bytes = static_cast<Wide>(group.page_bytes) * (own + nulls);
  return share;
}

KvRequestCount GroupedLayout::requests_held(const KvCut& cut, const KvDemand& demand, std::uint64_t length) const {
  KvRequestCount held;
  held.numerator = static_cast<Wide>(cut.pages) - std::min(static_cast<Wide>(pool_.spec().null_pages), static_cast<Wide>(cut.pages));
  held.denominator = pages_of_request(length);
  held.unlimited = held.denominator == 0;
  if (held.unlimited) held.denominator = 1;
  // States and encoder pages are there for the sequences of the batch, and for no more.
  if (pool_.sequence_bytes() > 0) {
    const KvRequestCount batch{false, static_cast<Wide>(demand.sequences), 1};
    if (held.unlimited || batch < held) return batch;
  }
  return held;
}

std::unique_ptr<KvLayout> make_grouped_layout(const KvLayoutInput& input) {
  return std::make_unique<GroupedLayout>(spec_of(input), input.rules->decode_context_parallel, input.rules->demand_limited);
}

} // namespace plimsoll
