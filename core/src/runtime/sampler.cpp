#include "runtime/sampler.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>

#include "runtime/philox.hpp"

namespace plimsoll {
namespace {

// The lowest of the largest; nothing where there is no number.
std::optional<Token> greedy(std::span<const float> logits) {
  std::optional<std::size_t> best;
  for (std::size_t id = 0; id < logits.size(); ++id)
    if (!std::isnan(logits[id]) && (!best || logits[id] > logits[*best])) best = id;
  if (!best) return std::nullopt;
  return static_cast<Token>(*best);
}

} // namespace

Result<void> check_sampling(const SamplingOptions& options) {
  if (!(options.temperature >= 0) || std::isinf(options.temperature))
    return fail(ErrorCode::kBadRequest, fmt::format("is {}; a number of 0 (greedy) or above was expected", options.temperature),
                "temperature");
  if (!(options.top_p > 0 && options.top_p <= 1))
    return fail(ErrorCode::kBadRequest, fmt::format("is {}; a number above 0 and at most 1 was expected", options.top_p), "top_p");
  return {};
}

// The tokens to draw from, in an order that follows from the row alone: those that top_k and top_p leave. Weights are exponentials relative
// to the best.
void Sampler::gather(std::span<const float> logits, const SamplingOptions& options) {
  candidates_.clear();
  double most = -std::numeric_limits<double>::infinity();
  for (std::size_t id = 0; id < logits.size(); ++id) {
    if (std::isnan(logits[id])) continue;
    candidates_.push_back({static_cast<double>(logits[id]), static_cast<Token>(id)});
    most = std::max(most, candidates_.back().weight);
  }
  const auto is_better = [](const Candidate& a, const Candidate& b) {
    return a.weight != b.weight ? a.weight > b.weight : a.token < b.token;
  };
  if (options.top_k > 0 && options.top_k < candidates_.size()) {
    const auto end = candidates_.begin() + static_cast<std::ptrdiff_t>(options.top_k);
    std::partial_sort(candidates_.begin(), end, candidates_.end(), is_better); // not nth_element, whose order the library chooses
    candidates_.erase(end, candidates_.end());
  }
  if (options.top_p < 1) std::sort(candidates_.begin(), candidates_.end(), is_better);
  double sum = 0;
  for (Candidate& candidate : candidates_) {
    candidate.weight = std::isinf(most) ? (candidate.weight == most ? 1 : 0) : std::exp((candidate.weight - most) / options.temperature);
    sum += candidate.weight;
  }
  double kept = 0;
  for (std::size_t n = 0; n < candidates_.size() && options.top_p < 1; ++n) {
    kept += candidates_[n].weight;
    if (kept >= options.top_p * sum) candidates_.resize(n + 1);
  }
}

Result<Token> Sampler::sample(std::span<const float> logits, const SamplingOptions& options, RequestId request, std::uint64_t position) {
  const std::optional<Token> best = greedy(logits);
  if (!best)
    return fail(ErrorCode::kInternal,
                fmt::format("the {} logits of request {} at position {} are no numbers", logits.size(), request, position));
  if (options.temperature == 0 || options.top_k == 1) return *best;
  gather(logits, options);
  double sum = 0;
  for (const Candidate& candidate : candidates_) sum += candidate.weight;
  double left = uniform_draw(options.seed, request, position) * sum;
  for (const Candidate& candidate : candidates_) {
    left -= candidate.weight;
    if (left < 0) return candidate.token;
  }
  return *best; // rounding left a rest
}

} // namespace plimsoll
