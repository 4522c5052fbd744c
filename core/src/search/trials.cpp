#include "search/trials.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <tuple>
#include <utility>

#include "plan/fit_layers.hpp"
#include "plan/make_plan.hpp"

namespace plimsoll {
namespace {

// A plan takes some ten microseconds, and as much again for every few ranks: all of one advice stays within a few hundredths of a second.
constexpr std::uint64_t kMostWork = 20'000, kWorkBesideRanks = 8;
constexpr std::uint64_t kLeastLengthTokens = 256, kLeastInputTokens = 256;
constexpr std::uint32_t kMostHundredths = 99;
constexpr std::size_t kMostMisses = 3;
// What engines offer below 16 bits, each the first of its size; an engine that takes only one of them refuses the other.
constexpr std::array<const char*, 2> kSmallTypes{"float8_e4m3fn", "q8_0"};

std::uint64_t bits_of(const Dtype& type) { return type.block_bytes * 8 / type.block_elements; }

std::int64_t least_unused_bytes(const Plan& plan) {
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  for (const DevicePlan& device : plan.devices) least = std::min(least, device.unused_bytes);
  return least;
}

} // namespace

std::optional<Plan> Trials::planned(const PlanRequest& request, const std::vector<Device>& devices) {
  std::uint64_t work = devices.size() + kWorkBesideRanks;
  if (leaves_split_open(request)) work *= 2ULL * settled_.model().declared.facts.n_layers + 1; // a plan for every split that is tried
  if (work_ + work > kMostWork) return std::nullopt;
  work_ += work;
  PlanInput changed = input_;
  changed.request = &request;
  changed.devices = &devices;
  auto plan = make_plan(changed);
  if (!plan) return std::nullopt;
  return std::move(*plan);
}

std::optional<Tried> Trials::fitting(const PlanRequest& request, const std::vector<Device>& devices) {
  std::optional<Plan> plan = planned(request, devices);
  if (!plan || plan->error) return std::nullopt;
  return Tried{request, std::move(*plan)};
}

std::uint64_t Trials::batch_of(const PlanRequest& request) const {
  return request.max_batch_size.value_or(settled_.profile().batch.default_max_batch_size);
}

// A smaller batch never needs more.
std::optional<Tried> Trials::smaller_batch(const PlanRequest& request) {
  PlanRequest r = request;
  std::uint64_t low = 1, high = std::min(batch_of(request), settled_.max_batch_input_tokens); // low fits, high does not
  if (high <= 1) return std::nullopt;
  r.max_batch_size = low;
  std::optional<Tried> best = fitting(r);
  while (best && high - low > 1) {
    const std::uint64_t middle = low + (high - low) / 2;
    r.max_batch_size = middle;
    if (std::optional<Tried> tried = fitting(r)) {
      best = std::move(tried);
      low = middle;
    } else {
      high = middle;
    }
  }
  return best;
}

std::optional<Tried> Trials::shorter_length(const PlanRequest& request) {
  if (request.max_length_auto || settled_.may_shorten()) return std::nullopt;
  PlanRequest r = request;
  r.max_length_auto = true;
  const std::optional<Tried> longest = fitting(r);
  if (!longest || longest->plan.kv_cache.groups.empty() || longest->plan.limits.max_length < kLeastLengthTokens) return std::nullopt;
  r.max_length = longest->plan.limits.max_length;
  r.max_length_auto = false;
  return fitting(r);
}

std::optional<Tried> Trials::smaller_batch_and_length(const PlanRequest& request) {
  PlanRequest r = request;
  r.max_batch_size = 1;
  std::optional<Tried> best = shorter_length(r);
  if (!best) return std::nullopt;
  const std::uint64_t wanted = best->plan.limits.max_length / 2;
  std::uint64_t low = 1, high = std::min(batch_of(request), settled_.max_batch_input_tokens);
  while (high - low > 1) {
    const std::uint64_t middle = low + (high - low) / 2;
    r.max_batch_size = middle;
    std::optional<Tried> tried = shorter_length(r);
    const bool enough = tried && tried->plan.limits.max_length >= wanted;
    (enough ? low : high) = middle;
    if (enough) best = std::move(tried);
  }
  return best;
}

// Whether a prompt may be longer than a forward pass.
bool Trials::splits_prompts() const {
  return settled_.profile().batch.chunked_prefill && !settled_.profile().batch.whole_prompts && !settled_.whole_requests();
}

// A pass has a token at least of every request.
std::uint64_t Trials::least_input_tokens(const PlanRequest& request) const { return std::max(kLeastInputTokens, batch_of(request)); }

std::optional<Tried> Trials::fewer_input_tokens(const PlanRequest& request) {
  const std::uint64_t least = least_input_tokens(request), now = settled_.max_batch_input_tokens;
  if (!splits_prompts() || least >= now) return std::nullopt;
  PlanRequest r = request;
  r.max_batch_input_tokens = least;
  std::optional<Tried> smallest = fitting(r);
  if (!smallest) return std::nullopt;
  std::uint64_t tokens = kLeastInputTokens;
  while (tokens * 2 < now) tokens *= 2;
  for (; tokens > least; tokens /= 2) {
    r.max_batch_input_tokens = tokens;
    if (std::optional<Tried> tried = fitting(r)) return tried;
  }
  return smallest;
}

std::optional<PlanRequest> Trials::quarter_of_input_tokens(const PlanRequest& request) const {
  const std::uint64_t tokens = std::max(least_input_tokens(request), settled_.max_batch_input_tokens / 4);
  if (!splits_prompts() || tokens >= settled_.max_batch_input_tokens) return std::nullopt;
  PlanRequest r = request;
  r.max_batch_input_tokens = tokens;
  return r;
}

// The request with each type that is smaller than its own.
std::vector<PlanRequest> Trials::with_smaller_types(const PlanRequest& request) const {
  const std::uint64_t now = bits_of(settled_.kv_types.k) + bits_of(settled_.kv_types.v);
  std::vector<PlanRequest> out;
  for (const char* type : kSmallTypes) {
    const std::optional<Dtype> small = find_dtype(type);
    if (!small || 2 * bits_of(*small) >= now) continue;
    out.push_back(request);
    out.back().kv_dtype = type;
  }
  return out;
}

std::optional<Tried> Trials::smaller_kv_type(const PlanRequest& request) {
  for (const PlanRequest& r : with_smaller_types(request))
    if (std::optional<Tried> tried = fitting(r); tried && !tried->plan.kv_cache.groups.empty()) return tried;
  return std::nullopt;
}

std::optional<PlanRequest> Trials::least_kv_type(const PlanRequest& request) {
  for (const PlanRequest& r : with_smaller_types(request))
    if (const std::optional<Plan> plan = planned(r, *input_.devices); plan && !plan->kv_cache.groups.empty()) return r;
  return std::nullopt;
}

std::uint32_t Trials::most_hundredths() const {
  const EngineProfile::Budget& budget = settled_.profile().budget;
  std::uint64_t most = kMostHundredths;
  if (budget.of == BudgetOf::kTotal && budget.in_use == MemoryInUse::kRefused)
    for (const Device& device : settled_.devices())
      if (device.total_bytes > 0)
        most = std::min<std::uint64_t>(most,
                                       static_cast<std::uint64_t>(static_cast<UnsignedWide>(device.free_bytes) * 100 / device.total_bytes));
  return static_cast<std::uint32_t>(most);
}

std::optional<PlanRequest> Trials::largest_fraction(const PlanRequest& request) const {
  const double most = most_hundredths() / 100.0;
  if (request.kv_cache_bytes || most <= request.device_memory_utilization.value_or(settled_.utilization)) return std::nullopt;
  PlanRequest r = request;
  r.device_memory_utilization = most;
  return r;
}

// The smallest fraction that fits. Where activations live outside it the largest need not fit, so smaller ones are looked at too.
std::optional<Tried> Trials::larger_fraction(const PlanRequest& request) {
  if (!largest_fraction(request)) return std::nullopt;
  const double now = request.device_memory_utilization.value_or(settled_.utilization);
  std::uint32_t low = static_cast<std::uint32_t>(std::floor(now * 100 + 1e-9)), high = most_hundredths();
  const std::uint32_t span = high - low;
  PlanRequest r = request;
  std::optional<Tried> best;
  for (const std::uint32_t hundredths : {high, low + span / 2, low + span * 3 / 4, low + span / 4}) {
    if (best || hundredths <= low) continue;
    r.device_memory_utilization = hundredths / 100.0;
    best = fitting(r);
    if (best) high = hundredths;
  }
  while (best && high - low > 1) {
    const std::uint32_t middle = low + (high - low) / 2;
    r.device_memory_utilization = middle / 100.0;
    std::optional<Tried> tried = fitting(r);
    (tried ? high : low) = middle;
    if (tried) best = std::move(tried);
  }
  return best;
}

// All degrees are open but replicas: as many as before, or one; with experts also every rank one of its own that holds whole experts.
LayoutRules Trials::rules(std::uint32_t ranks) const {
  PlanRequest open = *input_.request;
  open.tp.reset();
  open.pp.reset();
  open.dp.reset();
  open.ep.reset();
  open.stage_layers.clear();
  LayoutRules out = layout_rules(settled_, open);
  out.shares_context = false;
  out.any_expert_degree = false;
  out.dp = {settled_.layout.dp};
  if (settled_.layout.dp > 1) out.dp.push_back(1);
  if (out.experts && ranks > 1 && ranks != settled_.layout.dp) out.dp.push_back(ranks);
  return out;
}

std::optional<Tried> Trials::best_layout(const PlanRequest& request, const std::vector<Device>& devices, std::vector<PlanRequest>* misses) {
  std::vector<Tried> fits;
  std::vector<LayoutMerit> merits;
  std::vector<std::pair<std::int64_t, PlanRequest>> missed;
  const auto take = [&](const PlanRequest& r, Plan plan) {
    if (plan.error) return missed.emplace_back(least_unused_bytes(plan), r), void();
    merits.push_back(merit_of(r, plan));
    fits.push_back({r, std::move(plan)});
  };
  PlanRequest open = request;
  if (!settled_.deals_layers) open.stage_layers.clear();
  const auto n = static_cast<std::uint32_t>(devices.size());
  for (const LayoutRequest& one : layout_requests(settled_, open, n, rules(n))) {
    PlanInput changed = input_;
    changed.request = &one.request;
    changed.devices = &devices;
    plan_both_cuts(
        changed, [&](const PlanRequest& r) { return planned(r, devices); }, take);
  }
  if (misses != nullptr) {
    std::stable_sort(missed.begin(), missed.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    for (auto& [unused, r] : missed)
      if (misses->size() < kMostMisses) misses->push_back(std::move(r));
  }
  const std::optional<std::size_t> best = plimsoll::best_layout(merits);
  if (!best) return std::nullopt;
  return std::move(fits[*best]);
}

// As few as must: experts first, whole layers where that is not enough or there are none. Numbers that were given stay.
std::optional<Tried> Trials::more_on_host(const PlanRequest& request) {
  if (!settled_.deals_layers || leaves_split_open(request) || request.gpu_layers || request.cpu_moe_layers) return std::nullopt;
  const bool experts = settled_.model().declared.facts.experts > 0;
  PlanRequest r = request;
  r.cpu_moe_auto = experts;
  r.gpu_layers_auto = !experts;
  std::optional<Tried> tried = fitting(r);
  if (!tried && experts) {
    r.gpu_layers_auto = true;
    tried = fitting(r);
  }
  if (!tried || !tried->plan.dealt) return std::nullopt;
  if (r.gpu_layers_auto) r.gpu_layers = tried->plan.dealt->gpu_layers;
  if (r.cpu_moe_auto) r.cpu_moe_layers = tried->plan.dealt->cpu_moe_layers;
  r.gpu_layers_auto = r.cpu_moe_auto = false;
  return fitting(r);
}

std::uint64_t Trials::weights_bytes(const PlanRequest& request) {
  PlanRequest alone = request;
  alone.tp = alone.pp = alone.dp = alone.ep = 1;
  alone.nodes.reset();
  alone.stage_layers.clear();
  alone.split_mode.reset();
  alone.tensor_split.clear();
  const std::vector<Device> one{input_.devices->front()};
  std::vector<Device> nowhere = one;
  nowhere.front().node.clear();
  const std::optional<Plan> plan = planned(alone, nowhere);
  return plan ? plan->devices.front().weights_bytes : 0;
}

} // namespace plimsoll
