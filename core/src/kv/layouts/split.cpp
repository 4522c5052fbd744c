// The `split` layout: the memory is divided once. Rows of recurrent state get a share, what they leave becomes token slots,
// and windows have a pool of their own that is a fixed part of the full one; a request takes of both. Source and worked examples:
// core/catalogue/engines/README.md, "split". DeepSeek-V3.2 in fp8, 43.67 GiB: (656 + 132) x 61 = 48,068 B a token, so
// 975,424 tokens in pages of 64.
#include "kv/layouts/split.hpp"

#include <algorithm>

#include "base/checked.hpp"
#include "base/exact_fraction.hpp"

namespace plimsoll {
namespace {

class Split final : public KvLayout {
public:
  explicit Split(const KvLayoutInput& input) : input_(input) {
    for (const KvGroupPrice& price : *input.prices)
      if (is_windowed(counted_kind(*price.group, *input.rules))) window_tokens_ = std::max(window_tokens_, price.group->window_tokens);
    const bool grows = std::any_of(input.prices->begin(), input.prices->end(),
                                   [&](const KvGroupPrice& p) { return plimsoll::grows(counted_kind(*p.group, *input.rules)); });
    for (const KvGroupPrice& price : *input.prices) {
      switch (counted_kind(*price.group, *input.rules)) {
      case CacheKind::kState:
        if (in_windows(price)) window_bytes_ += ring_page_bytes(price);
        else if (per_request(price)) ring_bytes_ += rings(price, input.sequences);
        else state_bytes_ += static_cast<Wide>(price.state_bytes);
        break;
      case CacheKind::kCross: sequence_bytes_ += static_cast<Wide>(price.page_bytes) * cross_pages(price); break;
      case CacheKind::kWindow:
      case CacheKind::kChunk:
        if (grows) { // else the windows' tokens are all there is
          window_bytes_ += static_cast<Wide>(price.page_bytes);
          break;
        }
        [[fallthrough]];
      default: full_bytes_ += static_cast<Wide>(price.page_bytes);
      }
    }
    rows_ = static_cast<Wide>(input.rules->rows_per_sequence(input.draft_tokens));
  }

  std::uint64_t page_tokens() const override { return input_.page_tokens; }
  std::vector<std::uint64_t> page_bytes() const override {
    std::vector<std::uint64_t> out;
    for (const KvGroupPrice& price : *input_.prices) out.push_back(price.page_bytes);
    return out;
  }

  // One request alone: the pools that a memory just large enough for it would have.
  Wide request_bytes(std::uint64_t length) const override {
    const Wide pages = std::max(pages_of_request(length), pages_beside(windows_of_request(length)));
    return pages * full_bytes_ + window_pages(pages) * window_bytes_ + sequence_bytes_ + ring_bytes_ +
           (rows_ + spare_rows() + drafted_rows(rows_)) * state_bytes_;
  }
  std::optional<std::uint64_t> longest_request_tokens(Wide budget, std::uint64_t) const override {
    const Pools p = pools(budget, {});
    if (p.overdrawn || (state_bytes_ > 0 && p.rows < rows_)) return std::nullopt;
    if (page_bytes_of_all() == 0) return UINT64_MAX;
    Wide pages = p.pages;
    if (const Wide windows = window_pages(p.pages); windows < windows_of_request(bounded_count(pages * page()))) pages = windows;
    if (pages < 1) return std::nullopt;
    return bounded_count(pages * page());
  }
  KvRequestCount requests_that_fit(Wide budget, std::uint64_t length) const override { return requests_of(pools(budget, {}), length); }
  Wide pages_of_request(std::uint64_t length) const override {
    return wide_ceil_div(static_cast<Wide>(length), static_cast<Wide>(input_.page_tokens));
  }

