// What one forward pass is handed beside the pages themselves: tokens, offsets, lengths, page tables. The plan counts these bytes, the
// runtime allocates them, both from here. Header only: both libraries have it. Threads: pure functions.
#pragma once

#include <cstdint>

#include "base/checked.hpp"

namespace plimsoll {

// The largest pass that a plan is made for.
struct PassShape {
  std::uint64_t tokens = 0;         // of the pass, all sequences together
  std::uint64_t outputs = 0;        // rows that want logits
  std::uint64_t sequences = 0;      // of the pass
  std::uint64_t context_tokens = 0; // of the longest request
  bool hands_on = false;            // what the last layer leaves stays until the next pass: a head reads it
};

// Columns of a page table: pages of the longest request, rounded up to 8, and 16 more, so that a load of 16 stays inside.
constexpr std::uint64_t table_columns(std::uint64_t context_tokens, std::uint64_t page_tokens) {
  return page_tokens == 0 ? 0 : ceil_div(ceil_div(context_tokens, page_tokens), 8) * 8 + 16;
}

// tokens int64 [T], input_row_offsets uint32 [B + 1], return_n_logits int64 [1]: of each model of a plan.
constexpr Checked model_input_bytes(const PassShape& pass) { return Checked(pass.tokens) * 8 + (Checked(pass.sequences) + 1) * 4 + 8; }

// Those, and of the cache, which models share: cache_lengths uint32 [B], max_lengths uint32 [1, 2].
constexpr Checked step_input_bytes(const PassShape& pass) { return model_input_bytes(pass) + Checked(pass.sequences) * 4 + 8; }

// Of a head that drafts, tokens int64 [T] and input_row_offsets uint32 [B + 1]; what says of the cache is the model's.
constexpr Checked head_input_bytes(const PassShape& pass) { return Checked(pass.tokens) * 8 + (Checked(pass.sequences) + 1) * 4; }

// lora_ids int32 [B], lora_ranks uint32 [B], where a plan has room for adapters.
constexpr Checked adapter_input_bytes(const PassShape& pass) { return Checked(pass.sequences) * 8; }

// position_ids uint32 [T, 3], image_rows uint32 [T], and positions of patches uint32 [P, 3], where a plan takes images. The last two
// on ranks of the first stage alone.
constexpr Checked position_bytes(std::uint64_t rows) { return Checked(rows) * 12; }
constexpr Checked image_row_bytes(std::uint64_t tokens) { return Checked(tokens) * 4; }

// lookup_table uint32 [B, columns] of one KV group.
constexpr Checked lookup_table_bytes(const PassShape& pass, std::uint64_t page_tokens) {
  return Checked(pass.sequences) * table_columns(pass.context_tokens, page_tokens) * 4;
}

// state_rows uint32 [B, rows of a sequence] of one group of states.
constexpr Checked state_rows_bytes(const PassShape& pass, std::uint64_t rows_per_sequence) {
  return Checked(pass.sequences) * rows_per_sequence * 4;
}

} // namespace plimsoll
