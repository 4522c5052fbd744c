// Steps that the pooled and the per-device estimator share: refusing a request, narrowing figures, the vision reserve.
// Never decides what fits. Threads: pure functions.
#pragma once

#include <string>

#include "base/wide.hpp"
#include "estimate/kv_params.hpp"
#include "plimsoll/estimator.hpp"

namespace plimsoll {

inline constexpr std::int64_t kDefaultMaxBatchSize = 512;
inline constexpr std::int64_t kVisionBlockTokens = 128;

// The request's error set on `result`, which then does not fit.
EstimateResult refused(EstimateResult result, Error error);

// Negative sizes and counts, lists of the wrong length. The estimators' own rules are not checked here.
Result<void> check_request(const EstimateRequest& request);

// Sum over the devices; per-device lists are added up.
Wide total_bytes(const EstimateSize& size);

// 512, or 1 without a cache and on a lone host device.
std::int64_t default_max_batch_size(const EstimateRequest& request);

// Bytes of one vision block: 128 rows. Saturates.
Wide vision_block_bytes(const EstimateVisionCache& vision);
// Whether the request reserves a vision cache at all.
bool has_vision_cache(const EstimateRequest& request);

// "56.00 GiB" for any width.
std::string human_wide_bytes(Wide bytes);
// "1,234,567".
std::string human_wide_count(Wide count);

} // namespace plimsoll