  KvCut cut(Wide budget, const KvDemand& demand, Wide most_pages) const override {
    Pools p = pools(budget, demand);
    p.pages = std::min(p.pages, most_pages);
    KvCut cut;
    cut.fits = !p.overdrawn && (state_bytes_ == 0 || p.rows >= rows_) && (page_bytes_of_all() == 0 || p.pages > 0) &&
               (window_bytes_ == 0 || window_pages(p.pages) > 0);
    cut.pages = bounded_count(p.pages);
    if (page_bytes_of_all() > 0) cut.capacity_tokens = bounded_count(p.pages * static_cast<Wide>(input_.page_tokens));
    if (state_bytes_ > 0) {
      cut.state_rows = bounded_count(p.rows);
      cut.most_sequences = bounded_count(wide_div(p.rows, rows_));
    }
    for (const KvGroupShare& share : shares_of(p, demand)) cut.used_bytes += share.bytes;
    return cut;
  }
  std::vector<KvGroupShare> shares(const KvCut& cut, const KvDemand& demand) const override { return shares_of(pools_of(cut), demand); }
  KvRequestCount requests_held(const KvCut& cut, const KvDemand&, std::uint64_t length) const override {
    return requests_of(pools_of(cut), length);
  }

private:
  struct Pools {
    Wide rows = 0, pages = 0;
    bool overdrawn = false; // what comes before any page is more than there is
  };

  static Pools pools_of(const KvCut& cut) {
    Pools p;
    p.rows = static_cast<Wide>(cut.state_rows.value_or(0));
    p.pages = static_cast<Wide>(cut.pages);
    return p;
  }
  // Requests of a length by the pool that runs out first: of all tokens, of the windows, of states.
  KvRequestCount requests_of(const Pools& p, std::uint64_t length) const {
    KvRequestCount least{page_bytes_of_all() == 0, p.pages, std::max<Wide>(1, pages_of_request(length))};
    if (window_bytes_ > 0)
      least = std::min(least, KvRequestCount{false, window_pages(p.pages), std::max<Wide>(1, windows_of_request(length))});
    if (state_bytes_ > 0) least = std::min(least, KvRequestCount{false, p.rows, rows_});
    return least;
  }

  std::vector<KvGroupShare> shares_of(const Pools& p, const KvDemand& demand) const {
    std::vector<KvGroupShare> out;
    out.reserve(input_.prices->size());
    for (const KvGroupPrice& price : *input_.prices) out.push_back(share_of_group(price, p, demand));
    return out;
  }
  KvGroupShare share_of_group(const KvGroupPrice& price, const Pools& p, const KvDemand& demand) const {
    const Wide rows = p.rows + spare_rows(), windows = window_pages(p.pages);
    KvGroupShare share;
    Wide pages = 0;
    switch (counted_kind(*price.group, *input_.rules)) {
    case CacheKind::kState:
      if (in_windows(price)) share.bytes = windows * ring_page_bytes(price);
      else if (per_request(price)) share.bytes = rings(price, input_.sequences);
      else share.bytes = (rows + drafted_rows(p.rows)) * static_cast<Wide>(price.state_bytes);
      share.state_rows = price.row_bytes.empty() ? bounded_count(rows) : 0;
      return share;
    case CacheKind::kCross: pages = cross_pages(price) * static_cast<Wide>(demand.sequences); break;
    case CacheKind::kWindow:
    case CacheKind::kChunk: pages = window_bytes_ > 0 ? windows : p.pages; break;
    case CacheKind::kFull:
    case CacheKind::kLatent: pages = p.pages; break;
    }
    share.pages = bounded_count(pages);
    share.bytes = pages * static_cast<Wide>(price.page_bytes);
    return share;
  }
  // While it drafts, the engine keeps a state for each drafted token, and one for what is accepted, of every request and one more.
  Wide drafted_rows(Wide rows) const {
    if (!drafts_states()) return 0;
    return (rows / rows_ + 1) * (static_cast<Wide>(input_.draft_tokens) + 1);
  }
  bool drafts_states() const { return input_.rules->split.draft_states && input_.draft_tokens > 0; }
  // The most rows that a share of the memory holds, drafted ones beside them: (K + spare) + (K / ratio + 1) D of them. 1,000 rows'
  // worth, one spare, three of a request, D = 4: K = (1,000 - 1 - 4) x 3 / (3 + 4) = 426.
  Wide rows_of_share(Wide bytes) const {
    const Wide all = bytes / state_bytes_;
    if (!drafts_states()) return all - spare_rows();
    const Wide drafted = static_cast<Wide>(input_.draft_tokens) + 1;
    return std::max<Wide>(0, all - spare_rows() - drafted) * rows_ / (rows_ + drafted);
  }
  Wide cross_pages(const KvGroupPrice& price) const {
    return wide_ceil_div(static_cast<Wide>(price.group->fixed_tokens), static_cast<Wide>(input_.page_tokens));
  }

