// The sizes of a latent-attention model, read once from its configuration. Used by every file of this plugin.
// Never keeps a pointer into the configuration; a Shape is a plain value, so any thread may read it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <plimsoll/plugin_util.hpp>

namespace mla {

// How multi-token-prediction layers are stored: not at all, as decoder layers numbered after the last one, or as a
// module of their own beside the decoder.
enum class DraftNaming { kNone, kLayers, kModule };

// Sparse attention: a light scorer per layer that picks the tokens the real attention reads.
struct Indexer {
  std::uint64_t heads = 0; // 0: none
  std::uint64_t head_elements = 0;
  std::uint64_t scale_elements = 0;  // cached elements that share a scale
  std::vector<std::uint32_t> layers; // that have one of their own
  std::vector<std::uint32_t> draft_layers;
};

struct Shape {
  std::uint64_t hidden = 0;
  std::uint64_t vocab = 0;
  std::uint64_t max_length = 0;
  std::uint64_t heads = 0;
  std::uint64_t q_rank = 0; // 0: queries are not compressed
  std::uint64_t kv_rank = 0;
  std::uint64_t nope_elements = 0; // per head
  std::uint64_t rope_elements = 0; // per head for queries, once per token for keys
  std::uint64_t v_elements = 0;    // per head
  std::uint64_t attentions_per_layer = 1;
  bool bias = false;
  bool output_gate = false; // Kimi-K3: what heads give is gated, element by element
  bool tied = false;
  bool draft_stores_embedding = false; // copies of embedding and head inside the draft layers
  DraftNaming draft_naming = DraftNaming::kNone;
  std::vector<std::uint32_t> layers;
  std::vector<std::uint32_t> draft_layers;  // model layer numbers, after the last decoder layer
  std::vector<std::uint32_t> draft_modules; // 0, 1, ...: the numbers in the names of kModule
  Indexer indexer;

  // Elements that one token leaves in the cache of one attention: DeepSeek-V3 512 + 64 = 576.
  std::uint64_t latent_elements() const { return (plimsoll::Bytes(kv_rank) + plimsoll::Bytes(rope_elements)).value(); }
};

// Throws plimsoll::Error with the JSON pointer at fault.
Shape read_shape(const plimsoll::Config& config);

} // namespace mla
