// Reads the sizes of a latent-attention model. Refuses what cannot be sized with the JSON pointer of the key at fault; loops
// over no more than 4096 layers. Any thread.
#include "shape.hpp"

namespace mla {
namespace {

using plimsoll::bounded;
using plimsoll::Config;
using plimsoll::Error;
using plimsoll::layers_from;

DraftNaming read_draft_naming(const Config& config) {
  const std::string_view names = config.str("/mtp_names", "layers");
  if (names == "layers") return DraftNaming::kLayers;
  if (names == "module") return DraftNaming::kModule;
  if (names == "none") return DraftNaming::kNone;
  throw Error(PLIMSOLL_E_CONFIG, "/mtp_names", "is \"" + std::string(names) + "\"; layers, module or none was expected");
}

// DeepSeek-V3.2: every layer scores. GLM-5.2: `indexer_types` has 21 layers "full", 57 "shared" read another's choice.
Indexer read_indexer(const Config& config, const Shape& shape) {
  Indexer indexer;
  indexer.heads = config.u64("/index_n_heads", 0);
  if (indexer.heads == 0) return indexer;
  if (shape.q_rank == 0) throw Error(PLIMSOLL_E_CONFIG, "/q_lora_rank", "is absent; an indexer reads compressed queries and needs it");
  indexer.head_elements = config.positive("/index_head_dim");
  indexer.scale_elements = config.u64("/index_scale_elements", 128);
  indexer.draft_layers = shape.draft_layers;
  const std::vector<std::string_view> types = config.str_list("/indexer_types");
  if (types.empty()) {
    indexer.layers = shape.layers;
    return indexer;
  }
  if (types.size() != shape.layers.size())
    throw Error(PLIMSOLL_E_CONFIG, "/indexer_types",
                "has " + std::to_string(types.size()) + " entries; " + std::to_string(shape.layers.size()) +
                    " were expected, one per layer");
  for (std::size_t i = 0; i < types.size(); ++i) {
    if (types[i] == "full") indexer.layers.push_back(shape.layers[i]);
    else if (types[i] != "shared")
      throw Error(PLIMSOLL_E_CONFIG, "/indexer_types/" + std::to_string(i),
                  "is \"" + std::string(types[i]) + "\"; full or shared was expected");
  }
  return indexer;
}

std::uint64_t gates_per_head(const Config& config, std::uint64_t v_elements) {
  const std::string_view kind = config.str("/gated_attention_proj_granularity_type", "");
  if (kind == "head_wise") return 1;
  return kind == "element_wise" || config.boolean("/mla_use_output_gate", false) ? v_elements : 0;
}

// LongCat-Flash-Lite: emb_split_num tables for pairs of tokens, and for each longer run of up to emb_neighbor_num.
void read_ngrams(const Config& config, Shape& s) {
  if (!config.has("/ngram_vocab_size_ratio")) return;
  const std::uint64_t neighbors = bounded(config.positive("/emb_neighbor_num"), 256, "/emb_neighbor_num");
  s.ngram_tables = bounded(config.positive("/emb_split_num"), 256, "/emb_split_num") * (neighbors - 1);
  plimsoll::check_divides(s.ngram_tables, s.hidden, "/emb_split_num");
  s.ngram_rows = (plimsoll::Bytes(config.positive("/ngram_vocab_size_ratio")) * plimsoll::Bytes(s.vocab) + plimsoll::Bytes(1)).value();
}

} // namespace

Shape read_shape(const Config& config) {
  Shape s;
  const std::uint32_t n_layers = plimsoll::layer_count(config);
  s.hidden = config.positive("/hidden_size");
  s.inputs = (plimsoll::Bytes(s.hidden) * plimsoll::Bytes(config.u64("/attention_inputs", 1))).value();
  if (s.inputs != s.hidden && n_layers != 1)
    throw Error(PLIMSOLL_E_UNSUPPORTED, "/num_hidden_layers", "is not 1; drafts with latent attention in several layers are not known");
  s.vocab = config.positive("/vocab_size");
  s.max_length = config.u64("/max_position_embeddings", 0);
  s.heads = config.positive("/num_attention_heads");
  s.q_rank = config.u64("/q_lora_rank", 0);
  s.kv_rank = config.positive("/kv_lora_rank");
  s.nope_elements = config.positive("/qk_nope_head_dim");
  s.rope_elements = config.positive("/qk_rope_head_dim");
  s.v_elements = config.u64("/v_head_dim", s.hidden / s.heads);
  if (s.v_elements == 0) throw Error(PLIMSOLL_E_CONFIG, "/v_head_dim", "is 0; a positive number was expected");
  s.attentions_per_layer = bounded(config.u64("/attentions_per_layer", 1), 16, "/attentions_per_layer");
  if (s.attentions_per_layer == 0) throw Error(PLIMSOLL_E_CONFIG, "/attentions_per_layer", "is 0; at least 1 was expected");
  s.bias = config.boolean("/attention_bias", false);
  s.gates_per_head = gates_per_head(config, s.v_elements);
  s.block = config.str("/latent_block", s.block);
  s.output = config.str("/latent_output", s.output);
  s.tied = config.boolean("/tie_word_embeddings", false);
  for (const std::string_view name : config.str_list("/extra_norms")) s.extra_norms.emplace_back(name);
  if (config.boolean("/sandwich_norm", false)) s.extra_norms = {"pre_mlp_layernorm", "post_mlp_layernorm"};
  read_ngrams(config, s);
  s.draft_stores_embedding = config.boolean("/mtp_stores_embedding", false);
  s.draft_naming = read_draft_naming(config);
  s.layers = layers_from(0, n_layers);
  if (s.draft_naming != DraftNaming::kNone) {
    const std::uint64_t n = bounded(config.u64("/num_nextn_predict_layers", 0), plimsoll::kMaxDraftLayers, "/num_nextn_predict_layers");
    s.draft_layers = layers_from(n_layers, n);
    s.draft_modules = layers_from(0, n);
  }
  s.indexer = read_indexer(config, s);
  return s;
}

} // namespace mla
