// See weights.hpp. Worked example: bge-base-en-v1.5, h 768, I 3072, 12 layers, 30,522 words, 512 positions, 2 types. Embeddings
// (30,522 + 512 + 2) x 768 and a norm: 23,837,184; a layer 4 (h^2 + h) + 2 h I + I + h and two norms: 7,087,872; pooler 590,592.
// 109,482,240 together.
#include "weights.hpp"

namespace encoder {

using plimsoll::Aspect;
using plimsoll::Bytes;
using plimsoll::Part;
using plimsoll::Role;
using plimsoll::Sink;
using plimsoll::Stage;
using plimsoll::Weight;

namespace {

constexpr Aspect kEmbed = Aspect::kEmbed, kAttention = Aspect::kAttention, kFfn = Aspect::kFfn, kHead = Aspect::kHead;

std::string joined(std::string_view a, std::string_view b) { return std::string(a).append(b); }

// A linear layer of these layers; `cut` says how it is split. Its bias never has another ending than ".bias".
template <class Cut>
void linear(const Model& m, Aspect aspect, std::string_view name, Bytes out, Bytes in, bool bias, const Layers& layers, const Sink& sink,
            Cut cut) {
  if (name.empty()) return;
  const auto make = [&](std::string_view end) {
    Weight weight = m.in_layers(aspect, joined(name, end), {out, in}, layers);
    cut(weight.linear());
    return weight;
  };
  sink.weight(make(m.stored));
  if (bias) sink.weight(make(".weight").bias());
}

void norm(const Model& m, std::string_view name, const Layers& layers, const Sink& out) {
  if (!name.empty()) out.weight(m.in_layers(kAttention, joined(name, ".weight"), {m.hidden}, layers), m.norm_bias);
}

void attention(const Model& m, const Sink& out) {
  const Bytes q = Bytes(m.heads) * m.head_elements, kv = Bytes(m.kv_heads) * m.head_elements;
  if (m.names.qkv.empty()) {
    linear(m, kAttention, m.names.q, q, m.hidden, m.qkv_bias, m.layers, out, [&](Weight& w) { w.heads(0, m.heads); });
    for (const std::string_view name : {m.names.k, m.names.v})
      linear(m, kAttention, name, kv, m.hidden, m.qkv_bias, m.layers, out, [&](Weight& w) { w.heads(0, m.kv_heads, true); });
  } else {
    const Part queries{q.value(), m.heads}, keys{kv.value(), m.kv_heads, true};
    linear(m, kAttention, m.names.qkv, q + kv * 2, m.hidden, m.qkv_bias, m.layers, out, [&](Weight& w) {
      w.parts(0, {queries, keys, keys});
    });
  }
  linear(m, kAttention, m.names.o, m.hidden, q, m.o_bias, m.layers, out, [&](Weight& w) { w.heads(1, m.heads); });
  norm(m, m.names.attention_norm, m.normed_layers, out);
  norm(m, m.names.ffn_norm, m.layers, out);
}

void ffn(const Model& m, const Sink& out) {
  const Bytes width = m.ffn_width;
  for (const std::string_view name : {m.names.gate, m.names.up})
    linear(m, kFfn, name, width, m.hidden, m.up_bias, m.dense_layers, out, [](Weight& w) { w.split(0); });
  const Part half{width.value(), 0};
  linear(m, kFfn, m.names.gate_up, width * 2, m.hidden, m.up_bias, m.dense_layers, out, [&](Weight& w) { w.parts(0, {half, half}); });
  linear(m, kFfn, m.names.down, m.hidden, width, m.down_bias, m.dense_layers, out, [](Weight& w) { w.split(1); });
}

void extras(const Model& m, Aspect aspect, const Sink& out) {
  for (const Weight& weight : m.extras)
    if (weight.aspect() == aspect) out.weight(weight);
}

// What stands behind the layers, on the last stage. Names are the whole model's.
class HeadSite {
public:
  HeadSite(const Model& model, const Sink& out) : m_(model), out_(out) {}

