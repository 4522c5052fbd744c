// See weights.hpp. Worked example, EAGLE-3 of Llama-3.1-8B (hidden 4096, 32 and 8 heads of 128, FFN 14336, 32,000 of 128,256 tokens):
// queries, keys and values over 8,192 inputs 50,331,648, output 16,777,216, FFN 176,160,768, the projection of three hidden states
// 50,331,648, the head 131,072,000, four norms 16,384: 424,689,664 weights; with d2t (8 B each of 32,000) and t2d (1 B of 128,256)
// 849,763,584 B.
#include "weights.hpp"

#include <string>

namespace draft {

using plimsoll::Aspect;
using plimsoll::Bytes;
using plimsoll::Role;
using plimsoll::Sink;
using plimsoll::Stage;
using plimsoll::Weight;

namespace {

// A class that exists once, beside the layers.
Weight single(const Draft& d, Aspect aspect, std::string_view label, const std::string& name, std::initializer_list<Bytes> dims) {
  Weight weight(aspect, std::string(label), d.prefix + name, dims);
  return weight.stage(Stage::kLast);
}

plimsoll::Site site(const Draft& d, const std::vector<std::uint32_t>& layers) { return {d.layer, "", &layers, false}; }

void projections(const Draft& d, const std::vector<std::uint32_t>& layers, Bytes inputs, const Sink& out) {
  if (layers.empty()) return;
  const plimsoll::Site s = site(d, layers);
  const Bytes q = Bytes(d.heads) * d.head_elements, kv = Bytes(d.kv_heads) * d.head_elements;
  const auto matrix = [&](const char* label, const char* name, Bytes rows, std::uint64_t units, bool copied) {
    Weight w = s.weight(Aspect::kAttention, label, name, {rows, inputs});
    w.linear().heads(0, units, copied);
    out.weight(w, d.qkv_bias);
  };
  matrix("attention.q_proj", "self_attn.q_proj.weight", q, d.heads, false);
  matrix("attention.k_proj", "self_attn.k_proj.weight", kv, d.kv_heads, true);
  matrix("attention.v_proj", "self_attn.v_proj.weight", kv, d.kv_heads, true);
}

void join_of(const Draft& d, const Sink& out) {
  if (!d.joins) return;
  const bool with_embedding = d.kind == Kind::kEagle || (d.family != nullptr && !d.family->joins_states);
  const Bytes inputs = with_embedding ? Bytes(d.hidden) + d.target_hidden : Bytes(d.target_hidden) * d.features;
  Weight join = single(d, Aspect::kHead, "join_proj", d.join + ".weight", {d.hidden, inputs});
  out.weight(join.linear(), d.join_bias);
  if (d.join_norms)
    for (std::uint64_t at = 0; at < d.features; ++at)
      out.weight(single(d, Aspect::kHead, "join_norm",
                        std::string(d.family != nullptr && d.family->feature_norms ? "aux_hidden_norms." : "fc_norm.") +
                            std::to_string(at) + ".weight",
                        {d.target_hidden}));
}

void norms_of(const Draft& d, const Sink& out) {
  const auto norm = [&](const char* name) { out.weight(single(d, Aspect::kHead, name, std::string(name) + ".weight", {d.hidden})); };
  if (d.family != nullptr) {
    for (const std::string_view name : d.family->norms)
      if (!name.empty()) norm(std::string(name).c_str());
    return;
  }
  if (d.kind == Kind::kDFlash || d.kind == Kind::kDSpark) norm("hidden_norm");
  if (d.kind != Kind::kEagle) norm("norm");
  if (d.input_norms) norm("embedding_layernorm"), norm(d.join == "fc" ? "hidden_states_layernorm" : "pre_lm_head_layernorm");
}

// Tables between the draft's vocabulary and the target's.
void token_maps(const Draft& d, const Sink& out) {
  if (!d.maps_tokens) return;
  out.weight(single(d, Aspect::kHead, "draft_to_target", "d2t", {d.draft_vocab}).dtype("int64"));
  out.weight(single(d, Aspect::kHead, "target_to_draft", "t2d", {d.vocab}).dtype("bool"));
}

void spark_heads(const Draft& d, const Sink& out) {
  const std::string markov = "markov_head.";
  if (d.markov_rank > 0) {
    out.weight(single(d, Aspect::kHead, "markov.w1", markov + "markov_w1.weight", {d.vocab, d.markov_rank}));
    out.weight(single(d, Aspect::kHead, "markov.w2", markov + "markov_w2.weight", {d.draft_vocab, d.markov_rank}));
  }
  if (d.markov_rank > 0 && d.gated_markov)
    out.weight(single(d, Aspect::kHead, "markov.joint_proj", markov + "joint_proj.weight",
                      {Bytes(d.markov_rank) * 3, Bytes(d.markov_rank) * 2 + d.hidden}),
               true);
  if (d.confidence)
    out.weight(single(d, Aspect::kHead, "confidence", "confidence_head.proj.weight",
                      {1, Bytes(d.hidden) + (d.confidence_with_markov ? d.markov_rank : 0)}),
               true);
}

void medusa_heads(const Draft& d, const Sink& out) {
  for (std::uint64_t at = 0; at < d.block_layers; ++at) {
    Weight w(Aspect::kHead, "block", "blocks.{layer}.layers." + std::to_string(at) + ".weight", {d.hidden, d.hidden});
    out.weight(w.layers(d.block_list), d.join_bias);
  }
  if (d.one_head) {
    out.weight(single(d, Aspect::kHead, "head", "lm_head.weight", {d.draft_vocab, d.hidden}).vocab());
  } else {
    Weight head(Aspect::kHead, "head", "lm_heads.{layer}.weight", {d.draft_vocab, d.hidden});
    out.weight(head.layers(d.block_list).vocab());
  }
  if (d.maps_tokens) out.weight(single(d, Aspect::kHead, "token_map", "token_map", {d.draft_vocab}).dtype("int64"));
}

} // namespace

void declare_shared_embedding(std::uint64_t vocab, std::uint64_t hidden, const Sink& out) {
  if (!out.asks(Aspect::kEmbed)) return;
  Weight shared(Aspect::kEmbed, "target_embedding", "", {vocab, hidden});
  out.weight(shared.vocab().role(Role::kTied).stage(Stage::kLast));
}

void declare_embedding(const Draft& d, const Sink& out) {
  if (!out.asks(Aspect::kEmbed) || d.kind == Kind::kMedusa) return;
  if (!d.own_embedding) declare_shared_embedding(d.vocab, d.hidden, out);
  if (!d.own_embedding && !d.stores_embedding) return;
  Weight stored = single(d, Aspect::kEmbed, "embedding", "embed_tokens.weight", {d.vocab, d.hidden});
  out.weight(stored.vocab().role(d.own_embedding ? Role::kModel : Role::kUnused));
}

void declare_attention(const Draft& d, const Sink& out) {
  if (!out.asks(Aspect::kAttention) || d.layers.empty()) return;
  if (d.family != nullptr) {
    if (d.family->hidden_norm) out.weight(site(d, d.layers).weight(Aspect::kAttention, "hidden_norm", "hidden_norm.weight", {d.hidden}));
    return;
  }
  const bool joined = d.kind == Kind::kEagle3; // the first layer attends over embedding and hidden state side by side
  projections(d, joined ? d.first : d.layers, joined ? Bytes(d.hidden) * 2 : Bytes(d.hidden), out);
  if (joined) projections(d, d.others, d.hidden, out);
  const plimsoll::Site all = site(d, d.layers);
  const Bytes context = Bytes(d.heads) * d.head_elements;
  Weight o = all.weight(Aspect::kAttention, "attention.o_proj", "self_attn.o_proj.weight", {d.hidden, context});
  out.weight(o.linear().heads(1, d.heads), d.o_bias);
  if (d.qk_norm)
    for (const char* norm : {"q_norm", "k_norm"})
      out.weight(all.weight(Aspect::kAttention, std::string("attention.") + norm, std::string("self_attn.") + norm + ".weight",
                            {d.head_elements}));
  if (d.sinks) {
    Weight sinks = all.weight(Aspect::kAttention, "attention.sinks", "self_attn.attention_sink_bias", {d.heads});
    out.weight(sinks.heads(0, d.heads));
  }
  const plimsoll::Site behind = site(d, d.kind == Kind::kEagle ? d.others : d.layers); // EAGLE's first layer has no norm in front
  if (d.kind != Kind::kEagle || !d.others.empty())
    out.weight(behind.weight(Aspect::kAttention, "input_layernorm", "input_layernorm.weight", {d.hidden}));
  if (joined) out.weight(site(d, d.first).weight(Aspect::kAttention, "hidden_norm", "hidden_norm.weight", {d.hidden}));
}

void declare_ffn(const Draft& d, const Sink& out) {
  if (!out.asks(Aspect::kFfn) || d.layers.empty() || d.kind == Kind::kFamily) return;
  const plimsoll::Site all = site(d, d.layers);
  for (const char* name : {"gate_proj", "up_proj"}) {
    Weight w = all.weight(Aspect::kFfn, std::string("mlp.") + name, std::string("mlp.") + name + ".weight", {d.ffn_width, d.hidden});
    out.weight(w.linear().split(0), d.ffn_bias);
  }
  Weight down = all.weight(Aspect::kFfn, "mlp.down_proj", "mlp.down_proj.weight", {d.hidden, d.ffn_width});
  out.weight(down.linear().split(1), d.ffn_bias);
  out.weight(all.weight(Aspect::kFfn, "post_attention_layernorm", "post_attention_layernorm.weight", {d.hidden}));
}

void declare_head(const Draft& d, const Sink& out) {
  if (!out.asks(Aspect::kHead)) return;
  if (d.kind == Kind::kMedusa) return medusa_heads(d, out);
  join_of(d, out);
  norms_of(d, out);
  token_maps(d, out);
  if (d.kind == Kind::kDSpark || (d.family != nullptr && d.family->markov)) spark_heads(d, out);
  if (!d.own_head && !d.stores_head) return;
  Weight head(Aspect::kHead, "head", "lm_head.weight", {d.draft_vocab, d.hidden});
  head.vocab().linear().stage(Stage::kLast).role(d.own_head ? Role::kModel : Role::kUnused);
  out.weight(head);
}

} // namespace draft
