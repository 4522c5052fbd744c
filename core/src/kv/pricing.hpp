// What the declared KV groups cost on one rank: bytes of a page of all the layers that its stage holds, and bytes of
// recurrent state per sequence. The pool arithmetic is pool.hpp. Never knows a budget. Threads: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/profile.hpp"
#include "model/declared.hpp"
#include "placement/rank_layout.hpp"

namespace plimsoll {

// Types of K and V, which may differ ("q8_0/q4_0"), and of recurrent state; how the engine keeps latents.
struct KvTypes {
  Dtype k, v, model;
  std::optional<Dtype> window;                      // of window layers, where the engine keeps these apart
  std::optional<Dtype> state, conv;                 // absent: the checkpoint's wish, else the model's own type
  std::uint64_t k_head_bytes = 0, v_head_bytes = 0; // scales of a token and head
  LatentCache latent = LatentCache::kLatent;
  bool packed_latent = false;           // 8-bit latents with a scale per 128 elements beside rope in 16 bits
  std::uint64_t value_row_elements = 0; // a token's values of a layer, all heads, take at least so many; 0: what they are
  std::string name;                     // as given
};

// "bfloat16", "q8_0/q4_0", "fp8_per_token_head"; kBadRequest names `where` for anything else.
Result<KvTypes> parse_kv_types(const std::string& text, const std::string& where);

// What one slot of one layer holds on one rank.
struct KvSlot {
  CacheKind kind = CacheKind::kFull; // as it is stored: latents whose keys and values are kept for every head are kFull
  std::uint64_t kv_heads = 0, k_elements = 0, v_elements = 0; // elements of one head as they are stored
  std::string_view k_dtype, v_dtype;                          // live as long as the model; empty for a mixed record
};

// The floating-point type in which a model of these weights computes: their own, or bfloat16.
Dtype cache_type_of(const Dtype& weights);

// A region of a state as one rank holds it.
struct StatePart {
  std::string_view dtype;
  std::uint64_t elements = 0; // drafted tokens' included
};

struct KvGroupPrice {
  const KvGroup* group = nullptr;
  std::uint64_t first_layer = 0;        // index of the stage's first layer in the group's list
  std::uint64_t layers = 0;             // of this group on this stage
  KvSlot slot;                          // empty for state
  std::uint64_t layer_slot_bytes = 0;   // one layer, one slot of the cache on one rank; 0 for state
  std::uint64_t layer_state_bytes = 0;  // one layer, one sequence's recurrent state on one rank
  std::uint64_t page_bytes = 0;         // one page of all those layers on one rank; 0 for state
  std::uint64_t token_bytes = 0;        // one token of all those layers; 0 for state
  std::uint64_t state_bytes = 0;        // one sequence's recurrent state, one row
  std::vector<StatePart> state_parts;   // of layer_state_bytes, in the order of the group's regions
  std::vector<std::uint64_t> row_bytes; // one layer, one token of every region, where the state is rows of a window's tokens
};

// Prices of every group that has layers on `stage`, which may be the host's; draft groups only where `draft` is set.
Result<std::vector<KvGroupPrice>> price_kv(const Declared& declared, const RankLayout& layout, std::uint32_t stage, const KvTypes& types,
                                           std::uint64_t page_tokens, std::uint32_t num_draft_tokens, bool draft);

} // namespace plimsoll
