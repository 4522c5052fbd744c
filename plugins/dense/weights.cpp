// Weight classes from a Model: see weights.hpp. A Site says where tensors of a layer are (the model's own layers or its
// draft layers); the functions below say what a layer holds. Shapes are [out, in] as stored, [in, out] where the dialect
// says so. Worked example: Llama-3.1-8B, 32 layers: q [4096, 4096], k and v [1024, 4096], o [4096, 4096], gate and up
// [14336, 4096], down [4096, 14336], two norms: 218,112,000 a layer; with embedding, head and norm 8,030,261,248.
#include "weights.hpp"

#include <string>

namespace dense {

using plimsoll::Aspect;
using plimsoll::Bytes;
using plimsoll::Part;
using plimsoll::Role;
using plimsoll::Sink;
using plimsoll::Stage;
using plimsoll::Weight;

namespace {

constexpr Aspect kEmbed = Aspect::kEmbed, kAttention = Aspect::kAttention, kFfn = Aspect::kFfn, kHead = Aspect::kHead;

// Layers of one kind and how their tensors are called.
class Site {
public:
  Site(const Model& model, std::string_view prefix, const std::vector<std::uint32_t>& layers, bool draft)
      : model_(model), site_{std::string(prefix), draft ? "draft." : "", &layers, draft} {}

