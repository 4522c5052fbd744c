// The arithmetic of one rank's KV pool: what a request of a length costs there and how many a budget holds. Exact
// integers, no floating point. Never knows engines or devices.
// Threads: a KvPool is immutable; share it freely.
//
// Semantics ("grouped"): one page number spans every full and latent group, so a request of L tokens takes
// m = ceil((L + slack) / P) pages of each; of a window group min(m, ceil(window / P) + 1); of a cross group
// ceil(fixed / P); of a state group its rows. Every paged group keeps `null_pages` pages that no request gets.
// Llama 3.1 8B on one device, 60,129,542,144 bytes: 16,777,216 per page, 3,584 pages, one of them null: 458,624 tokens.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/wide.hpp"
#include "plimsoll/cache_kind.hpp"

namespace plimsoll {

// Layers that store alike, on one rank.
struct KvPoolGroup {
  CacheKind kind = CacheKind::kFull;
  std::uint64_t page_bytes = 0;        // one page, all layers of the group on this rank; not for kState
  std::uint64_t window_tokens = 0;     // kWindow, kChunk
  std::uint64_t fixed_tokens = 0;      // kCross
  std::uint64_t state_bytes = 0;       // kState: one row, all layers of the group on this rank
  std::uint64_t rows_per_sequence = 1; // kState
};

struct KvPoolSpec {
  std::vector<KvPoolGroup> groups;
  std::uint64_t page_tokens = 128; // > 0
  std::uint64_t null_pages = 1;    // per paged group
  std::uint64_t slack_tokens = 0;  // positions past its length that a request may occupy
};

// How many requests fit at once: numerator / denominator, the integer part is what a scheduler can promise.
struct KvRequestCount {
  bool unlimited = false; // a request costs nothing
  Wide numerator = 0, denominator = 1;
  std::uint64_t whole() const;
  double ratio() const { return static_cast<double>(numerator) / static_cast<double>(denominator); }
};
// Whether fewer requests fit; exact. Where a product is beyond 127 bits both counts are beyond any memory.
bool operator<(const KvRequestCount& a, const KvRequestCount& b);

// A budget cut into pages for a number of sequences.
struct KvPoolCut {
  bool fits = false;                            // the sequences' states, the null pages and one page of each group fit
  bool endless = false;                         // more pages would serve no longer request: nothing grows with its length
  std::uint64_t pages = 0;                      // of every full and latent group, null pages included
  std::optional<std::uint64_t> capacity_tokens; // held by those pages; none where no group grows with the length
  Wide used_bytes = 0;                          // whole pages, rows and null pages
  Wide unused_bytes = 0;                        // of the budget
};

class KvPool {
public:
  explicit KvPool(KvPoolSpec spec);

  const KvPoolSpec& spec() const { return spec_; }

  // Whether a longer request ever costs more without bound.
  bool grows() const { return full_page_bytes_ > 0; }
  bool has_windows() const;
  // Bytes of one page of every full and latent group.
  Wide full_page_bytes() const { return full_page_bytes_; }
  // Bytes that a sequence takes whatever its length: states and cross pages.
  Wide sequence_bytes() const { return sequence_bytes_; }
  // The same for a batch; saturates.
  Wide bytes_of_sequences(std::uint64_t sequences) const;
  Wide null_bytes() const { return null_bytes_; }
  // Pages that a sequence ever holds of a window.
  Wide window_pages(const KvPoolGroup& group) const { return wide_ceil_div(group.window_tokens, spec_.page_tokens) + 1; }
  // Pages that one request of that length takes of the pool's pages: all of them where full or latent groups grow, as many
  // as the widest window holds where only windows do, none where nothing is paged.
  Wide pages_of_request(std::uint64_t length_tokens) const;
  Wide pages_of(std::uint64_t length_tokens) const;
  // Bytes of one request of that length, without null pages. Never falls as the length grows; saturates.
  Wide request_bytes(std::uint64_t length_tokens) const;
  // Bytes of one request of that length beside the states and windows of a batch, without null pages; saturates.
  Wide batch_bytes(std::uint64_t length_tokens, std::uint64_t sequences) const;

  // Whether `requests` of that length fit together.
  bool fits(Wide budget_bytes, std::uint64_t length_tokens, std::uint64_t requests) const;
  // The longest single request beside the states and windows of a batch; UINT64_MAX where length costs nothing more, nothing
  // where not one token fits.
  std::optional<std::uint64_t> longest_request_tokens(Wide budget_bytes, std::uint64_t sequences = 1) const;
  // Requests of that length that fit together.
  KvRequestCount requests_that_fit(Wide budget_bytes, std::uint64_t length_tokens) const;
  std::uint64_t max_batch(Wide budget_bytes, std::uint64_t length_tokens) const {
    return requests_that_fit(budget_bytes, length_tokens).whole();
  }

  // Pages for `sequences` at once, at most `most_pages` beside the null pages; states for `state_sequences`.
  KvPoolCut cut(Wide budget_bytes, std::uint64_t sequences, std::uint64_t state_sequences, Wide most_pages = kWideMax) const;
  KvPoolCut cut(Wide budget_bytes) const { return cut(budget_bytes, 1, 1); }

private:
  Wide widest_window_pages() const;
  // Bytes of `pages` pages shared by `sequences`, states and null pages apart.
  Wide paged_bytes(Wide pages, std::uint64_t sequences) const;
  // The largest number of pages whose bytes stay within `room`; window groups saturate. room >= 0.
  Wide pages_within(Wide room, std::uint64_t sequences) const;

  KvPoolSpec spec_;
  Wide full_page_bytes_ = 0;
  Wide sequence_bytes_ = 0;
  Wide null_bytes_ = 0;
  bool paged_ = false;
};

} // namespace plimsoll
