#include "search/auto_layout.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/workers.hpp"
#include "plan/make_plan.hpp"
#include "search/layout_search.hpp"

namespace plimsoll {
namespace {

// What became of one layout, in both cuts.
struct Outcome {
  std::vector<std::pair<LayoutMerit, PlanRequest>> serving;
  std::vector<std::pair<std::int64_t, PlanRequest>> misses; // with what the poorest device has left, which is negative
  std::optional<Error> error;
};

std::int64_t least_unused(const Plan& plan) {
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  for (const DevicePlan& device : plan.devices) least = std::min(least, device.unused_bytes);
  return least;
}

Outcome planned(const PlanInput& input, const PlanRequest& request, const EngineReader& engine) {
  Outcome out;
  PlanInput changed = input;
  changed.request = &request;
  std::shared_ptr<const ProfileSource> other;
  if (request.engine_overrides != input.request->engine_overrides) {
    auto read = engine(request);
    if (!read) {
      out.error = std::move(read.error());
      return out;
    }
    other = std::move(*read);
    changed.engine = other.get();
  }
  const auto plan = [&](const PlanRequest& one) -> std::optional<Plan> {
    PlanInput of_one = changed;
    of_one.request = &one;
    auto made = make_plan(of_one);
    if (made) return std::move(*made);
    if (!out.error) out.error = std::move(made.error());
    return std::nullopt;
  };
  plan_both_cuts(changed, plan, [&](const PlanRequest& one, const Plan& made) {
    if (made.error) out.misses.emplace_back(least_unused(made), one);
    else out.serving.emplace_back(merit_of(one, made), one);
  });
  return out;
}

// The best of what serves; else the nearest miss, which is kept; else nothing.
std::optional<PlanRequest> best_of(std::vector<Outcome>& outcomes, std::optional<std::pair<std::int64_t, PlanRequest>>& nearest) {
  std::vector<LayoutMerit> merits;
  std::vector<PlanRequest*> requests;
  for (Outcome& outcome : outcomes) {
    for (auto& [merit, request] : outcome.serving) {
      merits.push_back(merit);
      requests.push_back(&request);
    }
    for (auto& miss : outcome.misses)
      if (!nearest || miss.first > nearest->first) nearest = std::move(miss);
  }
  const std::optional<std::size_t> best = best_layout(merits);
  if (!best) return std::nullopt;
  return std::move(*requests[*best]);
}

} // namespace

Result<PlanRequest> find_layout(const PlanInput& input, const EngineReader& engine) {
  const auto n = static_cast<std::uint32_t>(input.devices->size());
  PlanRequest asked = *input.request;
  asked.explain = asked.frontier = asked.layout_auto = false;
  PlanRequest open = asked;
  open.tp.reset();
  open.pp.reset();
  open.dp.reset();
  open.ep.reset();
  open.stage_layers.clear();
  PlanInput changed = input;
  changed.request = &open;
  PLIMSOLL_ASSIGN(const Settled settled, settle(changed));
  const std::vector<LayoutRequest> layouts = layout_requests(settled, asked, n, layout_rules(settled, asked));
  if (layouts.empty())
    return fail(ErrorCode::kBadRequest, "no layout of these devices has the degrees that are given; leave some of them out", "--layout");
  const LeastWeights least = least_weights(changed);
  const auto may_fit = [&](const LayoutRequest& one) {
    PlanInput of_one = input;
    of_one.request = &one.request;
    const auto settled_so = settle(of_one);
    return !settled_so || least.may_fit(one.layout, room_together(*settled_so));
  };
  changed.request = &asked;
  std::optional<std::pair<std::int64_t, PlanRequest>> nearest;
  std::optional<Error> error;
  // Layouts that share no context first; then these; where nothing serves also those that cannot.
  enum class Pass { kUsual, kShared, kHopeless };
  std::vector<Pass> pass_of;
  for (const LayoutRequest& one : layouts) {
    const bool shared = one.layout.context_parallel > layouts.front().layout.context_parallel;
    pass_of.push_back(!may_fit(one) ? Pass::kHopeless : shared ? Pass::kShared : Pass::kUsual);
  }
  for (const Pass pass : {Pass::kUsual, Pass::kShared, Pass::kHopeless}) {
    std::vector<const LayoutRequest*> tried;
    for (std::size_t at = 0; at < layouts.size(); ++at)
      if (pass_of[at] == pass) tried.push_back(&layouts[at]);
    if (pass == Pass::kHopeless && nearest) break;
    std::vector<Outcome> outcomes(tried.size());
    on_all_cores(tried.size(), [&](std::size_t at) { outcomes[at] = planned(changed, tried[at]->request, engine); });
    if (std::optional<PlanRequest> best = best_of(outcomes, nearest)) {
      nearest = std::pair<std::int64_t, PlanRequest>(0, std::move(*best));
      break;
    }
    for (Outcome& outcome : outcomes) {
      if (!outcome.error) continue;
      if (outcome.error->code != ErrorCode::kBadRequest) return tl::unexpected(std::move(*outcome.error));
      if (!error) error = std::move(outcome.error);
    }
  }
  if (!nearest) return tl::unexpected(error ? std::move(*error) : Error{ErrorCode::kBadRequest, "no layout can be planned", "--layout"});
  PlanRequest found = std::move(nearest->second);
  found.explain = input.request->explain;
  found.frontier = input.request->frontier;
  return found;
}

} // namespace plimsoll
