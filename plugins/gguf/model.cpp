// The rules behind model.hpp. Worked example: Gemma 4 of 48 layers whose list says five windows, then full attention, with 20 layers
// that look into others' caches: 28 cache, those with windows at their own widths. Threads: pure.
#include "model.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

namespace gguf {

using plimsoll::Bytes;
using plimsoll::Error;
using plimsoll::KvKind;

namespace {

constexpr std::uint64_t kMostPasses = 64;

void add(std::vector<CacheGroup>& groups, const Cache& what, std::uint32_t layer) {
  if (what.kv_heads == 0 || what.k_elements + what.v_elements == 0) return;
  const auto like = std::find_if(groups.begin(), groups.end(), [&](const CacheGroup& g) { return g.what == what; });
  if (like != groups.end()) like->layers.push_back(layer);
  else groups.push_back({what, {layer}});
}

} // namespace

Model::Model(const Config& config) {
  n_trunk = plimsoll::layer_count(config);
  n_layers = plimsoll::checked_layers(
      n_trunk + plimsoll::bounded(config.u64("/num_nextn_predict_layers", 0), plimsoll::kMaxLayers, "/num_nextn_predict_layers"),
      "/num_nextn_predict_layers");
  hidden = config.positive("/hidden_size");
  vocab = config.u64("/vocab_size", 0);
  max_length = config.u64("/max_position_embeddings", 0);
  experts = config.u64("/num_experts", 0);
  experts_per_token = experts == 0 ? 0 : config.u64("/num_experts_per_tok", 0);
  tied = config.boolean("/tie_word_embeddings", false);
  loads_drafts = config.boolean("/loads_drafts", true);
  heads_ = per_layer(config, "/num_attention_heads");
  kv_heads_ = per_layer(config, "/num_key_value_heads");
  read_kinds(config);
  read_caches(config);
  read_index(config);
  read_compressed(config);
  read_state(config);
}

Model::PerLayer Model::per_layer(const Config& config, std::string_view key) const {
  PerLayer out{config.u64(key, 0), config.u64_list(std::string(key) + "_per_layer")};
  if (!out.each.empty() && out.each.size() != n_layers)
    throw Error(PLIMSOLL_E_CONFIG, std::string(key),
                "has " + std::to_string(out.each.size()) + " entries; one for each of the " + std::to_string(n_layers) +
                    " layers was expected");
  return out;
}

// Layers of which the list says nothing attend to everything.
void Model::read_kinds(const Config& config) {
  static constexpr std::pair<std::string_view, Kind> kWords[] = {{"full_attention", Kind::kFull},
                                                                 {"sliding_attention", Kind::kWindow},
                                                                 {"chunked_attention", Kind::kChunk},
                                                                 {"recurrent", Kind::kRecurrent},
                                                                 {"both", Kind::kBoth},
                                                                 {"none", Kind::kNone}};
  kinds_.assign(n_layers, Kind::kFull);
  const auto words = config.str_list("/layer_types");
  if (!words.empty() && words.size() != n_layers && words.size() != n_trunk)
    throw Error(PLIMSOLL_E_CONFIG, "/layer_types",
                "has " + std::to_string(words.size()) + " entries; one for each of the " + std::to_string(n_layers) +
                    " layers was expected");
  for (std::size_t i = 0; i < words.size(); ++i)
    for (const auto& [word, kind] : kWords)
      if (words[i] == word) kinds_[i] = kind;
}

Cache Model::cache_of(std::uint32_t layer) const {
  const Kind kind = kinds_[layer];
  if (kind == Kind::kNone || kind == Kind::kRecurrent) return {};
  Cache out;
  out.query_heads = heads_.of(layer);
  out.kv_heads = out.query_heads == 0 ? 0 : kv_heads_.of(layer);
  const bool narrow = (kind == Kind::kWindow || kind == Kind::kChunk) && window_tokens_ != 0;
  if (narrow) {
    out.kind = kind == Kind::kChunk ? KvKind::kChunk : KvKind::kWindow;
    out.window_tokens = window_tokens_;
  }
  out.k_elements = narrow ? window_key_elements_ : key_elements_;
  out.v_elements = latent_keys ? 0 : narrow ? window_value_elements_ : value_elements_;
  if (latent_keys) out.kind = KvKind::kLatent;
  return out;
}

void Model::read_caches(const Config& config) {
  latent_keys = config.boolean("/latent_keys", false);
  key_elements_ = config.u64(latent_keys ? "/latent_key_elements" : "/head_dim", 0);
  value_elements_ = config.boolean("/keys_only", false) ? 0 : config.u64("/v_head_dim", key_elements_);
  window_key_elements_ = config.u64("/window_head_dim", key_elements_);
  window_value_elements_ = config.u64("/window_v_head_dim", value_elements_);
  window_tokens_ = config.u64("/sliding_window", 0);
  bound = config.boolean("/cache_is_a_bound", false);
  passes = plimsoll::bounded(std::max<std::uint64_t>(1, config.u64("/num_loops", 1)), kMostPasses, "/num_loops");
  if (latent_keys)
    latent = {std::min(config.u64("/qk_rope_head_dim", 0), key_elements_), config.u64("/head_dim", 0), config.u64("/v_head_dim", 0)};
  if (config.boolean("/no_cache", false)) return;
  const std::uint64_t cached = config.boolean("/caches_drafts", false) ? n_layers : n_trunk;
  const std::uint64_t shared = std::min(config.u64("/num_kv_shared_layers", 0), cached);
  const std::uint64_t owners = std::min(config.u64("/first_kv_shared_layer", cached), cached - shared);
  for (std::uint32_t i = 0; i < owners; ++i) add(caches, cache_of(i), i);
  for (std::uint32_t i = static_cast<std::uint32_t>(cached); loads_drafts && i < n_layers; ++i) add(draft_caches, cache_of(i), i);
}

void Model::read_index(const Config& config) {
  if (!config.has("/index_cache")) return;
  index.elements = config.positive("/index_head_dim");
  if (config.str("/index_cache", "") != "as_cache") index.type = config.str("/index_cache", "");
  const auto first = static_cast<std::uint32_t>(std::min<std::uint64_t>(config.u64("/first_index_layer", 0), n_layers));
  const std::uint32_t end = config.boolean("/caches_drafts", false) ? n_layers : n_trunk;
  for (std::uint32_t i = first; i < end; ++i) index.layers.push_back(i);
}

// A ratio of 4 pools overlapping runs: twice the width, and twice the tokens waiting, keys and scores of each. DeepSeek-V4-Flash, heads of
// 512 and an indexer of 128: 2 x 1024 x 8 and 2 x 256 x 8 elements wait in a layer of ratio 4, 2 x 512 x 128 in one of 128.
void Model::read_compressed(const Config& config) {
  const PerLayer ratios = per_layer(config, "/compress_ratios");
  for (std::uint32_t i = 0; i < n_trunk; ++i) {
    const std::uint64_t ratio = ratios.of(i);
    if (ratio == 0) continue;
    if (ratio != 4 && ratio != 128)
      throw Error(PLIMSOLL_E_UNSUPPORTED, "/compress_ratios",
                  "has " + std::to_string(ratio) + " for a layer; how tokens are pooled is known for 4 and 128, and 0 for no pooling");
    const auto like = std::find_if(compressed.begin(), compressed.end(), [&](const Compressed& c) { return c.ratio == ratio; });
    if (like != compressed.end()) {
      like->layers.push_back(i);
      continue;
    }
    Compressed c;
    c.ratio = ratio;
    c.kv_heads = kv_heads_.of(i);
    c.query_heads = heads_.of(i);
    c.k_elements = key_elements_;
    const std::uint64_t runs = ratio == 4 ? 2 : 1;
    const auto waiting = [&](std::uint64_t width) { return (Bytes(2) * runs * width * runs * ratio).value(); };
    c.waiting_elements = waiting(key_elements_);
    if (ratio == 4) {
      c.index_elements = config.positive("/index_head_dim");
      c.index_waiting_elements = waiting(c.index_elements);
    }
    c.layers.push_back(i);
    compressed.push_back(std::move(c));
  }
}

void Model::read_state(const Config& config) {
  for (std::uint32_t i = 0; i < n_trunk; ++i)
    if (kinds_[i] == Kind::kRecurrent || kinds_[i] == Kind::kBoth) state_layers.push_back(i);
  if (state_layers.empty()) return;
  const std::string_view kind = config.str("/state", "");
  const auto size = [&](const char* key) { return Bytes(config.positive(key)); };
  const auto keep = [&](Bytes of_rows, Bytes recurrence) { state = {of_rows.value(), recurrence.value()}; };
  const auto rows = [&] { return Bytes(config.positive("/ssm/conv_kernel")) - 1; };
  if (kind == "mamba") {
    const Bytes inner = size("/ssm/inner_size"), width = size("/ssm/state_size");
    const Bytes wide = inner + Bytes(2) * config.u64("/ssm/group_count", 0) * width;
    keep(rows() * wide, width * inner);
  } else if (kind == "short_convolution") {
    keep((size("/shortconv/l_cache") - 1) * hidden, 0);
  } else if (kind == "kda") {
    const Bytes head = size("/kda/head_dim");
    keep(Bytes(3) * rows() * heads_.most() * head, head * head * heads_.most());
  } else if (kind == "rwkv") {
    keep(Bytes(config.u64("/token_shift_count", 2)) * hidden, Bytes(hidden) * size("/wkv/head_size"));
  } else {
    throw Error(PLIMSOLL_E_CONFIG, "/state", "is missing; the layers are recurrent, and what they keep was expected");
  }
}

} // namespace gguf
