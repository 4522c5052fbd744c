#include "search/layout_search.hpp"

#include <algorithm>
#include <limits>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

#include "base/checked.hpp"
#include "plan/make_plan.hpp"

namespace plimsoll {
namespace {

constexpr double kNearlyTheMost = 0.8;

// A degree is said where it is not the usual one, or was said before.
void say_degree(std::optional<std::uint32_t>& degree, std::uint32_t value) {
  if (value > 1 || degree) degree = value;
}

// The degree that the request's own override asks for.
std::optional<std::uint32_t> given_context(const PlanRequest& request, const EngineProfile& profile) {
  const bool given =
      request.engine_overrides.contains("decode_context_parallel") || request.engine_overrides.contains("kv.decode_context_parallel");
  if (!given) return std::nullopt;
  return static_cast<std::uint32_t>(profile.kv.decode_context_parallel);
}

// Heads whose keys and values are kept, where every group can be dealt to ranks token by token.
void find_heads(const Settled& settled, LayoutRules& rules) {
  rules.kv_heads = 1;
  std::uint64_t queries = 0;
  for (const KvGroup& group : settled.model().declared.kv) {
    if (group.role != PLIMSOLL_ROLE_MODEL && settled.draft != DraftSource::kOwnHead) continue;
    const bool latent = group.kind == CacheKind::kLatent && settled.kv_types.latent == LatentCache::kLatent;
    if (!latent && (group.kind != CacheKind::kFull || group.kv_heads == 0)) {
      rules.shares_context = false;
      return;
    }
    if (latent) continue;
    rules.kv_heads = std::max(rules.kv_heads, group.kv_heads);
    queries = std::max(queries, group.query_heads / group.kv_heads);
  }
  rules.queries_of_head = queries; // 0, which every degree divides: latents have no heads of their own
}

// Shares with which an engine deals just so many layers to each device, the output layer with the last of them.
std::vector<double> shares_for(std::vector<std::uint32_t> layers) {
  ++layers.back();
  return {layers.begin(), layers.end()};
}

} // namespace

LayoutRules layout_rules(const Settled& settled, const PlanRequest& request) {
  const EngineProfile& profile = settled.profile();
  LayoutRules rules;
  rules.tp = request.tp;
  rules.pp = request.stage_layers.empty() ? request.pp : static_cast<std::uint32_t>(request.stage_layers.size());
  rules.ep = request.ep;
  if (request.dp) rules.dp = {*request.dp};
  rules.context_parallel = given_context(request, profile);
  if (profile.placement.deals_layers()) { // one process: all devices share every layer, or each has layers of its own
    if (rules.dp.empty()) rules.dp = {1};
    if (settled.split_mode == SplitMode::kTensor) rules.pp = rules.pp.value_or(1);
    else rules.tp = rules.tp.value_or(1);
  }
  rules.n_layers = settled.model().declared.facts.n_layers;
  rules.experts = settled.model().declared.facts.experts > 0;
  rules.any_expert_degree = profile.layouts.any_expert_degree;
  rules.shares_context = profile.layouts.context_parallel && settled.draft != DraftSource::kModel;
  find_heads(settled, rules);
  return rules;
}

PlanRequest laid_out(const PlanRequest& request, const FitLayout& layout) {
  PlanRequest out = request;
  out.layout_auto = false;
  out.tp = layout.tp;
  say_degree(out.pp, layout.pp);
  say_degree(out.dp, layout.dp);
  say_degree(out.ep, layout.ep);
  if (layout.context_parallel > 1 && !request.engine_overrides.contains("kv.decode_context_parallel"))
    out.engine_overrides["decode_context_parallel"] = std::to_string(layout.context_parallel);
  return out;
}

std::vector<LayoutRequest> layout_requests(const Settled& settled, const PlanRequest& request, std::uint32_t n, const LayoutRules& rules) {
  std::vector<LayoutRequest> out;
  if (settled.deals_layers) {
    FitLayout dealt{.tp = request.tp.value_or(1), .pp = 1, .dp = request.dp.value_or(1), .ep = request.ep.value_or(1), .stage_layers = {}};
    dealt.pp = std::max(1U, n / std::max(1U, dealt.tp * dealt.dp));
    out.push_back({std::move(dealt), request});
    out.back().request.layout_auto = false;
    return out;
  }
  for (FitLayout& layout : layouts_of(n, rules)) {
    PlanRequest one = laid_out(request, layout);
    out.push_back({std::move(layout), std::move(one)});
  }
  return out;
}

std::optional<PlanRequest> with_stages_by_room(const PlanInput& input, const Plan& even) {
  const PlanRequest& request = *input.request;
  const std::vector<Device>& devices = *input.devices;
  if (!request.stage_layers.empty() || !request.tensor_split.empty() || even.devices.size() != devices.size()) return std::nullopt;
  const auto settled = settle(input);
  if (!settled || settled->layout.pp < 2 || settled->layout.uses_host() != settled->layout.embedding_on_host) return std::nullopt;
  const bool dealt = settled->deals_layers;
  if (dealt && settled->split_mode != SplitMode::kLayer) return std::nullopt;
  const RankLayout& layout = settled->layout;
  std::vector<StageRoom> stages(layout.pp, {std::numeric_limits<std::uint64_t>::max(), 0});
  std::vector<std::uint64_t> weights(layout.pp, 0);
  std::vector<std::uint32_t> even_layers;
  for (std::uint32_t rank = 0; rank < layout.ranks(); ++rank) {
    const std::uint32_t stage = layout.stage_of_rank(rank);
    const DevicePlan& d = even.devices[rank];
    const std::uint64_t room = std::min(settled->budget_bytes[rank], devices[rank].free_bytes);
    const std::uint64_t beside = d.activation_bytes + d.signal_buffer_bytes + d.workspace_bytes + d.vision_cache_bytes + d.overhead_bytes;
    stages[stage].room_bytes = std::min(stages[stage].room_bytes, room - std::min(room, beside));
    weights[stage] = std::max(weights[stage], d.weights_bytes);
  }
  Wide lacks = 0;
  for (std::uint32_t stage = 0; stage < layout.pp; ++stage)
    lacks += static_cast<Wide>(weights[stage]) - static_cast<Wide>(stages[stage].room_bytes);
  if (lacks > 0) return std::nullopt;
  std::uint64_t layer_bytes = std::numeric_limits<std::uint64_t>::max(); // of the stage without embedding and head
  for (std::uint32_t stage = 0; stage < layout.pp; ++stage) {
    even_layers.push_back(layout.stage_begin[stage + 1] - layout.stage_begin[stage]);
    if (even_layers.back() > 0) layer_bytes = std::min(layer_bytes, weights[stage] / even_layers.back());
  }
  for (std::uint32_t stage = 0; stage < layout.pp; ++stage)
    stages[stage].beside_layers_bytes = weights[stage] - std::min(weights[stage], (Checked(layer_bytes) * even_layers[stage]).saturated());
  PlanRequest r = request;
  std::vector<std::uint32_t> layers = layers_by_room(stages, layout.stage_begin.back());
  if (layers.empty() || layers == even_layers) return std::nullopt;
  if (dealt) r.tensor_split = shares_for(std::move(layers));
  else r.stage_layers = std::move(layers);
  return r;
}

void plan_both_cuts(const PlanInput& input, const Planner& planner, const std::function<void(const PlanRequest&, Plan)>& take) {
  std::optional<Plan> even = planner(*input.request);
  if (!even) return;
  const std::optional<PlanRequest> uneven = with_stages_by_room(input, *even);
  take(*input.request, std::move(*even));
  if (!uneven) return;
  if (std::optional<Plan> plan = planner(*uneven)) take(*uneven, std::move(*plan));
}

LayoutMerit merit_of(const PlanRequest& request, const Plan& plan) {
  const EffectiveRequest& r = plan.request;
  LayoutMerit out;
  const std::uint32_t on_a_node = r.tp * r.pp * r.dp / std::max(1U, r.nodes);
  out.leaves_node = r.nodes > 1 && (on_a_node < r.tp || on_a_node % r.tp != 0);
  out.max_length = plan.limits.max_length;
  out.pp = r.pp;
  out.requests = plan.kv_cache.capacity_requests * r.dp;
  if (request.max_batch_size) out.requests = std::min(plan.kv_cache.capacity_requests, static_cast<double>(*request.max_batch_size));
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  for (const DevicePlan& device : plan.devices) least = std::min(least, device.unused_bytes);
  out.headroom_bytes = plan.devices.empty() ? 0 : static_cast<std::uint64_t>(std::max<std::int64_t>(least, 0));
  return out;
}

std::optional<std::size_t> best_layout(std::span<const LayoutMerit> serving) {
  std::uint64_t longest = 0;
  double most = 0;
  for (const LayoutMerit& merit : serving) longest = std::max(longest, merit.max_length);
  for (const LayoutMerit& merit : serving)
    if (merit.max_length == longest) most = std::max(most, merit.requests);
  const auto rank = [](const LayoutMerit& merit) {
    return std::tuple(!merit.leaves_node, -static_cast<std::int64_t>(merit.pp), merit.requests, merit.headroom_bytes);
  };
  std::optional<std::size_t> best;
  for (std::size_t at = 0; at < serving.size(); ++at) {
    if (serving[at].max_length < longest || serving[at].requests < kNearlyTheMost * most) continue;
    if (!best || rank(serving[at]) > rank(serving[*best])) best = at;
  }
  return best;
}

LeastWeights::LeastWeights(const PlanInput& input, const Plan& alone) {
  std::set<std::string_view> dense, experts;
  for (const WeightClass& c : input.model->declared.weights) (c.experts > 0 ? experts : dense).insert(c.label);
  Checked of_dense = 0, of_experts = 0;
  for (const Item& item : alone.items) {
    if (item.category != Category::kWeights || item.memory != MemoryKind::kDevice || item.bytes.size() != 1) continue;
    if (experts.contains(item.label)) of_experts += item.bytes.front();
    else if (dense.contains(item.label) || item.label == "weights.given") of_dense += item.bytes.front();
  }
  replicated_bytes_ = of_dense.saturated();
  expert_bytes_ = of_experts.saturated();
}

bool LeastWeights::may_fit(const FitLayout& layout, std::uint64_t bytes_together) const {
  return (Checked(replicated_bytes_) * layout.dp + expert_bytes_).saturated() <= bytes_together;
}

std::uint64_t room_together(const Settled& settled) {
  Checked sum = 0;
  for (std::size_t rank = 0; rank < settled.budget_bytes.size(); ++rank)
    sum += std::min(settled.budget_bytes[rank], settled.devices()[rank].free_bytes);
  return sum.saturated();
}

LeastWeights least_weights(const PlanInput& input) {
  if (input.request->accounting == Accounting::kPooled) return {};
  PlanRequest alone = *input.request;
  alone.tp = alone.pp = alone.dp = alone.ep = 1;
  alone.nodes.reset();
  alone.stage_layers.clear();
  alone.explain = alone.max_length_auto = false;
  std::vector<Device> one{input.devices->front()};
  one.front().node.clear();
  PlanInput changed = input;
  changed.request = &alone;
  changed.devices = &one;
  const auto settled = settle(changed);
  if (!settled || settled->deals_layers || settled->layout.uses_host()) return {};
  const auto plan = make_plan(changed);
  return plan ? LeastWeights(changed, *plan) : LeastWeights{};
}

} // namespace plimsoll
