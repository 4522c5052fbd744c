// A text model as the planner sees it: a dialect joined with the numbers of one configuration, layer by layer, then gathered
// into groups of layers that are alike. Built once. Throws plimsoll::Error with the pointer at fault. Threads: immutable after
// construction.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "dialect.hpp"
#include "plimsoll/plugin_util.hpp"

namespace dense {

// The attention of one layer. No heads: the layer has none.
struct Attention {
  std::uint64_t heads = 0, kv_heads = 0, k_elements = 0, v_elements = 0; // elements: per head
  bool cross = false;                                                    // keys and values come from an image
  bool linear = false;                                                   // replaced by one matrix, caches nothing
  bool value_is_key = false; // no projection of values: they are the keys, yet the cache holds both
  bool borrows = false;      // looks into the cache of an earlier layer and has none itself
  bool sinks = true;         // where the dialect has them
  bool operator==(const Attention&) const = default;
  bool exists() const { return heads != 0 || linear; }
};

// How far back the attention of one layer looks, in tokens.
struct Span {
  plimsoll::KvKind kind = plimsoll::KvKind::kFull;
  std::uint64_t tokens = 0;
  bool operator==(const Span&) const = default;
};

// The dense FFN of one layer. Models of experts leave the width to those who plan experts.
struct Ffn {
  std::uint64_t width = 0;
  bool none = false;   // the layer has no FFN
  bool linear = false; // replaced by one matrix
  bool operator==(const Ffn&) const = default;
};

struct Layer {
  Attention attention;
  Span span;
  Ffn ffn;
};

// Layers that are alike in `What`, ascending.
template <class What>
struct Group {
  What what;
  std::vector<std::uint32_t> layers;
};

// A layer's cache: attention and reach.
struct Cached {
  Attention attention;
  Span span;
  bool operator==(const Cached&) const = default;
};

// What a sparse attention keeps beside keys and values to choose among them: one vector per token and layer.
struct Index {
  std::uint64_t elements = 0, value_elements = 0;
  std::vector<std::uint32_t> layers;
};

class Model {
public:
  explicit Model(const plimsoll::Config& config);
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  // True where the switch is on for this configuration.
  static bool on(const plimsoll::Config& config, Switch when);

  Dialect dialect; // a copy: quirks may change it
  Names names;     // likewise
  std::uint64_t hidden = 0, vocab = 0, heads = 0, kv_heads = 0, head_elements = 0, ffn_width = 0, max_length = 0;
  bool ffn_known = false;            // a configuration of experts need not say a dense width
  std::uint64_t embedding_rows = 0;  // the vocabulary, and what some models add to the table
  std::uint64_t embedding_width = 0; // hidden, but for OPT's smallest
  bool tied = false;
  bool both_ways = false; // tokens attend to later ones too: an embedder, which reads a text in one pass and keeps nothing
  bool gated_queries = false;
  std::uint64_t query_rank = 0; // queries go through a narrower space; 0: they do not
  bool qkv_bias = false, o_bias = false, ffn_bias = false, down_bias = false, head_bias = false, head_gate = false;
  QkNorm qk_norm = QkNorm::kNone;
  std::vector<Layer> layers;
  Layer draft;                          // what a draft layer looks like: full attention, else as the last layer
  std::vector<plimsoll::Weight> extras; // position tables, masks and the like; their layer lists are members below

  // After the quirks: who is alike.
  std::vector<std::uint32_t> all_layers, attention_layers, ffn_layers;
  std::vector<std::uint32_t> draft_names, draft_layers; // numbers in tensor names; model layer indices
  std::vector<Group<Attention>> attentions;
  std::vector<Group<Ffn>> ffns;
  std::vector<Group<Cached>> caches;
  std::vector<Index> indexes;
  std::vector<Span> passes; // further passes over all layers, which cache what they attend to by themselves

private:
  std::vector<std::uint64_t> widths; // of the FFNs, where the configuration lists them

  void read_sizes(const plimsoll::Config& config);
  void read_heads(const plimsoll::Config& config);
  void read_widths(const plimsoll::Config& config);
  void check_heads() const;
  void gather();
};

// The label of the KV group of layers with such a span.
const char* cache_label(plimsoll::KvKind kind);

// Which layers attend to a window or a chunk, from the keys that say so. Sets the spans of `layers`.
void read_spans(const plimsoll::Config& config, Window window, std::vector<Layer>& layers);

} // namespace dense
