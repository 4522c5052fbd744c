// See seq2seq.hpp. Worked example: bart-large, width 1024, FFN 4096, 12 layers in either half, 50,265 words, 1,024 positions. Words
// 51,471,360; two tables of 1,026 rows and two norms 2,105,344; a layer of the encoder 12,596,224, of the decoder, with a second attention
// and its norm, 16,796,672. 406,291,456 together, the published total.
#include "seq2seq.hpp"

#include <algorithm>
#include <iterator>

namespace encoder {

using plimsoll::Aspect;
using plimsoll::Bytes;
using plimsoll::Config;
using plimsoll::Error;
using plimsoll::KvGroup;
using plimsoll::KvKind;
using plimsoll::Role;
using plimsoll::Stage;
using plimsoll::Weight;

namespace {

constexpr std::uint64_t kMostLabels = 1ULL << 24, kMostDistances = 1ULL << 24;

constexpr HalfNames kT5Encoder{.layer = "encoder.block.{layer}.",
                               .attention = "layer.0.SelfAttention.",
                               .cross = "",
                               .ffn = "layer.1.DenseReluDense.",
                               .attention_norm = "layer.0.layer_norm",
                               .cross_norm = "",
                               .ffn_norm = "layer.1.layer_norm",
                               .final_norm = "encoder.final_layer_norm"};
constexpr HalfNames kT5Decoder{.layer = "decoder.block.{layer}.",
                               .attention = "layer.0.SelfAttention.",
                               .cross = "layer.1.EncDecAttention.",
                               .ffn = "layer.2.DenseReluDense.",
                               .attention_norm = "layer.0.layer_norm",
                               .cross_norm = "layer.1.layer_norm",
                               .ffn_norm = "layer.2.layer_norm",
                               .final_norm = "decoder.final_layer_norm"};
constexpr HalfNames kBartEncoder{.layer = "encoder.layers.{layer}.",
                                 .cross = "",
                                 .cross_norm = "",
                                 .positions = "encoder.embed_positions",
                                 .embedding_norm = "encoder.layernorm_embedding"};
constexpr HalfNames kBartDecoder{
    .layer = "decoder.layers.{layer}.", .positions = "decoder.embed_positions", .embedding_norm = "decoder.layernorm_embedding"};
// What stands behind mBART's layers and is not there in BART.
constexpr HalfNames with_final_norm(HalfNames names, std::string_view norm) {
  names.final_norm = norm;
  return names;
}
constexpr HalfNames kFireRedDecoder{.layer = "lid_decoder.layer_stack.{layer}.",
                                    .cross = "cross_attn.",
                                    .ffn = "mlp.",
                                    .attention_norm = "self_attn_norm",
                                    .cross_norm = "cross_attn_norm",
                                    .ffn_norm = "mlp_norm",
                                    .final_norm = "lid_decoder.layer_norm_out"};
constexpr HalfNames kCohereDecoder{.layer = "transf_decoder._decoder.layers.{layer}.",
                                   .attention = "first_sub_layer.",
                                   .cross = "second_sub_layer.",
                                   .ffn = "third_sub_layer.",
                                   .attention_norm = "layer_norm_1",
                                   .cross_norm = "layer_norm_2",
                                   .ffn_norm = "layer_norm_3",
                                   .positions = "transf_decoder._embedding.position_embedding.pos_enc",
                                   .embedding_norm = "transf_decoder._embedding.layer_norm",
                                   .final_norm = "transf_decoder._decoder.final_layer_norm"};

// clang-format off
constexpr SeqKind kSeqKinds[] = {
  {.model_type = "t5", .encoder = kT5Encoder, .decoder = kT5Decoder, .q = "q", .k = "k", .v = "v", .o = "o", .up = "wi", .down = "wo", .biases = false, .relative = true},
  {.model_type = "mt5", .encoder = kT5Encoder, .decoder = kT5Decoder, .q = "q", .k = "k", .v = "v", .o = "o", .up = "wi", .down = "wo", .biases = false, .tied = false, .relative = true},
  {.model_type = "umt5", .encoder = kT5Encoder, .decoder = kT5Decoder, .q = "q", .k = "k", .v = "v", .o = "o", .up = "wi", .down = "wo", .biases = false, .tied = false, .relative = true, .shared = false},
  {.model_type = "bart", .encoder = kBartEncoder, .decoder = kBartDecoder, .prefix = "model.", .positions_before = 2},
  {.model_type = "mbart", .encoder = with_final_norm(kBartEncoder, "encoder.layer_norm"), .decoder = with_final_norm(kBartDecoder, "decoder.layer_norm"), .prefix = "model.", .positions_before = 2},
  {.model_type = "fireredlid", .encoder = {}, .decoder = kFireRedDecoder, .words = "lid_decoder.tgt_word_emb", .q = "w_qs", .k = "w_ks", .v = "w_vs", .o = "fc", .up = "w_1", .down = "w_2", .head = "lid_decoder.tgt_word_prj", .k_bias = false},
  {.model_type = "cohere_asr", .encoder = {}, .decoder = kCohereDecoder, .words = "transf_decoder._embedding.token_embedding", .q = "query_net", .k = "key_net", .v = "value_net", .o = "out_projection", .up = "dense_in", .down = "dense_out", .head = "log_softmax.mlp.layer0", .sizes_at = "/transf_decoder/config_dict", .head_bias = true, .tied = false},
};
// clang-format on

const SeqKind& kind_of(const Config& config) {
  const std::string_view type = config.model_type();
  const auto kind = std::find_if(std::begin(kSeqKinds), std::end(kSeqKinds), [&](const SeqKind& k) { return k.model_type == type; });
  if (kind != std::end(kSeqKinds)) return *kind;
  throw Error(PLIMSOLL_E_UNSUPPORTED, "/model_type",
              "'" + std::string(type.substr(0, 64)) + "' is no encoder with a decoder that this planner knows");
}

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

std::string plus(std::string_view a, std::string_view b) { return std::string(a).append(b); }

} // namespace

// Tensors of one half or of its layers, below the prefix.
class Seq2Seq::Site {
public:
  Site(const Seq2Seq& model, const plimsoll::Sink& out, const HalfNames& names, const std::vector<std::uint32_t>& layers)
      : m_(model), out_(out), names_(names), layers_(layers) {}

