#include "plan/pooled.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "base/checked.hpp"
#include "plan/entry_caches.hpp"
#include "plan/kv_cache.hpp"
#include "plimsoll/estimator.hpp"

namespace plimsoll {
namespace {

std::int64_t signed_count(std::uint64_t value) { return static_cast<std::int64_t>(std::min<std::uint64_t>(value, INT64_MAX)); }
std::uint64_t natural(const std::optional<std::int64_t>& value) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(value.value_or(0), 0));
}

StorageType element(const Dtype& type) { return {type.name, type.block_elements, type.block_bytes}; }

Result<std::int64_t> total(const Settled& s, const Ledger& ledger, Category category) {
  Checked sum = 0;
  for (std::uint32_t rank = 0; rank < s.layout.ranks(); ++rank) sum += ledger.sum(category, rank);
  if (sum.saturated() > static_cast<std::uint64_t>(INT64_MAX))
    return fail(ErrorCode::kBadConfig, fmt::format("the {} bytes of all devices do not fit 63 bits", category_name(category)),
                s.model().where);
  return static_cast<std::int64_t>(sum.value());
}

std::vector<EstimateDevice> devices_of(const Settled& s) {
  std::vector<EstimateDevice> out;
  for (const Device& d : s.devices()) {
    EstimateDevice device;
    device.name = d.name;
    device.free_bytes = signed_count(d.free_bytes);
    device.total_bytes = signed_count(d.total_bytes);
    if (d.max_allocation_bytes) device.max_allocation_bytes = signed_count(*d.max_allocation_bytes);
    out.push_back(std::move(device));
  }
  return out;
}

Result<EstimateCache> cache_of(const Settled& s, const KvGroupPrice& price) {
  const KvGroup& g = *price.group;
  EstimateCache cache;
  cache.label = g.label;
  cache.layers = static_cast<std::int64_t>(g.layers.size());
  cache.type = element(g.k_type.value_or(s.kv_types.k));
  if (g.kind == CacheKind::kState) {
    cache.kind = CacheKind::kState;
    // One row as this rank keeps it, as bytes.
    cache.regions.push_back({g.label, 1, {signed_count(price.state_bytes)}, element(*find_dtype("uint8"))});
    return cache;
  }
  if (!g.record.empty() || !(g.k_type == g.v_type))
    return fail(ErrorCode::kBadRequest, fmt::format("the pooled accounting has no caches of several types ('{}')", g.label),
                "--accounting");
  const bool latent = g.kind == CacheKind::kLatent;
  cache.kind = latent ? CacheKind::kLatent : CacheKind::kFull;
  cache.kv_heads = signed_count(g.kv_heads);
  cache.allow_kv_head_replication = true;
  cache.query_heads = signed_count(g.query_heads == 0 ? s.layout.tp : g.query_heads);
  if (!latent && (g.k_elements + g.v_elements) % 2 != 0)
    return fail(ErrorCode::kBadRequest, fmt::format("the pooled accounting has no keys and values of different widths ('{}')", g.label),
                "--accounting");
  cache.head_dim = signed_count(latent ? g.k_elements : (g.k_elements + g.v_elements) / 2);
  if (g.window_tokens > 1) cache.window_tokens = signed_count(g.window_tokens);
  if (g.scale_elements != 0 && g.scale_type) cache.scales = EstimateScales{element(*g.scale_type), signed_count(g.scale_elements)};
  return cache;
}

// Describes a group in the plan as the estimator takes it.
KvGroupPlan shown(const KvGroupPrice& price, const EstimateCache& cache) {
  KvGroupPlan out;
  out.label = price.group->label;
  out.kind = cache.window_tokens ? CacheKind::kWindow : cache.kind;
  out.layers = price.group->layers.size();
  out.page_bytes_per_device = price.page_bytes;
  if (cache.window_tokens) out.window_tokens = price.group->window_tokens;
  out.state_bytes_per_sequence = price.state_bytes;
  out.basis = price.group->bound ? Basis::kBound : Basis::kExact;
  return out;
}

Result<EstimateRequest> request_of(const Settled& s, std::optional<std::uint64_t> batch, const Ledger& ledger, KvPlan& kv) {
  EstimateRequest e;
  e.accounting = Accounting::kPooled;
  e.devices = devices_of(s);
  e.data_parallel_degree = s.layout.dp;
  e.device_memory_utilization = s.utilization;
  PLIMSOLL_ASSIGN(e.weights.total_bytes, total(s, ledger, Category::kWeights));
  PLIMSOLL_ASSIGN(e.activations.total_bytes, total(s, ledger, Category::kActivation));
  PLIMSOLL_ASSIGN(e.signal_buffers.total_bytes, total(s, ledger, Category::kSignalBuffer));
  PLIMSOLL_ASSIGN(const std::int64_t workspace, total(s, ledger, Category::kWorkspace));
  e.activations.total_bytes += workspace; // the documented accounting knows no other place for it
  e.page_tokens = signed_count(s.page_tokens);
  PLIMSOLL_ASSIGN(const std::vector<KvGroupPrice> prices, price_stage(s, 0));
  kv.dtype = s.kv_types.name;
  kv.page_tokens = s.page_tokens;
  for (const KvGroupPrice& price : prices) {
    PLIMSOLL_ASSIGN(EstimateCache cache, cache_of(s, price));
    kv.groups.push_back(shown(price, cache));
    kv.bytes_per_token_per_device += price.token_bytes;
    e.caches.push_back(std::move(cache));
  }
  e.max_length = signed_count(s.max_length);
  e.max_length_given = s.max_length_given;
  if (batch) e.max_batch_size = signed_count(*batch);
  e.max_batch_input_tokens = signed_count(s.max_batch_input_tokens);
  if (s.draft != DraftSource::kNone) {
    e.draft.num_draft_tokens = s.request().num_draft_tokens;
    e.draft.method = "mtp";
  }
  return e;
}

