#include "plimsoll/estimator.hpp"

#include "base/dtype.hpp"
#include "estimate/per_device.hpp"
#include "estimate/pooled.hpp"
#include "estimate/steps.hpp"

namespace plimsoll {

Result<std::int64_t> MemoryEstimator::free_memory(std::span<const EstimateDevice> devices) {
  if (const auto bytes = narrow(pooled_free(devices))) return *bytes;
  return fail(ErrorCode::kBadRequest, "the sum of free memory is beyond 64 bits; check the sizes", "/devices");
}

Result<std::int64_t> MemoryEstimator::static_memory_size(std::int64_t weights_bytes, std::int64_t activation_bytes,
                                                         std::int64_t signal_buffer_bytes) {
  if (const auto bytes = narrow(static_cast<Wide>(weights_bytes) + activation_bytes + signal_buffer_bytes)) return *bytes;
  return fail(ErrorCode::kBadRequest, "the sum of the sizes is beyond 64 bits; check them", "/sizes");
}

Result<std::int64_t> MemoryEstimator::available_kv_cache_memory(std::int64_t weights_bytes, std::int64_t activation_bytes,
                                                                double device_memory_utilization, std::span<const EstimateDevice> devices,
                                                                std::int64_t signal_buffer_bytes) {
  PLIMSOLL_ASSIGN(const std::int64_t free, free_memory(devices));
  PLIMSOLL_ASSIGN(const std::int64_t fixed, static_memory_size(weights_bytes, activation_bytes, signal_buffer_bytes));
  const double budget = pooled_budget(free, device_memory_utilization, fixed);
  if (budget == budget)
    if (const auto bytes = narrow(truncate(budget))) return *bytes;
  return fail(ErrorCode::kBadRequest, "free memory times utilisation is beyond 64 bits", "/device_memory_utilization");
}

Result<std::optional<std::int64_t>> MemoryEstimator::max_supported_sequence_length(const EstimateRequest& request,
                                                                                   std::optional<std::int64_t> kv_cache_bytes) {
  PLIMSOLL_TRY(check_request(request));
  if (request.caches.empty()) return std::optional<std::int64_t>();
  PLIMSOLL_ASSIGN(const KvParams params, make_kv_params(request));
  Wide budget = 0;
  if (kv_cache_bytes) {
    budget = *kv_cache_bytes;
  } else {
    const double bytes =
        pooled_budget(pooled_free(request.devices), request.device_memory_utilization,
                      total_bytes(request.weights) + total_bytes(request.activations) + total_bytes(request.signal_buffers));
    budget = truncate(bytes == bytes ? bytes : 0);
  }
  PLIMSOLL_ASSIGN(const std::optional<Wide> tokens, capacity_tokens(params, budget));
  if (!tokens) return std::optional<std::int64_t>();
  return std::optional<std::int64_t>(static_cast<std::int64_t>(std::min<Wide>(*tokens, INT64_MAX)));
}

EstimateResult MemoryEstimator::estimate_memory_footprint(const EstimateRequest& request) { return estimate_pooled(request); }

EstimateResult MemoryEstimator::estimate(const EstimateRequest& request) {
  return request.accounting == Accounting::kPooled ? estimate_pooled(request) : estimate_per_device(request);
}

} // namespace plimsoll
