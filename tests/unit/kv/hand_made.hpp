// KV groups, their prices and an engine's rules made by hand: what the layouts are tested with, without any plugin or profile.
// Prices follow from bytes of one slot of one layer, as price_kv makes them. Refers to nothing outside; must outlive its layouts.
// One thread.
#pragma once

#include <deque>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kv/layout.hpp"

namespace plimsoll {

class HandMade {
public:
  HandMade(KvLayoutKind kind, std::uint64_t page_tokens) {
    rules.layout = kind;
    rules.prefix_caching = false;
    input.page_tokens = page_tokens;
  }
  HandMade(const HandMade&) = delete;
  HandMade& operator=(const HandMade&) = delete;

  EngineProfile::Kv rules;
  KvLayoutInput input;
  std::vector<KvGroupPrice> prices;

  HandMade& full(std::uint64_t layers, std::uint64_t slot_bytes) { return paged(CacheKind::kFull, layers, slot_bytes); }
  HandMade& latent(std::uint64_t layers, std::uint64_t slot_bytes) { return paged(CacheKind::kLatent, layers, slot_bytes); }
  HandMade& window(std::uint64_t layers, std::uint64_t slot_bytes, std::uint64_t tokens) {
    paged(CacheKind::kWindow, layers, slot_bytes);
    groups_.back().window_tokens = tokens;
    return *this;
  }
  HandMade& chunk(std::uint64_t layers, std::uint64_t slot_bytes, std::uint64_t tokens) {
    paged(CacheKind::kChunk, layers, slot_bytes);
    groups_.back().window_tokens = tokens;
    return *this;
  }
  HandMade& cross(std::uint64_t layers, std::uint64_t slot_bytes, std::uint64_t tokens) {
    paged(CacheKind::kCross, layers, slot_bytes);
    groups_.back().fixed_tokens = tokens;
    return *this;
  }
  // One slot holds several tokens.
  HandMade& compressed(std::uint64_t layers, std::uint64_t slot_bytes, std::uint32_t tokens_per_slot) {
    return paged(CacheKind::kFull, layers, slot_bytes, tokens_per_slot);
  }
  HandMade& state(std::uint64_t layers, std::uint64_t layer_bytes) {
    KvGroupPrice& price = add(CacheKind::kState, layers);
    price.layer_state_bytes = layer_bytes;
    price.state_bytes = layer_bytes * layers;
    return *this;
  }
  // State that is rows of the last tokens, one row of each cache side by side.
  HandMade& rows(std::uint64_t layers, std::vector<std::uint64_t> row_bytes, std::uint64_t tokens) {
    std::uint64_t row = 0;
    for (const std::uint64_t bytes : row_bytes) row += bytes;
    state(layers, row * tokens);
    groups_.back().window_tokens = tokens;
    prices.back().row_bytes = std::move(row_bytes);
    return *this;
  }

  std::unique_ptr<KvLayout> layout() {
    input.prices = &prices;
    input.rules = &rules;
    return make_kv_layout(input);
  }

private:
  KvGroupPrice& add(CacheKind kind, std::uint64_t layers) {
    KvGroup& group = groups_.emplace_back();
    group.kind = kind;
    group.label = "group " + std::to_string(groups_.size());
    KvGroupPrice& price = prices.emplace_back();
    price.group = &group;
    price.layers = layers;
    return price;
  }
  HandMade& paged(CacheKind kind, std::uint64_t layers, std::uint64_t slot_bytes, std::uint32_t tokens_per_slot = 1) {
    KvGroupPrice& price = add(kind, layers);
    groups_.back().tokens_per_slot = tokens_per_slot;
    price.layer_slot_bytes = slot_bytes;
    price.page_bytes = slot_bytes * layers * ceil_div(input.page_tokens, tokens_per_slot);
    price.token_bytes = slot_bytes * layers / tokens_per_slot;
    return *this;
  }

  std::deque<KvGroup> groups_;
};

inline KvDemand demand_of(std::uint64_t sequences, std::uint64_t length_tokens, bool limited = false) {
  KvDemand demand;
  demand.sequences = sequences;
  demand.sequences_given = true;
  demand.length_tokens = length_tokens;
  demand.limited = limited;
  return demand;
}

// One to four groups of any kind. Windows, states and cross attention are rarer than what grows.
inline void fill_at_random(HandMade& made, std::mt19937_64& random) {
  const auto below = [&](std::uint64_t n) { return random() % n; };
  for (std::uint64_t i = below(4) + 1; i > 0; --i) {
    const std::uint64_t layers = below(8) + 1, bytes = (below(64) + 1) * 4;
    switch (below(7)) {
    case 0:
    case 1: made.full(layers, bytes); break;
    case 2: made.latent(layers, bytes); break;
    case 3: made.window(layers, bytes, below(600) + 1); break;
    case 4: made.chunk(layers, bytes, below(600) + 1); break;
    case 5: made.state(layers, bytes * (below(100) + 1)); break;
    default: made.cross(layers, bytes, below(400) + 1); break;
    }
  }
}

inline std::unique_ptr<HandMade> random_memory(KvLayoutKind kind, std::mt19937_64& random) {
  const auto below = [&](std::uint64_t n) { return random() % n; };
  auto made = std::make_unique<HandMade>(kind, kind == KvLayoutKind::kCells ? 1 : below(200) + 1);
  fill_at_random(*made, random);
  EngineProfile::Kv& rules = made->rules;
  rules.null_pages = kind == KvLayoutKind::kSplit || kind == KvLayoutKind::kCells ? 0 : below(3);
  rules.prefix_caching = below(2) == 0;
  rules.state_rows = below(3) + 1;
  rules.demand_limited = below(2) == 0;
  rules.windows = below(4) != 0;
  rules.decode_context_parallel = kind == KvLayoutKind::kCells || kind == KvLayoutKind::kSplit || below(4) != 0 ? 1 : below(4) + 1;
  rules.unified.alignment_tokens = below(32) + 1;
  rules.unified.in_flight_batches = below(3);
  rules.split.state_ratio = static_cast<double>(below(20)) / 10;
  rules.split.window_ratio = static_cast<double>(below(10) + 1) / 10;
  rules.split.spare_state_rows = below(2);
  rules.cells.pad_cells = below(300) + 1;
  rules.cells.kv_unified = below(2) == 0;
  rules.cells.swa_full = below(4) == 0;
  made->input.max_batch_input_tokens = below(500) + 1;
  made->input.sequences = below(8) + 1;
  made->input.draft_tokens = below(3);
  if (kind == KvLayoutKind::kGrouped) made->input.slack_tokens = below(3) * 3;
  rules.state_rows_per_draft_token = below(2);
  return made;
}

} // namespace plimsoll
