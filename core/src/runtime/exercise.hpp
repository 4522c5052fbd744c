// Drives a model through the worst that its plan promises, and notes how far it came: the longest request alone, the full batch to its
// end, the full batch again over one shared prefix; each request through an adapter of the largest rank where there is room for any; images
// of the largest size, one more than the vision cache holds. Tokens and pixels are drawn from a seed. Called by verify_model. Threads:
// [serial].
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "plimsoll/kv_cache_model.hpp"
#include "plimsoll/pipeline_model.hpp"

namespace plimsoll {

struct ExerciseOptions {
  std::uint64_t seed = 0;
  std::function<std::uint64_t()> takes;                                  // allocations so far
  std::function<void(std::uint64_t done, std::uint64_t total)> progress; // in tokens; may be empty
};

struct Exercised {
  std::uint64_t passes = 0;
  std::uint64_t most_tokens = 0, most_sequences = 0, most_output_rows = 0; // of one pass
  std::uint64_t due_tokens = 0, due_sequences = 0, due_output_rows = 0;    // the most that there can be
  std::uint64_t longest_tokens = 0, due_longest_tokens = 0;                // of a request, all computed
  std::uint64_t full_requests = 0, due_full_requests = 0;                  // of the full batch, computed to their end
  std::uint64_t decode_passes = 0, decode_takes = 0;                       // passes of one token a request; allocations in them
  std::uint64_t hit_tokens = 0, due_hit_tokens = 0;                        // of the shared prefix
  std::uint64_t adapters = 0, due_adapters = 0;                            // that requests were computed with
  std::uint64_t images = 0, due_images = 0, image_rows = 0;                // of the largest size, encoded; rows of one
  std::string cut_short;                                                   // why a request could not go on; empty: all could
  bool is_complete() const {
    return most_tokens >= due_tokens && most_sequences >= due_sequences && most_output_rows >= due_output_rows &&
           longest_tokens >= due_longest_tokens && full_requests >= due_full_requests && hit_tokens >= due_hit_tokens &&
           adapters >= due_adapters && images >= due_images && cut_short.empty();
  }
};

// Everything is released at the end, also where a step fails. `cache` may be null: then each pass computes its requests whole.
Result<Exercised> exercise(PipelineModel& model, KvCache* cache, const ExerciseOptions& options);

// `count` tokens below `vocab_tokens` (0: zeros), the same for the same seed and stream.
std::vector<Token> drawn_tokens(std::uint64_t seed, std::uint64_t stream, std::uint64_t count, std::uint64_t vocab_tokens);

} // namespace plimsoll
