#include "kv/sizing.hpp"

#include <algorithm>

#include "base/checked.hpp"

namespace plimsoll {
namespace {

struct Longest {
  std::uint64_t tokens = UINT64_MAX;
  std::uint32_t rank = 0;
};

// The longest single request beside a batch of so many sequences, and the rank that sets it.
Longest longest_request(const KvMemory& memory, std::uint64_t sequences) {
  Longest least;
  for (std::uint32_t rank = 0; rank < memory.n_ranks(); ++rank) {
    if (memory.same_as_before(rank)) continue;
    const std::uint64_t here = memory.layout(rank).longest_request_tokens(memory.room_bytes[rank], sequences).value_or(0);
    if (here < least.tokens) least = {here, rank};
  }
  return least;
}

bool sets_sequences_aside(const KvMemory& memory) {
  return std::any_of(memory.layout_of_stage.begin(), memory.layout_of_stage.end(),
                     [](const KvLayout* layout) { return layout->sets_sequences_aside(); });
}

std::uint64_t requests_of_context(const KvMemory& memory, const KvWish& wish, std::uint64_t length) {
  std::uint64_t least = UINT64_MAX;
  for (std::uint32_t rank = 0; rank < memory.n_ranks(); ++rank) {
    if (memory.same_as_before(rank)) continue;
    const KvCut cut = memory.layout(rank).cut(memory.room_bytes[rank], {}, kWideMax);
    const std::uint64_t tokens = cut.capacity_tokens.value_or(UINT64_MAX);
    const std::uint64_t wanted = std::clamp(mul_div(tokens, wish.requests_per_context, length), wish.least_requests,
                                            std::max(wish.least_requests, wish.most_context_requests));
    least = std::min({least, wanted, tokens / 2, cut.most_sequences.value_or(UINT64_MAX)});
  }
  return least;
}

std::uint64_t chosen_batch(const KvMemory& memory, const KvWish& wish, std::uint64_t length) {
  std::uint64_t holds = requests_that_fit(memory, std::min(length, wish.usual_request_tokens)).whole();
  if (wish.requests_per_context > 0) holds = std::min(holds, requests_of_context(memory, wish, length));
  return std::max<std::uint64_t>(1, std::min(wish.most_requests, holds));
}

class Sizer {
public:
  Sizer(const KvMemory& memory, const KvWish& wish) : memory_(memory), wish_(wish) {}

  KvSizing run() {
    r_.max_length = wish_.max_length;
    settle_length(longest_request(memory_, 1));
    const bool room = r_.shortage == KvShortage::kNone;
    r_.batch = wish_.batch.value_or(room ? chosen_batch(memory_, wish_, r_.max_length) : 1);
    if (room && sets_sequences_aside(memory_)) set_sequences_aside();
    cut_memory();
    return std::move(r_);
  }

private:
  void lack(KvShortage shortage, std::uint32_t rank) {
    r_.shortage = shortage;
    r_.scarce_rank = rank;
  }

  void settle_length(const Longest& longest) {
    r_.scarce_rank = longest.rank;
    r_.longest_tokens = longest.tokens;
    if (longest.tokens >= r_.max_length) return;
    if (longest.tokens == 0) return lack(KvShortage::kNoPage, longest.rank);
    if (!wish_.may_shorten) return lack(KvShortage::kTooLong, longest.rank);
    r_.max_length = longest.tokens;
    r_.shortened = true;
  }

  // What every sequence takes from the start comes first. A batch that was not asked for leaves room for one request of
  // full length; where that is shortened anyway it is shortened beside the batch.
  void set_sequences_aside() {
    if (!wish_.batch_is_asked_for && (!r_.shortened || wish_.length_first))
      r_.batch = std::max<std::uint64_t>(
          1, largest(r_.batch, [&](std::uint64_t n) { return n == 0 || longest_request(memory_, n).tokens >= r_.max_length; }));
    const Longest beside = longest_request(memory_, r_.batch);
    r_.shortened_for_batch = beside.tokens < r_.max_length;
    if (beside.tokens > 0) return settle_length(beside);
    r_.longest_tokens = 0;
    lack(KvShortage::kTooMany, beside.rank);
  }

