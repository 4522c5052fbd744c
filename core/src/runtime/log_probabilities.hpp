// Log-probabilities of rows of logits: what PipelineModel::compute_log_probabilities puts together per request. Never samples and never
// looks at temperature. Threads: pure functions.
#pragma once

#include <span>

#include "plimsoll/pipeline_model.hpp"

namespace plimsoll {

// Adds what one row of raw logits says: of `sampled`, and of the `top_n` best (1 ... row.size()). `sampled` is an index of the row.
// Sums are in double, over the whole row with its maximum taken off first. Not-a-number counts as minus infinity.
void append_log_probabilities(std::span<const float> row, Token sampled, std::size_t top_n, LogProbabilities& out);

// Adds the rows of `from` from number `first` on.
void append_rows(LogProbabilities& to, const LogProbabilities& from, std::size_t first = 0);

} // namespace plimsoll