  Wide spare_rows() const { return state_bytes_ > 0 ? static_cast<Wide>(input_.rules->split.spare_state_rows) : 0; }
  Wide page_bytes_of_all() const { return full_bytes_ + window_bytes_; }
  // A state of rows of the last tokens is a ring, twice as long where tokens are drafted. It lies in the pages of the windows;
  // one as long as they are is, where the profile says so, held by every request, one more for padding and one for none, in steps.
  bool in_windows(const KvGroupPrice& price) const {
    return !price.row_bytes.empty() && window_tokens_ > 0 &&
           (!input_.rules->split.request_rings || price.group->window_tokens < window_tokens_);
  }
  bool per_request(const KvGroupPrice& price) const { return !price.row_bytes.empty() && !in_windows(price); }
  Wide ring_tokens(const KvGroupPrice& price) const {
    return static_cast<Wide>(price.group->window_tokens) * (input_.draft_tokens > 0 ? 2 : 1);
  }
  static Wide ring_row_bytes(const KvGroupPrice& price) {
    Wide sum = 0;
    for (const std::uint64_t row : price.row_bytes) sum += static_cast<Wide>(row);
    return sum * static_cast<Wide>(price.layers);
  }
  Wide ring_page_bytes(const KvGroupPrice& price) const {
    return wide_ceil_div(ring_row_bytes(price) * ring_tokens(price) * static_cast<Wide>(input_.page_tokens),
                         static_cast<Wide>(window_tokens_));
  }
  Wide rings(const KvGroupPrice& price, std::uint64_t sequences) const {
    const auto step = static_cast<Wide>(input_.rules->split.ring_row_step);
    const Wide ring = ring_tokens(price), rows = (static_cast<Wide>(sequences) + 2) * ring + 1;
    return wide_ceil_div(rows, step) * step * ring_row_bytes(price);
  }

  Wide page() const { return static_cast<Wide>(input_.page_tokens); }
  Wide window_ratio() const { return exact_fraction(input_.rules->split.window_ratio); }
  Wide window_pages(Wide pages) const { return window_bytes_ == 0 ? 0 : pages * window_ratio() / kFractionUnit; }
  // Pages of the windows' pool that a request keeps; a window begins and ends within pages.
  Wide windows_of_request(std::uint64_t length) const {
    if (window_bytes_ == 0) return 0;
    const Wide across = input_.page_tokens > 1 ? 1 : 0;
    return std::min(pages_of_request(length), pages_of_request(window_tokens_) + across);
  }
  // The fewest pages beside which the windows' pool has so many.
  Wide pages_beside(Wide windows) const {
    return windows == 0 || window_ratio() == 0 ? 0 : wide_ceil_div(windows * kFractionUnit, window_ratio());
  }

  Pools pools(Wide budget, const KvDemand& demand) const {
    Pools p;
    Wide room =
        std::max<Wide>(0, budget) - ring_bytes_ - sequence_bytes_ * static_cast<Wide>(demand.sequences_given ? demand.sequences : 1);
    if (state_bytes_ > 0) {
      if (demand.sequences_given && !input_.rules->prefix_caching) {
        p.rows = static_cast<Wide>(demand.sequences) * rows_; // just what the batch needs
      } else {
        const Wide ratio = exact_fraction(input_.rules->split.state_ratio);
        p.rows = rows_of_share(std::max<Wide>(0, room) * ratio / (kFractionUnit + ratio));
      }
      p.rows = std::max<Wide>(0, p.rows);
      room -= (p.rows + spare_rows() + drafted_rows(p.rows)) * state_bytes_;
    }
    p.overdrawn = room < 0;
    if (room <= 0 || page_bytes_of_all() == 0) return p;
    // One cell is a token of the full layers and its part of a window token; tokens are whole, then whole pages.
    const Wide cell = full_bytes_ * kFractionUnit + window_bytes_ * window_ratio();
    p.pages = std::min(room, static_cast<Wide>(1) << 62) * page() * kFractionUnit / cell / page();
    return p;
  }

  KvLayoutInput input_;
  Wide full_bytes_ = 0, window_bytes_ = 0; // of one page of all layers
  Wide state_bytes_ = 0, sequence_bytes_ = 0, rows_ = 1;
  Wide ring_bytes_ = 0;             // of all requests
  std::uint64_t window_tokens_ = 0; // the longest window; in its pages rings lie
};

} // namespace

std::unique_ptr<KvLayout> make_split_layout(const KvLayoutInput& input) { return std::make_unique<Split>(input); }

} // namespace plimsoll
