#include "plan/make_plan.hpp"

#include "plan/entry_caches.hpp"
#include "plan/fit_layers.hpp"
#include "plan/fit_length.hpp"
#include "plan/gate.hpp"
#include "plan/host_memory.hpp"
#include "plan/items_batch.hpp"
#include "plan/kv_cache.hpp"
#include "plan/place_weights.hpp"
#include "plan/pooled.hpp"
#include "plan/price_items.hpp"
#include "plan/profile_items.hpp"
#include "plan/reasons.hpp"
#include "plan/refusals.hpp"
#include "plimsoll/device_figures.hpp"

namespace plimsoll {
namespace {

// Less than a twentieth of what is free stays outside the plan.
bool is_tight(std::uint64_t free, std::uint64_t used) { return (free > used ? free - used : 0) < free / 20; }

// The devices with what stands on them; the verdict follows from the findings and from what stays free.
void fill_devices(const Settled& s, const Ledger& ledger, const std::vector<std::uint64_t>& budgets, const Findings& findings, Plan& plan) {
  bool tight = false;
  plan.devices.reserve(s.layout.ranks());
  for (std::uint32_t rank = 0; rank < s.layout.ranks(); ++rank) {
    const Device& d = s.devices()[rank];
    DevicePlan out;
    out.rank = rank;
    out.name = d.name;
    out.total_bytes = d.total_bytes;
    out.free_bytes = d.free_bytes;
    out.budget_bytes = budgets[rank];
    for (const DeviceFigure& figure : kDeviceFigures)
      if (figure.category) out.*figure.bytes = ledger.sum(*figure.category, rank);
    const std::uint64_t used = ledger.used(rank);
    out.unused_bytes = static_cast<std::int64_t>(out.budget_bytes) - static_cast<std::int64_t>(used);
    tight = tight || is_tight(d.free_bytes, used);
    if (!findings.broken.empty()) out.reasons = findings.broken[rank];
    plan.devices.push_back(std::move(out));
  }
  if (plan.host) tight = tight || is_tight(plan.host->free_bytes, ledger.host_bytes());
  plan.verdict = findings.error ? Verdict::kDoesNotFit : tight ? Verdict::kTight : Verdict::kFits;
}

DealtPlan dealt_plan(const Settled& s) {
  DealtPlan out;
  out.split_mode = s.split_mode;
  const std::vector<std::uint32_t>& begin = s.layout.stage_begin;
  for (std::size_t stage = 0; stage + 1 < begin.size(); ++stage) out.stage_layers.push_back(begin[stage + 1] - begin[stage]);
  out.host_layers = s.layout.host_layers();
  out.cpu_moe_layers = s.layout.host_expert_layers;
  const bool output = s.layout.last_stage() != s.layout.host_stage();
  if (output) out.output_device = s.layout.last_stage() * s.layout.tp;
  out.gpu_layers = begin.back() - begin.front() + (output ? 1 : 0);
  return out;
}

void fill_head(const Settled& s, Plan& plan) {
  const PlanRequest& r = s.request();
  plan.model = s.model().info;
  if (r.weights_bytes) plan.model.weights_source = WeightsSource::kGiven;
  plan.engine = {s.profile().name, s.profile().version};
  EffectiveRequest& e = plan.request;
  e.tp = s.layout.tp;
  e.pp = s.layout.pp;
  e.dp = s.layout.dp;
  e.ep = s.layout.ep;
  e.nodes = s.layout.nodes;
  e.stage_layers = r.stage_layers;
  e.accounting = r.accounting;
  e.device_memory_utilization = s.utilization;
  e.max_length = plan.limits.max_length;
  e.max_batch_size = plan.limits.max_batch_size;
  e.max_batch_input_tokens = s.max_batch_input_tokens;
  e.max_batch_total_tokens = r.max_batch_total_tokens;
  e.kv_dtype = s.kv_types.name;
  e.dtype = std::string(s.cast ? s.cast->name : s.model().dtype.name);
  e.quantize = s.model().quantize;
  e.phase = r.phase;
  e.page_tokens = s.page_tokens;
  e.vision_cache_utilization = s.vision_utilization;
  e.num_draft_tokens = r.num_draft_tokens;
  e.redundant_experts = r.redundant_experts;
  e.max_loras = s.adapters.slots;
  e.max_lora_rank = s.adapters.max_rank;
  e.lora_dtype = s.adapters.dtype.name;
  e.engine_overrides = r.engine_overrides;
  if (s.deals_layers) plan.dealt = dealt_plan(s);
}

// What the per-device steps leave for each rank. `requests`: those that the items in the ledger are priced for.
Result<std::vector<std::uint64_t>> plan_per_device(const Settled& s, std::optional<std::uint64_t> batch, std::uint64_t requests,
                                                   Ledger& ledger, Findings& findings, Plan& plan) {
  check_static(s, ledger, findings);
  check_host_memory(s, ledger, findings);
  PLIMSOLL_TRY(plan_entry_caches(s, ledger, findings, plan));
  std::vector<Wide> rooms = kv_rooms(s, ledger);
  PLIMSOLL_TRY(plan_kv_cache(s, batch, requests, rooms, ledger, findings, plan));
  check_host_memory(s, ledger, findings);
  std::vector<std::uint64_t> budgets = check_devices(s, ledger, rooms, findings);
  check_outside(s, s.sequences(batch), ledger, budgets, findings);
  if (findings.error && s.input.for_a_reader) findings.broken = broken_limits(s, s.sequences(batch), ledger, rooms);
  return budgets;
}

// Items for so many requests, then all that depends on what they leave.
Result<std::vector<std::uint64_t>> plan_with_items(const Settled& s, std::optional<std::uint64_t> batch, std::uint64_t requests,
                                                   Ledger& ledger, Findings& findings, Plan& plan) {
  PLIMSOLL_TRY(price_items(s, batch, requests, ledger));
  return s.request().accounting == Accounting::kPooled ? plan_pooled(s, batch, requests, ledger, findings, plan)
                                                       : plan_per_device(s, batch, requests, ledger, findings, plan);
}

// A second tier of the KV cache, spread over the processes of all ranks.
Result<void> add_offload(const Settled& s, Ledger& ledger) {
  if (!s.request().kv_offload_bytes) return {};
  Item item;
  item.label = "kv_offload";
  item.planner = s.profile().name;
  item.memory = MemoryKind::kHost;
  const std::uint64_t bytes = *s.request().kv_offload_bytes, ranks = s.layout.ranks();
  for (std::uint64_t rank = 0; rank < ranks; ++rank) item.bytes.push_back(bytes / ranks + (rank < bytes % ranks ? 1 : 0));
  if (s.explains()) item.formula = fmt::format("{} B / {} ranks, in host memory", bytes, ranks);
  return ledger.add(Category::kKvCache, std::move(item));
}

Result<Plan> plan_settled(const PlanInput& input) {
  PLIMSOLL_ASSIGN(Settled s, settle(input));
  Plan plan;
  Findings findings;
  findings.warnings = std::move(s.warnings);
  Ledger ledger(s.layout.ranks());
  PLIMSOLL_TRY(place_weights(s, ledger, findings));
  PLIMSOLL_TRY(add_offload(s, ledger));
  PLIMSOLL_ASSIGN(const std::optional<std::uint64_t> batch, planned_batch(s, ledger));
  const auto attempt = [&](std::uint64_t requests) -> Result<TriedBatch> {
    Ledger scratch = ledger.sums();
    Findings found;
    Plan tried;
    PLIMSOLL_TRY(plan_with_items(s, batch, requests, scratch, found, tried));
    return TriedBatch{!found.error, tried.limits.max_batch_size, tried.limits.max_length};
  };
  PLIMSOLL_ASSIGN(const std::uint64_t requests, batch_of_items(s, batch, ledger, attempt));
  PLIMSOLL_ASSIGN(const std::vector<std::uint64_t> budgets, plan_with_items(s, batch, requests, ledger, findings, plan));
  check_quantization(s, findings);
  check_served(s, findings);
  warn_of_profile_items(s, ledger, findings);
  fill_host_memory(s, ledger, findings, plan);
  fill_devices(s, ledger, budgets, findings, plan);
  fill_head(s, plan);
  plan.limits.binding = std::move(findings.binding);
  plan.items = std::move(ledger.items());
  plan.warnings = std::move(findings.warnings);
  plan.error = std::move(findings.error);
  return plan;
}

} // namespace

Result<Plan> make_plan(const PlanInput& input) {
  const auto fitted = [](const PlanInput& one) { return plan_fitted_length(one, plan_settled); };
  return leaves_split_open(*input.request) ? plan_fitted_split(input, fitted) : fitted(input);
}

} // namespace plimsoll
