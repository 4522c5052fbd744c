// Weight classes of an expert model's FFN, one per kind of tensor. Routers and their biases are copied to every rank and never
// quantised (gates stay as they are in every published format); experts go whole to expert-parallel ranks and split along their
// width over what is left. Pure functions, any thread.
//
// Worked example, DeepSeek-V3: 58 layers x 256 experts x 3 x 7168 x 2048 = 653,908,770,816 parameters in routed experts;
// with its draft layer 59 layers. Mixtral-8x7B: 32 x 8 x 3 x 4096 x 14336 = 45,097,156,608.
#include "ffn.hpp"

namespace moe {
namespace {

using plimsoll::Aspect;
using plimsoll::Bytes;
using plimsoll::ExpertStorage;
using plimsoll::Part;
using plimsoll::Sink;
using plimsoll::Site;
using plimsoll::Weight;

constexpr Aspect kFfn = Aspect::kFfn;

std::string join(std::string_view a, std::string_view b, std::string_view c = {}) {
  std::string out;
  out.reserve(a.size() + b.size() + c.size());
  out.append(a).append(b).append(c);
  return out;
}

// One gated FFN, whole or of one expert. `experts` 0: no experts. [out, in] unless the flags say otherwise.
struct Gated {
  const Projections& names;
  const char* label;
  std::uint64_t hidden;
  std::uint64_t width;
  std::uint64_t experts = 0;
  ExpertStorage storage = ExpertStorage::kSeparate;
  bool in_out = false;
  bool down_in_out = false;
  std::string_view bias = {};
  std::string_view format = {};

