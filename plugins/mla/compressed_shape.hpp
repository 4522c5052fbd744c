// The sizes of a model with compressed sparse attention (DeepSeek-V4), read once from its configuration. Used by
// compressed.cpp and compressed_weights.cpp. A plain value, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <plimsoll/plugin_util.hpp>

namespace mla {

// Pools the tokens of one attention or indexer into one cache row per `ratio` of them.
struct Compressor {
  std::uint64_t ratio;
  std::uint64_t head; // width of a row

  // A ratio of 4 pools overlapping runs: twice the projections, and twice the tokens waiting.
  std::uint64_t overlap() const { return ratio == 4 ? 2 : 1; }
  // Keys and scores of the tokens that wait for their row, float32.
  plimsoll::Bytes waiting_elements_per_token() const { return plimsoll::Bytes(2) * overlap() * head; }
  std::uint64_t waiting_tokens() const { return (plimsoll::Bytes(overlap()) * ratio).value(); }
  plimsoll::Bytes waiting_elements() const { return waiting_elements_per_token() * overlap() * ratio; }
};

// Layers of one ratio; 0: nothing but a window.
struct RatioLayers {
  std::uint64_t ratio;
  std::vector<std::uint32_t> layers;       // model layers
  std::vector<std::uint32_t> draft_layers; // numbered on from the model's
  std::vector<std::uint32_t> draft_names;  // the same by their numbers in names: 0, 1, ...
};

struct CompressedShape {
  std::uint64_t hidden = 0, vocab = 0, max_length = 0;
  std::uint64_t heads = 0, head = 0, rope = 0, q_rank = 0, o_rank = 0, o_groups = 0;
  std::uint64_t window = 0;
  std::uint64_t index_heads = 0, index_head = 0;
  std::uint64_t streams = 0; // copies of the residual that hyper-connections mix
  std::string linear_format; // of this family's own fp8 checkpoints; empty: whatever quantization_config says
  std::vector<std::uint32_t> layers, draft_layers, draft_names;
  std::vector<RatioLayers> ratios; // ascending

  static bool has_indexer(std::uint64_t ratio) { return ratio == 4; }
  // One cached row as the published kernels pack it: fp8 where no position is encoded, bfloat16 where one is, a byte of
  // scale for every 64 of the former and one of padding. 448 + 64 x 2 + 8 = 584.
  std::uint64_t row_bytes() const { return (head - rope) + 2 * rope + (head - rope) / 64 + 1; }
};

// Throws plimsoll::Error with the JSON pointer at fault.
CompressedShape read_compressed_shape(const plimsoll::Config& config);

} // namespace mla
