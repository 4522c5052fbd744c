#include "host/card_search.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <utility>

#include "plan/make_plan.hpp"

namespace plimsoll {
namespace {

constexpr double kPriceSteps = 1e6; // prices are rounded to millionths, so that 3 x 0.1 is 0.3

// As the request has it, but for what is found.
PlanRequest without_degrees(const PlanRequest& request) {
  PlanRequest out = request;
  out.tp.reset();
  out.pp.reset();
  out.dp.reset();
  out.ep.reset();
  out.nodes.reset();
  out.stage_layers.clear();
  out.tensor_split.clear();
  return out;
}

// So that the command of a row is the same plan whatever the usual degrees come to be.
void say_all_degrees(LayoutRequest& one) {
  one.request.pp = one.layout.pp;
  one.request.dp = one.layout.dp;
  one.request.ep = one.layout.ep;
}

std::uint64_t short_bytes(const Plan& plan) {
  std::int64_t least = 0;
  for (const DevicePlan& device : plan.devices) least = std::min(least, device.unused_bytes);
  return 0 - static_cast<std::uint64_t>(least);
}

} // namespace

// What layouts of one number of devices come to.
struct CardSearch::Tries {
  std::vector<FitRow> rows;
  std::vector<PlanRequest> requests; // of the rows
  std::vector<LayoutMerit> merits;   // likewise
  std::optional<Miss> nearest;
  std::optional<Error> why_not; // of the first that could not be planned
};

Result<CardSearch> CardSearch::create(Task& task, std::string card, std::optional<double> price) {
  CardSearch out(task, std::move(card), price);
  PlanRequest request = task.asked.request;
  request.devices = out.card_;
  request.layout_auto = request.explain = request.frontier = request.advise = false;
  request.frontier_kv_dtypes.clear();
  auto asked = task.context.asked(task.model, request);
  if (!asked && asked.error().where.starts_with("--devices")) asked.error().where = "--on";
  if (!asked) return tl::unexpected(std::move(asked.error()));
  if (asked->request == nullptr) asked->request = std::make_shared<const PlanRequest>(std::move(request));
  asked->input.request = asked->request.get();
  out.asked_for_ = std::make_shared<const Context::Asked>(std::move(*asked));
  if (auto settled = out.settle_rules(); !settled) {
    if (settled.error().code != ErrorCode::kBadRequest) return tl::unexpected(std::move(settled.error()));
    out.refused_ = std::move(settled.error());
  }
  return out;
}

// On one device, or on as many as the request has share a context.
Result<void> CardSearch::settle_rules() {
  const PlanRequest& asked = *asked_for_->request;
  PlanRequest open = without_degrees(asked);
  if (!task_->asked.demand.empty()) open.max_batch_size = 1; // some number: rules may depend on there being one
  open_ = std::make_shared<const PlanRequest>(std::move(open));
  PlanInput input = asked_for_->input;
  input.request = open_.get();
  auto settled = settle(input);
  if (!settled && settled.error().where == "--set engine.decode_context_parallel") { // tp is the number of devices
    for (std::uint32_t n = 2; !settled && n <= kMaxFitDevices; ++n) {
      devices_of_open_ = std::make_shared<const std::vector<Device>>(n, input.devices->front());
      input.devices = devices_of_open_.get();
      settled = settle(input);
    }
  }
  if (!settled) return tl::unexpected(std::move(settled.error()));
  settled_ = std::move(*settled);
  rules_ = layout_rules(*settled_, asked);
  demand_.emplace(task_->asked, *settled_);
  least_ = least_weights(input);
  ++task_->plans;
  return {};
}

std::string CardSearch::devices(std::uint32_t n) const { return fmt::format("{}x{}", n, card_); }

// With the request for what has to be held, which depends on the replicas.
std::vector<LayoutRequest> CardSearch::layouts(std::uint32_t n) const {
  std::vector<LayoutRequest> out = layout_requests(*settled_, *asked_for_->request, n, rules_);
  for (LayoutRequest& one : out) {
    one.request = demand_->planned(std::move(one.request), one.layout.dp);
    if (!settled_->deals_layers) say_all_degrees(one);
    one.request.devices = devices(n);
  }
  return out;
}

// `sparing`: not where the weights alone are more than the budgets.
Result<void> CardSearch::try_layout(const LayoutRequest& one, std::uint32_t n, bool sparing, Tries& tries) const {
  PlanInput input = asked_for_->input;
  const std::vector<Device> all(n, input.devices->front());
  input.devices = &all;
  input.request = &one.request;
  if (sparing)
    if (const auto settled = settle(input); settled && !least_.may_fit(one.layout, room_together(*settled))) return {};
  std::optional<Context::Asked> other; // an engine of its own
  if (one.request.engine_overrides != asked_for_->request->engine_overrides) {
    PlanRequest here = one.request;
    here.devices = card_;
    PLIMSOLL_ASSIGN(other, task_->context.asked(task_->model, here));
    input.engine = other->engine.get();
  }
  std::optional<Error> failed;
  const auto planner = [&](const PlanRequest& request) -> std::optional<Plan> {
    PlanInput changed = input;
    changed.request = &request;
    ++task_->plans;
    auto plan = make_plan(changed);
    if (plan) return std::move(*plan);
    if (plan.error().code != ErrorCode::kBadRequest) failed = std::move(plan.error());
    else if (!tries.why_not) tries.why_not = std::move(plan.error());
    return std::nullopt;
  };
  plan_both_cuts(input, planner, [&](const PlanRequest& request, const Plan& plan) {
    PlanInput changed = input;
    changed.request = &request;
    const Demand::Served served = demand_->served_by(changed, plan);
    FitLayout layout = one.layout;
    layout.stage_layers = plan.dealt ? plan.dealt->stage_layers : request.stage_layers;
    if (served.lacks) {
      Miss miss{{request.devices, std::move(layout), *served.lacks}, short_bytes(plan)};
      if (!tries.nearest || miss.short_bytes < tries.nearest->short_bytes) tries.nearest = std::move(miss);
      return;
    }
    LayoutMerit merit = merit_of(request, plan);
    merit.requests = demand_->counts_requests() ? 0 : served.total_requests; // whoever serves serves as many
    merit.headroom_bytes = served.headroom_bytes;
    tries.merits.push_back(merit);
    tries.requests.push_back(request);
    tries.rows.push_back(row_of(plan, served, std::move(layout), n));
  });
  if (failed) return tl::unexpected(std::move(*failed));
  return {};
}

FitRow CardSearch::row_of(const Plan& plan, const Demand::Served& served, FitLayout layout, std::uint32_t n) const {
  FitRow row;
  row.devices = devices(n);
  row.n_devices = n;
  row.layout = std::move(layout);
  row.verdict = plan.verdict;
  row.capacity_requests = plan.kv_cache.capacity_requests;
  row.headroom_bytes = served.headroom_bytes;
  if (price_) row.price = std::round(*price_ * n * kPriceSteps) / kPriceSteps;
  row.total_requests = served.total_requests;
  row.max_length = plan.limits.max_length;
  return row;
}

Result<CardSearch::Found> CardSearch::rows(std::uint32_t n) const {
  Found out;
  if (refused_) return out;
  const std::uint64_t free_bytes = asked_for_->input.devices->front().free_bytes * n;
  const std::vector<LayoutRequest> all = layouts(n);
  Tries tries;
  for (const bool shared : {false, true}) { // a context is shared only where nothing else serves
    if (shared && !tries.rows.empty() && !task_->asked.all) break;
    for (const LayoutRequest& one : all) {
      const bool shares = one.layout.context_parallel > 1 && !rules_.context_parallel;
      if (shares == shared && least_.may_fit(one.layout, free_bytes)) PLIMSOLL_TRY(try_layout(one, n, true, tries));
    }
  }
  const std::optional<std::size_t> best = best_layout(tries.merits);
  for (std::size_t at = 0; best && at < tries.rows.size(); ++at) {
    if (at != *best && !task_->asked.all) continue;
    tries.rows[at].plan_command = task_->context.plan_command(task_->model, tries.requests[at]);
    out.rows.push_back(std::move(tries.rows[at]));
  }
  out.folded = tries.rows.size() - out.rows.size();
  return out;
}

Result<std::optional<CardSearch::Miss>> CardSearch::miss(std::uint32_t n, std::optional<Error>& why_not) const {
  Tries tries;
  if (refused_) why_not = refused_;
  else
    for (const LayoutRequest& one : layouts(n)) PLIMSOLL_TRY(try_layout(one, n, false, tries));
  if (!why_not) why_not = std::move(tries.why_not);
  return std::move(tries.nearest);
}

} // namespace plimsoll
