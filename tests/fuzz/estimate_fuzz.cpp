// Requests of the estimator: any text is a result whose figures add up, or an error with a message; as JSON and as YAML.
#include "fuzz/fuzz.hpp"
#include "fuzz/plan_rules.hpp"
#include "fuzz/seed_files.hpp"

#include <nlohmann/json.hpp>

#include "plimsoll/estimate_json.hpp"

namespace plimsoll::fuzz {
namespace {

using Json = nlohmann::ordered_json;

void must_add_up(const EstimateResult& result) {
  if (result.fits == result.error.has_value()) std::abort();
  if (result.error) must_speak(*result.error);
  for (const EstimateDeviceShare& share : result.devices) { // per-device accounting only
    const Sum parts = static_cast<Sum>(share.static_bytes) + share.vision_cache_bytes + share.kv_cache_bytes;
    if (result.fits && (parts > share.free_bytes || share.unused_bytes < 0)) std::abort();
    if (result.fits && parts + share.unused_bytes != share.budget_bytes) std::abort();
  }
  if (result.fits && result.max_batch_at_max_length && result.max_batch_size && *result.max_batch_at_max_length > *result.max_batch_size)
    std::abort();
}

void answer(const Result<EstimateRequest>& request) {
  if (!request) return must_speak(request.error());
  const EstimateResult result = MemoryEstimator::estimate(*request);
  must_add_up(result);
  if (!Json::parse(estimate_result_json(result, request->accounting)).is_object()) std::abort();
}

} // namespace

std::vector<std::string> seeds() {
  std::vector<std::string> out;
  for (const auto& file : seed_files(PLIMSOLL_TEST_DATA "/estimator", ".json", 1U << 20))
    for (Json row : Json::parse(read_seed(file))) {
      if (!row.contains("request")) continue;
      out.push_back(row["request"].dump());
      row["request"]["accounting"] = "per_device";
      out.push_back(row["request"].dump());
    }
  out.push_back(
      "accounting: per_device\ndevices: [{free_bytes: 85899345920, max_allocation_bytes: 4294967296}, {total_bytes: 24000000000}]\n"
      "sizes: {weights_bytes: [16060522496, 8030261248], activation_bytes: 1048576}\n"
      "kv_cache:\n  page_tokens: 128\n  caches:\n"
      "    - {label: main, kind: mha, dtype: float8_e4m3fn, layers: 32, kv_heads: 8, head_dim: 128,\n"
      "       scales: {dtype: float32, granularity: 128}, allow_kv_head_replication: true}\n"
      "    - {label: state, kind: state, regions: [{layers: 48, row_shape: [48, 128, 128], dtype: float32}]}\n"
      "max_length: 131072\nmax_batch_size: 4\ndraft: {num_draft_tokens: 3, method: eagle}\n"
      "vision_cache: {utilization: 0.05, row_elements: 5376, row_dtype: bfloat16, entry_bytes: 12582912}\n");
  return out;
}

void fuzz_one(std::string_view input) {
  answer(parse_estimate_request(input));
  answer(parse_estimate_request_yaml(input, "request.yaml"));
  if (!Json::parse(estimate_line(input)).is_object()) std::abort();
}

} // namespace plimsoll::fuzz
