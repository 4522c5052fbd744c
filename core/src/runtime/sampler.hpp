// Chooses the next token from a row of logits. Called by the pipeline for every output row; never changes the row, and what it chooses
// depends on nothing but the row, the options, the request and the position. Threads: [serial] per sampler.
#pragma once

#include <span>
#include <vector>

#include "plimsoll/text_generation.hpp"

namespace plimsoll {

// kBadRequest: a temperature below 0 or not a number, a top_p outside (0, 1].
Result<void> check_sampling(const SamplingOptions& options);

class Sampler {
public:
  // kInternal where the row has no number at all: a model that computed nonsense. Not-a-number counts as minus infinity, and so
  // does a token that the temperature leaves no probability.
  Result<Token> sample(std::span<const float> logits, const SamplingOptions& options, RequestId request, std::uint64_t position);

private:
  struct Candidate {
    double weight; // logit, then its exponential
    Token token;
  };
  void gather(std::span<const float> logits, const SamplingOptions& options);
  std::vector<Candidate> candidates_; // kept from call to call
};

} // namespace plimsoll