  void linear(const std::string& name, Bytes out, Bytes in, bool bias = true, Role role = Role::kModel) const {
    Weight weight(kHead, name, name + ".weight", {out, in});
    out_.weight(weight.stage(Stage::kLast).role(role), bias);
  }
  void norm(const std::string& name, bool bias, Role role = Role::kModel) const { norm(name, m_.hidden, bias, role); }
  void norm(const std::string& name, Bytes width, bool bias, Role role) const {
    Weight weight(kHead, name, name + ".weight", {width});
    out_.weight(weight.stage(Stage::kLast).role(role), bias);
  }
  void pooler(const std::string& prefix, Role role = Role::kModel) const {
    linear(prefix + "pooler.dense", m_.hidden, m_.hidden, true, role);
  }
  void classifier(const std::string& name, bool bias = true) const { linear(name, m_.labels, m_.hidden, bias); }
  // From hidden states to the vocabulary: a layer to the width of the words, a norm, and the embedding again with a bias of its own.
  void words(const std::string& dense, const std::string& norm_name, const std::string& decoder, const std::string& bias,
             Role role = Role::kModel) const {
    linear(dense, m_.word_elements, m_.hidden, true, role);
    norm(norm_name, m_.word_elements, true, role);
    vocabulary(decoder, Role::kTied);
    Weight own(kHead, bias, bias, {m_.vocab});
    out_.weight(own.vocab().stage(Stage::kLast).role(role));
  }
  void vocabulary(const std::string& name, Role role, bool bias = false) const {
    Weight weight(kHead, name, name + ".weight", {m_.vocab, m_.word_elements});
    out_.weight(weight.vocab().stage(Stage::kLast).role(role), bias);
  }

private:
  const Model& m_;
  const Sink& out_;
};

// A class that predicts words has files that hold what it was trained with beside that.
void bert_head(const Model& m, const HeadSite& site) {
  const bool words = m.ending == Ending::kMasked || m.ending == Ending::kPretrained;
  const Role trained = m.ending == Ending::kMasked ? Role::kUnused : Role::kModel;
  if (m.ending == Ending::kSequence) site.pooler(m.row.pooler_outside ? "" : m.prefix);
  else if (m.row.pools_hidden && m.ending != Ending::kToken) site.pooler(m.prefix, trained);
  if (m.ending == Ending::kSequence || m.ending == Ending::kToken) site.classifier("classifier");
  if (!words) return;
  site.words("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", "cls.predictions.decoder", "cls.predictions.bias");
  if (m.row.pools_hidden) site.linear("cls.seq_relationship", 2, m.hidden, true, trained);
}

// Engines embed with a class that predicts words as well, and load neither its head nor a pooler that older files have beside it.
void roberta_head(const Model& m, const HeadSite& site) {
  switch (m.ending) {
  case Ending::kModel:
    if (m.row.pools_hidden) site.pooler(m.prefix);
    break;
  case Ending::kSequence:
    site.linear("classifier.dense", m.hidden, m.hidden);
    site.classifier("classifier.out_proj");
    break;
  case Ending::kToken: site.classifier("classifier"); break;
  default:
    site.pooler(m.prefix, Role::kUnused);
    site.words("lm_head.dense", "lm_head.layer_norm", "lm_head.decoder", "lm_head.bias", Role::kUnused);
  }
}

void modern_head(const Model& m, const HeadSite& site) {
  if (m.ending == Ending::kModel) return;
  site.linear("head.dense", m.hidden, m.hidden, m.classifier_bias);
  site.norm("head.norm", m.norm_bias);
  if (m.ending != Ending::kMasked) return site.classifier("classifier");
  site.vocabulary("decoder", Role::kTied, true);
}

void distil_head(const Model& m, const HeadSite& site) {
  if (m.ending == Ending::kSequence) site.linear("pre_classifier", m.hidden, m.hidden);
  if (m.ending == Ending::kSequence || m.ending == Ending::kToken) site.classifier("classifier");
  if (m.ending == Ending::kMasked) site.words("vocab_transform", "vocab_layer_norm", "vocab_projector", "vocab_projector.bias");
}

void albert_head(const Model& m, const HeadSite& site) {
  const bool words = m.ending == Ending::kMasked || m.ending == Ending::kPretrained;
  if (m.ending != Ending::kToken)
    site.linear(m.prefix + "pooler", m.hidden, m.hidden, true, m.ending == Ending::kMasked ? Role::kUnused : Role::kModel);
  if (m.ending == Ending::kSequence || m.ending == Ending::kToken) site.classifier("classifier");
  if (words) site.words("predictions.dense", "predictions.LayerNorm", "predictions.decoder", "predictions.bias");
  if (m.ending == Ending::kPretrained) site.linear("sop_classifier.classifier", 2, m.hidden);
}

// What it is trained for is to tell which words were put in place of others: a score for each word.
void electra_head(const Model& m, const HeadSite& site) {
  if (m.ending == Ending::kSequence) {
    site.linear("classifier.dense", m.hidden, m.hidden);
    site.classifier("classifier.out_proj");
  }
  if (m.ending == Ending::kToken) site.classifier("classifier");
  if (m.ending == Ending::kMasked)
    site.words("generator_predictions.dense", "generator_predictions.LayerNorm", "generator_lm_head", "generator_lm_head.bias");
  if (m.ending != Ending::kPretrained) return;
  site.linear("discriminator_predictions.dense", m.hidden, m.hidden);
  site.linear("discriminator_predictions.dense_prediction", 1, m.hidden);
}

} // namespace

void declare_embedding(const Model& m, const Sink& out) {
  if (!out.asks(kEmbed)) return;
  out.weight(m.of_encoder(kEmbed, joined(m.names.words, m.stored), {m.vocab, m.word_elements}).vocab());
  if (m.positions > 0) out.weight(m.of_encoder(kEmbed, joined(m.names.positions, ".weight"), {m.positions, m.word_elements}));
  if (m.types > 0) out.weight(m.of_encoder(kEmbed, joined(m.names.types, m.stored), {m.types, m.word_elements}));
  if (!m.names.embedding_norm.empty())
    out.weight(m.of_encoder(kEmbed, joined(m.names.embedding_norm, ".weight"), {m.word_elements}), m.norm_bias);
  extras(m, kEmbed, out);
}

void declare_layers(const Model& m, const Sink& out) {
  if (out.asks(kAttention)) attention(m, out);
  extras(m, kAttention, out);
  if (out.asks(kFfn)) ffn(m, out);
  extras(m, kFfn, out);
}

void declare_head(const Model& m, const Sink& out) {
  if (!out.asks(kHead)) return;
  const HeadSite site(m, out);
  if (!m.names.final_norm.empty()) site.norm(m.prefix + std::string(m.names.final_norm), m.norm_bias);
  switch (m.row.heads) {
  case Heads::kBert: bert_head(m, site); break;
  case Heads::kRoberta: roberta_head(m, site); break;
  case Heads::kModern: modern_head(m, site); break;
  case Heads::kDistil: distil_head(m, site); break;
  case Heads::kAlbert: albert_head(m, site); break;
  case Heads::kElectra: electra_head(m, site); break;
  case Heads::kScore:
    if (m.ending == Ending::kSequence) site.classifier("score", false);
    break;
  case Heads::kNeo:
    if (m.ending == Ending::kMasked) site.vocabulary("decoder", Role::kModel, true);
    break;
  case Heads::kEuro:
    if (m.ending == Ending::kMasked) site.vocabulary("lm_head", m.tied ? Role::kTied : Role::kModel, m.up_bias);
    if (m.ending == Ending::kSequence) site.linear("dense", m.hidden, m.hidden);
    if (m.ending == Ending::kSequence || m.ending == Ending::kToken) site.classifier("classifier");
  }
  if (m.token_elements > 0) site.linear("linear", m.token_elements, m.hidden, false);
  extras(m, kHead, out);
}

} // namespace encoder
