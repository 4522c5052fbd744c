// What make_plan carries from step to step. Private to the plan room. Threads: one plan, one thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/wide.hpp"
#include "kv/pricing.hpp"
#include "placement/rank_layout.hpp"
#include "plan/ledger.hpp"
#include "plan/make_plan.hpp"

namespace plimsoll {

struct PlanState {
  PlanState(const PlanInput& in, RankLayout l, std::shared_ptr<const EngineProfile> p)
      : input(in), engine(std::move(p)), layout(std::move(l)), ledger(layout.ranks()) {}

  const PlanInput& input;
  std::shared_ptr<const EngineProfile> engine; // as it is for the first device
  RankLayout layout;
  RankLayout draft_layout; // where there is a draft model: all of it on the last stage
  Ledger ledger;
  KvTypes kv_types;
  std::optional<Dtype> cast;
  bool speculative = false;
  double utilization = 0, vision_utilization = 0;
  std::uint64_t page_tokens = 0, max_length = 0, max_batch_size = 0, max_batch_input_tokens = 0;
  bool max_length_given = false, max_batch_given = false;
  std::vector<std::uint64_t> budget; // per rank
  std::uint64_t sequences() const { return max_batch_size != 0 ? max_batch_size : profile().batch.default_max_batch_size; }
  Plan plan;

  const EngineProfile& profile() const { return *engine; }
  const PlanRequest& request() const { return *input.request; }
  const Model::Data& model() const { return *input.model; }
  const std::vector<Device>& devices() const { return *input.devices; }
  bool explains() const { return request().explain; }
  void warn(std::string code, std::string message) { plan.warnings.push_back({std::move(code), std::move(message)}); }
  // The first thing that does not fit is the plan's error.
  void does_not_fit(ErrorCode code, std::string message, std::string where) {
    if (!plan.error) plan.error = Error{code, std::move(message), std::move(where)};
  }
};

// What the profile's conditions ask of a device, a layout and a model.
ProfileFacts profile_facts(const Model::Data& model, const PlanRequest& request, const RankLayout& layout, const Device& device);
// Fills the utilization that follows from a reserve, where the profile has one and the request names none.
void settle_utilization(PlanState& state);
// Adds the profile's own activations and overheads, each device by its own conditions.
Result<void> price_profile_items(PlanState& state, ItemCollector& collector);

// Prices the KV groups, sizes the pool of every rank, and fills plan.kv_cache and plan.limits.
Result<void> plan_kv_cache(PlanState& state);
// Sets aside the vision cache out of what the KV cache could have.
Result<void> plan_vision_cache(PlanState& state);
// Replaces what the per-device steps would say by the documented pooled estimator's answer.
Result<void> plan_pooled(PlanState& state);

} // namespace plimsoll
