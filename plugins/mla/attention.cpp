// Weight classes of latent attention, one per kind of tensor. Shapes are [out, in] as stored. The down projections and the
// indexer work on the whole hidden state and are copied to every rank; what is per head (q_b, kv_b, o) splits by heads. Pure
// functions, any thread.
//
// Worked example, DeepSeek-V3 (hidden 7168, 128 heads, ranks 1536 and 512, 128 + 64 + 128 elements a head):
// q_a 1536 x 7168, q_b 24576 x 1536, kv_a 576 x 7168, kv_b 32768 x 512, o 7168 x 16384, with the two inner norms
// 187,107,328 parameters a layer.
#include "attention.hpp"

namespace mla {
namespace {

using plimsoll::Aspect;
using plimsoll::Bytes;
using plimsoll::Sink;
using plimsoll::Site;

constexpr Aspect kAttention = Aspect::kAttention;

void declare_norms(const Shape& s, const Site& at, const std::string& number, const Sink& out) {
  const std::string tail = number.empty() ? ".weight" : "." + number + ".weight";
  out.weight(at.weight(kAttention, "input_norm" + number, "input_layernorm" + tail, {s.hidden}));
  out.weight(at.weight(kAttention, "post_attention_norm" + number, "post_attention_layernorm" + tail, {s.hidden}));
  for (const std::string& name : s.extra_norms) out.weight(at.weight(kAttention, name + number, name + tail, {s.hidden}));
}

void declare_queries(const Shape& s, const Site& at, const std::string& block, const Sink& out) {
  const Bytes rows = Bytes(s.heads) * (Bytes(s.nope_elements) + Bytes(s.rope_elements));
  if (s.q_rank == 0) {
    out.weight(at.weight(kAttention, "attention.q_proj", block + "q_proj.weight", {rows, s.inputs}).linear().heads(0, s.heads));
    return;
  }
  out.weight(at.weight(kAttention, "attention.q_a_proj", block + "q_a_proj.weight", {s.q_rank, s.inputs}).linear(), s.bias);
  out.weight(at.weight(kAttention, "attention.q_a_norm", block + "q_a_layernorm.weight", {s.q_rank}));
  out.weight(at.weight(kAttention, "attention.q_b_proj", block + "q_b_proj.weight", {rows, s.q_rank}).linear().heads(0, s.heads));
}

void declare_keys_and_values(const Shape& s, const Site& at, const std::string& block, const Sink& out) {
  const Bytes rows = Bytes(s.heads) * (Bytes(s.nope_elements) + Bytes(s.v_elements));
  out.weight(at.weight(kAttention, "attention.kv_a_proj", block + "kv_a_proj_with_mqa.weight", {s.latent_elements(), s.inputs}).linear(),
             s.bias);
  out.weight(at.weight(kAttention, "attention.kv_a_norm", block + "kv_a_layernorm.weight", {s.kv_rank}));
  out.weight(at.weight(kAttention, "attention.kv_b_proj", block + "kv_b_proj.weight", {rows, s.kv_rank}).linear().heads(0, s.heads));
}

void declare_output(const Shape& s, const Site& at, const std::string& block, const Sink& out) {
  const Bytes columns = Bytes(s.heads) * Bytes(s.v_elements);
  out.weight(at.weight(kAttention, "attention.o_proj", block + s.output + ".weight", {s.hidden, columns}).linear().heads(1, s.heads),
             s.bias);
  if (s.gates_per_head == 0) return;
  const Bytes gates = Bytes(s.heads) * Bytes(s.gates_per_head);
  out.weight(at.weight(kAttention, "attention.g_proj", block + "g_proj.weight", {gates, s.hidden}).linear().heads(0, s.heads));
}

// weights_proj gives one weight per scorer head and stays in the model's own type in fp8 checkpoints.
void declare_indexer(const Shape& s, const Site& at, const Sink& out) {
  const std::string block = "self_attn.indexer.";
  const Indexer& i = s.indexer;
  out.weight(at.weight(kAttention, "indexer.wq_b", block + "wq_b.weight", {Bytes(i.heads) * Bytes(i.head_elements), s.q_rank}).linear());
  out.weight(at.weight(kAttention, "indexer.wk", block + "wk.weight", {i.head_elements, s.hidden}).linear());
  out.weight(at.weight(kAttention, "indexer.k_norm", block + "k_norm.weight", {i.head_elements}));
  out.weight(at.weight(kAttention, "indexer.k_norm.bias", block + "k_norm.bias", {i.head_elements}));
  out.weight(at.weight(kAttention, "indexer.weights_proj", block + "weights_proj.weight", {i.heads, s.hidden}));
}

void declare_block(const Shape& s, const Site& at, const std::string& number, const Sink& out) {
  const std::string block = number.empty() ? s.block : s.block + number + ".";
  declare_norms(s, at, number, out);
  declare_queries(s, at, block, out);
  declare_keys_and_values(s, at, block, out);
  declare_output(s, at, block, out);
}

} // namespace

void declare_attention(const Shape& s, const Sink& out) {
  const Site at{"model.layers.{layer}.", "", &s.layers};
  for (std::uint64_t i = 0; i < s.attentions_per_layer; ++i)
    declare_block(s, at, s.attentions_per_layer == 1 ? std::string() : std::to_string(i), out);
  if (s.indexer.heads > 0) declare_indexer(s, Site{at.prefix, "", &s.indexer.layers}, out);
}

void declare_draft_attention(const Shape& s, const Sink& out) {
  if (s.draft_layers.empty()) return;
  const bool module = s.draft_naming == DraftNaming::kModule;
  const Site at{module ? "model.mtp.layers.{layer}." : "model.layers.{layer}.", "draft.", module ? &s.draft_modules : &s.draft_layers,
                true};
  const std::string norm = module ? ".m.weight" : ".weight";
  out.weight(at.weight(kAttention, "embedding_norm", "enorm" + norm, {s.hidden}));
  out.weight(at.weight(kAttention, "hidden_norm", "hnorm" + norm, {s.hidden}));
  out.weight(at.weight(kAttention, "join_proj", "eh_proj.weight", {s.hidden, Bytes(2) * Bytes(s.hidden)}));
  declare_block(s, at, "", out);
  if (s.indexer.heads > 0) declare_indexer(s, at, out);
}

} // namespace mla
