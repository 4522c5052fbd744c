// The KV pool's arithmetic behind pool.hpp. Sums saturate at 2^120, beyond which nothing fits any device, so that
// no product can wrap. Never uses floating point. Threads: a KvPool is immutable.
#include "kv/pool.hpp"

#include <algorithm>
#include <utility>

namespace plimsoll {
namespace {

// Beyond this nothing fits any device, and sums of a few still fit 127 bits.
constexpr Wide kEndless = static_cast<Wide>(1) << 120;

Wide bounded(CheckedWide value) { return std::min(value.saturated(), kEndless); }

std::uint64_t as_count(Wide value) { return value > static_cast<Wide>(UINT64_MAX) ? UINT64_MAX : static_cast<std::uint64_t>(value); }

} // namespace

std::uint64_t KvRequestCount::whole() const { return unlimited ? UINT64_MAX : as_count(wide_div(numerator, denominator)); }

bool operator<(const KvRequestCount& a, const KvRequestCount& b) {
  if (a.unlimited || b.unlimited) return !a.unlimited && b.unlimited;
  return (CheckedWide(a.numerator) * b.denominator).saturated() < (CheckedWide(b.numerator) * a.denominator).saturated();
}

KvPool::KvPool(KvPoolSpec spec) : spec_(std::move(spec)) {
  if (spec_.page_tokens == 0) spec_.page_tokens = 1;
  CheckedWide full, sequence, nulls;
  for (const KvPoolGroup& group : spec_.groups) {
    const CheckedWide page = static_cast<Wide>(group.page_bytes);
    switch (group.kind) {
    case CacheKind::kFull:
    case CacheKind::kLatent: full += page; break;
    case CacheKind::kWindow:
    case CacheKind::kChunk: break;
    case CacheKind::kCross: sequence += page * wide_ceil_div(group.fixed_tokens, spec_.page_tokens); break;
    case CacheKind::kState:
      sequence += CheckedWide(static_cast<Wide>(group.state_bytes)) * static_cast<Wide>(group.rows_per_sequence);
      break;
    }
    if (group.kind == CacheKind::kState || group.page_bytes == 0) continue; // or none of its layers are on this stage
    nulls += page * static_cast<Wide>(spec_.null_pages);
    paged_ = true;
  }
  full_page_bytes_ = bounded(full);
  sequence_bytes_ = bounded(sequence);
  null_bytes_ = bounded(nulls);
}

Wide KvPool::pages_of(std::uint64_t length_tokens) const {
  return wide_ceil_div(static_cast<Wide>(length_tokens) + spec_.slack_tokens, spec_.page_tokens);
}

Wide KvPool::bytes_of_sequences(std::uint64_t sequences) const {
  return bounded(CheckedWide(sequence_bytes_) * static_cast<Wide>(sequences));
}

Wide KvPool::pages_of_request(std::uint64_t length_tokens) const {
  const Wide pages = pages_of(length_tokens);
  return grows() ? pages : std::min(pages, widest_window_pages());
}

Wide KvPool::widest_window_pages() const {
  Wide most = 0;
  for (const KvPoolGroup& group : spec_.groups)
    if (is_windowed(group.kind)) most = std::max(most, window_pages(group));
  return most;
}

Wide KvPool::paged_bytes(Wide pages, std::uint64_t sequences) const {
  CheckedWide bytes = CheckedWide(full_page_bytes_) * pages;
  for (const KvPoolGroup& group : spec_.groups)
    if (is_windowed(group.kind)) {
      const Wide most = bounded(CheckedWide(window_pages(group)) * static_cast<Wide>(sequences));
      bytes += CheckedWide(std::min(pages, most)) * static_cast<Wide>(group.page_bytes);
    }
  return bounded(bytes);
}

Wide KvPool::request_bytes(std::uint64_t length_tokens) const {
  return bounded(CheckedWide(paged_bytes(pages_of(length_tokens), 1)) + sequence_bytes_);
}

Wide KvPool::batch_bytes(std::uint64_t length_tokens, std::uint64_t sequences) const {
  return bounded(CheckedWide(paged_bytes(pages_of_request(length_tokens), sequences)) + bytes_of_sequences(sequences));
}

bool KvPool::fits(Wide budget_bytes, std::uint64_t length_tokens, std::uint64_t requests) const {
  return bounded(CheckedWide(request_bytes(length_tokens)) * static_cast<Wide>(requests) + null_bytes_) <= budget_bytes;
}

Wide KvPool::pages_within(Wide room, std::uint64_t sequences) const {
  if (!grows() && paged_bytes(kEndless, sequences) <= room) return kEndless;
  // paged_bytes(low) fits, paged_bytes(high) does not: it costs more than the room from here on.
  Wide low = 0, high = kEndless;
  if (full_page_bytes_ > 0) {
    high = wide_div(room, full_page_bytes_) + 1;
    if (spec_.groups.size() == 1) return high - 1;
  } else {
    Wide most = 0; // past this no window group takes another page
    for (const KvPoolGroup& group : spec_.groups)
      if (is_windowed(group.kind)) most = std::max(most, bounded(CheckedWide(window_pages(group)) * static_cast<Wide>(sequences)));
    high = most;
  }
  while (high - low > 1) {
    const Wide middle = low + (high - low) / 2;
    if (paged_bytes(middle, sequences) <= room) low = middle;
    else high = middle;
  }
  return low;
}

bool KvPool::has_windows() const {
  return std::any_of(spec_.groups.begin(), spec_.groups.end(), [](const KvPoolGroup& group) { return is_windowed(group.kind); });
}

std::optional<std::uint64_t> KvPool::longest_request_tokens(Wide budget_bytes, std::uint64_t sequences) const {
  const Wide room = budget_bytes - null_bytes_ - bytes_of_sequences(sequences);
  if (room < 0) return std::nullopt;
  if (!paged_) return UINT64_MAX;
  const Wide pages = pages_within(room, sequences);
  if (pages >= kEndless || (!grows() && pages >= widest_window_pages())) return UINT64_MAX;
  const Wide tokens = pages * spec_.page_tokens - spec_.slack_tokens;
  if (tokens < 1) return std::nullopt;
  return as_count(tokens);
}

KvRequestCount KvPool::requests_that_fit(Wide budget_bytes, std::uint64_t length_tokens) const {
  KvRequestCount r;
  r.numerator = std::max<Wide>(0, budget_bytes - null_bytes_);
  r.denominator = request_bytes(length_tokens);
  if (r.denominator == 0) {
    r.unlimited = budget_bytes >= null_bytes_;
    r.denominator = 1;
    if (!r.unlimited) r.numerator = 0;
  }
  return r;
}

KvPoolCut KvPool::cut(Wide budget_bytes, std::uint64_t sequences, std::uint64_t state_sequences, Wide most_pages) const {
  KvPoolCut r;
  const Wide states = bytes_of_sequences(state_sequences);
  const Wide room = budget_bytes - null_bytes_ - states;
  if (room < 0) return r;
  Wide pages = pages_within(room, sequences);
  bool endless = pages >= kEndless;
  if (endless) { // windows only: as many pages as they ever use
    pages = 0;
    for (const KvPoolGroup& group : spec_.groups)
      if (is_windowed(group.kind)) pages = std::max(pages, bounded(CheckedWide(window_pages(group)) * static_cast<Wide>(sequences)));
  }
  pages = std::min(pages, most_pages);
  r.endless = endless;
  r.fits = pages > 0 || endless || !paged_;
  r.used_bytes = paged_bytes(pages, sequences) + null_bytes_ + states;
  r.unused_bytes = budget_bytes - r.used_bytes;
  r.pages = as_count(pages + (paged_ ? static_cast<Wide>(spec_.null_pages) : 0));
  if (grows()) r.capacity_tokens = as_count(bounded(CheckedWide(pages) * static_cast<Wide>(spec_.page_tokens)));
  return r;
}

} // namespace plimsoll
