// The quirks of two attentions for long texts (quirks.hpp says what a quirk is): MiniMax-M3 (full layers, of which most choose
// blocks by an index) and Step-3.5 (window layers with heads of their own number). Threads: pure functions.
#include <string>

#include "model.hpp"
#include "quirks.hpp"

namespace dense {

using plimsoll::Aspect;
using plimsoll::Bytes;
using plimsoll::Config;
using plimsoll::Error;
using plimsoll::KvKind;
using plimsoll::Weight;

namespace {

std::vector<std::uint64_t> flags_of(const Config& config, const char* pointer, std::size_t n) {
  auto flags = config.u64_list(pointer);
  if (flags.empty()) flags.resize(n);
  if (flags.size() != n)
    throw Error(PLIMSOLL_E_CONFIG, pointer,
                "has " + std::to_string(flags.size()) + " entries; one for each of the " + std::to_string(n) + " layers was expected");
  return flags;
}

// The projections and norms of an index; values only where a layer has them.
void add_index(Model& model, const Index& index, std::uint64_t heads) {
  const Bytes h = model.hidden, dim = index.elements, all = Bytes(heads) * index.elements;
  const auto add = [&](const std::string& name, std::initializer_list<Bytes> dims) -> Weight& {
    model.extras.emplace_back(Aspect::kAttention, "attention." + name, "model.layers.{layer}.self_attn." + name + ".weight", dims);
    return model.extras.back().layers(index.layers);
  };
  add("index_q_proj", {all, h}).linear().heads(0, heads, true);
  add("index_k_proj", {dim, h}).linear();
  add("index_q_norm", {dim});
  add("index_k_norm", {dim});
  if (index.value_elements == 0) return;
  add("index_v_proj", {dim, h}).linear();
  add("index_o_proj", {h, all}).linear(1).heads(1, heads, true);
}

} // namespace

// MiniMax-M3. Worked example: 60 layers, 57 of them sparse; index of 4 query heads and one key of 128, which every rank caches
// in bfloat16: 57 x 128 x 2 = 14,592 bytes a token beside 60 x 4 x 256 x 2 = 122,880.
void minimax(const Config& config, Model& model) {
  if (const std::string_view kind = config.str("/qk_norm_type", ""); kind == "per_head") model.qk_norm = QkNorm::kHead;
  const std::string sparse = "/sparse_attention_config";
  if (!config.find_len(sparse) || !config.boolean(sparse + "/use_sparse_attention", true)) return;
  const std::size_t n = model.layers.size();
  const auto has_index = flags_of(config, "/sparse_attention_config/sparse_attention_freq", n);
  const auto no_value = flags_of(config, "/sparse_attention_config/sparse_disable_index_value", n);
  const std::uint64_t elements = config.positive(sparse + "/sparse_index_dim"), heads = config.positive(sparse + "/sparse_num_index_heads");
  Index keys{elements, 0, {}}, both{elements, elements, {}};
  for (std::uint32_t i = 0; i < n; ++i)
    if (has_index[i] != 0) (no_value[i] != 0 ? keys : both).layers.push_back(i);
  model.indexes.reserve(2); // weights point into the lists
  for (Index* index : {&keys, &both}) {
    if (index->layers.empty()) continue;
    model.indexes.push_back(std::move(*index));
    add_index(model, model.indexes.back(), heads);
  }
}

// Step-3.5 and 3.7. Draft layers are window layers. Worked example, Step-3.5-Flash: 12 full layers of 64 query heads, 33 with
// windows of 512 and 96, all with 8 key/value heads of 128; a gate for each query head.
void step(const Config& config, Model& model) {
  const std::string other = "/attention_other_setting";
  const auto heads = config.find_u64_of({other + "/num_attention_heads", "/num_sliding_attention_heads"});
  for (Layer& layer : model.layers) {
    if (layer.span.kind != KvKind::kWindow) continue;
    Attention& a = layer.attention;
    a.heads = heads.value_or(a.heads);
    a.kv_heads = config.u64(other + "/num_attention_groups", a.kv_heads);
    a.k_elements = a.v_elements = config.u64(other + "/head_dim", a.k_elements);
    model.draft = layer;
  }
}

} // namespace dense
