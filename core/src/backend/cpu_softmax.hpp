// A softmax over keys that come block by block: of every row of queries the largest score so far, the sum of the weights, and the weighted
// sum of values, each rescaled when a larger score turns up. So no row of scores is ever longer than a block. Called by the ops that
// attend. Threads: [serial].
#pragma once

#include <algorithm>

#include "backend/backend.hpp"
#include "schedule/scratch_layout.hpp"

namespace plimsoll::cpu {

// A block of queries: row = head * tokens + token, the tokens at positions that follow one another.
template <class Real>
struct RunningSoftmax {
  QueryBlock block;
  std::uint64_t first_position = 0, width = 0; // width: of a value
  Visibility visible;
  std::uint64_t keys = UINT64_MAX; // that there are, where queries see what is behind them
  Real* scores = nullptr;          // [rows, kKeyBlockTokens]
  Real* sums = nullptr;            // [rows, width]
  Real* maxima = nullptr;          // [rows]
  Real* weights = nullptr;         // [rows]

  // `sinks`: a logit for each head of the block that weighs in without a value; may be null.
  void start(const Real* sinks) const;
  // Of scores of the keys [begin, end): a block of at most kKeyBlockTokens. values: [end - begin, width], rows `stride` apart.
  void add(std::uint64_t begin, std::uint64_t end, double soft_cap, const Real* values, std::uint64_t stride) const;
  // Divides the sums by the weights.
  void finish() const;

  // Keys that any row of the block sees: [first_key, end_key).
  std::uint64_t first_key() const { return visible.first(first_position); }
  std::uint64_t end_key() const { return std::min(visible.end(first_position + block.tokens - 1), keys); }
};

// Calls what(begin, end) for every block of keys that the softmax needs, in order; blocks end at multiples of kKeyBlockTokens.
template <class Real, class Function>
void for_key_blocks(const RunningSoftmax<Real>& softmax, Function what) {
  for (std::uint64_t begin = softmax.first_key(); begin < softmax.end_key();) {
    const std::uint64_t end = std::min((begin / kKeyBlockTokens + 1) * kKeyBlockTokens, softmax.end_key());
    what(begin, end);
    begin = end;
  }
}

extern template struct RunningSoftmax<float>;
extern template struct RunningSoftmax<double>;

} // namespace plimsoll::cpu
