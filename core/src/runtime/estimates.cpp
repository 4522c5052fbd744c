// What the documented class methods of PipelineModel and KvCacheModel answer before anything is allocated: figures of plans, no
// arithmetic of their own. Threads: pure functions of what they are handed.
#include <algorithm>
#include <fmt/format.h>
#include <set>

#include "plimsoll/kv_cache_model.hpp"
#include "plimsoll/pipeline_model.hpp"

namespace plimsoll {
namespace {

// A plan in which memory limits nothing, so that its length and groups are the model's own.
Result<Plan> unlimited_plan(const Context& context, const Model& model) {
  PlanRequest request;
  request.devices = "100TiB";
  PLIMSOLL_ASSIGN(Plan plan, context.plan(model, request));
  if (plan.error) return tl::unexpected(std::move(*plan.error));
  return plan;
}

// The plan with so much memory for KV on each device. The plan's own error where that does not do.
Result<Plan> plan_with_cache(const Context& context, const Model& model, PlanRequest request, std::uint64_t available_bytes) {
  request.kv_cache_bytes = available_bytes;
  PLIMSOLL_ASSIGN(Plan plan, context.plan(model, request));
  if (plan.error) return tl::unexpected(std::move(*plan.error));
  return plan;
}

Result<std::vector<std::uint64_t>> per_rank(const Context& context, const Model& model, const PlanRequest& request,
                                            std::uint64_t DevicePlan::*figure) {
  PLIMSOLL_ASSIGN(const Plan plan, context.plan(model, request));
  std::vector<std::uint64_t> bytes;
  for (const DevicePlan& device : plan.devices) bytes.push_back(device.*figure);
  return bytes;
}

} // namespace

Result<std::uint64_t> upper_bounded_default(std::uint64_t upper_bound, std::optional<std::uint64_t> value) {
  if (!value) return upper_bound;
  if (*value < 1) return fail(ErrorCode::kBadRequest, fmt::format("the value provided ({}) is below 1", *value));
  if (*value > upper_bound)
    return fail(ErrorCode::kBadRequest, fmt::format("the value provided ({}) exceeds the upper bound ({})", *value, upper_bound));
  return *value;
}

Result<std::uint64_t> PipelineModel::calculate_max_seq_len(const Context& context, const Model& model, const PlanRequest& request) {
  PLIMSOLL_ASSIGN(const Plan plan, unlimited_plan(context, model));
  const bool unknown = std::any_of(plan.warnings.begin(), plan.warnings.end(),
                                   [](const Warning& warning) { return warning.code == WarningCode::kMaxLengthUnknown; });
  const std::uint64_t usual = plan.limits.max_length, asked = request.max_length.value_or(usual);
  // Nothing bounds a model that does not say its length; a wish for "what fits, at most ..." is shortened and never refused.
  const std::uint64_t bound = unknown ? std::max(asked, usual) : usual;
  auto length = upper_bounded_default(bound, request.max_length_auto ? std::min(asked, bound) : asked);
  if (length || asked <= bound) return length;
  return fail(ErrorCode::kBadRequest,
              fmt::format("Unable to infer max_length for {}, the provided max_length ({}) exceeds the model's max_seq_len ({}).",
                          plan.model.architecture, asked, bound),
              "max_length");
}

Result<std::vector<std::uint64_t>> PipelineModel::estimate_weights_size(const Context& context, const Model& model,
                                                                        const PlanRequest& request) {
  return per_rank(context, model, request, &DevicePlan::weights_bytes);
}

Result<std::vector<std::uint64_t>> PipelineModel::estimate_activation_memory(const Context& context, const Model& model,
                                                                             const PlanRequest& request) {
  return per_rank(context, model, request, &DevicePlan::activation_bytes);
}

Result<BatchChoice> PipelineModel::infer_optimal_batch_size(const Context& context, const Model& model, const PlanRequest& request,
                                                            const BatchQuery& query) {
  PLIMSOLL_ASSIGN(const Plan plan, plan_with_cache(context, model, request, query.available_cache_memory));
  BatchChoice choice;
  choice.planned = plan.limits.max_batch_size;
  choice.at_max_length = plan.limits.max_batch_at_max_length;
  const bool has_cache = plan.kv_geometry.n_groups() > 0;
  if (has_cache && !query.one_host_device) choice.chosen = std::clamp<std::uint64_t>(choice.planned, 1, kMostBatch);
  return choice;
}

Result<KvCacheParams> KvCacheModel::get_kv_params(const Context& context, const Model& model, const PlanRequest& request) {
  PLIMSOLL_ASSIGN(Plan plan, context.plan(model, request));
  return KvCacheParams{std::move(plan.kv_cache.dtype), plan.kv_cache.page_tokens, plan.kv_cache.bytes_per_token_per_device,
                       std::move(plan.kv_cache.groups)};
}

Result<std::uint64_t> KvCacheModel::get_num_layers(const Context& context, const Model& model) {
  PLIMSOLL_ASSIGN(const Plan plan, unlimited_plan(context, model));
  std::set<std::uint32_t> layers;
  for (const KvStageGeometry& stage : plan.kv_geometry.stages)
    for (const KvGroupGeometry& group : stage.groups)
      if (!group.draft && group.kind != CacheKind::kState && group.layers) {
        const auto first = group.layers->begin() + static_cast<std::ptrdiff_t>(group.first_layer);
        layers.insert(first, first + static_cast<std::ptrdiff_t>(group.n_layers));
      }
  return layers.size();
}

Result<std::vector<std::uint64_t>> KvCacheModel::estimate_kv_cache_size(const Context& context, const Model& model,
                                                                        const PlanRequest& request, std::uint64_t available_cache_memory) {
  PLIMSOLL_ASSIGN(const Plan plan, plan_with_cache(context, model, request, available_cache_memory));
  std::vector<std::uint64_t> bytes;
  for (std::uint32_t rank = 0; rank < plan.kv_geometry.n_ranks(); ++rank) bytes.push_back(plan.kv_geometry.bytes(rank));
  return bytes;
}

} // namespace plimsoll