  // As many pages as the poorest rank of a replica has, since a page number spans the replica; a stage whose layers look no further back
  // than a window, or are states, has as many as it needs.
  void cut_memory() {
    r_.demand.sequences = r_.batch;
    r_.demand.sequences_given = wish_.batch_is_asked_for;
    r_.demand.length_tokens = r_.max_length;
    r_.demand.limited = wish_.limited;
    r_.cuts.resize(memory_.n_ranks());
    for (std::uint32_t first = 0; first < memory_.n_ranks(); first += memory_.ranks_per_replica) cut_replica(first);
    if (r_.shortage != KvShortage::kNone) need();
    for (const KvCut& cut : r_.cuts)
      if (cut.most_sequences) r_.batch = std::max<std::uint64_t>(1, std::min(r_.batch, *cut.most_sequences));
    r_.held = held_of(r_.max_length);
    if (r_.shortage == KvShortage::kNone && !r_.held.unlimited && r_.held.whole() == 0) settle_common_pages();
  }

  KvRequestCount held_of(std::uint64_t length) const {
    KvRequestCount held;
    held.unlimited = true;
    for (std::uint32_t rank = 0; rank < memory_.n_ranks(); ++rank) {
      const KvRequestCount here = memory_.layout(rank).requests_held(r_.cuts[rank], r_.demand, length);
      if (here < held) held = here;
    }
    return held;
  }

  // A rank has room for the length and pages for less: a stage that keeps more groups needs more of the pages, of which the replica
  // has as many as another stage.
  void settle_common_pages() {
    r_.longest_tokens = largest(r_.max_length, [&](std::uint64_t n) {
      if (n == 0) return true;
      const KvRequestCount held = held_of(n);
      return held.unlimited || held.whole() > 0;
    });
    if (r_.longest_tokens == 0 || !wish_.may_shorten) {
      lack(r_.longest_tokens == 0 ? KvShortage::kNoPage : KvShortage::kTooLong, r_.scarce_rank);
      need();
      // As many times its room as a request takes of the pages that there are.
      const Wide had = std::max<Wide>(1, r_.held.numerator);
      const Wide needed = (CheckedWide(memory_.room_bytes[r_.scarce_rank]) * CheckedWide(r_.held.denominator)).saturated() / had + 1;
      r_.needed_bytes[r_.scarce_rank] = std::max(r_.needed_bytes[r_.scarce_rank], needed);
      return;
    }
    r_.max_length = r_.longest_tokens;
    r_.shortened = true;
    r_.held = held_of(r_.max_length);
  }

  void cut_replica(std::uint32_t first) {
    Wide pages = kWideMax;
    const std::uint32_t end = std::min(first + memory_.ranks_per_replica, memory_.n_ranks());
    for (std::uint32_t rank = first; rank < end; ++rank) {
      KvCut& cut = r_.cuts[rank];
      cut = memory_.same_as_before(rank) && rank > first ? r_.cuts[rank - 1]
                                                         : memory_.layout(rank).cut(memory_.room_bytes[rank], r_.demand, kWideMax);
      if (!cut.fits && r_.shortage == KvShortage::kNone) lack(KvShortage::kTooMany, rank);
      if ((cut.pages > 0 && !cut.endless) || !cut.fits) pages = std::min(pages, static_cast<Wide>(cut.pages));
    }
    for (std::uint32_t rank = first; rank < end; ++rank)
      if (static_cast<Wide>(r_.cuts[rank].pages) > pages)
        r_.cuts[rank] = memory_.layout(rank).cut(memory_.room_bytes[rank], r_.demand, pages);
  }

  // The least room in which each rank would do what was wished for.
  void need() {
    const std::uint64_t length = r_.shortage == KvShortage::kTooLong ? r_.max_length : 1;
    KvDemand demand = r_.demand;
    if (r_.shortage == KvShortage::kNoPage) demand.sequences = 1;
    demand.length_tokens = length;
    r_.needed_bytes.resize(memory_.n_ranks());
    for (std::uint32_t rank = 0; rank < memory_.n_ranks(); ++rank)
      r_.needed_bytes[rank] =
          memory_.same_as_before(rank) ? r_.needed_bytes[rank - 1] : memory_.layout(rank).least_room_bytes(length, demand);
  }

  const KvMemory& memory_;
  const KvWish& wish_;
  KvSizing r_;
};

} // namespace

KvSizing size_kv(const KvMemory& memory, const KvWish& wish) { return Sizer(memory, wish).run(); }

KvRequestCount requests_that_fit(const KvMemory& memory, std::uint64_t length) {
  KvRequestCount least;
  least.unlimited = true;
  for (std::uint32_t rank = 0; rank < memory.n_ranks(); ++rank) {
    if (memory.same_as_before(rank)) continue;
    const KvRequestCount here = memory.layout(rank).requests_that_fit(memory.room_bytes[rank], length);
    if (here < least) least = here;
  }
  return least;
}

} // namespace plimsoll
