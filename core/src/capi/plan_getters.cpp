#include "capi/plan_getters.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string_view>

#include "base/handed_out.hpp"
#include "plimsoll/device_figures.hpp"

namespace plimsoll::capi {
namespace {

// A figure of `From` and its number in host.h.
template <class From, class Value>
struct Getter {
  int number;
  Value (*get)(const From&);
};

template <class From, class Value, std::size_t n>
std::optional<Value> find(const Getter<From, Value> (&table)[n], int number, const From& from) {
  for (const Getter<From, Value>& getter : table)
    if (getter.number == number) return getter.get(from);
  return std::nullopt;
}

template <class Value>
int answer(const std::optional<Value>& found, Value* value) {
  if (!found) return PLIMSOLL_HOST_BAD_REQUEST;
  *value = *found;
  return PLIMSOLL_HOST_OK;
}

int answer_text(const std::optional<std::string_view>& found, char** out_text) {
  if (!found) return PLIMSOLL_HOST_BAD_REQUEST;
  *out_text = hand_out_text(*found);
  return *out_text ? PLIMSOLL_HOST_OK : PLIMSOLL_HOST_INTERNAL;
}

constexpr Getter<Plan, std::uint64_t> kLimits[]{
    {PLIMSOLL_HOST_MAX_LENGTH, [](const Plan& p) { return p.limits.max_length; }},
    {PLIMSOLL_HOST_MAX_BATCH_SIZE, [](const Plan& p) { return p.limits.max_batch_size; }},
    {PLIMSOLL_HOST_MAX_SUPPORTED_SEQUENCE_LENGTH, [](const Plan& p) { return p.limits.max_supported_sequence_length; }},
    {PLIMSOLL_HOST_MAX_BATCH_AT_MAX_LENGTH, [](const Plan& p) { return p.limits.max_batch_at_max_length; }},
    {PLIMSOLL_HOST_MAX_BATCH_INPUT_TOKENS, [](const Plan& p) { return p.request.max_batch_input_tokens; }},
    {PLIMSOLL_HOST_KV_PAGES, [](const Plan& p) { return p.kv_cache.pages; }},
    {PLIMSOLL_HOST_KV_PAGE_TOKENS, [](const Plan& p) { return p.kv_cache.page_tokens; }},
    {PLIMSOLL_HOST_KV_CAPACITY_TOKENS, [](const Plan& p) { return p.kv_cache.capacity_tokens; }},
    {PLIMSOLL_HOST_KV_GROUPS, [](const Plan& p) { return std::uint64_t{p.kv_cache.groups.size()}; }},
    {PLIMSOLL_HOST_VISION_ENTRY_BYTES, [](const Plan& p) { return p.vision_entry_bytes; }},
    {PLIMSOLL_HOST_VISION_ENTRIES, [](const Plan& p) { return p.vision_entries; }},
    {PLIMSOLL_HOST_STATE_SLOTS, [](const Plan& p) { return p.kv_cache.state_slots.value_or(0); }},
    {PLIMSOLL_HOST_KV_ENGINE_REPORTED_TOKENS, [](const Plan& p) { return p.kv_cache.engine_reported_tokens; }},
    {PLIMSOLL_HOST_KV_TOKEN_BYTES, [](const Plan& p) { return p.kv_cache.bytes_per_token_per_device; }},
    {PLIMSOLL_HOST_KV_RANK_GROUPS, [](const Plan& p) { return std::uint64_t{p.kv_geometry.n_groups()}; }},
    {PLIMSOLL_HOST_KV_SHARED_BLOCKS, [](const Plan& p) { return std::uint64_t{p.kv_geometry.shared_blocks}; }},
    {PLIMSOLL_HOST_HOST_MEMORY_BYTES, [](const Plan& p) { return p.host_memory_bytes; }},
};

constexpr Getter<Plan, double> kFractions[]{
    {PLIMSOLL_HOST_KV_CAPACITY_REQUESTS, [](const Plan& p) { return p.kv_cache.capacity_requests; }},
    {PLIMSOLL_HOST_DEVICE_MEMORY_UTILIZATION, [](const Plan& p) { return p.request.device_memory_utilization; }},
};

constexpr Getter<Plan, std::string_view> kTexts[]{
    {PLIMSOLL_HOST_BINDING, [](const Plan& p) { return std::string_view(p.limits.binding); }},
    {PLIMSOLL_HOST_KV_DTYPE, [](const Plan& p) { return std::string_view(p.kv_cache.dtype); }},
};

constexpr Getter<KvGroupPlan, std::uint64_t> kGroupFigures[]{
    {PLIMSOLL_HOST_GROUP_LAYERS, [](const KvGroupPlan& g) { return g.layers; }},
    {PLIMSOLL_HOST_GROUP_PAGE_BYTES, [](const KvGroupPlan& g) { return g.page_bytes_per_device; }},
    {PLIMSOLL_HOST_GROUP_WINDOW_TOKENS, [](const KvGroupPlan& g) { return g.window_tokens.value_or(0); }},
    {PLIMSOLL_HOST_GROUP_STATE_BYTES, [](const KvGroupPlan& g) { return g.state_bytes_per_sequence; }},
};

std::uint64_t kind_number(CacheKind kind) {
  switch (kind) {
  case CacheKind::kFull: return PLIMSOLL_HOST_CACHE_FULL;
  case CacheKind::kWindow: return PLIMSOLL_HOST_CACHE_WINDOW;
  case CacheKind::kChunk: return PLIMSOLL_HOST_CACHE_CHUNK;
  case CacheKind::kLatent: return PLIMSOLL_HOST_CACHE_LATENT;
  case CacheKind::kState: return PLIMSOLL_HOST_CACHE_STATE;
  case CacheKind::kCross: return PLIMSOLL_HOST_CACHE_CROSS;
  }
  return PLIMSOLL_HOST_CACHE_FULL;
}

// One group on one rank.
struct RankGroup {
  const KvGroupGeometry& group;
  const KvGroupPool& pool;
  std::uint64_t block_bytes;
};

constexpr Getter<RankGroup, std::uint64_t> kRankGroupFigures[]{
    {PLIMSOLL_HOST_RANK_KIND, [](const RankGroup& g) { return kind_number(g.group.kind); }},
    {PLIMSOLL_HOST_RANK_DRAFT, [](const RankGroup& g) { return std::uint64_t{g.group.draft}; }},
    {PLIMSOLL_HOST_RANK_LAYERS, [](const RankGroup& g) { return g.group.n_layers; }},
    {PLIMSOLL_HOST_RANK_PAGE_TOKENS, [](const RankGroup& g) { return g.group.page_tokens; }},
    {PLIMSOLL_HOST_RANK_PAGE_BYTES, [](const RankGroup& g) { return g.group.page_bytes; }},
    {PLIMSOLL_HOST_RANK_PAGES, [](const RankGroup& g) { return g.pool.pages; }},
    {PLIMSOLL_HOST_RANK_NULL_PAGES, [](const RankGroup& g) { return g.pool.null_pages; }},
    {PLIMSOLL_HOST_RANK_STATE_ROWS, [](const RankGroup& g) { return g.pool.state_rows; }},
    {PLIMSOLL_HOST_RANK_STATE_ROW_BYTES, [](const RankGroup& g) { return g.group.state_row_bytes; }},
    {PLIMSOLL_HOST_RANK_ROWS_PER_SEQUENCE, [](const RankGroup& g) { return g.group.rows_per_sequence; }},
    {PLIMSOLL_HOST_RANK_KV_HEADS, [](const RankGroup& g) { return g.group.kv_heads; }},
    {PLIMSOLL_HOST_RANK_K_ELEMENTS, [](const RankGroup& g) { return g.group.k_elements; }},
    {PLIMSOLL_HOST_RANK_V_ELEMENTS, [](const RankGroup& g) { return g.group.v_elements; }},
    {PLIMSOLL_HOST_RANK_LATENT_ELEMENTS, [](const RankGroup& g) { return g.group.latent_elements; }},
    {PLIMSOLL_HOST_RANK_ROPE_ELEMENTS, [](const RankGroup& g) { return g.group.rope_elements; }},
    {PLIMSOLL_HOST_RANK_WINDOW_TOKENS, [](const RankGroup& g) { return g.group.window_tokens; }},
    {PLIMSOLL_HOST_RANK_FIXED_TOKENS, [](const RankGroup& g) { return g.group.fixed_tokens; }},
    {PLIMSOLL_HOST_RANK_BYTES, [](const RankGroup& g) { return g.pool.bytes; }},
    {PLIMSOLL_HOST_RANK_BLOCK_BYTES, [](const RankGroup& g) { return g.block_bytes; }},
};

constexpr Getter<RankGroup, std::string_view> kRankGroupTexts[]{
    {PLIMSOLL_HOST_RANK_LABEL, [](const RankGroup& g) { return std::string_view(g.group.label); }},
    {PLIMSOLL_HOST_RANK_KIND_NAME, [](const RankGroup& g) { return cache_kind_name(g.group.kind); }},
    {PLIMSOLL_HOST_RANK_K_DTYPE, [](const RankGroup& g) { return std::string_view(g.group.k_dtype); }},
    {PLIMSOLL_HOST_RANK_V_DTYPE, [](const RankGroup& g) { return std::string_view(g.group.v_dtype); }},
};

std::optional<RankGroup> rank_group(const plimsoll_plan* plan, std::uint32_t rank, std::uint32_t group) {
  if (!plan) return std::nullopt;
  const KvGeometry& geometry = plan->plan.kv_geometry;
  if (rank >= geometry.n_ranks() || group >= geometry.n_groups()) return std::nullopt;
  return RankGroup{geometry.group(rank, group), geometry.pool(rank, group), geometry.block_bytes(rank)};
}

} // namespace
} // namespace plimsoll::capi

