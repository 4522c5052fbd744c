// Reads a configuration into a Model: sizes under all their spellings, then the dialect's quirk, then the groups. Emits
// nothing. Threads: pure.
#include "model.hpp"

#include <string>
#include <utility>

namespace dense {

using plimsoll::Bytes;
using plimsoll::Config;
using plimsoll::Error;

namespace {

const Dialect& dialect_of(const Config& config) {
  const std::string_view model_type = config.model_type();
  return find_dialect(model_type.empty() ? config.str("/architectures/0", "llama") : model_type);
}

// Embedders made of decoders say it by either key; Gemma 3 and 4 know a text for the second one, which is of images alone.
bool attends_both_ways(const Config& config) {
  const auto is = [&](std::string_view key, std::string_view value) { return config.find_json(key).value_or("") == value; };
  return is("/is_causal", "false") || is("/use_bidirectional_attention", "true");
}

// Layers whose `get` is alike and exists, in the order of first appearance.
template <class What, class Get>
std::vector<Group<What>> group(const std::vector<Layer>& layers, Get get) {
  std::vector<Group<What>> groups;
  for (std::uint32_t i = 0; i < layers.size(); ++i) {
    const What what = get(layers[i]);
    std::size_t at = 0;
    while (at < groups.size() && !(groups[at].what == what)) ++at;
    if (at == groups.size()) groups.push_back({what, {}});
    groups[at].layers.push_back(i);
  }
  return groups;
}

template <class What, class Keep>
void drop_unless(std::vector<Group<What>>& groups, Keep keep) {
  std::erase_if(groups, [&](const Group<What>& g) { return !keep(g.what); });
}

} // namespace

const char* cache_label(plimsoll::KvKind kind) {
  switch (kind) {
  case plimsoll::KvKind::kWindow: return "attention.window";
  case plimsoll::KvKind::kChunk: return "attention.chunk";
  case plimsoll::KvKind::kCross: return "attention.cross";
  default: return "attention";
  }
}

bool Model::on(const Config& config, Switch when) { return when == kAlways || (when != kNever && config.boolean(when, false)); }

Model::Model(const Config& config) : dialect(dialect_of(config)), names(*dialect.names) {
  read_sizes(config);
  gated_queries = on(config, dialect.gated_queries);
  qkv_bias = on(config, dialect.qkv_bias);
  o_bias = on(config, dialect.o_bias);
  ffn_bias = on(config, dialect.ffn_bias);
  down_bias = ffn_bias || on(config, dialect.down_bias);
  head_bias = on(config, dialect.head_bias);
  head_gate = !dialect.head_gate.empty() && on(config, dialect.head_gate_on);
  qk_norm = on(config, dialect.qk_norm_on) ? dialect.qk_norm : QkNorm::kNone;
  tied = config.boolean("/tie_word_embeddings", false);
  both_ways = attends_both_ways(config);
  for (std::uint32_t i = 0; i < layers.size(); ++i) all_layers.push_back(i);

  for (Layer& layer : layers) {
    layer.attention = {heads, kv_heads, head_elements, head_elements};
    layer.ffn.width = ffn_width;
  }
  for (std::size_t i = 0; i < widths.size(); ++i) layers[i].ffn.width = widths[i];
  draft = layers.back();
  read_spans(config, dialect.window, layers);
  if (dialect.quirk != nullptr) dialect.quirk(config, *this);
  check_heads();
  gather();

  const std::uint64_t drafts = dialect.draft == nullptr ? 0 : config.u64("/num_nextn_predict_layers", 0);
  plimsoll::bounded(drafts, plimsoll::kMaxLayers, "/num_nextn_predict_layers");
  for (std::uint32_t i = 0; i < drafts; ++i) {
    draft_layers.push_back(static_cast<std::uint32_t>(layers.size()) + i);
    draft_names.push_back(dialect.draft->after_model ? draft_layers.back() : i);
  }
}

void Model::read_sizes(const Config& config) {
  hidden = config.positive_of({"/hidden_size", "/n_embd", "/d_model", "/n_embed"});
  vocab = config.positive(config.find_u64("/padded_vocab_size") ? "/padded_vocab_size" : "/vocab_size"); // nearly all have the latter
  const auto decoder = config.find_u64("/decoder_layers");                                               // of a model with an encoder too
  layers.resize(decoder ? plimsoll::checked_layers(*decoder, "/decoder_layers") : plimsoll::layer_count(config));
  if (dialect.attention) read_heads(config);
  read_widths(config);
  max_length = config
                   .find_u64_of({"/max_position_embeddings", "/n_positions", "/max_seq_len", "/seq_length", "/model_max_length",
                                 "/max_sequence_length", "/max_position_embedding", "/max_target_positions"})
                   .value_or(0);
  embedding_rows = vocab;
  embedding_width = hidden;
}

void Model::read_heads(const Config& config) {
  heads = config.positive_of({"/num_attention_heads", "/n_head", "/n_heads", "/num_heads", "/decoder_attention_heads"});
  kv_heads = config
                 .find_u64_of({"/num_key_value_heads", "/num_attention_groups", "/num_kv_heads", "/n_head_kv", "/n_kv_heads",
                               "/attn_config/kv_n_heads"})
                 .value_or(heads);
  head_elements = config.find_u64_of({"/head_dim", "/attention_head_dim", "/kv_channels", "/hidden_size_per_head"}).value_or(0);
  if (head_elements == 0) {
    if (hidden % heads != 0)
      throw Error(PLIMSOLL_E_CONFIG, "/head_dim",
                  "is missing and " + std::to_string(heads) + " heads do not divide a hidden size of " + std::to_string(hidden));
    head_elements = hidden / heads;
  }
}

void Model::read_widths(const Config& config) {
  widths = config.is_u64("/intermediate_size") ? std::vector<std::uint64_t>() : config.u64_list("/intermediate_size");
  if (!widths.empty() && widths.size() != layers.size())
    throw Error(PLIMSOLL_E_CONFIG, "/intermediate_size",
                "has " + std::to_string(widths.size()) + " entries; one for each layer was expected");
  const auto width = widths.empty() ? config.find_u64_of({"/intermediate_size", "/ffn_hidden_size", "/n_inner", "/ffn_dim",
                                                          "/mlp_hidden_size", "/ff_intermediate_size", "/decoder_ffn_dim"})
                                    : std::optional(widths.front());
  if (width == 0U) throw Error(PLIMSOLL_E_CONFIG, "/intermediate_size", "is 0; a positive number was expected");
  ffn_known = width.has_value() || dialect.ffn_ratio != 0;
  ffn_width = width.value_or((Bytes(hidden) * Bytes(config.u64("/expansion_ratio", dialect.ffn_ratio))).value());
}

void Model::check_heads() const {
  for (const Layer& layer : layers) {
    const Attention& a = layer.attention;
    if (a.linear || a.heads == 0) continue;
    plimsoll::check_divides(a.kv_heads, a.heads, "/num_key_value_heads");
  }
}

void Model::gather() {
  attentions = group<Attention>(layers, [](const Layer& l) { return l.attention; });
  drop_unless(attentions, [](const Attention& a) { return a.exists(); });
  ffns = group<Ffn>(layers, [](const Layer& l) { return l.ffn; });
  drop_unless(ffns, [](const Ffn& f) { return !f.none; });
  caches = group<Cached>(layers, [](const Layer& l) { return Cached{l.attention, l.span}; });
  drop_unless(caches, [](const Cached& c) { return c.attention.heads != 0 && !c.attention.borrows; });
  for (const std::uint32_t i : all_layers) {
    if (layers[i].attention.exists()) attention_layers.push_back(i);
    if (!layers[i].ffn.none) ffn_layers.push_back(i);
  }
}

} // namespace dense
