// See model.hpp. Which kind a class is its name says where its model_type does not: Jina's BERT calls itself bert, her XLM-RoBERTa
// xlm-roberta.
#include "model.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace encoder {

using plimsoll::Aspect;
using plimsoll::Bytes;
using plimsoll::Config;
using plimsoll::Error;
using plimsoll::Weight;

namespace {

constexpr std::uint64_t kMaxLabels = 1ULL << 24;

std::string_view kind_of(const Config& config, std::string_view architecture) {
  const std::string_view type = config.model_type();
  const std::string_view positions = config.str("/position_embedding_type", "absolute");
  if (architecture.substr(0, 8) == "JinaBert" || (type == "bert" && positions == "alibi")) return "jina_bert";
  if (architecture.substr(0, 5) == "BgeM3") return "bge_m3";
  if (architecture == "Contriever") return "contriever";
  if (architecture.find("JinaRoberta") != std::string_view::npos) return "xlm-roberta-flash";
  if (type == "xlm-roberta" && (positions == "rotary" || config.has("/use_flash_attn"))) return "xlm-roberta-flash";
  if (type == "xlm-roberta" || type == "camembert") return "roberta";
  if (type == "new") return "gte";
  return type;
}

const Row& row_of(const Config& config, std::string_view architecture) {
  const std::string_view kind = kind_of(config, architecture);
  if (const Row* row = find_row(kind)) return *row;
  throw Error(PLIMSOLL_E_UNSUPPORTED, "/model_type", "'" + std::string(kind.substr(0, 64)) + "' is no encoder that this planner knows");
}

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

Ending ending_of(std::string_view architecture) {
  static constexpr std::array<std::pair<std::string_view, Ending>, 6> kEndings{{{"ForSequenceClassification", Ending::kSequence},
                                                                                {"ForTokenClassification", Ending::kToken},
                                                                                {"ForMaskedLM", Ending::kMasked},
                                                                                {"SpladeSparseEmbeddingModel", Ending::kMasked},
                                                                                {"LMHead", Ending::kMasked},
                                                                                {"ForPreTraining", Ending::kPretrained}}};
  for (const auto& [end, ending] : kEndings)
    if (ends_with(architecture, end)) return ending;
  return Ending::kModel;
}

// As the library behind these classes counts them: a number, a table of names, or two.
std::uint64_t labels_of(const Config& config) {
  std::uint64_t labels = config.u64("/num_labels", 0);
  if (labels == 0) labels = config.find_len("/id2label").value_or(0);
  return labels == 0 ? 2 : plimsoll::bounded(labels, kMaxLabels, "/num_labels");
}

} // namespace

bool Model::on(const Config& config, Switch when) { return when == kAlways || (when != kNever && config.boolean(when, false)); }

Weight Model::in_layers(Aspect aspect, const std::string& name, std::initializer_list<Bytes> dims, const Layers& in) const {
  return plimsoll::Site{prefix + std::string(names.layer), "", &in}.weight(aspect, name, name, dims);
}
Weight Model::of_encoder(Aspect aspect, const std::string& name, std::initializer_list<Bytes> dims) const {
  return Weight(aspect, name, prefix + name, dims);
}

Model::Model(const Config& config)
    : row(row_of(config, config.str("/architectures/0", ""))), names(*row.names), architecture(config.str("/architectures/0", "")),
      ending(ending_of(architecture)) {
  if (config.find_len("/text_config") && !config.has("/hidden_size")) sizes_at = "/text_config";
  read_sizes(config);
  qkv_bias = on(config, row.qkv_bias);
  o_bias = on(config, row.o_bias);
  up_bias = on(config, row.up_bias);
  down_bias = on(config, row.down_bias);
  norm_bias = on(config, row.norm_bias);
  labels = labels_of(config);
  tied = config.boolean("/tie_word_embeddings", false);
  classifier_bias = config.boolean("/classifier_bias", false);
  read_token_width(config);
  word_elements = hidden;
  normed_layers = dense_layers = layers;
  find_prefix(config);
  if (row.quirk != nullptr) row.quirk(config, *this);
}

void Model::read_sizes(const Config& config) {
  const auto find = [&](std::initializer_list<const char*> keys) -> std::optional<std::uint64_t> {
    for (const char* key : keys)
      if (const auto value = config.find_u64(sizes_at + key)) return value;
    return std::nullopt;
  };
  const auto need = [&](std::initializer_list<const char*> keys) {
    for (const char* key : keys)
      if (config.has(sizes_at + key)) return config.positive(sizes_at + key);
    return config.positive(sizes_at + *keys.begin()); // says that it is missing
  };
  hidden = need({"/hidden_size", "/n_embd", "/dim"});
  ffn_width = need({"/intermediate_size", "/n_inner", "/hidden_dim"});
  heads = need({"/num_attention_heads", "/n_head", "/n_heads"});
  kv_heads = find({"/num_key_value_heads"}).value_or(heads);
  plimsoll::check_divides(kv_heads, heads, sizes_at + "/num_key_value_heads");
  head_elements = find({"/head_dim", "/attention_head_size"}).value_or(0);
  if (head_elements == 0) {
    plimsoll::check_divides(heads, hidden, sizes_at + "/num_attention_heads");
    head_elements = hidden / heads;
  }
  vocab = need({"/vocab_size"});
  layers = plimsoll::layers_from(
      0, plimsoll::checked_layers(need({"/num_hidden_layers", "/n_layer", "/n_layers"}), sizes_at + "/num_hidden_layers"));
  max_length = find({"/max_position_embeddings", "/n_positions", "/max_length"}).value_or(0);
  const bool table = !names.positions.empty() && config.str("/position_embedding_type", "absolute") == "absolute";
  if (table) positions = need({"/max_position_embeddings"});
  // Positions are counted from the one behind the padding token's: 514 are 512 tokens.
  if (table && row.positions_behind_padding) {
    const std::uint64_t before = (Bytes(config.u64("/pad_token_id", 1)) + 1).value();
    if (before < max_length) max_length -= before;
  }
  if (!names.types.empty()) types = config.u64("/type_vocab_size", 0);
}

// A class of late interaction says how wide its vectors are, its file does, or they are as wide as the first of the kind had them.
void Model::read_token_width(const Config& config) {
  constexpr std::uint64_t kUsual = 128;
  if (architecture.find("ColBERT") == std::string_view::npos) return;
  token_elements = config.find_u64_of({"/colbert_dim", "/projection_dim"}).value_or(0);
  if (const auto stored_matrix = config.find_tensor("linear.weight"); token_elements == 0 && stored_matrix && stored_matrix->n_dims == 2)
    token_elements = stored_matrix->dims[0];
  if (token_elements == 0) token_elements = kUsual;
}

// Classes that have more than the encoder put its names below a prefix, and so do some files of those that have not.
void Model::find_prefix(const Config& config) {
  const std::string first = std::string(names.words) + ".weight";
  const std::string own(row.prefix);
  if (config.find_tensor(own + first)) prefix = own;
  else if (!config.find_tensor(first) && ending != Ending::kModel) prefix = own;
}

} // namespace encoder
