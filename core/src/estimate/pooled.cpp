// The documented estimator, bit for bit: one sum over all devices, doubles where it has them, its order of checks, its
// searches and its recomputations. Called through MemoryEstimator. Never corrected: what is wrong with it is part
// of the contract (per_device.cpp is the correct one). Threads: pure.
// Source: the newest generation of the documented MemoryEstimator. Example: 80 GiB, 16,060,522,240 bytes of weights,
// Llama 3.1 8B's cache at 131,072 tokens: batch 512, 61,236,838,400 bytes of KV cache.
#include <fmt/format.h>

#include "estimate/steps.hpp"

namespace plimsoll {
namespace {

constexpr double kNearLimit = 0.95;
constexpr Wide kBeyondAnyMemory = static_cast<Wide>(1) << 100;

std::optional<Error> beyond_64_bits(const char* what, const char* where) {
  return Error{ErrorCode::kBadRequest, fmt::format("{} is beyond 64 bits; check the sizes", what), where};
}

Wide pooled_free(std::span<const EstimateDevice> devices) {
  Wide free = 0, total = 0;
  for (const EstimateDevice& device : devices) {
    free += device.free_bytes;
    total += device.total_bytes.value_or(device.free_bytes);
  }
  return free != 0 ? free : total;
}

// trunc(F x u - static), product and difference in double.
double kv_budget(Wide free, double utilization, Wide static_bytes) {
  return static_cast<double>(free) * utilization - static_cast<double>(static_bytes);
}

struct Search {
  bool found = false;
  std::int64_t value = 0;
  std::int64_t batch = 0;
};

class Pooled {
public:
  explicit Pooled(const EstimateRequest& request) : request_(request) {}

  EstimateResult run() {
    if (auto ok = check_request(request_); !ok) return refuse(ok.error());
    if (!request_.caches.empty()) {
      auto params = make_kv_params(request_);
      if (!params) return refuse(params.error());
      kv_ = std::move(*params);
    }
    if (auto error = place_static()) return refuse(std::move(*error));
    if (auto error = reserve_vision()) return refuse(std::move(*error));
    choose_batch();
    if (auto error = price_cache()) return refuse(std::move(*error));
    if (auto error = fit()) return refuse(std::move(*error));
    if (auto error = clamp_length()) return refuse(std::move(*error));
    result_.fits = true;
    return std::move(result_);
  }

private:
  EstimateResult refuse(Error error) { return refused(std::move(result_), std::move(error)); }

  std::optional<Error> place_static() {
    free_ = pooled_free(request_.devices);
    const Wide weights = total_bytes(request_.weights), activations = total_bytes(request_.activations),
               buffers = total_bytes(request_.signal_buffers);
    static_ = weights + activations + buffers;
    result_.free_bytes = narrow(free_);
    result_.static_bytes = narrow(static_);
    if (!result_.free_bytes) return beyond_64_bits("the sum of free memory", "/devices");
    if (!result_.static_bytes) return beyond_64_bits("the sum of the sizes", "/sizes");
    if (static_ > free_) {
      std::string parts;
      if (activations > 0 || buffers > 0)
        parts = fmt::format(" (weights {}, activations {}, signal buffers {})", human_wide_bytes(weights), human_wide_bytes(activations),
                            human_wide_bytes(buffers));
      return Error{
          ErrorCode::kModelTooLarge,
          fmt::format("the model needs {}{}, the devices have {} free; use a smaller model, a smaller precision or a larger device",
                      human_wide_bytes(static_), parts, human_wide_bytes(free_)),
          "/sizes"};
    }
    const double budget = kv_budget(free_, request_.device_memory_utilization, static_);
    if (!(budget < std::numeric_limits<double>::infinity() && budget > -std::numeric_limits<double>::infinity()))
      return beyond_64_bits("free memory times utilisation", "/device_memory_utilization");
    budget_ = truncate(budget);
    result_.kv_budget_bytes = narrow(budget_);
    if (budget_ <= 0)
      return Error{
          ErrorCode::kNoRoomForKv,
          fmt::format("weights {}, activations {} and signal buffers {} leave nothing for the KV cache: {} free times a utilisation of "
                      "{} is {} too little; use a smaller model, a smaller precision or a larger device",
                      human_wide_bytes(weights), human_wide_bytes(activations), human_wide_bytes(buffers), human_wide_bytes(free_),
                      request_.device_memory_utilization, human_wide_bytes(-budget_)),
          "/device_memory_utilization"};
    CheckedWide allocations;
    for (const EstimateDevice& device : request_.devices)
      allocations += device.max_allocation_bytes.value_or(device.total_bytes.value_or(device.free_bytes));
    if (kv_) allocations *= kv_->per_layer_depth;
    budget_ = std::min(budget_, allocations.saturated());
    result_.kv_budget_bytes = narrow(budget_);
    return std::nullopt;
  }

