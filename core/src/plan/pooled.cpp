// A plan under pooled accounting: the model's sizes summed over all devices and handed to the documented estimator.
// What it answers is shared out evenly over the devices, as that estimator assumes. Threads: pure.
#include <algorithm>
#include <fmt/format.h>

#include "kv/pricing.hpp"
#include "plan/plan_state.hpp"
#include "plimsoll/estimator.hpp"

namespace plimsoll {
namespace {

ElementType element(const Dtype& type) { return {type.name, type.block_elements, type.block_bytes}; }

Result<std::int64_t> total(const PlanState& s, Category category) {
  Checked sum = 0;
  for (std::uint32_t rank = 0; rank < s.layout.ranks(); ++rank) sum += s.ledger.sum(category, rank);
  if (sum.saturated() > static_cast<std::uint64_t>(INT64_MAX))
    return fail(ErrorCode::kBadConfig, fmt::format("the {} bytes of all devices do not fit 63 bits", category_name(category)),
                s.model().where);
  return static_cast<std::int64_t>(sum.value());
}

Result<EstimateCache> cache_of(const PlanState& s, const KvGroup& g, const KvGroupPrice& price) {
  EstimateCache cache;
  cache.label = g.label;
  cache.layers = static_cast<std::int64_t>(g.layers.size());
  cache.type = element(g.dtype.empty() ? s.kv_types.k : *find_dtype(g.dtype));
  if (g.kind == CacheKind::kState) {
    cache.kind = CacheKind::kState;
    // One row as this rank keeps it, as bytes.
    cache.regions.push_back({g.label, 1, {static_cast<std::int64_t>(price.state_bytes)}, element(*find_dtype("uint8"))});
    return cache;
  }
  cache.kind = g.kind == CacheKind::kLatent ? CacheKind::kLatent : CacheKind::kFull;
  cache.kv_heads = static_cast<std::int64_t>(g.kv_heads);
  cache.allow_kv_head_replication = true;
  cache.query_heads = static_cast<std::int64_t>(g.query_heads == 0 ? s.layout.tp : g.query_heads);
  if (cache.kind == CacheKind::kFull && (g.k_elements + g.v_elements) % 2 != 0)
    return fail(ErrorCode::kBadRequest, fmt::format("the pooled accounting has no keys and values of different widths ('{}')", g.label),
                "--accounting");
  cache.head_dim = static_cast<std::int64_t>(cache.kind == CacheKind::kLatent ? g.k_elements : (g.k_elements + g.v_elements) / 2);
  if (g.window_tokens > 1) cache.window_tokens = static_cast<std::int64_t>(g.window_tokens);
  if (g.scale_elements != 0 && !g.scale_dtype.empty())
    cache.scales = EstimateScales{element(*find_dtype(g.scale_dtype)), static_cast<std::int64_t>(g.scale_elements)};
  return cache;
}

} // namespace

Result<void> plan_pooled(PlanState& s) {
  if (s.layout.pp > 1)
    return fail(ErrorCode::kBadRequest, "the pooled accounting knows no pipeline stages; use --accounting per-device", "--pp");
  EstimateRequest e;
  e.accounting = Accounting::kPooled;
  for (const Device& d : s.devices()) {
    EstimateDevice device;
    device.name = d.name;
    device.free_bytes = static_cast<std::int64_t>(d.free_bytes);
    device.total_bytes = static_cast<std::int64_t>(d.total_bytes);
    if (d.max_allocation_bytes) device.max_allocation_bytes = static_cast<std::int64_t>(*d.max_allocation_bytes);
    e.devices.push_back(std::move(device));
  }
  e.data_parallel_degree = s.layout.dp;
  e.device_memory_utilization = s.utilization;
  PLIMSOLL_ASSIGN(e.weights.total_bytes, total(s, Category::kWeights));
  PLIMSOLL_ASSIGN(e.activations.total_bytes, total(s, Category::kActivation));
  PLIMSOLL_ASSIGN(e.signal_buffers.total_bytes, total(s, Category::kSignalBuffer));
  e.page_tokens = static_cast<std::int64_t>(s.page_tokens);
  PLIMSOLL_ASSIGN(const std::vector<KvGroupPrice> prices,
                  price_kv(s.model().declared, s.layout, 0, s.kv_types, s.page_tokens, s.request().num_draft_tokens, s.speculative));
  KvPlan& kv = s.plan.kv_cache;
  kv.dtype = s.kv_types.name;
  kv.page_tokens = s.page_tokens;
  for (const KvGroupPrice& price : prices) {
    PLIMSOLL_ASSIGN(EstimateCache cache, cache_of(s, *price.group, price));
    KvGroupPlan shown;
    shown.label = price.group->label;
    shown.kind = cache.kind == CacheKind::kState    ? "state"
                 : cache.kind == CacheKind::kLatent ? "latent"
                 : cache.window_tokens              ? "window"
                                                    : "full";
    shown.layers = price.group->layers.size();
    shown.page_bytes_per_device = price.page_bytes;
    if (cache.window_tokens) shown.window_tokens = price.group->window_tokens;
    shown.state_bytes_per_sequence = price.state_bytes;
    shown.basis = price.group->bound ? "bound" : "exact";
    kv.groups.push_back(std::move(shown));
    kv.bytes_per_token_per_device += price.token_bytes;
    e.caches.push_back(std::move(cache));
  }
  e.max_length = static_cast<std::int64_t>(s.max_length);
  e.max_length_given = s.max_length_given;
  if (s.max_batch_size != 0) e.max_batch_size = static_cast<std::int64_t>(s.max_batch_size);
  e.max_batch_input_tokens = static_cast<std::int64_t>(s.max_batch_input_tokens);
  if (s.speculative) {
    e.draft.num_draft_tokens = s.request().num_draft_tokens;
    e.draft.method = "mtp";
  }
  const VisionEntry& v = s.model().declared.vision;
  if (v.rows != 0 && v.row_elements != 0) {
    EstimateVisionCache vision;
    vision.utilization = s.vision_utilization;
    vision.row_elements = static_cast<std::int64_t>(v.row_elements);
    vision.row_type = element(v.dtype.empty() ? s.kv_types.model : find_dtype(v.dtype).value_or(s.kv_types.model));
    s.plan.vision_entry_bytes = (s.kv_types.model.bytes(v.row_elements) * v.rows).saturated();
    vision.entry_bytes = static_cast<std::int64_t>(std::min<std::uint64_t>(s.plan.vision_entry_bytes, INT64_MAX));
    e.vision_cache = vision;
  }
  const EstimateResult r = MemoryEstimator::estimate(e);

  const std::uint32_t n = s.layout.ranks();
  const auto share = [n](std::int64_t bytes) { return static_cast<std::uint64_t>(std::max<std::int64_t>(bytes, 0)) / n; };
  const std::uint64_t budget = static_cast<std::uint64_t>(static_cast<double>(r.free_bytes.value_or(0)) * s.utilization);
  for (std::uint64_t& bytes : s.budget) bytes = budget / n;
  if (r.vision_cache && r.vision_cache->bytes > 0) {
    PLIMSOLL_TRY(s.ledger.add_all(
        Category::kVisionCache, "vision_cache", PLIMSOLL_BASIS_EXACT, s.model().tree->root().id(),
        s.explains() ? fmt::format("{} B in {} blocks / {} devices", r.vision_cache->bytes, r.vision_cache->blocks, n) : "",
        share(r.vision_cache->bytes)));
    const std::uint64_t per_image = ceil_div(v.rows, s.profile().vision_cache.vision_block_tokens);
    s.plan.vision_entries = static_cast<std::uint64_t>(r.vision_cache->blocks) / per_image;
  }
  if (r.kv_cache_bytes && *r.kv_cache_bytes > 0)
    PLIMSOLL_TRY(s.ledger.add_all(Category::kKvCache, "kv_cache", PLIMSOLL_BASIS_EXACT, s.model().tree->root().id(),
                                  s.explains() ? fmt::format("{} B / {} devices", *r.kv_cache_bytes, n) : "", share(*r.kv_cache_bytes)));
  const auto figure = [](const std::optional<std::int64_t>& value) {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(value.value_or(0), 0));
  };
  Limits& limits = s.plan.limits;
  limits.max_length = figure(r.max_length);
  limits.max_batch_size = figure(r.max_batch_size);
  limits.max_supported_sequence_length = figure(r.max_supported_sequence_length);
  kv.pages = figure(r.pages_per_replica);
  kv.capacity_tokens = kv.engine_reported_tokens = kv.pages * s.page_tokens;
  if (limits.max_length != 0) {
    kv.capacity_requests = static_cast<double>(kv.pages) / static_cast<double>(ceil_div(limits.max_length, s.page_tokens));
    limits.max_batch_at_max_length = kv.pages / ceil_div(limits.max_length, s.page_tokens);
  }
  limits.binding = "the pool of all devices";
  for (const EstimateWarning warning : r.warnings) s.warn(std::string(estimate_warning_name(warning)), "as the documented estimator warns");
  s.plan.error = r.error;
  return {};
}

} // namespace plimsoll
