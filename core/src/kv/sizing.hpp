// From the KV memory of every rank and what is wished for to what is promised: the length, the batch, and the cut of each
// rank's memory. The one computation behind plans and the per-device estimator. Never knows devices, engines' names or
// where the memory comes from. Threads: pure functions.
// Example: Llama 3.1 8B on one H100, 61,248,889,088 B: 3,650 pages of 16,777,216 B, requests of 131,072 tokens take 1,024.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kv/layout.hpp"

namespace plimsoll {

// The KV memory of all ranks; where the host keeps layers, its own stands behind them like a replica's. Refers to its parts; they outlive
// it.
struct KvMemory {
  std::span<const KvLayout* const> layout_of_stage;
  std::span<const std::uint32_t> stage_of_rank;
  std::span<const Wide> room_bytes; // per rank; negative where something else takes too much
  std::uint32_t ranks_per_replica = 1;

  std::uint32_t n_ranks() const { return static_cast<std::uint32_t>(room_bytes.size()); }
  const KvLayout& layout(std::uint32_t rank) const { return *layout_of_stage[stage_of_rank[rank]]; }
  // Whether a rank has the stage and the room of the one before it, and so the same answers.
  bool same_as_before(std::uint32_t rank) const {
    return rank > 0 && room_bytes[rank] == room_bytes[rank - 1] && stage_of_rank[rank] == stage_of_rank[rank - 1];
  }
};

struct KvWish {
  std::uint64_t max_length = 1;       // tokens of one request
  bool may_shorten = false;           // the length is a default
  bool length_first = false;          // where it is shortened: the longest that fits, whatever is left for a batch
  std::optional<std::uint64_t> batch; // requests at once, where that is known
  bool batch_is_asked_for = false;    // not to be made smaller
  // How a batch is chosen otherwise: at most this many, of requests of that length or of max_length where that is less.
  std::uint64_t most_requests = 1, usual_request_tokens = 1;
  // Engines that derive it from the tokens that the pool holds for each token of the context; 0: no such rule.
  std::uint64_t requests_per_context = 0, least_requests = 1, most_context_requests = 1;
  bool limited = true; // take no more than the batch needs, where the engine works so
};

enum class KvShortage : std::uint8_t {
  kNone,
  kNoPage,  // not one page and what a sequence needs beside it
  kTooLong, // one request of that length
  kTooMany  // what the sequences of the batch take from the start
};

struct KvSizing {
  KvShortage shortage = KvShortage::kNone;
  std::uint32_t scarce_rank = 0;    // the rank that binds
  std::vector<Wide> needed_bytes;   // per rank, where there is a shortage: the least room that would do
  std::uint64_t longest_tokens = 0; // of a single request beside the batch; UINT64_MAX where memory sets no bound
  std::uint64_t max_length = 0;
  bool shortened = false, shortened_for_batch = false; // the latter: by what the batch takes from the start
  std::uint64_t batch = 1;
  KvDemand demand;         // that the cuts were made for
  std::vector<KvCut> cuts; // per rank
  KvRequestCount held;     // requests of max_length that the cuts hold at once, on the poorest rank

  std::uint64_t batch_at_max_length() const { return held.unlimited ? batch : std::min(batch, held.whole()); }
};

KvSizing size_kv(const KvMemory& memory, const KvWish& wish);

// Requests of that length on the poorest rank, each with all that it needs.
KvRequestCount requests_that_fit(const KvMemory& memory, std::uint64_t length_tokens);

} // namespace plimsoll
