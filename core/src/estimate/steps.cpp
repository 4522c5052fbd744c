#include "estimate/steps.hpp"

#include <cmath>
#include <fmt/format.h>
#include <initializer_list>
#include <utility>

#include "base/dtype.hpp"
#include "base/human.hpp"

namespace plimsoll {
namespace {

struct Figure {
  std::int64_t value;
  const char* where;
};

// One result for a whole list: this stands on the path of every estimate.
Result<void> non_negative(std::initializer_list<Figure> figures) {
  for (const Figure& figure : figures)
    if (figure.value < 0) return fail(ErrorCode::kBadRequest, fmt::format("{} is negative; give 0 or more", figure.value), figure.where);
  return {};
}

Result<void> check_sizes(const EstimateRequest& request) {
  for (const auto& [size, where] : {std::pair{&request.weights, "/sizes/weights_bytes"},
                                    {&request.activations, "/sizes/activation_bytes"},
                                    {&request.signal_buffers, "/sizes/signal_buffer_bytes"}}) {
    const std::size_t n = size->per_device_bytes.size();
    if (n != 0 && n != request.devices.size())
      return fail(ErrorCode::kBadRequest, fmt::format("{} sizes for {} devices; give one per device", n, request.devices.size()), where);
    for (const std::int64_t bytes : size->per_device_bytes) PLIMSOLL_TRY(non_negative({{bytes, where}}));
  }
  return non_negative({{request.weights.total_bytes, "/sizes/weights_bytes"},
                       {request.activations.total_bytes, "/sizes/activation_bytes"},
                       {request.signal_buffers.total_bytes, "/sizes/signal_buffer_bytes"}});
}

} // namespace

Result<StorageType> storage_type(std::string_view name) {
  const auto type = find_dtype(name);
  if (!type)
    return fail(
        ErrorCode::kBadRequest,
        fmt::format("unknown element type '{}'; known are bfloat16, float16, float32, float8_e4m3fn and others", name.substr(0, 64)));
  return StorageType{type->name, type->block_elements, type->block_bytes};
}

EstimateResult refused(EstimateResult result, Error error) {
  result.fits = false;
  result.error = std::move(error);
  return result;
}

Result<void> check_request(const EstimateRequest& request) {
  if (request.devices.empty()) return fail(ErrorCode::kBadRequest, "there are no devices; give at least one", "/devices");
  for (const EstimateDevice& device : request.devices)
    PLIMSOLL_TRY(non_negative({{device.free_bytes, "/devices"},
                               {device.total_bytes.value_or(0), "/devices"},
                               {device.max_allocation_bytes.value_or(0), "/devices"}}));
  if (!request.max_length)
    return fail(ErrorCode::kBadRequest, "max_length is not set; give the length that the plan should promise", "/max_length");
  if (request.max_batch_size && *request.max_batch_size < 1)
    return fail(ErrorCode::kBadRequest, fmt::format("a batch of {} holds no request; give at least 1", *request.max_batch_size),
                "/max_batch_size");
  if (request.max_batch_input_tokens < 1)
    return fail(ErrorCode::kBadRequest,
                fmt::format("a forward pass of {} tokens computes nothing; give at least 1", request.max_batch_input_tokens),
                "/max_batch_input_tokens");
  PLIMSOLL_TRY(non_negative({{*request.max_length, "/max_length"},
                             {request.draft.max_length.value_or(0), "/draft/max_length"},
                             {request.draft.num_draft_tokens, "/draft/num_draft_tokens"}}));
  PLIMSOLL_TRY(check_sizes(request));
  for (const EstimateCache& cache : request.caches)
    for (const EstimateStateRegion& region : cache.regions) {
      PLIMSOLL_TRY(non_negative({{region.layers, "/kv_cache/caches"}}));
      for (const std::int64_t extent : region.row_shape) PLIMSOLL_TRY(non_negative({{extent, "/kv_cache/caches"}}));
    }
  if (!std::isfinite(request.device_memory_utilization))
    return fail(ErrorCode::kBadRequest, "the utilisation is not a number", "/device_memory_utilization");
  if (const auto& vision = request.vision_cache) {
    if (!(vision->utilization >= 0 && vision->utilization <= 1))
      return fail(ErrorCode::kBadRequest, fmt::format("a vision cache utilisation of {} is outside 0..1", vision->utilization),
                  "/vision_cache/utilization");
    PLIMSOLL_TRY(non_negative({{vision->entry_bytes, "/vision_cache/entry_bytes"}}));
    if (vision->row_elements && *vision->row_elements < 1)
      return fail(ErrorCode::kBadRequest, "a row of the vision cache needs at least one element", "/vision_cache/row_elements");
  }
  return {};
}

Wide total_bytes(const EstimateSize& size) {
  if (size.per_device_bytes.empty()) return size.total_bytes;
  Wide sum = 0;
  for (const std::int64_t bytes : size.per_device_bytes) sum += bytes;
  return sum;
}

std::int64_t default_max_batch_size(const EstimateRequest& request) {
  if (request.caches.empty()) return 1;
  if (request.devices.size() == 1 && request.devices.front().host) return 1;
  return kDefaultMaxBatchSize;
}

Wide vision_block_bytes(const EstimateVisionCache& vision) {
  const CheckedWide elements = CheckedWide(kVisionBlockTokens) * vision.row_elements.value_or(0);
  return (CheckedWide(wide_ceil_div(elements.saturated(), vision.row_type.block_elements)) * vision.row_type.block_bytes).saturated();
}

bool has_vision_cache(const EstimateRequest& request) {
  const auto& vision = request.vision_cache;
  return vision && vision->utilization != 0 && vision->entry_bytes > 0 && vision->row_elements;
}

std::string human_wide_bytes(Wide bytes) {
  if (bytes < 0) return "-" + human_wide_bytes(-bytes);
  return human_bytes(bytes > INT64_MAX ? UINT64_MAX : static_cast<std::uint64_t>(bytes));
}

std::string human_wide_count(Wide count) {
  if (count < 0) return "-" + human_wide_count(-count);
  return human_count(count > INT64_MAX ? UINT64_MAX : static_cast<std::uint64_t>(count));
}

} // namespace plimsoll
