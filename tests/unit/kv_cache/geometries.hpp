// Small KV geometries of every kind, made by hand: what the KV manager's tests run on. A token takes 16 B of a layer, so that a test
// can write who it is. One thread.
#pragma once

#include <algorithm>
#include <ostream>
#include <string>
#include <vector>

#include "plimsoll/kv_cache.hpp"

namespace plimsoll::testing {

inline constexpr std::uint64_t kSlotBytes = 16;

inline KvGroupGeometry paged(const std::string& label, CacheKind kind, std::uint64_t page_tokens, std::uint64_t layers,
                             std::uint64_t window_tokens = 0) {
  KvGroupGeometry group;
  group.label = label;
  group.kind = kind;
  group.n_layers = layers;
  group.page_tokens = page_tokens;
  group.page_bytes = page_tokens * layers * kSlotBytes;
  group.window_tokens = window_tokens;
  return group;
}

inline KvGroupGeometry encoder(std::uint64_t page_tokens, std::uint64_t layers, std::uint64_t fixed_tokens) {
  KvGroupGeometry group = paged("cross", CacheKind::kCross, page_tokens, layers);
  group.fixed_tokens = fixed_tokens;
  return group;
}

inline KvGroupGeometry states(std::uint64_t layers, std::uint64_t layer_bytes, std::uint64_t rows_per_sequence) {
  KvGroupGeometry group;
  group.label = "state";
  group.kind = CacheKind::kState;
  group.n_layers = layers;
  group.state_row_bytes = layers * layer_bytes;
  group.rows_per_sequence = rows_per_sequence;
  return group;
}

// One stage on `ranks` ranks. `counts`: pages of each group, null pages included, or rows.
inline KvGeometry apart(std::vector<KvGroupGeometry> groups, const std::vector<std::uint64_t>& counts, std::uint32_t ranks = 1,
                        std::uint64_t null_pages = 1) {
  KvGeometry g;
  g.stages.push_back({std::move(groups), 0});
  g.stage_of_rank.assign(ranks, 0);
  for (std::uint32_t rank = 0; rank < ranks; ++rank)
    for (std::size_t i = 0; i < counts.size(); ++i) {
      const KvGroupGeometry& group = g.stages.front().groups[i];
      if (group.kind == CacheKind::kState) g.pools.push_back({0, 0, counts[i], counts[i] * group.state_row_bytes});
      else g.pools.push_back({counts[i], null_pages, 0, counts[i] * group.page_bytes});
    }
  return g;
}

inline KvGeometry sharing(std::vector<KvGroupGeometry> groups, std::uint64_t blocks, std::uint64_t block_bytes,
                          std::uint64_t null_pages = 0) {
  KvGeometry g;
  g.shared_blocks = true;
  g.stages.push_back({std::move(groups), block_bytes});
  g.stage_of_rank.assign(1, 0);
  for (std::size_t i = 0; i < g.stages.front().groups.size(); ++i)
    g.pools.push_back({blocks, null_pages, 0, i == 0 ? blocks * block_bytes : 0});
  return g;
}

// Two stages of unlike depth, a draft's latent on the last one alone.
inline KvGeometry staged() {
  KvGeometry g;
  g.stages.push_back({{paged("attention", CacheKind::kFull, 4, 3), paged("draft", CacheKind::kLatent, 4, 0)}, 0});
  g.stages.push_back({{paged("attention", CacheKind::kFull, 4, 1), paged("draft", CacheKind::kLatent, 4, 1)}, 0});
  g.stage_of_rank = {0, 1};
  for (const std::uint32_t stage : g.stage_of_rank)
    for (const KvGroupGeometry& group : g.stages[stage].groups)
      g.pools.push_back({group.n_layers > 0 ? 33U : 0U, group.n_layers > 0 ? 1U : 0U, 0, group.n_layers > 0 ? 33 * group.page_bytes : 0});
  return g;
}

// Replicas on unlike devices: the second one has fewer pages.
inline KvGeometry uneven_replicas() {
  KvGeometry g = apart({paged("attention", CacheKind::kFull, 4, 1)}, {41}, 4);
  for (const std::size_t rank : {2U, 3U}) g.pools[rank] = {21, 1, 0, 21 * g.stages.front().groups.front().page_bytes};
  return g;
}

struct NamedGeometry {
  std::string name;
  KvGeometry geometry;
  KvOptions options;
  friend void PrintTo(const NamedGeometry& g, std::ostream* out) { *out << g.name; }
};

// Pools are small, so that requests wait, prefixes are evicted and windows are hit.
inline std::vector<NamedGeometry> geometries() {
  constexpr CacheKind kFull = CacheKind::kFull, kWindow = CacheKind::kWindow, kChunk = CacheKind::kChunk, kLatent = CacheKind::kLatent;
  std::vector<NamedGeometry> all;
  const auto add = [&](const std::string& name, KvGeometry geometry, KvOptions options = {}) {
    options.key_seed = 7;
    all.push_back({name, std::move(geometry), options});
  };
  KvOptions exact, slack, two, uncached;
  exact.layout = TableLayout::kExact;
  slack.slack_tokens = 3;
  two.replicas = 2;
  uncached.prefix_caching = false;
  add("dense", apart({paged("attention", kFull, 4, 2)}, {41}, 2));
  add("dense_exact", apart({paged("attention", kFull, 4, 1)}, {41}), exact);
  add("dense_with_slack", apart({paged("attention", kFull, 4, 1)}, {41}), slack);
  add("dense_uncached", apart({paged("attention", kFull, 4, 1)}, {41}), uncached);
  add("no_null_page", apart({paged("attention", kFull, 4, 1)}, {40}, 1, 0));
  add("three_null_pages", apart({paged("attention", kFull, 4, 1)}, {43}, 1, 3));
  add("cells", apart({paged("attention", kFull, 1, 1)}, {160}, 1, 0));
  add("latent", apart({paged("latent", kLatent, 4, 2)}, {41}));
  add("full_and_latent", apart({paged("latent", kLatent, 4, 2), paged("draft", kFull, 4, 1)}, {41, 41}));
  add("gemma", apart({paged("window", kWindow, 4, 3, 10), paged("attention", kFull, 4, 1)}, {33, 41}));
  add("gemma_with_slack", apart({paged("window", kWindow, 4, 2, 10), paged("attention", kFull, 4, 1)}, {33, 41}), slack);
  add("window_only", apart({paged("window", kWindow, 4, 1, 9)}, {29}));
  add("llama4", apart({paged("chunk", kChunk, 4, 2, 8), paged("attention", kFull, 4, 1)}, {25, 41}));
  add("unaligned_chunk", apart({paged("chunk", kChunk, 4, 1, 10), paged("attention", kFull, 4, 1)}, {29, 41}));
  add("two_windows",
      apart({paged("narrow", kWindow, 4, 1, 5), paged("wide", kWindow, 4, 1, 17), paged("chunk", kChunk, 4, 1, 12)}, {29, 37, 33}));
  add("hybrid", apart({states(3, kSlotBytes, 2), paged("attention", kFull, 4, 1)}, {12, 41}));
  add("state_only", apart({states(2, kSlotBytes, 1)}, {6}));
  add("cross", apart({paged("attention", kFull, 4, 1), encoder(4, 1, 10)}, {41, 19}));
  add("replicas", apart({paged("attention", kFull, 4, 1)}, {31}, 2), two);
  add("uneven_replicas", uneven_replicas(), two);
  add("stages", staged());
  // Blocks of two layers: 64 B a layer, 5 layers with windows take 3 blocks.
  add("shared_gemma", sharing({paged("window", kWindow, 4, 5, 10), paged("attention", kFull, 4, 2)}, 90, 128));
  add("shared_whole", sharing({paged("latent", kLatent, 4, 2), paged("index", kFull, 4, 1)}, 41, 192, 1));
  add("shared_hybrid", sharing({states(3, 40, 1), paged("attention", kFull, 4, 1)}, 50, 64));
  // A window of twice the tokens a page, and a page of one layer fills a block.
  add("shared_unlike_pages", sharing({paged("window", kWindow, 8, 1, 10), paged("attention", kFull, 4, 2)}, 60, 128, 1));
  return all;
}

inline NamedGeometry named(const std::string& name) {
  const std::vector<NamedGeometry> all = geometries();
  return *std::find_if(all.begin(), all.end(), [&](const NamedGeometry& g) { return g.name == name; });
}

inline PagedKvManager manager_of(const std::string& name) {
  const NamedGeometry g = named(name);
  return PagedKvManager::create(g.geometry, g.options).value();
}

inline TextContext context_of(RequestId id, std::vector<Token> prompt, std::uint64_t max_length = 1'000) {
  TextContextOptions options;
  options.id = id;
  options.prompt = std::move(prompt);
  options.max_length = max_length;
  return TextContext::create(std::move(options)).value();
}

// Tokens first, first + 1, ...
inline std::vector<Token> counting(std::size_t count, Token first = 1) {
  std::vector<Token> out(count);
  for (std::size_t i = 0; i < count; ++i) out[i] = first + static_cast<Token>(i);
  return out;
}

} // namespace plimsoll::testing