  // A tensor of these layers; `name` follows the prefix, ".weight" included.
  Weight tensor(Aspect aspect, std::string_view label, const std::string& name, std::initializer_list<Bytes> dims) const {
    return site_.weight(aspect, label, name, dims);
  }
  // A linear layer, as the dialect lays it out.
  Weight matrix(Aspect aspect, std::string_view label, const std::string& name, Bytes out, Bytes in) const {
    if (model_.names.transposed) return tensor(aspect, label, name + ".weight", {in, out}).linear(0);
    return tensor(aspect, label, name + ".weight", {out, in}).linear(1);
  }
  // A norm, with its bias where the model has layer norms.
  void norm(const Sink& out, Aspect aspect, std::string_view label, std::string_view name, Bytes width) const {
    if (name.empty()) return;
    out.weight(tensor(aspect, label, std::string(name) + ".weight", {width}));
    if (model_.dialect.norm_bias) out.weight(tensor(aspect, std::string(label) + ".bias", std::string(name) + ".bias", {width}));
  }
  std::uint32_t out_dim() const { return model_.names.transposed ? 1 : 0; }
  std::uint32_t in_dim() const { return model_.names.transposed ? 0 : 1; }
  const Model& model() const { return model_; }

private:
  const Model& model_;
  plimsoll::Site site_;
};

std::string join(std::string_view a, std::string_view b) { return std::string(a).append(b); }

// Query, key and value projections, apart or fused.
void projections(const Site& site, const Attention& a, const std::string& prefix, const Sink& out) {
  const Model& m = site.model();
  const Bytes q = Bytes(a.heads) * a.k_elements, k = Bytes(a.kv_heads) * a.k_elements, v = Bytes(a.kv_heads) * a.v_elements;
  const std::uint32_t rows = site.out_dim();
  if (!m.names.qkv.empty()) {
    Weight fused = site.matrix(kAttention, "attention.qkv_proj", join(prefix, m.names.qkv), q + k + v, m.hidden);
    if (m.names.by_head) return out.weight(fused.heads(rows, a.heads), m.qkv_bias);
    fused.parts(rows, {Part{q.value(), a.heads}, Part{k.value(), a.kv_heads, true}, Part{v.value(), a.kv_heads, true}});
    return out.weight(fused, m.qkv_bias);
  }
  if (m.query_rank != 0) { // down, a norm, and up to the heads
    out.weight(site.matrix(kAttention, "attention.q_proj", join(prefix, m.names.q), m.query_rank, m.hidden));
    out.weight(site.tensor(kAttention, "attention.inter_norm", prefix + "inter_norm.weight", {m.query_rank}));
    out.weight(site.matrix(kAttention, "attention.wq", prefix + "wq", q, m.query_rank).heads(rows, a.heads));
  } else {
    out.weight(
        site.matrix(kAttention, "attention.q_proj", join(prefix, m.names.q), m.gated_queries ? q * 2 : q, m.hidden).heads(rows, a.heads),
        m.qkv_bias);
  }
  if (!m.names.kv.empty()) {
    Weight fused = site.matrix(kAttention, "attention.kv_proj", join(prefix, m.names.kv), k + v, m.hidden);
    return out.weight(fused.parts(rows, {Part{k.value(), a.kv_heads, true}, Part{v.value(), a.kv_heads, true}}), m.qkv_bias);
  }
  out.weight(site.matrix(kAttention, "attention.k_proj", join(prefix, m.names.k), k, m.hidden).heads(rows, a.kv_heads, true),
             m.qkv_bias && m.dialect.k_bias);
  if (a.value_is_key) return;
  out.weight(site.matrix(kAttention, "attention.v_proj", join(prefix, m.names.v), v, m.hidden).heads(rows, a.kv_heads, true), m.qkv_bias);
}

// The norm on queries or on keys, `heads` heads of `width`.
void qk_norm(const Site& site, QkNorm kind, const std::string& label, const std::string& name, std::uint64_t heads, std::uint64_t width,
             bool replicate, const Sink& out) {
  switch (kind) {
  case QkNorm::kNone: break;
  case QkNorm::kHead: site.norm(out, kAttention, label, name, width); break;
  case QkNorm::kProjection: site.norm(out, kAttention, label, name, Bytes(heads) * width); break;
  case QkNorm::kMatrix: out.weight(site.tensor(kAttention, label, name + ".weight", {heads, width}).heads(0, heads, replicate)); break;
  case QkNorm::kPerHead:
    for (std::uint64_t i = 0; i < heads; ++i)
      out.weight(site.tensor(kAttention, label, name + ".norms." + std::to_string(i) + ".weight", {width}));
    break;
  }
}

void attention_of(const Site& site, const Attention& a, const Sink& out) {
  const Model& m = site.model();
  const std::string prefix(a.cross ? "cross_attn." : m.names.attention);
  if (a.linear) return out.weight(site.matrix(kAttention, "attention.linear", prefix + "linear_attn", m.hidden, m.hidden));
  projections(site, a, prefix, out);
  const std::uint32_t rows = site.out_dim();
  const Bytes context = Bytes(a.heads) * a.v_elements;
  const std::string o_name = join(prefix, m.names.o);
  Weight o = m.dialect.o_quantized ? site.matrix(kAttention, "attention.o_proj", o_name, m.hidden, context)
                                   : site.tensor(kAttention, "attention.o_proj", o_name + ".weight", {m.hidden, context});
  o.heads(site.in_dim(), a.heads);
  out.weight(o, m.o_bias);
  if (!m.dialect.inner_norms[0].empty())
    out.weight(
        site.tensor(kAttention, "attention.inner_norm", join(prefix, m.dialect.inner_norms[0]) + ".weight", {context}).heads(0, a.heads));
  const QkNorm kind = a.cross ? QkNorm::kHead : m.qk_norm;
  qk_norm(site, kind, "attention.q_norm", join(prefix, m.dialect.qk_norm_names[0]), a.heads, a.k_elements, false, out);
  qk_norm(site, kind, "attention.k_norm", join(prefix, m.dialect.qk_norm_names[1]), a.kv_heads, a.k_elements, true, out);
  if (m.head_gate)
    out.weight(site.matrix(kAttention, "attention.head_gate", join(prefix, m.dialect.head_gate),
                           m.dialect.head_gate_wide ? context : Bytes(a.heads), m.hidden)
                   .heads(rows, a.heads));
  if (!m.dialect.sinks.empty() && a.sinks)
    out.weight(site.tensor(kAttention, "attention.sinks", join(prefix, m.dialect.sinks), {a.heads}).heads(0, a.heads));
  if (a.cross)
    for (const char* gate : {"cross_attn_attn_gate", "cross_attn_mlp_gate"})
      out.weight(site.tensor(kAttention, "attention.cross_gate", gate, {1}));
}

// Norms of a layer: the first belongs to its attention, the others to its FFN.
void layer_norms(const Norms& names, const Site& attention, const Site& ffn, const Sink& out) {
  for (std::size_t i = 0; i < names.size(); ++i)
    (i == 0 ? attention : ffn).norm(out, kAttention, names[i], names[i], attention.model().hidden);
}

void ffn_of(const Site& site, const Ffn& f, const Sink& out) {
  const Model& m = site.model();
  const std::string prefix(m.names.ffn);
  if (f.linear) return out.weight(site.matrix(kFfn, "mlp.linear", prefix + "linear_mlp", m.hidden, m.hidden));
  const std::uint32_t rows = site.out_dim(), columns = site.in_dim();
  if (!m.names.gate_up.empty()) {
    Weight fused = site.matrix(kFfn, "mlp.gate_up_proj", join(prefix, m.names.gate_up), Bytes(f.width) * 2, m.hidden);
    out.weight(fused.parts(rows, {Part{f.width, 0}, Part{f.width, 0}}), m.ffn_bias);
  } else {
    if (!m.names.gate.empty())
      out.weight(site.matrix(kFfn, "mlp.gate_proj", join(prefix, m.names.gate), f.width, m.hidden).split(rows), m.ffn_bias);
    out.weight(site.matrix(kFfn, "mlp.up_proj", join(prefix, m.names.up), f.width, m.hidden).split(rows), m.ffn_bias);
  }
  out.weight(site.matrix(kFfn, "mlp.down_proj", join(prefix, m.names.down), m.hidden, f.width).split(columns), m.down_bias);
  if (!m.dialect.inner_norms[1].empty())
    out.weight(site.tensor(kFfn, "mlp.inner_norm", join(prefix, m.dialect.inner_norms[1]) + ".weight", {f.width}).split(0));
}

Site draft_site(const Model& m) { return {m, m.dialect.draft->layer, m.draft_names, true}; }

void extras(const Model& model, const Sink& out, Aspect aspect) {
  for (const Weight& weight : model.extras)
    if (weight.aspect() == aspect) out.weight(weight);
}

} // namespace

void declare_embedding(const Model& model, const Sink& out) {
  if (!out.asks(kEmbed)) return;
  if (!model.names.embedding.empty()) {
    const std::string name = join(model.names.embedding, ".weight");
    out.weight(Weight(kEmbed, "embedding", name, {model.embedding_rows, model.embedding_width}).vocab());
  }
  extras(model, out, kEmbed);
}

void declare_attention(const Model& model, const Sink& out) {
  if (!out.asks(kAttention)) return;
  for (const auto& group : model.attentions) attention_of({model, model.names.layer, group.layers, false}, group.what, out);
  layer_norms(model.dialect.norms, {model, model.names.layer, model.attention_layers, false},
              {model, model.names.layer, model.ffn_layers, false}, out);
  extras(model, out, kAttention);
  if (model.draft_layers.empty()) return;
  const Site draft = draft_site(model);
  attention_of(draft, model.draft.attention, out);
  const Norms& own = model.dialect.draft->layer_norms;
  layer_norms(own[0].empty() ? model.dialect.norms : own, draft, draft, out);
}

void declare_ffn(const Model& model, const Sink& out) {
  if (!out.asks(kFfn)) return;
  for (const auto& group : model.ffns) ffn_of({model, model.names.layer, group.layers, false}, group.what, out);
  extras(model, out, kFfn);
  if (!model.draft_layers.empty()) ffn_of(draft_site(model), model.draft.ffn, out);
}

void declare_head(const Model& model, const Sink& out) {
  if (!out.asks(kHead)) return;
  if (!model.names.final_norm.empty()) {
    for (const char* part : {"weight", "bias"}) {
      if (part[0] == 'b' && !model.dialect.norm_bias) break;
      const std::string name = join(model.names.final_norm, ".") + part;
      out.weight(Weight(kHead, part[0] == 'b' ? "final_norm.bias" : "final_norm", name, {model.hidden}).stage(Stage::kLast));
    }
  }
  Weight head(kHead, "head", join(model.names.head, ".weight"), {model.vocab, model.embedding_width});
  head.vocab().linear().stage(Stage::kLast);
  if (model.tied) head.role(Role::kTied);
  if (!model.both_ways) out.weight(head, model.head_bias); // no word follows where all are read at once
  extras(model, out, kHead);
  if (model.draft_layers.empty()) return;
  const Draft& draft = *model.dialect.draft;
  const bool apart = !draft.join.empty();
  const Site site = apart ? Site(model, draft.join, model.draft_names, true) : draft_site(model);
  for (const std::string_view name : draft.norms) site.norm(out, kHead, name, name, model.hidden);
  out.weight(site.tensor(kHead, "join_proj", join(draft.projection, ".weight"), {model.hidden, Bytes(model.hidden) * 2}));
  if (!draft.embedding.empty())
    out.weight(site.tensor(kHead, "embedding", join(draft.embedding, ".weight"), {model.vocab, model.hidden}).vocab());
  if (!draft.head.empty()) out.weight(site.tensor(kHead, "head", join(draft.head, ".weight"), {model.vocab, model.hidden}).vocab());
}

} // namespace dense