  void norm(std::string_view name) const {
    if (!name.empty()) out_.weight(in_layers(Aspect::kAttention, plus(name, ".weight"), {m_.width_}), m_.kind_.biases);
  }
  void attention(std::string_view prefix, std::uint64_t heads) const {
    const Bytes inner = Bytes(heads) * m_.head_elements_;
    const SeqKind& kind = m_.kind_;
    for (const std::string_view name : {kind.q, kind.k, kind.v})
      out_.weight(linear(Aspect::kAttention, plus(prefix, name), inner, m_.width_).heads(0, heads),
                  kind.biases && (kind.k_bias || name != kind.k));
    out_.weight(linear(Aspect::kAttention, plus(prefix, kind.o), m_.width_, inner).heads(1, heads), kind.biases);
  }
  void ffn(std::string_view prefix, std::uint64_t width) const {
    const std::string up = plus(prefix, m_.kind_.up);
    if (m_.gated_) {
      out_.weight(linear(Aspect::kFfn, up + "_0", width, m_.width_).split(0));
      out_.weight(linear(Aspect::kFfn, up + "_1", width, m_.width_).split(0));
    } else {
      out_.weight(linear(Aspect::kFfn, up, width, m_.width_).split(0), m_.kind_.biases);
    }
    out_.weight(linear(Aspect::kFfn, plus(prefix, m_.kind_.down), m_.width_, width).split(1), m_.kind_.biases);
  }
  // Of the whole half.
  Weight one(Aspect aspect, const std::string& name, std::initializer_list<Bytes> dims) const {
    return Weight(aspect, name, m_.prefix_ + name, dims);
  }
  Weight in_layers(Aspect aspect, const std::string& name, std::initializer_list<Bytes> dims) const {
    const std::string whole = plus(names_.layer, name);
    return Weight(aspect, whole, m_.prefix_ + whole, dims).layers(layers_);
  }

private:
  Weight linear(Aspect aspect, const std::string& name, Bytes out, Bytes in) const {
    return in_layers(aspect, name + ".weight", {out, in}).linear();
  }
  const Seq2Seq& m_;
  const plimsoll::Sink& out_;
  const HalfNames& names_;
  const std::vector<std::uint32_t>& layers_;
};

// The first that is there; where none is, the first.
std::string Seq2Seq::key_of(const Config& config, std::initializer_list<const char*> keys) const {
  for (const char* key : keys)
    if (config.has(plus(kind_.sizes_at, key))) return plus(kind_.sizes_at, key);
  return plus(kind_.sizes_at, *keys.begin());
}

std::uint64_t Seq2Seq::number(const Config& config, std::initializer_list<const char*> keys) const {
  return config.positive(key_of(config, keys)); // or says that it is missing
}

Seq2Seq::Half Seq2Seq::half(const Config& config, bool encoder) const {
  Half out;
  const std::uint64_t layers = encoder ? number(config, {"/encoder_layers", "/num_layers"})
                                       : number(config, {"/num_decoder_layers", "/decoder_layers", "/n_layers_lid_dec", "/num_layers"});
  out.layers = plimsoll::layers_from(0, plimsoll::checked_layers(layers, encoder ? "/encoder_layers" : "/decoder_layers"));
  out.heads = encoder ? number(config, {"/encoder_attention_heads", "/num_heads"})
                      : number(config, {"/decoder_attention_heads", "/num_heads", "/n_head", "/num_attention_heads"});
  const bool four = config.has(plus(kind_.sizes_at, "/n_head")); // a width that no key says
  out.ffn =
      four ? (Bytes(width_) * 4).value() : number(config, {encoder ? "/encoder_ffn_dim" : "/decoder_ffn_dim", "/d_ff", "/inner_size"});
  if (kind_.relative) out.biased = kind_.shared ? std::vector<std::uint32_t>{0} : out.layers;
  return out;
}

Seq2Seq::Seq2Seq(const Config& config)
    : kind_(kind_of(config)), ending_(Ending::kGeneration), gated_(config.boolean("/is_gated_act", false)),
      tied_(config.boolean("/tie_word_embeddings", kind_.tied)), width_(number(config, {"/d_model", "/hidden_size"})), distances_(0),
      labels_(0) {
  const std::string_view architecture = config.str("/architectures/0", "");
  if (contains(architecture, "EncoderModel")) ending_ = Ending::kEncoder;
  else if (contains(architecture, "ForSequenceClassification")) ending_ = Ending::kSequence;
  else if (!architecture.empty() && !contains(architecture, "For")) ending_ = Ending::kModel;
  if (contains(config.str("/feed_forward_proj", ""), "gated-")) gated_ = true;
  if (!kind_.prefix.empty() && !config.find_tensor(plus(kind_.words, ".weight")) && ending_ != Ending::kModel) prefix_ = kind_.prefix;
  vocab_ = config.has("/head/num_classes") ? config.positive("/head/num_classes") : config.positive("/vocab_size");
  max_length_ = 0;
  for (const char* key : {"/n_positions", "/max_position_embeddings", "/max_sequence_length", "/pe_maxlen"})
    if (max_length_ == 0) max_length_ = config.u64(plus(kind_.sizes_at, key), 0);
  if (max_length_ == 0 && !kind_.decoder.positions.empty())
    max_length_ = number(config, {"/max_position_embeddings"}); // says it is missing
  decoder_ = half(config, false);
  if (!kind_.encoder.layer.empty()) encoder_ = half(config, true);
  head_elements_ = config.u64("/d_kv", 0);
  if (head_elements_ == 0) {
    for (const std::uint64_t heads : {decoder_.heads, encoder_.heads})
      if (heads != 0)
        plimsoll::check_divides(heads, width_,
                                key_of(config, {"/decoder_attention_heads", "/n_head", "/num_attention_heads", "/num_heads"}));
    head_elements_ = width_ / decoder_.heads;
    if (encoder_.heads != 0 && encoder_.heads != decoder_.heads)
      throw Error(PLIMSOLL_E_UNSUPPORTED, "/encoder_attention_heads", "differs from the decoder's; such heads are not planned");
  }
  if (kind_.relative)
    distances_ = plimsoll::bounded(config.u64("/relative_attention_num_buckets", 32), kMostDistances, "/relative_attention_num_buckets");
  if (ending_ == Ending::kSequence) {
    const std::uint64_t labels = config.u64("/num_labels", config.find_len("/id2label").value_or(0));
    labels_ = labels == 0 ? 2 : plimsoll::bounded(labels, kMostLabels, "/num_labels");
  }
  if (ending_ == Ending::kEncoder) decoder_.layers.clear();
}

void Seq2Seq::declare(const plimsoll::Sink& out, const Half& half, const HalfNames& names, bool decoder) const {
  const Site site(*this, out, names, half.layers);
  if (out.asks(Aspect::kEmbed)) {
    if (!names.positions.empty()) {
      const bool table = contains(names.positions, "embed_positions"); // else the numbers are stored as they are
      out.weight(site.one(Aspect::kEmbed, table ? plus(names.positions, ".weight") : std::string(names.positions),
                          {Bytes(max_length_) + kind_.positions_before, width_}));
    }
    if (!names.embedding_norm.empty()) out.weight(site.one(Aspect::kEmbed, plus(names.embedding_norm, ".weight"), {width_}), true);
  }
  if (out.asks(Aspect::kAttention)) {
    site.attention(names.attention, half.heads);
    site.norm(names.attention_norm);
    if (decoder) {
      site.attention(names.cross, half.heads);
      site.norm(names.cross_norm);
    }
    site.norm(names.ffn_norm);
    if (!half.biased.empty())
      out.weight(Site(*this, out, names, half.biased)
                     .in_layers(Aspect::kAttention, plus(names.attention, "relative_attention_bias.weight"), {distances_, half.heads})
                     .heads(1, half.heads));
  }
  if (out.asks(Aspect::kFfn)) site.ffn(names.ffn, half.ffn);
  if (out.asks(Aspect::kHead) && !names.final_norm.empty())
    out.weight(site.one(Aspect::kHead, plus(names.final_norm, ".weight"), {width_}).stage(Stage::kLast), kind_.biases);
}

void Seq2Seq::head(const plimsoll::Sink& out) const {
  if (ending_ == Ending::kSequence) {
    const auto linear = [&](const std::string& name, Bytes rows) {
      out.weight(Weight(Aspect::kHead, name, name + ".weight", {rows, width_}).stage(Stage::kLast), true);
    };
    linear("classification_head.dense", width_);
    linear("classification_head.out_proj", labels_);
  }
  if (ending_ != Ending::kGeneration) return;
  Weight words(Aspect::kHead, "head", plus(kind_.head, ".weight"), {vocab_, width_});
  words.vocab().linear().stage(Stage::kLast);
  if (tied_) words.role(Role::kTied);
  out.weight(words, kind_.head_bias);
}

void Seq2Seq::weights(const plimsoll::Sink& out) const {
  if (out.asks(Aspect::kEmbed)) {
    const auto words = [&](const std::string& name) {
      return Weight(Aspect::kEmbed, name, prefix_ + name + ".weight", {vocab_, width_}).vocab();
    };
    out.weight(words(std::string(kind_.words)));
    if (reads()) out.weight(words("encoder.embed_tokens").role(Role::kTied)); // of files that say it more than once
    if (reads() && !decoder_.layers.empty()) out.weight(words("decoder.embed_tokens").role(Role::kTied));
  }
  if (reads()) declare(out, encoder_, kind_.encoder, false);
  if (!decoder_.layers.empty()) declare(out, decoder_, kind_.decoder, true);
  if (out.asks(Aspect::kHead)) head(out);
}

// Where distances stand in place of positions an input has no longest length of its own: it is as long as a request may be. No engine whose
// rules are known here serves these kinds, so both are bounds.
void Seq2Seq::kv(const plimsoll::Sink& out) const {
  if (decoder_.layers.empty()) return;
  const auto group = [&](KvKind kind, const char* label) {
    KvGroup made(kind, label, decoder_.layers);
    made.heads(decoder_.heads, decoder_.heads, head_elements_, head_elements_);
    return made;
  };
  if (!reads()) return out.kv(group(KvKind::kFull, "attention")); // whose encoder it is knows how long the input is
  out.kv(group(KvKind::kFull, "attention").bound());
  if (kind_.relative) out.kv(group(KvKind::kFull, "attention.cross").bound());
  else out.kv(group(KvKind::kCross, "attention.cross").fixed(max_length_).bound());
}

plimsoll_facts Seq2Seq::facts() const {
  plimsoll_facts facts{};
  facts.n_layers = static_cast<std::uint32_t>(std::max(encoder_.layers.size(), decoder_.layers.size()));
  facts.max_length = max_length_;
  facts.hidden_elements = width_;
  facts.vocab_tokens = ending_ == Ending::kGeneration ? vocab_ : 0;
  facts.query_heads = facts.kv_heads = decoder_.heads;
  return facts;
}

} // namespace encoder
