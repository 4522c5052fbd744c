// Changes to a request that are tried until it fits: a smaller batch, a shorter length, another KV type, fraction or layout. Each answers
// with the least change of its kind whose plan fits, and tries no more than a bounded number of plans. For advice. Threads: one search,
// one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "search/layout_search.hpp"

namespace plimsoll {

class Trials {
public:
  // `settled` is of `input`, whose request does not fit.
  Trials(const PlanInput& input, const Settled& settled) : input_(input), settled_(settled) {}

  // The request as it is.
  std::optional<Tried> as_it_is(const PlanRequest& request) { return fitting(request, *input_.devices); }
  std::optional<Tried> smaller_batch(const PlanRequest& request);
  std::optional<Tried> shorter_length(const PlanRequest& request);
  // Both: as many requests as leave one half of the length that one request alone could have.
  std::optional<Tried> smaller_batch_and_length(const PlanRequest& request);
  std::optional<Tried> fewer_input_tokens(const PlanRequest& request);
  std::optional<Tried> smaller_kv_type(const PlanRequest& request);
  std::optional<Tried> larger_fraction(const PlanRequest& request);
  // Of engines that deal layers to devices: some of them, or their experts, in host memory.
  std::optional<Tried> more_on_host(const PlanRequest& request);
  // The layout of these devices that serves best. `misses` gets those that do not fit, the nearest first.
  std::optional<Tried> best_layout(const PlanRequest& request, const std::vector<Device>& devices,
                                   std::vector<PlanRequest>* misses = nullptr);

  // The first half of two changes, whether it fits or not.
  std::optional<PlanRequest> least_kv_type(const PlanRequest& request);
  std::optional<PlanRequest> largest_fraction(const PlanRequest& request) const;
  std::optional<PlanRequest> quarter_of_input_tokens(const PlanRequest& request) const;
  // The fraction that the free memory of every device allows, in whole hundredths; 0: none.
  std::uint32_t most_hundredths() const;

  // Weights of one replica, each once.
  std::uint64_t weights_bytes(const PlanRequest& request);
  // Requests at once as they are planned where nobody says so.
  std::uint64_t batch_of(const PlanRequest& request) const;

private:
  std::optional<Plan> planned(const PlanRequest& request, const std::vector<Device>& devices);
  std::optional<Tried> fitting(const PlanRequest& request, const std::vector<Device>& devices);
  std::optional<Tried> fitting(const PlanRequest& request) { return fitting(request, *input_.devices); }
  std::vector<PlanRequest> with_smaller_types(const PlanRequest& request) const;
  LayoutRules rules(std::uint32_t ranks) const;
  std::uint64_t least_input_tokens(const PlanRequest& request) const;
  bool splits_prompts() const;

  const PlanInput& input_;
  const Settled& settled_;
  std::uint64_t work_ = 0; // plans, each as much as it has ranks
};

} // namespace plimsoll