  std::optional<Error> reserve_vision() {
    EstimateVisionReserve reserve;
    if (has_vision_cache(request_)) {
      const EstimateVisionCache& vision = *request_.vision_cache;
      const auto n = static_cast<std::int64_t>(request_.devices.size());
      const Wide requested = truncate(static_cast<double>(budget_) * vision.utilization) / n;
      const Wide block = vision_block_bytes(vision);
      const Wide blocks = requested / block / n * n;
      if (blocks == 0)
        return Error{
            ErrorCode::kBadRequest,
            fmt::format("a vision cache utilisation of {} reserves {}, too little for one block of {} on each of {} devices; raise it, "
                        "or set 0 to switch the cache off",
                        vision.utilization, human_wide_bytes(requested), human_wide_bytes(block), n),
            "/vision_cache/utilization"};
      vision_ = blocks * block;
      const auto bytes = narrow(vision_), count = narrow(blocks);
      if (!bytes || !count) return beyond_64_bits("the vision cache", "/vision_cache");
      reserve = {*bytes, *count};
    }
    result_.vision_cache = reserve;
    budget_ -= vision_;
    result_.kv_budget_bytes = narrow(budget_);
    return std::nullopt;
  }

  void choose_batch() {
    batch_ = request_.max_batch_size.value_or(default_max_batch_size(request_));
    if (batch_ > request_.max_batch_input_tokens) {
      batch_ = request_.max_batch_input_tokens;
      result_.warnings.push_back(EstimateWarning::kBatchCapped);
    }
    result_.max_batch_size = batch_;
  }

  // Bytes of the cache for that batch and length within the budget.
  Result<Wide> kv_bytes(std::int64_t batch, std::int64_t length) const {
    if (!kv_) return Wide{0};
    PLIMSOLL_ASSIGN(const KvBlocks blocks, num_device_blocks(*kv_, budget_, batch, length, true));
    return std::min(estimated_memory_size(*kv_, blocks.blocks, batch), kBeyondAnyMemory);
  }

  std::optional<Error> price_cache() {
    length_ = *request_.max_length;
    if (kv_) {
      auto blocks = num_device_blocks(*kv_, budget_, batch_, length_, true);
      if (!blocks) return blocks.error();
      committed_ = std::min(estimated_memory_size(*kv_, blocks->blocks, batch_), kBeyondAnyMemory);
      result_.pages_per_replica = narrow(blocks->blocks);
    }
    total_ = static_ + vision_ + committed_;
    result_.kv_cache_bytes = narrow(committed_);
    result_.footprint_bytes = narrow(total_);
    return std::nullopt;
  }

  // Halving that never tests its upper end: the answer is the middle of the last pair.
  Result<Search> search_length(std::int64_t batch, std::int64_t longest) const {
    Search r;
    std::int64_t low = 1, high = longest;
    for (;;) {
      r.value = low + (high - low) / 2;
      if (high < low) r.value = (low + high) / 2;
      if (!request_.max_batch_size) batch = default_max_batch_size(request_);
      PLIMSOLL_ASSIGN(const Wide bytes, kv_bytes(batch, r.value));
      if (low > high) break;
      if (high - low <= 1) {
        r.found = bytes <= budget_;
        break;
      }
      if (bytes > budget_) high = r.value - 1;
      else low = r.value;
    }
    r.batch = batch;
    return r;
  }