  void declare(const Site& at, const Sink& out) const {
    if (names.up.empty()) {
      fused(at, out);
    } else {
      if (!names.gate.empty()) into(at, names.gate, ".gate_proj", out);
      into(at, names.up, ".up_proj", out);
    }
    const std::uint32_t in = down_in_out ? 0 : 1;
    emit(down_in_out ? make(at, names.down, ".down_proj", width, hidden) : make(at, names.down, ".down_proj", hidden, width), in, in, out);
  }

private:
  Weight make(const Site& at, std::string_view tensor, const char* part, Bytes rows, Bytes columns) const {
    return at.weight(kFfn, join(label, part), join(names.prefix, tensor, names.suffix), {rows, columns});
  }
  void into(const Site& at, std::string_view tensor, const char* part, const Sink& out) const {
    const std::uint32_t in = in_out ? 0 : 1;
    emit(in_out ? make(at, tensor, part, hidden, width) : make(at, tensor, part, width, hidden), in, 1 - in, out);
  }
  void fused(const Site& at, const Sink& out) const {
    const Bytes both = Bytes(2) * Bytes(width);
    const std::uint32_t in = in_out ? 0 : 1;
    Weight w = in_out ? make(at, names.gate, ".gate_up_proj", hidden, both) : make(at, names.gate, ".gate_up_proj", both, hidden);
    w.parts(1 - in, {Part{width, 0}, Part{width, 0}});
    emit(std::move(w), in, 1 - in, out);
  }
  void emit(Weight w, std::uint32_t in_dim, std::uint32_t shard_dim, const Sink& out) const {
    w.linear(in_dim).format(std::string(format));
    if (experts > 0) w.experts(experts, shard_dim, storage);
    else if (shard_dim == in_dim || !names.up.empty()) w.split(shard_dim);
    out.weight(w);
    if (!bias.empty()) out.weight(w.bias(bias));
  }
};

void declare_router(const Shape& s, const Site& at, const Sink& out) {
  const Bytes rows = Bytes(s.experts) + Bytes(s.zero_experts);
  Weight router = at.weight(kFfn, "router", s.names->router, {rows, s.hidden});
  router.dtype(s.router_dtype);
  out.weight(router);
  if (!s.names->router_bias.empty()) out.weight(router.bias(s.names->router_bias));
  const auto& [per_feature, per_expert] = s.names->router_scales;
  if (!per_feature.empty()) out.weight(at.weight(kFfn, "router.scale", per_feature, {s.hidden}));
  if (!per_expert.empty()) out.weight(at.weight(kFfn, "router.expert_scale", per_expert, {rows}));
  if (!s.correction || s.names->correction.empty()) return;
  const Site scored{at.prefix, at.label, at.draft ? at.layers : &s.scored_layers, at.draft};
  Weight correction = s.seen_experts == 0 ? scored.weight(kFfn, "router.correction_bias", s.names->correction, {rows})
                                          : scored.weight(kFfn, "router.correction_bias", s.names->correction, {2, rows});
  out.weight(correction.dtype(s.correction_dtype));
}

// ERNIE-4.5-VL's second set: as many experts of another width, behind a router of their own. Its first release numbers them behind the
// text's.
void declare_seen(const Shape& s, const Site& at, const Sink& out) {
  constexpr Projections kSeen{"mlp.vision_experts.{expert}.", "gate_proj", "up_proj", "down_proj"};
  if (s.seen_experts == 0) return;
  out.weight(at.weight(kFfn, "seen_router", "mlp.gate.weight_1", {s.seen_experts, s.hidden}).dtype(s.router_dtype));
  Gated{kSeen, "seen_experts", s.hidden, s.seen_width, s.seen_experts}.declare(at, out);
}

// The first layers of DeepSeek-V4 look a token's experts up.
void declare_hash_routers(const Shape& s, const Site& at, const Sink& out) {
  if (s.hash_layers.empty()) return;
  const Site hashed{at.prefix, at.label, &s.hash_layers};
  out.weight(hashed.weight(kFfn, "router.table", s.names->hash_table, {s.vocab, s.experts_per_token}).dtype("int64"));
}

// Into the width that experts work in, and back.
void declare_latent(const Shape& s, const Site& at, const Sink& out) {
  if (s.expert_hidden == s.hidden) return;
  const Latent& names = s.names->latent;
  const auto matrix = [&](const char* label, std::string_view name, Bytes rows, Bytes columns) {
    Weight w = at.weight(kFfn, label, join(name, ".weight"), {rows, columns});
    if (names.linear) w.linear();
    out.weight(w);
  };
  matrix("experts.latent_in_proj", names.in, s.expert_hidden, s.hidden);
  matrix("experts.latent_out_proj", names.out, s.hidden, s.expert_hidden);
  if (s.latent_norm && !names.norm.empty())
    out.weight(at.weight(kFfn, "experts.latent_norm", join(names.norm, ".weight"), {s.expert_hidden}));
}

void declare_experts(const Shape& s, const Site& at, const Sink& out) {
  const Names& n = *s.names;
  declare_router(s, at, out);
  declare_latent(s, at, out);
  Gated{n.experts,        "experts",        s.expert_hidden, s.expert_width, s.experts,
        n.expert_storage, s.experts_in_out, s.down_in_out,   n.expert_bias,  s.expert_format}
      .declare(at, out);
  declare_seen(s, at, out);
  if (s.shared_width == 0) return;
  Gated shared{n.shared, "shared_experts", s.hidden, s.shared_width};
  shared.format = s.linear_format;
  shared.declare(at, out);
  if (!n.shared_gate.empty()) out.weight(at.weight(kFfn, "shared_experts.gate", n.shared_gate, {1, s.hidden}));
}

// LongCat-Flash has two per layer, numbered in the name; elsewhere one per layer without experts.
void declare_dense(const Shape& s, const Site& at, const Sink& out) {
  constexpr std::string_view kNumber = "{dense}";
  const std::size_t hole = s.names->dense.prefix.find(kNumber);
  if (hole == std::string_view::npos) {
    Gated{s.names->dense, "mlp", s.hidden, s.dense_width}.declare(at, out);
    return;
  }
  for (std::uint32_t i = 0; i < s.names->dense_per_layer; ++i) {
    const std::string number = std::to_string(i);
    const std::string prefix = join(s.names->dense.prefix.substr(0, hole), number, s.names->dense.prefix.substr(hole + kNumber.size()));
    const std::string label = "mlp." + number;
    Projections names = s.names->dense;
    names.prefix = prefix;
    Gated{names, label.c_str(), s.hidden, s.dense_width}.declare(at, out);
  }
}

} // namespace

void declare_ffn(const Shape& s, const Sink& out) {
  if (!out.asks(Aspect::kFfn)) return;
  const std::string layer(s.names->layer);
  declare_experts(s, Site{layer, "", &s.sparse_layers}, out);
  declare_hash_routers(s, Site{layer, "", &s.hash_layers}, out);
  if (!s.dense_layers.empty()) declare_dense(s, Site{layer, "", &s.dense_layers}, out);
  const std::string draft = s.names->draft_layer.empty() ? layer : std::string(s.names->draft_layer);
  if (!s.draft_layers.empty()) declare_experts(s, Site{draft, "draft.", &s.draft_layers, true}, out);
  if (!s.draft_modules.empty() && !s.names->draft_dense.prefix.empty())
    Gated{s.names->draft_dense, "mlp", s.hidden, s.dense_width}.declare(
        Site{std::string(s.names->draft_layer), "draft.", &s.draft_modules, true}, out);
}

} // namespace moe
