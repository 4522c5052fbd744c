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
  std::uint64_t inputs = 0; // of queries and latents: the hidden size, twice that where a draft reads the embedding too
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
  std::uint64_t gates_per_head = 0; // on what heads give: Kimi-K3 one for each element, Ling-3.0 one for each head or element; 0: none
  bool tied = false;
  std::string block = "self_attn.", output = "o_proj"; // names
  std::vector<std::string> extra_norms;                // of a layer, beside the two that every one has
  std::uint64_t ngram_rows = 0;                        // of the smallest table of hashed n-grams, see ends.cpp; 0: there are none
  std::uint64_t ngram_tables = 0;
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
