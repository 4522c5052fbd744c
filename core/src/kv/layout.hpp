// How one rank's KV memory is cut up, the same questions for every engine's way: `grouped` pools a page number over
// groups and keeps windows apart by bytes; `unified` makes blocks of one size that groups of equally many layers share;
// `split` divides the memory into tokens, window tokens and state rows by fixed ratios; `cells` holds one context of a
// given length. Never knows devices, budgets' origin or an engine's name. Threads: immutable; share freely.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/wide.hpp"
#include "engine/profile.hpp"
#include "kv/pool.hpp"
#include "kv/pricing.hpp"

namespace plimsoll {

// What the memory must hold at once.
struct KvDemand {
  std::uint64_t sequences = 1;
  bool sequences_given = false;
  std::uint64_t length_tokens = 0; // of each sequence; for cells of the whole context
  bool limited = false;            // take no more than the sequences need, where the engine works so
};

// A budget cut up.
struct KvCut {
  bool fits = false;                            // what the sequences need beside tokens, and one page
  bool endless = false;                         // more pages would serve no longer request
  std::uint64_t pages = 0;                      // of full attention, as the engine counts them
  std::optional<std::uint64_t> capacity_tokens; // that these pages hold; none where nothing grows with the length
  std::optional<std::uint64_t> state_rows;      // rows of recurrent state, where they are set apart
  std::optional<std::uint64_t> most_sequences;  // that these rows allow
  Wide used_bytes = 0;
};

// What one group gets of a cut.
struct KvGroupShare {
  Wide bytes = 0;               // where groups share blocks, of them all, with the first group
  std::uint64_t pages = 0;      // null pages included; where groups share blocks, the blocks of them all
  std::uint64_t null_pages = 0; // that no request gets
  std::uint64_t state_rows = 0;
};

class KvLayout {
public:
  virtual ~KvLayout() = default;

  // Tokens of one full-attention page, and the bytes of a page of every group, in the order of the prices.
  virtual std::uint64_t page_tokens() const = 0;
  virtual std::vector<std::uint64_t> page_bytes() const = 0;
  // Bytes of one request alone, with what the pool keeps for itself. Never falls as the length grows; saturates.
  virtual Wide request_bytes(std::uint64_t length_tokens) const = 0;
  // Whether every sequence of a batch takes memory from the start, used or not.
  virtual bool sets_sequences_aside() const { return false; }
  // The longest single request beside what the other sequences of a batch take from the start; UINT64_MAX where length
  // costs nothing more, nothing where not one token fits.
  virtual std::optional<std::uint64_t> longest_request_tokens(Wide budget_bytes, std::uint64_t sequences) const = 0;
  // The least room in which a request of that length stands beside the batch; an exact search where a layout knows no formula.
  virtual Wide least_room_bytes(std::uint64_t length_tokens, const KvDemand& demand) const;
  // Requests of that length that fit together.
  virtual KvRequestCount requests_that_fit(Wide budget_bytes, std::uint64_t length_tokens) const = 0;
  // At most `most_pages` pages: what other ranks of the replica have.
  virtual KvCut cut(Wide budget_bytes, const KvDemand& demand, Wide most_pages) const = 0;
  // What every group gets of it, in the order of the prices. The bytes are those of the cut.
  virtual std::vector<KvGroupShare> shares(const KvCut& cut, const KvDemand& demand) const = 0;
  // Bytes of a block where all groups draw from one pool of blocks; 0 where each has pages of its own.
  virtual std::uint64_t block_bytes() const { return 0; }
  // Tokens of one page of a group, where groups differ.
  virtual std::uint64_t group_page_tokens(std::size_t) const { return page_tokens(); }
  // Pages that one request of that length takes of a cut's pages; 0 where it takes none.
  virtual Wide pages_of_request(std::uint64_t length_tokens) const = 0;
  // Requests of that length that a cut holds at once.
  virtual KvRequestCount requests_held(const KvCut& cut, const KvDemand& demand, std::uint64_t length_tokens) const = 0;
  // What start-up lines count: tokens of the pages that one of the groups sharing them gets.
  virtual std::uint64_t group_tokens(std::uint64_t pages) const { return pages * page_tokens(); }
};

struct KvLayoutInput {
  const std::vector<KvGroupPrice>* prices = nullptr; // outlives the layout
  const EngineProfile::Kv* rules = nullptr;          // likewise
  std::uint64_t page_tokens = 0, max_batch_input_tokens = 0, draft_tokens = 0, sequences = 1;
  std::uint64_t slack_tokens = 0; // positions past its length that a request may occupy; grouped only
};

// The layout that the rules name.
std::unique_ptr<KvLayout> make_kv_layout(const KvLayoutInput& input);

// The kind a group is counted as: windows are full attention where the engine knows no windows.
inline CacheKind counted_kind(const KvGroup& group, const EngineProfile::Kv& rules) {
  return is_windowed(group.kind) && !rules.windows ? CacheKind::kFull : group.kind;
}

// Beyond any memory, and products with it still fit.
inline constexpr Wide kBeyondAnyMemory = static_cast<Wide>(1) << 100;

// The largest n in [0, most] for which `fits` holds, which must hold for all smaller ones once it holds for one.
template <class Fits>
std::uint64_t largest(std::uint64_t most, Fits&& fits) {
  std::uint64_t low = 0, high = most;
  while (low < high) {
    const std::uint64_t middle = low + (high - low) / 2 + 1;
    if (fits(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}

} // namespace plimsoll
