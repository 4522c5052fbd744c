// The layouts of one list of devices, planned: which there are for a request, how the stages of one are cut by what their devices have
// room for, and which of those that serve is the best. One rule for advice, --layout auto and fit. Plans through what it is given.
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "plan/settled.hpp"
#include "search/layouts.hpp"

namespace plimsoll {

// A request that was planned and fits.
struct Tried {
  PlanRequest request;
  Plan plan;
};

// What a layout of that request may be: what it gives is kept. `settled` is of the model and the engine, in any layout.
LayoutRules layout_rules(const Settled& settled, const PlanRequest& request);

// The requests for every layout of so many devices. An engine that deals layers to devices does it by itself, so that there is one.
struct LayoutRequest {
  FitLayout layout;
  PlanRequest request;
};
std::vector<LayoutRequest> layout_requests(const Settled& settled, const PlanRequest& request, std::uint32_t n, const LayoutRules& rules);

// The request in that layout. Degrees are said; of those that were not, only others than 1, but for tp, whose default is another.
PlanRequest laid_out(const PlanRequest& request, const FitLayout& layout);

// Stages cut by what their devices have left for layers, where `even` is the plan of `input`; of engines that deal layers, their shares.
// Nothing where that is how they are cut already, where the request says how, or where all of them together lack the room.
std::optional<PlanRequest> with_stages_by_room(const PlanInput& input, const Plan& even);

// Makes the plan of a request; nothing where there can be none.
using Planner = std::function<std::optional<Plan>(const PlanRequest&)>;
// Plans the request of `input`, then with its stages cut by room, and hands over what there is.
void plan_both_cuts(const PlanInput& input, const Planner& planner, const std::function<void(const PlanRequest&, Plan)>& take);

// What one layout that serves is worth.
struct LayoutMerit {
  std::uint64_t max_length = 0; // of one request; less where the layout had to shorten it
  bool leaves_node = false;     // ranks that share every layer stand on several nodes
  std::uint32_t pp = 1;
  double requests = 0; // at once, of all replicas; where the request says how many, no more than that of each
  std::uint64_t headroom_bytes = 0;
};
LayoutMerit merit_of(const PlanRequest& request, const Plan& plan);
// Of layouts with the longest requests, of those that hold nearly the most of them, the best: one whose tensor-parallel ranks stay on their
// node, with the fewest stages, whose cards work side by side; of these what holds more, then what leaves more free, then the first.
// Nothing of none.
std::optional<std::size_t> best_layout(std::span<const LayoutMerit> serving);

// The least that `n` devices must hold together of a model's weights in some layout, however these are cut: each replica has all but the
// experts, and of those all replicas have one at least.
class LeastWeights {
public:
  LeastWeights() = default; // of which nothing is known
  // `alone`: all of the model on one device.
  LeastWeights(const PlanInput& input, const Plan& alone);
  bool may_fit(const FitLayout& layout, std::uint64_t bytes_together) const;

private:
  std::uint64_t replicated_bytes_ = 0, expert_bytes_ = 0;
};
// What devices have for a plan together: their budgets, and no more than what is free.
std::uint64_t room_together(const Settled& settled);
// On the first device of `input`, whatever its layout; of engines that deal layers, and of pooled memory, nothing is known.
LeastWeights least_weights(const PlanInput& input);

} // namespace plimsoll
