#include "plan/fit_layers.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "plan/profile_items.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kMostSearchedLayers = 1024;
constexpr std::size_t kMostStrides = 256; // no model known has more splits

struct TriedSplit {
  std::optional<std::uint32_t> gpu_layers, cpu_moe_layers;
};

// Splits in the order in which they are tried: what devices hold shrinks.
std::vector<TriedSplit> splits_to_try(const PlanRequest& asked, const plimsoll_facts& facts) {
  std::vector<TriedSplit> out;
  const auto layers = static_cast<std::uint32_t>(facts.n_layers);
  const auto all = static_cast<std::uint32_t>(facts.n_layers + facts.draft_layers + 1);
  const std::uint32_t most_without = facts.experts > 0 ? layers : 0;
  std::optional<std::uint32_t> without = asked.cpu_moe_layers;
  if (asked.cpu_moe_auto) {
    for (std::uint32_t n = 0; n <= most_without; ++n) out.push_back({asked.gpu_layers, n});
    without = most_without;
  }
  if (asked.gpu_layers_auto)
    for (std::uint32_t n = all; n-- > 0;) out.push_back({n + (asked.cpu_moe_auto ? 0 : 1), without});
  if (asked.gpu_layers_auto && !asked.cpu_moe_auto) out.push_back({0, without});
  return out;
}

// The length that a split must hold at least: not shortened below what the profile says.
std::uint64_t length_to_hold(const PlanRequest& asked, const plimsoll_facts& facts, std::uint64_t least_length) {
  const std::uint64_t own = facts.max_length == 0 ? least_length : facts.max_length;
  return std::min(asked.max_length.value_or(own), least_length);
}

// The first of n splits that holds, or the last one. Strides keep the number of plans below twice kMostStrides: up to so many splits
// every one is tried, of more the first that was met, and those just before it.
Result<std::size_t> first_that_holds(std::size_t n, const std::function<Result<bool>(std::size_t)>& holds) {
  const std::size_t stride = n / kMostStrides + 1;
  std::size_t met = std::min(stride, n) - 1;
  for (; met < n - 1; met = std::min(met + stride, n - 1)) {
    PLIMSOLL_ASSIGN(const bool found, holds(met));
    if (found) break;
  }
  for (std::size_t i = met - std::min(met, stride - 1); i < met; ++i) {
    PLIMSOLL_ASSIGN(const bool found, holds(i));
    if (found) return i;
  }
  return met;
}

} // namespace

Result<Plan> plan_fitted_split(const PlanInput& input, const std::function<Result<Plan>(const PlanInput&)>& plan) {
  const PlanRequest& asked = *input.request;
  const plimsoll_facts& facts = input.model->declared.facts;
  const std::uint64_t layers = facts.n_layers + std::min<std::uint64_t>(facts.draft_layers, UINT32_MAX);
  if (layers > kMostSearchedLayers)
    return fail(ErrorCode::kBadRequest,
                fmt::format("auto is searched for in at most {} layers, and the model has {}; give a number", kMostSearchedLayers, layers),
                asked.gpu_layers_auto ? "--gpu-layers" : "--n-cpu-moe");
  PLIMSOLL_ASSIGN(const auto profile, input.engine->settle(profile_facts(*input.model, asked, RankLayout{}, input.devices->front())));
  PlanRequest request = asked;
  request.gpu_layers_auto = request.cpu_moe_auto = false;
  // One plan tells whether a split holds that; the longest length is looked for in the split that is taken.
  const std::uint64_t length = length_to_hold(asked, facts, profile->placement.least_length_tokens);
  PlanRequest least = request;
  least.explain = false;
  if (!asked.max_length || asked.max_length_auto) {
    least.max_length = length;
    least.max_length_auto = false;
  }
  PlanInput changed = input;
  changed.request = &least;
  const std::vector<TriedSplit> splits = splits_to_try(asked, facts);
  const auto take = [&](PlanRequest& r, std::size_t i) {
    r.gpu_layers = splits[i].gpu_layers;
    r.cpu_moe_layers = splits[i].cpu_moe_layers;
  };
  const auto holds = [&](std::size_t i) -> Result<bool> {
    take(least, i);
    PLIMSOLL_ASSIGN(const Plan tried, plan(changed));
    return !tried.error && tried.limits.max_length >= length;
  };
  PLIMSOLL_ASSIGN(const std::size_t first, first_that_holds(splits.size(), holds));
  take(request, first);
  changed.request = &request;
  return plan(changed);
}

} // namespace plimsoll
