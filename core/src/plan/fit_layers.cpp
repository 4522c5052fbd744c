#include "plan/fit_layers.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "plan/profile_items.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kMostSearchedLayers = 4096;

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

// Whether a plan is one of what was asked for, or not shortened below what the profile says.
bool serves(const Plan& plan, const PlanInput& input, std::uint64_t least_length) {
  const std::uint64_t own = input.model->declared.facts.max_length;
  const std::uint64_t asked = input.request->max_length.value_or(own == 0 ? least_length : own);
  return !plan.error && plan.limits.max_length >= std::min(asked, least_length);
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
  request.gpu_layers_auto = request.cpu_moe_auto = request.explain = false;
  PlanInput changed = input;
  changed.request = &request;
  for (const TriedSplit& split : splits_to_try(asked, facts)) {
    request.gpu_layers = split.gpu_layers;
    request.cpu_moe_layers = split.cpu_moe_layers;
    PLIMSOLL_ASSIGN(Plan tried, plan(changed));
    if (!serves(tried, changed, profile->placement.least_length_tokens)) continue;
    if (!asked.explain) return tried;
    break;
  }
  request.explain = asked.explain;
  return plan(changed);
}

} // namespace plimsoll
