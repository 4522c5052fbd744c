// The documented KV arithmetic behind kv_params.hpp: bytes of pages and rows, blocks of a replica, capacity.
// Never corrects the documented rules (the null block counts in the demand only).
// Threads: pure functions.
#include "estimate/kv_params.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <string>

#include "base/human.hpp"

namespace plimsoll {
namespace {

std::string cache_where(std::size_t index) { return fmt::format("/kv_cache/caches/{}", index); }

std::string human_wide(Wide bytes) {
  if (bytes < 0) return "-" + human_wide(-bytes);
  return human_bytes(bytes > INT64_MAX ? UINT64_MAX : static_cast<std::uint64_t>(bytes));
}

CheckedWide stored_bytes(CheckedWide elements, const StorageType& type) {
  if (type.block_elements == 1) return elements * type.block_bytes;
  return elements.overflowed() ? elements : CheckedWide(wide_ceil_div(elements.value(), type.block_elements)) * type.block_bytes;
}

// Scales are stored, and priced, for these pairs only.
bool is_quantised(const EstimateCache& cache) {
  if (!cache.scales) return false;
  const std::string_view value = cache.type.name, scale = cache.scales->type.name;
  return (value == "float8_e4m3fn" || value == "float8_e4m3fnuz" || value == "int8") &&
         (scale == "float32" || scale == "float8_e8m0fnu" || scale == "float16");
}

Result<std::int64_t> draft_slack(const EstimateDraft& draft) {
  const std::int64_t tokens = draft.num_draft_tokens;
  if (tokens <= 0) return 0;
  std::int64_t per_step = 0;
  if (draft.method == "dflash" || draft.method == "dflash2") per_step = tokens;
  else if (draft.method == "mtp" || draft.method == "eagle") per_step = 1;
  else if (!draft.method.empty())
    return fail(ErrorCode::kBadRequest,
                fmt::format("unknown speculative method '{}'; known are eagle, mtp, dflash and dflash2", draft.method), "/draft/method");
  if (tokens > INT64_MAX / 4)
    return fail(ErrorCode::kBadRequest, "the number of draft tokens is beyond 64 bits", "/draft/num_draft_tokens");
  // Two rounds of drafts written, one assumed accepted, the block draft's slot, the next token.
  return 3 * tokens + (per_step == tokens ? 1 : 0) + 1;
}

Result<void> add_state(const EstimateCache& cache, std::size_t index, KvParams& params, CheckedWide& rows, CheckedWide& all) {
  for (const EstimateStateRegion& region : cache.regions) {
    CheckedWide elements = region.layers;
    for (const std::int64_t extent : region.row_shape) elements *= extent;
    const CheckedWide page = stored_bytes(elements, region.type);
    rows += page * params.tensor_parallel * 2;
    all += page * params.tensor_parallel;
    params.leaves.push_back({CacheKind::kState, 0, page.saturated(), 1, index});
  }
  return {};
}

Result<void> add_attention(const EstimateCache& cache, std::size_t index, KvParams& params, CheckedWide& block, CheckedWide& all) {
  if (cache.window_tokens && *cache.window_tokens <= 1)
    return fail(ErrorCode::kBadRequest,
                fmt::format("a window of {} tokens reads no history; give at least 2, or null", *cache.window_tokens),
                cache_where(index) + "/window_tokens");
  const bool latent = cache.kind == CacheKind::kLatent;
  if (cache.layers < 1) return fail(ErrorCode::kBadRequest, "an attention cache needs at least one layer", cache_where(index) + "/layers");
  if (cache.head_dim < 1) return fail(ErrorCode::kBadRequest, "head_dim must be at least 1", cache_where(index) + "/head_dim");
  std::int64_t heads = 1;
  if (auto spread = kv_heads_per_device(cache, params.tensor_parallel, std::string()); spread) heads = *spread;
  else return fail(spread.error().code, spread.error().message, cache_where(index) + spread.error().where);
  const std::int64_t tensors = latent ? 1 : 2;
  const CheckedWide rows = CheckedWide(tensors) * cache.layers * params.page_tokens * heads;
  const CheckedWide row = stored_bytes(CheckedWide(heads) * cache.head_dim, cache.type);
  const CheckedWide values = stored_bytes(rows * cache.head_dim, cache.type);
  const CacheKind kind = cache.window_tokens ? CacheKind::kWindow : cache.kind;
  const std::int64_t window = cache.window_tokens.value_or(0);
  block += values * params.tensor_parallel;
  all += values * params.tensor_parallel;
  params.leaves.push_back({kind, window, values.saturated(), row.saturated(), index});
  if (is_quantised(cache)) {
    const std::int64_t granularity = cache.scales->granularity;
    if (granularity <= 0 || cache.head_dim % granularity != 0)
      return fail(ErrorCode::kBadRequest,
                  fmt::format("a scale granularity of {} does not divide the head dimension {}", granularity, cache.head_dim),
                  cache_where(index) + "/scales/granularity");
    const std::int64_t groups = cache.head_dim / granularity;
    const CheckedWide scales = stored_bytes(rows * groups, cache.scales->type);
    const CheckedWide scale_row = stored_bytes(CheckedWide(heads) * groups, cache.scales->type);
    block += scales * params.tensor_parallel;
    all += scales * params.tensor_parallel;
    // Aligned to 16 bytes: the least common multiple of the row and 16.
    Wide aligned = scale_row.saturated();
    while (!scale_row.overflowed() && aligned % 16 != 0) aligned += scale_row.value();
    params.leaves.push_back({kind, window, scales.saturated(), aligned, index});
  }
  if (cache.per_layer_buffers) {
    if (params.data_parallel > 1)
      return fail(ErrorCode::kBadRequest, "per-layer buffers are not supported with data parallelism",
                  cache_where(index) + "/per_layer_buffers");
    params.per_layer_depth = std::max(params.per_layer_depth, cache.layers);
  }
  return {};
}

} // namespace

Result<std::int64_t> kv_heads_per_device(const EstimateCache& cache, std::int64_t tensor_parallel, const std::string& where) {
  const std::int64_t t = tensor_parallel;
  if (cache.kind == CacheKind::kLatent) {
    if (!cache.query_heads) return fail(ErrorCode::kBadRequest, "a latent cache needs its number of query heads", where + "/query_heads");
    if (*cache.query_heads < 1 || *cache.query_heads % t != 0)
      return fail(ErrorCode::kBadRequest, fmt::format("{} query heads cannot be spread over {} devices", *cache.query_heads, t),
                  where + "/query_heads");
    return 1;
  }
  if (cache.kv_heads < 1) return fail(ErrorCode::kBadRequest, "the cache needs at least one KV head", where + "/kv_heads");
  if (cache.kv_heads % t == 0) return cache.kv_heads / t;
  if (cache.allow_kv_head_replication && t % cache.kv_heads == 0) return 1;
  return fail(ErrorCode::kBadRequest,
              fmt::format("{} KV heads cannot be spread over {} devices{}", cache.kv_heads, t,
                          cache.allow_kv_head_replication ? "" : "; allow_kv_head_replication may help"),
              where + "/kv_heads");
}

Result<KvParams> make_kv_params(const EstimateRequest& request) {
  KvParams params;
  const auto n = static_cast<std::int64_t>(request.devices.size());
  const std::int64_t d = request.data_parallel_degree;
  if (d < 1 || d > n || n % d != 0)
    return fail(ErrorCode::kBadRequest, fmt::format("a data-parallel degree of {} does not divide {} device{}", d, n, n == 1 ? "" : "s"),
                "/parallelism/dp");
  if (request.page_tokens < 1)
    return fail(ErrorCode::kBadRequest, fmt::format("a page of {} tokens holds nothing; give at least 1", request.page_tokens),
                "/kv_cache/page_tokens");
  params.data_parallel = d;
  params.tensor_parallel = n / d;
  params.page_tokens = request.page_tokens;
  params.leaves.reserve(request.caches.size() + 1);
  CheckedWide block, rows, all;
  bool first = true;
  for (std::size_t i = 0; i < request.caches.size(); ++i) {
    const EstimateCache& cache = request.caches[i];
    if (cache.kind == CacheKind::kState) {
      PLIMSOLL_TRY(add_state(cache, i, params, rows, all));
      continue;
    }
    PLIMSOLL_TRY(add_attention(cache, i, params, block, all));
    if (first) params.replicates_kv = cache.kind == CacheKind::kLatent && params.tensor_parallel > 1;
    first = false;
  }
  PLIMSOLL_ASSIGN(params.slack_tokens, draft_slack(request.draft));
  if (block.overflowed() || rows.overflowed() || all.overflowed())
    return fail(ErrorCode::kBadRequest, "one page of the KV cache is beyond any memory; check the geometry", "/kv_cache/caches");
  params.bytes_per_block = block.value();
  params.row_bytes_per_request = rows.value();
  params.leaf_page_bytes = all.value();
  return params;
}

Result<KvBlocks> num_device_blocks(const KvParams& params, Wide budget, std::optional<std::int64_t> max_batch_size,
                                   std::optional<std::int64_t> max_length, bool include_null_block) {
  KvBlocks r;
  const bool bounded = max_length.has_value() && max_batch_size.has_value();
  const std::int64_t batch = max_batch_size.value_or(0);
  Wide demand = 0;
  if (bounded) {
    const CheckedWide pages = wide_ceil_div(static_cast<Wide>(*max_length) + params.slack_tokens, params.page_tokens);
    demand = (pages * batch + (include_null_block ? 1 : 0)).saturated();
  }
  if (params.bytes_per_block == 0) {
    const std::int64_t length = max_length.value_or(0);
    const Wide slots = length > 0 ? wide_ceil_div(length, params.page_tokens) : 1;
    Wide per_request = 0;
    for (const KvLeaf& leaf : params.leaves) per_request = std::max(per_request, leaf.pages_to_reserve(slots, params.page_tokens));
    r.blocks = per_request * (batch > 0 ? batch : 1) + (include_null_block ? 1 : 0);
    r.allocable = r.blocks;
    return r;
  }
  const Wide per_replica = budget / params.data_parallel;
  const Wide rows = (CheckedWide(params.row_bytes_per_request) * batch).saturated();
  const Wide left = per_replica > rows ? per_replica - rows : 0;
  r.allocable = wide_div(left, params.bytes_per_block);
  if (r.allocable == 0)
    return fail(
        ErrorCode::kNoPageFits,
        fmt::format("one page needs {} over the {} device(s) of a replica, but {} of the replica's {} are left once the states of {} "
                    "requests are placed; use fewer requests, a smaller page or more memory",
                    human_wide(params.bytes_per_block), params.tensor_parallel, human_wide(left), human_wide(per_replica), batch),
        "/kv_cache");
  r.batch_exceeds_pages = max_batch_size.has_value() && batch > r.allocable;
  r.blocks = bounded ? std::min(r.allocable, demand) : r.allocable;
  return r;
}

Wide estimated_memory_size(const KvParams& params, Wide blocks, std::int64_t max_batch_size) {
  if (params.bytes_per_block == 0) return (CheckedWide(blocks) * params.leaf_page_bytes * params.data_parallel).saturated();
  return ((CheckedWide(blocks) * params.bytes_per_block + CheckedWide(params.row_bytes_per_request) * max_batch_size) *
          params.data_parallel)
      .saturated();
}

Result<std::optional<Wide>> capacity_tokens(const KvParams& params, Wide budget) {
  if (params.bytes_per_block == 0) return std::optional<Wide>();
  PLIMSOLL_ASSIGN(const KvBlocks blocks, num_device_blocks(params, budget, 1, std::nullopt, true));
  const Wide tokens = blocks.blocks * params.page_tokens - params.slack_tokens;
  return std::optional<Wide>(std::max<Wide>(1, tokens));
}

} // namespace plimsoll
