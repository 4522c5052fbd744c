// Weight classes of a DeepSeek-V4 checkpoint, names and types as published. Pure, any thread. Shapes are [out, in]; H heads of
// d, ranks q and o, G output groups, M residual streams, r the layer's ratio, which pools c = 2 (r = 4) or 1 (r = 128) times
// the head.
//
// Copied to every rank: down projections, compressors, the indexer, hyper-connections. By heads: wq_b, the sinks; by groups:
// wo_a rows, wo_b columns.
//
// Worked example, DeepSeek-V4-Flash (h 4096, H 64, d 512, q = o = 1024, G 8): wq_a 1024 x 4096 + wq_b 32768 x 1024 + wkv
// 512 x 4096 + wo_a 8192 x 4096 + wo_b 4096 x 8192 = 106,954,752 parameters a layer without compressor and indexer.
#include "compressed_weights.hpp"

namespace mla {
namespace {

using plimsoll::Aspect;
using plimsoll::Bytes;
using plimsoll::Sink;
using plimsoll::Stage;
using plimsoll::Weight;

// Layers that share the beginning of their names.
struct Layers {
  const CompressedShape& shape;
  plimsoll::Site site;

  Weight weight(const std::string& name, const std::string& pattern, std::initializer_list<Bytes> dims,
                Aspect aspect = Aspect::kAttention) const {
    return site.weight(aspect, name, pattern, dims);
  }
  Weight linear(const std::string& name, const std::string& pattern, Bytes rows, Bytes columns) const {
    return weight(name, pattern + ".weight", {rows, columns}).linear().format(shape.linear_format);
  }
  // Left in the checkpoint's own type by every published export.
  Weight plain(const std::string& name, const std::string& pattern, Bytes rows, Bytes columns) const {
    return weight(name, pattern + ".weight", {rows, columns});
  }
  Weight norm(const std::string& name, const std::string& pattern, Bytes width, Aspect aspect = Aspect::kAttention) const {
    return weight(name, pattern + ".weight", {width}, aspect);
  }
};

// Each stream reads, is written and mixes with the others: (2 + M) M rows over all M streams, a bias each, three scales.
void declare_connection(const Layers& at, const char* name, const Sink& out) {
  const Bytes streams = at.shape.streams, rows = (streams + 2) * streams;
  const std::string label = std::string("hyper_connections.") + name, pattern = std::string("hc_") + name;
  out.weight(at.weight(label + "_fn", pattern + "_fn", {rows, streams * at.shape.hidden}).dtype("float32"));
  out.weight(at.weight(label + "_base", pattern + "_base", {rows}).dtype("float32"));
  out.weight(at.weight(label + "_scale", pattern + "_scale", {3}).dtype("float32"));
}

void declare_attention(const Layers& at, const Sink& out) {
  const CompressedShape& s = at.shape;
  const Bytes queries = Bytes(s.heads) * s.head, groups = Bytes(s.o_groups) * s.o_rank;
  out.weight(at.norm("input_norm", "attn_norm", s.hidden));
  out.weight(at.norm("post_attention_norm", "ffn_norm", s.hidden));
  out.weight(at.linear("attention.q_a_proj", "attn.wq_a", s.q_rank, s.hidden));
  out.weight(at.norm("attention.q_norm", "attn.q_norm", s.q_rank));
  out.weight(at.linear("attention.q_b_proj", "attn.wq_b", queries, s.q_rank).heads(0, s.heads));
  out.weight(at.linear("attention.kv_proj", "attn.wkv", s.head, s.hidden));
  out.weight(at.norm("attention.kv_norm", "attn.kv_norm", s.head));
  out.weight(at.linear("attention.o_a_proj", "attn.wo_a", groups, queries / s.o_groups).heads(0, s.o_groups));
  out.weight(at.linear("attention.o_b_proj", "attn.wo_b", s.hidden, groups).heads(1, s.o_groups));
  out.weight(at.weight("attention.sink", "attn.attn_sink", {s.heads}).dtype("float32").heads(0, s.heads));
  declare_connection(at, "attn", out);
  declare_connection(at, "ffn", out);
}

void declare_compressor(const Layers& at, const Compressor& c, const std::string& label, const std::string& pattern, const Sink& out) {
  const Bytes rows = Bytes(c.overlap()) * c.head;
  out.weight(at.weight(label + ".position", pattern + ".ape", {c.ratio, rows}).dtype("float32"));
  out.weight(at.plain(label + ".kv_proj", pattern + ".wkv", rows, at.shape.hidden));
  out.weight(at.plain(label + ".gate_proj", pattern + ".wgate", rows, at.shape.hidden));
  out.weight(at.norm(label + ".norm", pattern + ".norm", c.head));
}

void declare_pooling(const Layers& at, std::uint64_t ratio, const Sink& out) {
  if (ratio == 0) return;
  const CompressedShape& s = at.shape;
  declare_compressor(at, {ratio, s.head}, "compressor", "attn.compressor", out);
  if (!CompressedShape::has_indexer(ratio)) return;
  out.weight(at.linear("indexer.wq_b", "attn.indexer.wq_b", Bytes(s.index_heads) * s.index_head, s.q_rank));
  out.weight(at.plain("indexer.weights_proj", "attn.indexer.weights_proj", s.index_heads, s.hidden));
  declare_compressor(at, {ratio, s.index_head}, "indexer.compressor", "attn.indexer.compressor", out);
}

// What gathers the streams before a head: M rows over all of them.
void declare_gathering(const Layers& at, const Sink& out) {
  const Bytes streams = at.shape.streams;
  out.weight(at.weight("head.hc_fn", "hc_head_fn", {streams, streams * at.shape.hidden}, Aspect::kHead).dtype("float32"));
  out.weight(at.weight("head.hc_base", "hc_head_base", {streams}, Aspect::kHead).dtype("float32"));
  out.weight(at.weight("head.hc_scale", "hc_head_scale", {1}, Aspect::kHead).dtype("float32"));
}

void declare_ends(const CompressedShape& s, const Sink& out) {
  const Bytes streams = s.streams;
  const auto last = [](Weight w) { return w.stage(Stage::kLast); };
  out.weight(Weight(Aspect::kEmbed, "embedding", "embed.weight", {s.vocab, s.hidden}).vocab());
  out.weight(last(Weight(Aspect::kHead, "final_norm", "norm.weight", {s.hidden})));
  out.weight(last(Weight(Aspect::kHead, "head.hc_fn", "hc_head_fn", {streams, streams * s.hidden}).dtype("float32")));
  out.weight(last(Weight(Aspect::kHead, "head.hc_base", "hc_head_base", {streams}).dtype("float32")));
  out.weight(last(Weight(Aspect::kHead, "head.hc_scale", "hc_head_scale", {1}).dtype("float32")));
  out.weight(last(Weight(Aspect::kHead, "head", "head.weight", {s.vocab, s.hidden}).linear().vocab()));
}

} // namespace

void declare_compressed(const CompressedShape& s, const Sink& out) {
  declare_ends(s, out);
  declare_attention(Layers{s, {"layers.{layer}.", "", &s.layers}}, out);
  const Layers draft{s, {"mtp.{layer}.", "draft.", &s.draft_names, true}};
  declare_attention(draft, out);
  out.weight(draft.linear("embedding_proj", "e_proj", s.hidden, s.hidden));
  out.weight(draft.linear("hidden_proj", "h_proj", s.hidden, s.hidden));
  for (const char* name : {"enorm", "hnorm"}) out.weight(draft.norm(name, name, s.hidden));
  out.weight(draft.norm("final_norm", "norm", s.hidden, Aspect::kHead));
  declare_gathering(draft, out);
  for (const RatioLayers& r : s.ratios) {
    declare_pooling(Layers{s, {"layers.{layer}.", "", &r.layers}}, r.ratio, out);
    declare_pooling(Layers{s, {"mtp.{layer}.", "draft.", &r.draft_names, true}}, r.ratio, out);
  }
}

} // namespace mla
