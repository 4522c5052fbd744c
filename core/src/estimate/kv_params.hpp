// What a page, a state row and a request cost in the documented KV arithmetic: bytes summed over the tensor-parallel
// group of one replica. Never looks at devices. Threads: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/wide.hpp"
#include "plimsoll/estimator.hpp"

namespace plimsoll {

// One pool of equal pages on one device: the values of a cache, its scales, or one state.
struct KvLeaf {
  CacheKind kind = CacheKind::kFull; // kFull, kLatent, kWindow or kState
  std::int64_t window_tokens = 0;    // kWindow
  Wide page_bytes = 0;
  Wide row_bytes = 1;    // the unit to which pages are aligned
  std::size_t cache = 0; // index into the request's caches

  // Pages that one request must be able to hold at `slots` = ceil(tokens / page_tokens).
  Wide pages_to_reserve(Wide slots, std::int64_t page_tokens) const {
    if (kind == CacheKind::kState) return 2; // the live state and one checkpoint
    if (kind != CacheKind::kWindow) return slots;
    const Wide window = wide_ceil_div(window_tokens, page_tokens);
    return slots < window ? slots : window;
  }
};

struct KvParams {
  std::int64_t data_parallel = 1, tensor_parallel = 1, page_tokens = 128;
  std::int64_t slack_tokens = 0;    // positions past max_length that speculation may occupy
  std::int64_t per_layer_depth = 1; // most layers among caches with one allocation per layer
  Wide bytes_per_block = 0;         // one page of every attention leaf, over the replica's devices
  Wide row_bytes_per_request = 0;   // states of one request, over the replica's devices
  Wide leaf_page_bytes = 0;         // one page of every leaf, over the replica's devices
  bool replicates_kv = false;       // the first attention cache stores the same on every device
  std::vector<KvLeaf> leaves;
};

// kBadRequest, with a JSON pointer below /kv_cache, for geometry that cannot be laid out on n devices.
// Llama 3.1 8B: 2 x 32 layers x 128 tokens x 8 heads x 128 x 2 bytes = 16,777,216 per page.
Result<KvParams> make_kv_params(const EstimateRequest& request);

// KV heads that one device stores. kBadRequest when they cannot be spread over `tensor_parallel` devices.
Result<std::int64_t> kv_heads_per_device(const EstimateCache& cache, std::int64_t tensor_parallel, const std::string& where);

struct KvBlocks {
  Wide blocks = 0;    // of one replica
  Wide allocable = 0; // what memory alone would allow
  bool batch_exceeds_pages = false;
};

// Blocks of one replica for `budget` bytes over all replicas. Without a length: all that fit. The null block is added
// to the demand only: where memory is the limit it is not reserved. kNoPageFits when not one page fits.
Result<KvBlocks> num_device_blocks(const KvParams& params, Wide budget, std::optional<std::int64_t> max_batch_size,
                                   std::optional<std::int64_t> max_length, bool include_null_block);

// Bytes that those blocks and the states of the batch take over all replicas. Saturates.
Wide estimated_memory_size(const KvParams& params, Wide blocks, std::int64_t max_batch_size);

// The longest single request in `budget` bytes, at least 1; empty where nothing costs per token.
Result<std::optional<Wide>> capacity_tokens(const KvParams& params, Wide budget);

} // namespace plimsoll
