// What mixers.hpp declares. Any thread.
//
// States, in elements per layer and sequence, for a convolution of k tokens (it keeps k - 1):
//   delta net   (2 Hk dk + Hv dv) (k - 1) + Hv dk dv   Qwen3.6-27B: 10240 x 3 + 48 x 128 x 128 = 817,152
//   Mamba-2     (d + 2 G S) (k - 1) + d S              Nemotron-Nano-9B-v2: 12288 x 3 + 10240 x 128 = 1,347,584
//   Mamba       d (k - 1) + d S                        mamba-2.8b: 5120 x 3 + 5120 x 16 = 97,280
//   Kimi delta  3 H d (k - 1) + H d d                  Kimi-K3: 3 x 12288 x 3 + 96 x 128 x 128 = 1,683,456
//   RWKV-7      2 h + H d d                            1.5B: 2 x 2048 + 32 x 64 x 64 = 135,168
// The convolution's state grows by one column for each token that a draft proposes. Sources: the checkpoints' tensors, the
// published recurrences (Mamba, Mamba-2, gated delta networks, Griffin, lightning attention), documented state layouts.
#include "mixers.hpp"

#include "pipeline.hpp"

namespace hybrid {
namespace {

struct Region {
  const char* label;
  Bytes elements;
  std::uint64_t units;
  std::string dtype; // kModel, kEngine, or a type of its own
  std::uint64_t per_draft_token = 0;
};
constexpr const char* kModel = "";       // convolutions keep activations
constexpr const char* kEngine = "state"; // the engine's type for recurrent state
constexpr const char* kFloat32 = "float32";

void add_state(const Place& p, const std::vector<Region>& regions) {
  KvGroup group(KvKind::kState, "state", p.layers());
  for (const Region& r : regions) group.state(r.label, r.elements, r.units, r.dtype, r.per_draft_token);
  p.model.caches.push_back(std::move(group));
}

Bytes kept(std::uint64_t kernel) { return Bytes(kernel) - Bytes(1); }

// `pass(mixer, label, part, out)` describes the mixer of these layers.
template <class M, class Pass>
void add_pass(const Place& p, const M& m, Pass pass) {
  p.model.mixers.push_back({p.layers(), [m, pass, label = p.label()](const plimsoll::PipelinePart& part, const plimsoll::Pipeline& out) {
                              pass(m, label, part, out);
                            }});
}

} // namespace

// Qwen3.5 and Nemotron spell it differently.
std::string read_state_dtype(const Config& config) {
  for (const char* key : {"/mamba_ssm_dtype", "/mamba_ssm_cache_dtype"})
    if (config.str(key, "") == kFloat32) return kFloat32;
  return kEngine;
}

void add_delta_net(const Place& p, const DeltaNet& m) {
  const Bytes h = m.hidden, k = Bytes(m.key_heads) * Bytes(m.key_elements), v = Bytes(m.value_heads) * Bytes(m.value_elements);
  const Bytes conv = Bytes(2) * k + v;
  const Part keys{k.value(), m.key_heads}, values{v.value(), m.value_heads};
  const bool apart = m.projections == DeltaProjections::kApart;
  if (apart) {
    for (const char* name : {"q", "k"}) {
      p.add(p.linear(std::string(name) + "_proj", k, h).heads(0, m.key_heads));
      p.add(p.weight(std::string(name) + "_conv1d.weight", {k, 1, m.kernel}).heads(0, m.key_heads));
    }
    p.add(p.weight("v_conv1d.weight", {v, 1, m.kernel}).heads(0, m.value_heads));
    for (const char* name : {"v_proj", "g_proj"}) p.add(p.linear(name, v, h).heads(0, m.value_heads));
    for (const char* name : {"a_proj", "b_proj"}) p.add(p.linear(name, m.value_heads, h).heads(0, m.value_heads));
  } else if (m.projections ==
             DeltaProjections::kFused) { // grouped by key head: one head's queries, keys, and the values and gates that belong to it
    p.add(p.linear("in_proj_qkvz", conv + v, h).heads(0, m.key_heads));
    p.add(p.linear("in_proj_ba", Bytes(2) * Bytes(m.value_heads), h).heads(0, m.key_heads));
  } else {
    p.add(p.linear("in_proj_qkv", conv, h).parts(0, {keys, keys, values}));
    p.add(p.linear("in_proj_z", v, h).heads(0, m.value_heads));
    if (m.projections == DeltaProjections::kGated) {
      p.add(p.linear("in_proj_ba", Bytes(2) * Bytes(m.value_heads), h).heads(0, m.key_heads));
    } else {
      p.add(p.linear("in_proj_b", m.value_heads, h).heads(0, m.value_heads));
      p.add(p.linear("in_proj_a", m.value_heads, h).heads(0, m.value_heads));
    }
  }
  if (!apart) p.add(p.weight("conv1d.weight", {conv, 1, m.kernel}).parts(0, {keys, keys, values}));
  p.add(p.weight("A_log", {m.value_heads}).heads(0, m.value_heads));
  p.add(p.weight("dt_bias", {m.value_heads}).heads(0, m.value_heads));
  p.add(p.norm(apart ? "o_norm" : "norm", m.value_elements));
  p.add(p.linear(apart ? "o_proj" : "out_proj", h, v).heads(1, m.value_heads));
  add_state(p, {{"conv", conv * kept(m.kernel), m.key_heads, kModel, conv.value()},
                {"ssm", v * Bytes(m.key_elements), m.value_heads, m.state_dtype}});
  if (m.epsilon) add_pass(p, m, describe_delta_net);
}

// The recurrence is kept in float32. K3 stores convolutions and norm in float32 too, and pads A_log to 128 entries; Ling-3.0's class
// loads its convolutions as float32. The convolutions' states take no extra columns for drafts.
void add_kimi_delta(const Place& p, const KimiDelta& m) {
  const Bytes h = m.hidden, inner = Bytes(m.heads) * Bytes(m.head_elements);
  const bool low_rank = m.gates == KimiGates::kLowRank, k3 = m.gates == KimiGates::kFullOutput, ling = m.gates == KimiGates::kFull;
  for (const char* name : {"q_proj", "k_proj", "v_proj"}) p.add(p.linear(name, inner, h).heads(0, m.heads));
  for (const char* name : {"q_conv1d.weight", "k_conv1d.weight", "v_conv1d.weight"})
    p.add(p.weight(name, {inner, 1, m.kernel}).dtype(low_rank ? kModel : kFloat32).heads(0, m.heads));
  if (ling) {
    p.add(p.linear("f_proj", inner, h).heads(0, m.heads));
  } else {
    p.add(p.linear("f_a_proj", m.head_elements, h));
    p.add(p.linear("f_b_proj", inner, m.head_elements).heads(0, m.heads));
  }
  if (k3) p.add(p.weight("A_log", {plimsoll::ceil_div(m.heads, 128) * Bytes(128)}).dtype(kFloat32));
  else p.add(p.weight("A_log", {1, 1, m.heads, 1}).dtype(kFloat32).heads(2, m.heads));
  p.add(p.weight("dt_bias", {inner}).dtype(kFloat32).heads(0, m.heads));
  p.add(p.linear("b_proj", m.heads, h).heads(0, m.heads));
  if (!low_rank) {
    p.add(p.linear("g_proj", inner, h).heads(0, m.heads));
  } else {
    p.add(p.linear("g_a_proj", m.head_elements, h));
    p.add(p.linear("g_b_proj", inner, m.head_elements).heads(0, m.heads));
  }
  p.add(p.norm("o_norm", m.head_elements).dtype(k3 ? kFloat32 : kModel));
  p.add(p.linear("o_proj", h, inner).heads(1, m.heads));
  std::vector<Region> regions;
  for (const char* part : {"conv.q", "conv.k", "conv.v"}) regions.push_back({part, inner * kept(m.kernel), m.heads, kModel});
  regions.push_back({"recurrent", inner * Bytes(m.head_elements), m.heads, kFloat32});
  add_state(p, regions);
  if (m.epsilon) add_pass(p, m, describe_kimi_delta);
}

void add_mamba2(const Place& p, const Mamba2& m) {
  const Bytes h = m.hidden, d = m.inner, group = Bytes(m.groups) * Bytes(m.state);
  const Bytes conv = d + Bytes(2) * group;
  const Part inner{m.inner, m.heads}, shared{group.value(), m.groups, true}, steps{m.heads, m.heads};
  p.add(p.linear("in_proj", d + conv + Bytes(m.heads), h).parts(0, {inner, inner, shared, shared, steps}), m.proj_bias);
  p.add(p.weight("conv1d.weight", {conv, 1, m.kernel}).parts(0, {inner, shared, shared}));
  if (m.conv_bias) p.add(p.weight("conv1d.bias", {conv}).parts(0, {inner, shared, shared}));
  for (const char* name : {"A_log", "D", "dt_bias"}) p.add(p.weight(name, {m.heads}).heads(0, m.heads));
  if (m.norm) p.add(p.norm("norm", d).heads(0, m.heads));
  p.add(p.linear("out_proj", h, d).heads(1, m.heads), m.proj_bias);
  add_state(p, {{"conv.inner", d * kept(m.kernel), m.heads, kModel, m.inner},
                {"conv.groups", Bytes(2) * group * kept(m.kernel), m.groups, kModel, (Bytes(2) * group).value()},
                {"ssm", d * Bytes(m.state), m.heads, m.state_dtype}});
  if (m.pass) add_pass(p, m, describe_mamba2);
}

void add_mamba1(const Place& p, const Mamba1& m) {
  const Bytes h = m.hidden, d = m.inner, low = Bytes(m.rank) + Bytes(2) * Bytes(m.state);
  p.add(p.linear("in_proj", Bytes(2) * d, h).parts(0, {Part{m.inner, 0}, Part{m.inner, 0}}), m.proj_bias);
  p.add(p.weight("conv1d.weight", {d, 1, m.kernel}).split(0));
  if (m.conv_bias) p.add(p.weight("conv1d.bias", {d}).split(0));
  p.add(p.linear("x_proj", low, d).split(1));
  p.add(p.linear("dt_proj", d, m.rank).split(0), true);
  p.add(p.weight("A_log", {d, m.state}).split(0));
  p.add(p.weight("D", {d}).split(0));
  p.add(p.linear("out_proj", h, d).split(1), m.proj_bias);
  if (m.inner_norms) {
    p.add(p.norm("dt_layernorm", m.rank));
    p.add(p.norm("b_layernorm", m.state));
    p.add(p.norm("c_layernorm", m.state));
  }
  add_state(p, {{"conv", d * kept(m.kernel), m.inner, kModel, m.inner}, {"ssm", d * Bytes(m.state), m.inner, m.state_dtype}});
  if (m.pass) add_pass(p, m, describe_mamba1);
}

void add_plamo_mamba(const Place& p, const PlamoMamba& m) {
  const Bytes h = m.hidden, d = Bytes(m.heads) * Bytes(m.head_elements), low = Bytes(m.rank) + Bytes(2) * Bytes(m.state);
  p.add(p.linear("in_proj", Bytes(2) * d, h).heads(0, m.heads)); // head by head a gate and what is gated
  p.add(p.weight("conv1d.weight", {d, 1, m.kernel}).heads(0, m.heads));
  p.add(p.linear("bcdt_proj", low, d).heads(1, m.heads));
  p.add(p.linear("dt_proj", m.heads, m.rank).heads(0, m.heads));
  for (const char* name : {"A_log", "D", "dt_bias"}) p.add(p.weight(name, {m.heads}).heads(0, m.heads));
  p.add(p.weight("dt_norm_weight", {m.rank}));
  for (const char* name : {"B_norm_weight", "C_norm_weight"}) p.add(p.weight(name, {m.state}));
  p.add(p.linear("out_proj", h, d).heads(1, m.heads));
  add_state(p, {{"conv", d * kept(m.kernel), m.heads, kModel, d.value()}, {"ssm", d * Bytes(m.state), m.heads, m.state_dtype}});
}

void add_rwkv7(const Place& p, const Place& behind_first, const Rwkv7& m) {
  const Bytes h = m.hidden, v = m.values;
  const auto norm = [&](const Place& at, const std::string& name, Bytes width) {
    for (const char* part : {".weight", ".bias"}) at.add(at.weight(name + part, {width}));
  };
  const auto low_rank = [&](const Place& at, const std::string& name, Bytes out, std::uint64_t rank, bool bias) {
    at.add(at.linear(name + ".lora.0", rank, h));
    at.add(at.linear(name + ".lora.2", out, rank).heads(0, m.heads), bias);
  };
  norm(p, "attn_norm", h);
  for (const char* mix : {"x_r", "x_w", "x_k", "x_v", "x_a", "x_g"}) p.add(p.weight(std::string("attn.") + mix, {1, 1, h}));
  for (const char* vector : {"attn.k_k", "attn.k_a"}) p.add(p.weight(vector, {h}).heads(0, m.heads));
  p.add(p.weight("attn.r_k", {m.heads, m.head_elements}).heads(0, m.heads));
  for (const char* name : {"attn.r_proj", "attn.k_proj"}) p.add(p.linear(name, h, h).heads(0, m.heads));
  p.add(p.linear("attn.v_proj", v, h).heads(0, m.heads));
  p.add(p.linear("attn.o_proj", h, v).heads(1, m.heads));
  low_rank(p, "attn.w_lora", h, m.decay_rank, true);
  low_rank(p, "attn.a_lora", h, m.rate_rank, true);
  low_rank(p, "attn.g_lora", v, m.gate_rank, false);
  low_rank(behind_first, "attn.v_lora", v, m.value_rank, true); // layers mix their values with the first one's
  norm(p, "attn.g_norm", v);
  p.add(p.weight("ffn.x_k", {h}));
  add_state(p, {{"shift", Bytes(2) * h, 1, kModel}, {"recurrent", v * Bytes(m.head_elements), m.heads, kFloat32}});
}

void add_short_conv(const Place& p, const ShortConv& m) {
  const Bytes h = m.hidden;
  const Part third{m.hidden, 0};
  p.add(p.linear("in_proj", Bytes(3) * h, h).parts(0, {third, third, third}), m.bias);
  p.add(p.weight("conv.weight", {h, 1, m.kernel}).split(0), m.bias);
  p.add(p.linear("out_proj", h, h).split(1), m.bias);
  add_state(p, {{"conv", h * kept(m.kernel), m.hidden, kModel, m.hidden}});
  add_pass(p, m, describe_short_conv);
}

void add_gated_lru(const Place& p, const GatedLru& m) {
  const Bytes h = m.hidden, w = m.width;
  check_divides(m.heads, m.width, "/num_attention_heads");
  const Bytes block = w / Bytes(m.heads);
  p.add(p.linear("linear_x", w, h).heads(0, m.heads), true);
  p.add(p.linear("linear_y", w, h).heads(0, m.heads), true);
  p.add(p.linear("linear_out", h, w).heads(1, m.heads), true);
  p.add(p.weight("conv_1d.weight", {w, 1, m.kernel}).heads(0, m.heads));
  p.add(p.weight("conv_1d.bias", {w}).heads(0, m.heads));
  p.add(p.weight("rg_lru.recurrent_param", {w}).heads(0, m.heads));
  for (const char* gate : {"rg_lru.input_gate", "rg_lru.recurrent_gate"}) {
    p.add(p.weight(std::string(gate) + "_weight", {m.heads, block, block}).heads(0, m.heads));
    p.add(p.weight(std::string(gate) + "_bias", {m.heads, block}).heads(0, m.heads));
  }
  add_state(p, {{"conv", w * kept(m.kernel), m.heads, kModel, m.width}, {"recurrent", w, m.heads, kFloat32}});
}

void add_lightning(const Place& p, const Lightning& m) {
  const Bytes h = m.hidden, q = Bytes(m.heads) * Bytes(m.head_elements);
  const Part third{q.value(), m.heads};
  p.add(p.linear(m.qkv, Bytes(3) * q, h).parts(0, {third, third, third}), m.qkv_bias);
  p.add(p.linear(m.gate, q, h).heads(0, m.heads));
  p.add(p.norm(m.norm, q).heads(0, m.heads));
  p.add(p.linear(m.output, h, q).heads(1, m.heads), m.output_bias);
  if (m.qk_norm)
    for (const char* name : {"query_layernorm", "key_layernorm"}) p.add(p.norm(name, m.head_elements));
  add_state(p, {{"linear", q * Bytes(m.head_elements), m.heads, kEngine}});
}

} // namespace hybrid