using namespace plimsoll;       // NOLINT: the C functions below are this file's only content
using namespace plimsoll::capi; // NOLINT

int plimsoll_plan_verdict(const plimsoll_plan* plan) {
  if (!plan) return -1;
  switch (plan->plan.verdict) {
  case Verdict::kFits: return PLIMSOLL_HOST_FITS;
  case Verdict::kTight: return PLIMSOLL_HOST_TIGHT;
  case Verdict::kDoesNotFit:
  case Verdict::kError: return PLIMSOLL_HOST_DOES_NOT_FIT;
  }
  return PLIMSOLL_HOST_DOES_NOT_FIT;
}

uint32_t plimsoll_plan_rank_count(const plimsoll_plan* plan) { return plan ? static_cast<std::uint32_t>(plan->plan.devices.size()) : 0; }

int plimsoll_plan_rank_bytes(const plimsoll_plan* plan, uint32_t rank, int category, int64_t* bytes) {
  if (!plan || !bytes || rank >= plan->plan.devices.size()) return PLIMSOLL_HOST_BAD_REQUEST;
  for (const DeviceFigure& figure : kDeviceFigures)
    if (figure.number == category) {
      *bytes = bytes_of(plan->plan.devices[rank], figure);
      return PLIMSOLL_HOST_OK;
    }
  return PLIMSOLL_HOST_BAD_REQUEST;
}

