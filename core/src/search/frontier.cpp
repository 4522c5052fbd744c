#include "search/frontier.hpp"

#include <algorithm>

#include "plan/entry_caches.hpp"
#include "plan/gate.hpp"
#include "plan/kv_cache.hpp"
#include "plan/place_weights.hpp"
#include "plan/price_items.hpp"
#include "plan/refusals.hpp"
#include "plimsoll/limits.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kShortest = 256, kPointsPerDoubling = 4;

// 256, 320, 384, 448, 512, 640, ... up to `longest`, which is always the last.
std::vector<std::uint64_t> lengths(std::uint64_t longest) {
  std::vector<std::uint64_t> out;
  for (std::uint64_t octave = kShortest; octave < longest; octave *= 2)
    for (std::uint64_t i = 0; i < kPointsPerDoubling; ++i)
      if (const std::uint64_t length = octave + octave / kPointsPerDoubling * i; length < longest) out.push_back(length);
  out.push_back(longest);
  return out;
}

class Searcher {
public:
  explicit Searcher(const PlanInput& input) : request_(*input.request), input_(input), weights_(1) {
    request_.explain = false;
    request_.max_length_auto = false;
    input_.request = &request_;
  }

  Result<void> place(std::uint64_t longest) {
    PLIMSOLL_TRY(settle_for(longest, 1));
    weights_ = Ledger(settled_->layout.ranks());
    Findings ignored;
    return place_weights(*settled_, weights_, ignored);
  }

  // Whether steps of any batch and length leave the same room: then it is priced once.
  Result<void> look_for_constant_room(std::uint64_t shortest, std::uint64_t longest) {
    PLIMSOLL_ASSIGN(const Room large, room_of(shortest, kMostTokens));
    PLIMSOLL_ASSIGN(Room small, room_of(longest, 1));
    if (large.fits == small.fits && large.bytes == small.bytes && large.most_requests == small.most_requests) constant_ = std::move(small);
    return {};
  }

  // The largest batch of requests of that length, at most `most`. How many a plan for a batch holds never grows with the
  // batch, so that each try narrows from both ends: where fewer fit than were tried, that many do, and at most as many more
  // as a plan for them holds.
  Result<std::uint64_t> largest_batch(std::uint64_t length, std::uint64_t most) {
    Between between{0, most};
    std::uint64_t batch = guess(length, most);
    for (bool halve = false; between.low < between.high; halve = !halve) {
      PLIMSOLL_TRY(narrow(length, batch, between));
      batch = halve ? between.low + (between.high - between.low + 1) / 2 : between.high;
    }
    last_tokens_ = length * between.low;
    return between.low;
  }

private:
  struct Between {
    std::uint64_t low = 0, high = 0; // batches: one that can be had, the largest that may
  };
  struct Held {
    std::uint64_t requests = 0; // of the plan's length at once
    std::uint64_t most = 0;     // that a plan for a larger batch may hold
  };
  Result<void> narrow(std::uint64_t length, std::uint64_t batch, Between& between) {
    PLIMSOLL_ASSIGN(const Held here, held(length, batch));
    if (here.requests >= batch) {
      between = {batch, std::min(between.high, here.most)};
      return {};
    }
    between.high = batch - 1;
    if (here.requests <= between.low) return {};
    PLIMSOLL_ASSIGN(const Held again, held(length, here.requests));
    if (again.requests >= here.requests) between = {here.requests, std::min(between.high, again.most)};
    return {};
  }

  // As many tokens as the last length had.
  std::uint64_t guess(std::uint64_t length, std::uint64_t most) const {
    return last_tokens_ == 0 ? most : std::clamp<std::uint64_t>(last_tokens_ / length, 1, most);
  }

  static constexpr std::uint64_t kMostTokens = UINT64_MAX;

  struct Room {
    bool fits = false;
    std::vector<Wide> bytes; // per rank
    std::uint64_t most_requests = 0;
  };

  Result<void> settle_for(std::uint64_t length, std::uint64_t batch) {
    request_.max_length = length;
    request_.max_batch_size = std::min(batch, kMaxSequences);
    if (settled_) {
      settled_->warnings.clear();
      return settle_sizes(*settled_);
    }
    PLIMSOLL_ASSIGN(settled_, settle(input_));
    return {};
  }

  // The stages as they are for these sizes; made anew where the layouts depend on what has changed.
  Result<void> renew_stages() {
    const KvLayoutKind kind = settled_->profile().kv.layout;
    const bool by_sequence = kind == KvLayoutKind::kSplit || kind == KvLayoutKind::kCells; // rings of requests, slots of a context
    const std::uint64_t sequences = by_sequence ? settled_->batch.value_or(0) : 0;
    const std::pair key(settled_->max_batch_input_tokens, sequences);
    if (stages_ && key == stages_for_) return {};
    PLIMSOLL_ASSIGN(stages_, KvStages::create(*settled_, settled_->batch));
    stages_for_ = key;
    return {};
  }

