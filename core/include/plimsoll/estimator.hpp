// The memory estimator: from explicit sizes (weights, activations, buffers, cache geometry) to how long a request
// and how large a batch the devices hold. For hosts that already know their sizes. Per device it answers as plans do; the
// pooled accounting is the documented estimator, bit for bit. Never reads files or devices, never throws, prints or aborts.
// Threads: pure functions of their arguments; call from any number of threads.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/accounting.hpp"
#include "plimsoll/cache_kind.hpp"
#include "plimsoll/export.hpp"
#include "plimsoll/result.hpp"
#include "plimsoll/warning.hpp"

namespace plimsoll {

// How elements are stored: {1, 2} for bfloat16, {32, 34} for q8_0. `name` is a static string.
struct StorageType {
  std::string_view name = "bfloat16";
  std::uint32_t block_elements = 1;
  std::uint32_t block_bytes = 2;
};
// The type of that name ("bfloat16", "F8_E4M3", "q8_0"). kBadRequest when nobody knows it.
PLIMSOLL_API Result<StorageType> storage_type(std::string_view name);

struct EstimateDevice {
  std::string name;                                 // for messages; may be empty
  std::int64_t free_bytes = 0;                      // 0 = the device does not say
  std::optional<std::int64_t> total_bytes;          // default: free_bytes
  std::optional<std::int64_t> max_allocation_bytes; // largest single allocation; default: total_bytes
  bool host = false;                                // host memory; a lone host device serves one request at a time
};

// One figure for the whole pipeline, or one per device. `per_device_bytes` wins where it is not empty.
struct EstimateSize {
  std::int64_t total_bytes = 0;
  std::vector<std::int64_t> per_device_bytes;
};

// Scales of a quantised cache: one per `granularity` elements of a head.
struct EstimateScales {
  StorageType type{"float32", 1, 4};
  std::int64_t granularity = 128;
};

// One recurrent state: layers x product(row_shape) elements per row, on every device.
struct EstimateStateRegion {
  std::string label;
  std::int64_t layers = 0;
  std::vector<std::int64_t> row_shape;
  StorageType type{"float32", 1, 4};
};

// Layers that store alike: kFull (with window_tokens a window), kLatent, which stores one latent of head_dim elements on every
// device of the group, or kState.
struct EstimateCache {
  std::string label;
  CacheKind kind = CacheKind::kFull;
  StorageType type;
  std::int64_t layers = 0;
  std::int64_t kv_heads = 0;                 // kFull
  std::optional<std::int64_t> query_heads;   // kLatent: required, divisible by the tensor-parallel degree
  std::int64_t head_dim = 0;                 // elements per head, or of the latent
  std::optional<std::int64_t> window_tokens; // sliding window, > 1; none = full attention
  std::optional<EstimateScales> scales;
  bool allow_kv_head_replication = false;   // fewer heads than devices: one head each, paid on every device
  bool per_layer_buffers = false;           // one allocation per layer instead of one for all
  std::vector<EstimateStateRegion> regions; // kState
};

struct EstimateDraft {
  std::optional<std::int64_t> max_length; // bounds the plan's length
  std::int64_t num_draft_tokens = 0;
  std::string method; // "eagle", "mtp", "dflash", "dflash2" or empty
};

struct EstimateVisionCache {
  double utilization = 0.05;                // fraction of what the KV cache could have, 0..1; 0 = off
  std::optional<std::int64_t> row_elements; // width of one image token; none = no cache is reserved
  StorageType row_type;
  std::int64_t entry_bytes = 0; // the largest image; 0 = the model has no vision tower
};

struct EstimateRequest {
  Accounting accounting = Accounting::kPerDevice;
  std::vector<EstimateDevice> devices;
  std::int64_t data_parallel_degree = 1;
  double device_memory_utilization = 0.9; // per device: 0 < u <= 1; pooled: unchecked, as documented
  EstimateSize weights, activations, signal_buffers;
  std::int64_t page_tokens = 128;
  std::int64_t state_rows_per_sequence = 2; // per device only: the live state and one checkpoint
  std::vector<EstimateCache> caches;        // empty: the model keeps no cache
  std::optional<std::int64_t> max_length;   // tokens; required
  bool max_length_given = false;            // chosen by the user, not the model's default
  std::optional<std::int64_t> max_batch_size;
  std::int64_t max_batch_input_tokens = 8192;
  EstimateDraft draft;
  std::optional<EstimateVisionCache> vision_cache;
};

// The parts of one device plus unused_bytes equal its budget_bytes; negative = the shortfall.
struct EstimateDeviceShare {
  std::string name;
  std::int64_t free_bytes = 0, budget_bytes = 0, static_bytes = 0, vision_cache_bytes = 0, kv_cache_bytes = 0, unused_bytes = 0;
};

struct EstimateVisionReserve {
  std::int64_t bytes = 0; // all devices
  std::int64_t blocks = 0;
};

// Figures that the estimator did not reach stay empty.
struct EstimateResult {
  bool fits = false;
  std::optional<std::int64_t> max_batch_size, max_length;
  std::optional<std::int64_t> kv_cache_bytes;  // committed, all devices
  std::optional<std::int64_t> kv_budget_bytes; // what the cache could have had, all devices
  std::optional<std::int64_t> footprint_bytes, free_bytes, static_bytes;
  std::optional<std::int64_t> pages_per_replica;
  std::optional<std::int64_t> max_supported_sequence_length; // longest single request; empty where memory sets no bound
  std::optional<EstimateVisionReserve> vision_cache;
  std::vector<WarningCode> warnings; // in the order in which they arose
  std::optional<Error> error;
  // Per device only.
  std::vector<EstimateDeviceShare> devices;
  std::optional<std::int64_t> max_batch_at_max_length; // requests of max_length that fit at once, per replica
};

// The documented estimator's names. Bytes everywhere. The first five answer for the pool of all devices.
class PLIMSOLL_API MemoryEstimator {
public:
  // Sum of the devices' free bytes; of their total bytes where that sum is 0. kBadRequest beyond 63 bits.
  static Result<std::int64_t> free_memory(std::span<const EstimateDevice> devices);

  // Weights + activations + signal buffers. kBadRequest beyond 63 bits.
  static Result<std::int64_t> static_memory_size(std::int64_t weights_bytes, std::int64_t activation_bytes,
                                                 std::int64_t signal_buffer_bytes = 0);

  // trunc(free x utilisation - static), the product an IEEE double; may be negative.
  // 80 GiB free, 16 GiB of weights, 0.9: 60,129,542,144. kBadRequest beyond 63 bits.
  static Result<std::int64_t> available_kv_cache_memory(std::int64_t weights_bytes, std::int64_t activation_bytes,
                                                        double device_memory_utilization, std::span<const EstimateDevice> devices,
                                                        std::int64_t signal_buffer_bytes = 0);

  // The longest single request, in tokens, that `kv_cache_bytes` hold; by default what available_kv_cache_memory
  // says, before any vision cache. Empty for models without a per-token cache. kNoPageFits when not one page fits.
  static Result<std::optional<std::int64_t>> max_supported_sequence_length(const EstimateRequest& request,
                                                                           std::optional<std::int64_t> kv_cache_bytes = {});

  // The pooled plan, whatever request.accounting says.
  static EstimateResult estimate_memory_footprint(const EstimateRequest& request);

  // The plan under request.accounting. What is wrong with the request, or does not fit, is in result.error.
  static EstimateResult estimate(const EstimateRequest& request);
};

} // namespace plimsoll