int plimsoll_plan_limit(const plimsoll_plan* plan, int which, uint64_t* value) {
  if (!plan || !value) return PLIMSOLL_HOST_BAD_REQUEST;
  return answer(find(kLimits, which, plan->plan), value);
}

int plimsoll_plan_fraction(const plimsoll_plan* plan, int which, double* value) {
  if (!plan || !value) return PLIMSOLL_HOST_BAD_REQUEST;
  return answer(find(kFractions, which, plan->plan), value);
}

int plimsoll_plan_text(const plimsoll_plan* plan, int which, char** out_text) {
  if (!out_text) return PLIMSOLL_HOST_BAD_REQUEST;
  *out_text = nullptr;
  if (!plan) return PLIMSOLL_HOST_BAD_REQUEST;
  return answer_text(find(kTexts, which, plan->plan), out_text);
}

int plimsoll_plan_kv_group(const plimsoll_plan* plan, uint32_t group, int which, uint64_t* value) {
  if (!plan || !value || group >= plan->plan.kv_cache.groups.size()) return PLIMSOLL_HOST_BAD_REQUEST;
  return answer(find(kGroupFigures, which, plan->plan.kv_cache.groups[group]), value);
}

int plimsoll_plan_kv_rank_group(const plimsoll_plan* plan, uint32_t rank, uint32_t group, int which, uint64_t* value) {
  const std::optional<RankGroup> found = rank_group(plan, rank, group);
  if (!found || !value) return PLIMSOLL_HOST_BAD_REQUEST;
  return answer(find(kRankGroupFigures, which, *found), value);
}

int plimsoll_plan_kv_rank_group_text(const plimsoll_plan* plan, uint32_t rank, uint32_t group, int which, char** out_text) {
  if (!out_text) return PLIMSOLL_HOST_BAD_REQUEST;
  *out_text = nullptr;
  const std::optional<RankGroup> found = rank_group(plan, rank, group);
  if (!found) return PLIMSOLL_HOST_BAD_REQUEST;
  return answer_text(find(kRankGroupTexts, which, *found), out_text);
}

int plimsoll_plan_kv_rank_group_layers(const plimsoll_plan* plan, uint32_t rank, uint32_t group, uint32_t* layers, size_t room,
                                       size_t* count) {
  const std::optional<RankGroup> found = rank_group(plan, rank, group);
  if (!found || !count || (!layers && room > 0)) return PLIMSOLL_HOST_BAD_REQUEST;
  const std::vector<std::uint32_t>* all = found->group.layers.get();
  const std::size_t known = all ? all->size() : 0;
  const std::size_t first = std::min<std::size_t>(found->group.first_layer, known);
  const std::size_t held = std::min<std::size_t>(found->group.n_layers, known - first);
  for (std::size_t i = 0; i < std::min(held, room); ++i) layers[i] = (*all)[first + i];
  *count = held;
  return PLIMSOLL_HOST_OK;
}