// The estimate's vision cache. Where the documented rule would refuse a share below one block for each device, the share is
// raised to one image, as everywhere else.
Result<void> add_vision(const Settled& s, EstimateRequest& e, Findings& findings, Plan& plan) {
  PLIMSOLL_TRY(describe_entries(s, plan));
  if (s.entries.empty()) return {};
  const MediaEntry& v = *s.largest_entry();
  EstimateVisionCache vision;
  vision.utilization = s.vision_utilization;
  vision.row_elements = signed_count(v.row_elements);
  vision.row_type = element(v.type.value_or(s.kv_types.model));
  PLIMSOLL_ASSIGN(const std::uint64_t row_bytes, row_bytes_of(s, v));
  vision.entry_bytes = signed_count(plan.vision_entry_bytes);
  e.vision_cache = vision;
  if (s.vision_utilization == 0) return {};
  const EstimateResult tried = MemoryEstimator::estimate(e);
  if (!tried.error || tried.error->where != "/vision_cache/utilization" || tried.kv_budget_bytes.value_or(0) <= 0) return {};
  // The reserve is divided by the devices twice, once for each device's part and once for its blocks.
  const std::uint64_t block_tokens = s.profile().vision_cache.vision_block_tokens;
  const double n = static_cast<double>(s.layout.ranks());
  const double wanted =
      static_cast<double>(ceil_div(v.rows, block_tokens)) * static_cast<double>(block_tokens) * static_cast<double>(row_bytes) * n * n;
  const double share = wanted / static_cast<double>(*tried.kv_budget_bytes) * (1 + 1e-12);
  if (share > 1) return {};
  e.vision_cache->utilization = share;
  findings.warn(WarningCode::kVisionCacheRaised,
                fmt::format("{:.4g} of the cache memory holds no block on every device; one image of the largest size is reserved",
                            s.vision_utilization));
  return {};
}

void fill_answer(const Settled& s, const EstimateResult& r, Plan& plan) {
  Limits& limits = plan.limits;
  KvPlan& kv = plan.kv_cache;
  limits.max_length = natural(r.max_length);
  limits.max_batch_size = natural(r.max_batch_size);
  // Empty where memory sets no bound.
  limits.max_supported_sequence_length =
      r.max_supported_sequence_length || r.error ? natural(r.max_supported_sequence_length) : limits.max_length;
  kv.pages = natural(r.pages_per_replica);
  kv.capacity_tokens = kv.pages * s.page_tokens;
  kv.engine_reported_tokens = kv.capacity_tokens;
  if (limits.max_length == 0) return;
  const std::uint64_t pages = ceil_div(limits.max_length, s.page_tokens);
  kv.capacity_requests = static_cast<double>(kv.pages) / static_cast<double>(pages);
  limits.max_batch_at_max_length = std::min(limits.max_batch_size, kv.pages / pages);
}

} // namespace

Result<std::vector<std::uint64_t>> plan_pooled(const Settled& s, std::optional<std::uint64_t> batch, std::uint64_t requests, Ledger& ledger,
                                               Findings& findings, Plan& plan) {
  if (s.layout.pp > 1)
    return fail(ErrorCode::kBadRequest, "the pooled accounting knows no pipeline stages; use --accounting per-device", "--pp");
  PLIMSOLL_ASSIGN(EstimateRequest e, request_of(s, batch, ledger, plan.kv_cache));
  PLIMSOLL_TRY(add_vision(s, e, findings, plan));
  EstimateResult r = MemoryEstimator::estimate(e);
  if (!batch && r.max_batch_size && requests < kv_wish(s, batch).most_requests) // more is not paid for
    r.max_batch_size = std::min(*r.max_batch_size, signed_count(requests));

  const std::uint32_t n = s.layout.ranks();
  const auto share = [n](std::int64_t bytes) { return static_cast<std::uint64_t>(std::max<std::int64_t>(bytes, 0)) / n; };
  if (r.vision_cache && r.vision_cache->bytes > 0) {
    PLIMSOLL_TRY(
        ledger.add_all(Category::kVisionCache, "vision_cache", Basis::kExact, s.model().planners->root().id(),
                       s.explains() ? fmt::format("{} B in {} blocks / {} devices", r.vision_cache->bytes, r.vision_cache->blocks, n) : "",
                       share(r.vision_cache->bytes)));
    const std::uint64_t block_tokens = s.profile().vision_cache.vision_block_tokens;
    for (EntryPlan& entry : plan.entries) entry.entries = natural(r.vision_cache->blocks) / ceil_div(entry.rows, block_tokens);
    plan.vision_entries = natural(r.vision_cache->blocks) / ceil_div(s.largest_entry()->rows, block_tokens);
  }
  if (r.kv_cache_bytes && *r.kv_cache_bytes > 0)
    PLIMSOLL_TRY(ledger.add_all(Category::kKvCache, "kv_cache", Basis::kExact, s.model().planners->root().id(),
                                s.explains() ? fmt::format("{} B / {} devices", *r.kv_cache_bytes, n) : "", share(*r.kv_cache_bytes)));
  fill_answer(s, r, plan);
  findings.binding = "the pool of all devices";
  for (const WarningCode warning : r.warnings) findings.warn(warning, "as the documented estimator warns");
  findings.error = std::move(r.error);
  const auto budget = static_cast<std::uint64_t>(static_cast<double>(r.free_bytes.value_or(0)) * s.utilization);
  return std::vector<std::uint64_t>(n, budget / n);
}

} // namespace plimsoll
