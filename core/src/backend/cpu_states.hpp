// A sequence's part of a state as numbers to compute with, and back; and what steps are made of. Called by the ops that keep states.
// Threads: pure functions.
#pragma once

#include <algorithm>
#include <cmath>

#include "backend/backend.hpp"
#include "backend/elements.hpp"

namespace plimsoll::cpu {

// log(1 + e^x), without overflow and exact where x is very negative.
template <class Real>
Real softplus(Real x) {
  return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x));
}

inline void* state_row(const StateView& state, std::uint64_t b) {
  return static_cast<std::byte*>(state.pool) + state.rows[b * state.rows_each] * state.row_stride_bytes + state.offset_bytes;
}

// Elements [first, first + n) of sequence b. A sequence that begins has zeros, whatever an earlier one left in its row.
template <class Real>
void load_state(const PassView& pass, const StateView& state, std::uint64_t b, std::uint64_t first, std::uint64_t n, Real* out) {
  if (pass.cache_lengths[b] == 0) std::fill_n(out, n, Real{0});
  else load_elements(state_row(state, b), state.type, first, n, out);
}

template <class Real>
void store_state(const StateView& state, std::uint64_t b, std::uint64_t first, std::uint64_t n, const Real* x) {
  store_elements(x, n, state_row(state, b), state.type, first);
}

// Calls token(t) for the tokens of every sequence, with elements [first, first + n) of its state in `at_hand`.
template <class Real, class Token>
void over_tokens(const PassView& pass, const StateView& state, std::uint64_t first, std::uint64_t n, Real* at_hand, const Token& token) {
  for (std::uint64_t b = 0; b < pass.sequences; ++b) {
    load_state(pass, state, b, first, n, at_hand);
    for (std::uint64_t t = pass.row_offsets[b]; t < pass.row_offsets[b + 1]; ++t) token(t);
    store_state(state, b, first, n, at_hand);
  }
}

} // namespace plimsoll::cpu