  // What a plan of that length and batch leaves for its KV cache.
  Result<Room> room_of(std::uint64_t length, std::uint64_t batch) {
    PLIMSOLL_TRY(settle_for(length, batch));
    Findings findings;
    Ledger ledger = weights_.sums();
    PLIMSOLL_TRY(price_items(*settled_, settled_->batch, *settled_->batch, ledger));
    check_static(*settled_, ledger, findings);
    Plan unused;
    PLIMSOLL_TRY(plan_entry_caches(*settled_, ledger, findings, unused));
    Room room;
    room.fits = !findings.error;
    room.bytes = kv_rooms(*settled_, ledger);
    room.most_requests = settled_->max_batch_input_tokens;
    ledger_ = std::move(ledger);
    return room;
  }

  // Requests of that length that the memory of a plan for `batch` of them holds; 0 where it does not fit.
  Result<Held> held(std::uint64_t length, std::uint64_t batch) {
    Room priced;
    if (constant_) {
      settled_->max_length = length;
      settled_->batch = std::min(batch, constant_->most_requests);
    } else {
      PLIMSOLL_ASSIGN(priced, room_of(length, batch));
    }
    const Room& room = constant_ ? *constant_ : priced;
    if (!room.fits) return Held{};
    PLIMSOLL_TRY(renew_stages());
    KvWish wish = kv_wish(*settled_, settled_->batch);
    wish.limited = false;
    const KvMemory memory = stages_->memory(room.bytes);
    const KvSizing sizing = size_kv(memory, wish);
    if (sizing.shortage != KvShortage::kNone || !stands(sizing)) return Held{};
    const std::uint64_t holds = sizing.held.whole();
    if (*settled_->batch < batch) return Held{std::min(holds, *settled_->batch), 0}; // a pass of fewer tokens has a smaller batch
    return Held{holds, holds >= batch && is_made_for_a_batch(memory, sizing) ? UINT64_MAX : holds};
  }

  // Whether states or windows are there for the sequences of the batch and for no more: such a plan says nothing of a larger batch.
  static bool is_made_for_a_batch(const KvMemory& memory, const KvSizing& sizing) {
    return std::any_of(memory.layout_of_stage.begin(), memory.layout_of_stage.end(),
                       [](const KvLayout* layout) { return layout->sets_sequences_aside(); }) ||
           std::any_of(sizing.cuts.begin(), sizing.cuts.end(),
                       [](const KvCut& cut) { return cut.most_sequences.has_value() || cut.endless; });
  }

  // Whether the KV memory together with the rest stays within every device, and leaves what the engine takes beside its fraction.
  bool stands(const KvSizing& sizing) const {
    for (std::uint32_t rank = 0; rank < settled_->layout.ranks(); ++rank) { // the host's room is all that it has
      const Wide used = static_cast<Wide>(ledger_->used(rank)) + sizing.cuts[rank].used_bytes;
      const std::uint64_t free = settled_->devices()[rank].free_bytes;
      if (used > static_cast<Wide>(std::min(settled_->budget_bytes[rank], free))) return false;
      const std::uint64_t outside = outside_bytes(*settled_, settled_->sequences(settled_->batch), rank);
      if (outside > 0 && used + static_cast<Wide>(outside) > static_cast<Wide>(free)) return false;
    }
    return starts(*settled_);
  }

  PlanRequest request_;
  PlanInput input_;
  std::optional<Settled> settled_;
  Ledger weights_;
  std::optional<Ledger> ledger_;
  std::optional<Room> constant_;
  std::optional<KvStages> stages_;
  std::pair<std::uint64_t, std::uint64_t> stages_for_{};
  std::uint64_t last_tokens_ = 0;
};

} // namespace

Result<std::optional<FrontierCurve>> find_frontier(const PlanInput& input, const Plan& plan) {
  if (plan.kv_cache.groups.empty() || input.request->accounting == Accounting::kPooled) return std::optional<FrontierCurve>();
  const std::vector<std::uint64_t> all = lengths(std::max<std::uint64_t>(1, plan.limits.max_length));
  Searcher searcher(input);
  PLIMSOLL_TRY(searcher.place(all.back()));
  PLIMSOLL_TRY(searcher.look_for_constant_room(all.front(), all.back()));
  FrontierCurve curve;
  curve.kv_dtype = plan.kv_cache.dtype;
  std::uint64_t most = plan.request.max_batch_input_tokens;
  for (const std::uint64_t length : all) {
    PLIMSOLL_ASSIGN(most, searcher.largest_batch(length, std::max<std::uint64_t>(1, most)));
    curve.points.push_back({length, most});
  }
  return curve;
}

} // namespace plimsoll
