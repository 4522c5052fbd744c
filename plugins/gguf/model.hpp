// A GGUF model as its planner sees it: sizes, and layer by layer what llama.cpp's loader makes of the metadata: who attends to what, who
// keeps a state, who caches. Read from the keys that gguf.json writes; knows no architecture and no tensor. Built once. Throws
// plimsoll::Error with the key at fault. Threads: immutable after construction.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plimsoll/plugin_util.hpp"

namespace gguf {

using plimsoll::Config;
using Layers = std::vector<std::uint32_t>;

// What a layer keeps of its tokens. No heads: nothing.
struct Cache {
  plimsoll::KvKind kind = plimsoll::KvKind::kFull;
  std::uint64_t window_tokens = 0, kv_heads = 0, query_heads = 0, k_elements = 0, v_elements = 0; // elements: of a head and token
  bool operator==(const Cache&) const = default;
};

// Layers that cache alike.
struct CacheGroup {
  Cache what;
  Layers layers;
};

// What latent attention expands a cached row to, and how much of the row turns with positions.
struct Latent {
  std::uint64_t rope_elements = 0, k_elements = 0, v_elements = 0;
};

// Of one layer and sequence: rows of the convolution or of shifted tokens, and the recurrence.
struct State {
  std::uint64_t rows_elements = 0, recurrent_elements = 0;
};

// Keys of an indexer beside the cache: one vector per token and layer.
struct Index {
  std::uint64_t elements = 0;
  std::string type; // empty: as the cache
  Layers layers;
};

// Layers that beside their window keep a row for every `ratio` tokens: of the cache, of the indexer where it looks at them, and the
// tokens that wait for their row.
struct Compressed {
  std::uint64_t ratio = 0, kv_heads = 0, query_heads = 0, k_elements = 0, index_elements = 0, waiting_elements = 0,
                index_waiting_elements = 0;
  Layers layers;
};

class Model {
public:
  explicit Model(const Config& config);
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  std::uint64_t heads_of(std::uint32_t layer) const { return heads_.of(layer); }
  std::uint64_t kv_heads_of(std::uint32_t layer) const { return kv_heads_.of(layer); }

  std::uint32_t n_layers = 0, n_trunk = 0; // all that the file counts; without those that predict further tokens
  std::uint64_t hidden = 0, vocab = 0, max_length = 0, experts = 0, experts_per_token = 0;
  bool tied = false;        // the embedding is the output layer
  bool loads_drafts = true; // whether the loader takes the layers that predict further tokens
  bool latent_keys = false; // caches hold latents, and no values
  bool bound = false;       // nobody knows that the loader keeps no less
  std::uint64_t passes = 1; // through the stored layers, each with caches of its own
  std::vector<CacheGroup> caches, draft_caches;
  Latent latent;
  State state;
  Layers state_layers;
  Index index;
  std::vector<Compressed> compressed;

private:
  // One number for all layers, or one for each.
  struct PerLayer {
    std::uint64_t all = 0;
    std::vector<std::uint64_t> each;
    std::uint64_t of(std::uint32_t layer) const { return layer < each.size() ? each[layer] : all; }
    std::uint64_t most() const { return each.empty() ? all : *std::max_element(each.begin(), each.end()); }
  };
  PerLayer per_layer(const Config& config, std::string_view key) const;
  void read_kinds(const Config& config);
  void read_caches(const Config& config);
  void read_index(const Config& config);
  void read_compressed(const Config& config);
  void read_state(const Config& config);
  Cache cache_of(std::uint32_t layer) const;

  enum class Kind : std::uint8_t { kFull, kWindow, kChunk, kRecurrent, kBoth, kNone };
  PerLayer heads_, kv_heads_;
  std::uint64_t key_elements_ = 0, value_elements_ = 0, window_key_elements_ = 0, window_value_elements_ = 0, window_tokens_ = 0;
  std::vector<Kind> kinds_;

public:
  std::uint64_t most_heads() const { return heads_.most(); }
  std::uint64_t most_kv_heads() const { return kv_heads_.most(); }
};

} // namespace gguf