  Result<Search> search_batch(std::int64_t largest, std::int64_t length) const {
    Search r{false, -1, largest};
    if (!request_.max_batch_size) return r;
    std::int64_t low = 1, high = largest;
    for (;;) {
      r.value = low + (high - low) / 2;
      if (high < low) r.value = (low + high) / 2;
      PLIMSOLL_ASSIGN(const Wide bytes, kv_bytes(r.value, length));
      if (low > high) break;
      if (high - low <= 1) {
        r.found = bytes <= budget_;
        break;
      }
      if (bytes > budget_) high = r.value - 1;
      else low = r.value;
    }
    return r;
  }

  std::optional<Error> fit() {
    if (total_ > free_ && !request_.max_length_given) {
      const auto search = search_length(batch_, length_);
      if (!search) return search.error();
      batch_ = search->batch;
      if (search->found) result_.warnings.push_back(EstimateWarning::kMaxLengthTruncated);
      length_ = search->found ? search->value : 1;
      // The documented recomputation: the original length, and the weights alone.
      const auto bytes = kv_bytes(batch_, *request_.max_length);
      if (!bytes) return bytes.error();
      total_ = total_bytes(request_.weights) + *bytes;
      result_.max_batch_size = batch_;
      result_.footprint_bytes = narrow(total_);
    }
    if (total_ > free_) {
      result_.max_length = length_;
      return out_of_memory();
    }
    if (total_ > truncate(kNearLimit * static_cast<double>(free_))) result_.warnings.push_back(EstimateWarning::kNearLimit);
    return std::nullopt;
  }

  Error out_of_memory() const {
    const auto length = search_length(batch_, length_);
    if (!length) return length.error();
    const auto batch = search_batch(batch_, length_);
    if (!batch) return batch.error();
    const bool batch_given = request_.max_batch_size.has_value();
    std::string advice;
    if (!length->found && !batch->found) {
      advice = "reduce max_length or max_batch_size, use a smaller model or a larger device";
    } else if (request_.max_length_given && !batch_given) {
      advice = fmt::format("reduce max_length to {} (supports a batch of {})", length->value, length->batch);
    } else if (request_.max_length_given) {
      if (length->found) advice = fmt::format("reduce max_length to {} and max_batch_size to {}", length->value, length->batch);
      if (batch->found) advice += fmt::format("{}reduce max_batch_size to {}", length->found ? ", or " : "", batch->value);
    } else if (!batch_given) {
      advice = fmt::format("set max_length to {} and max_batch_size to {}", length->value, length->batch);
    } else {
      if (batch->found) advice = fmt::format("reduce max_batch_size to {}", batch->value);
      if (length->found)
        advice += fmt::format("{}set max_length to {} (now {} by default)", batch->found ? ", or " : "", length->value, length_);
    }
    return Error{
        ErrorCode::kOutOfMemory,
        fmt::format("model and KV cache need {}, the devices have {} free; {}", human_wide_bytes(total_), human_wide_bytes(free_), advice),
        request_.max_length_given ? "/max_length" : "/max_batch_size"};
  }

  std::optional<Error> clamp_length() {
    if (kv_) {
      const auto capacity = capacity_tokens(*kv_, committed_);
      if (!capacity) return capacity.error();
      if (*capacity) {
        result_.max_supported_sequence_length = narrow(**capacity);
        if (length_ > **capacity) {
          length_ = static_cast<std::int64_t>(**capacity);
          result_.warnings.push_back(EstimateWarning::kCapacityClamped);
        }
      }
    }
    if (request_.draft.max_length) length_ = std::min(length_, *request_.draft.max_length);
    result_.max_length = length_;
    return std::nullopt;
  }

  const EstimateRequest& request_;
  EstimateResult result_;
  std::optional<KvParams> kv_;
  Wide free_ = 0, static_ = 0, budget_ = 0, vision_ = 0, committed_ = 0, total_ = 0;
  std::int64_t batch_ = 1, length_ = 0;
};

} // namespace

EstimateResult estimate_pooled(const EstimateRequest& request) { return Pooled(request).run(); }

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
  const double budget = kv_budget(free, device_memory_utilization, fixed);
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
    const double bytes = kv_budget(pooled_free(request.devices), request.device_memory_utilization,
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
