// Recurrent mixers: what they store and what they keep for each sequence, in the layers of a Place. They add declarations to its
// Model and never read a configuration but for the state's type. Any thread.
#pragma once

#include <array>

#include "model.hpp"

namespace hybrid {

// The type of the recurrence: the engine's, or float32 where the checkpoint asks for it.
std::string read_state_dtype(const Config& config);

// Qwen3-Next, Qwen3.5 and OLMo-Hybrid: gated delta rule.
enum class DeltaProjections {
  kFused, // in_proj_qkvz and in_proj_ba
  kGated, // in_proj_qkv, in_proj_z and in_proj_ba: Qwen3-Next as GGUF files have it
  kSplit, // four
  kApart  // one for each of queries, keys, values, gates and steps, and a convolution each for the first three
};
struct DeltaNet {
  std::uint64_t hidden, key_heads, value_heads, key_elements, value_elements, kernel;
  DeltaProjections projections = DeltaProjections::kFused;
  std::string state_dtype;
  std::optional<double> epsilon = {}; // of the gated norm; none: the pass is not described
};
void add_delta_net(const Place& place, const DeltaNet& m);

// Kimi-Linear, Kimi-K3 and Ling-3.0: delta rule with a gate for every channel, and a convolution each for queries, keys and values.
enum class KimiGates {
  kLowRank,    // of decay and output: two matrices of low rank each
  kFullOutput, // K3: one matrix for the output's
  kFull        // Ling-3.0: one for each
};
struct KimiDelta {
  std::uint64_t hidden, heads, head_elements, kernel;
  KimiGates gates;
  std::optional<double> epsilon = {}; // of the gated norm; none: the pass is not described
};
void add_kimi_delta(const Place& place, const KimiDelta& m);

// What a Mamba-2 computes besides its shapes.
struct Mamba2Pass {
  double epsilon;                              // of the gated norm
  double least, most;                          // of a step; most 0: no limit
  std::uint64_t norm_groups = 1;               // channels are normed in so many groups
  bool norm_first = false;                     // the gate comes behind the norm
  std::array<double, 5> scales{1, 1, 1, 1, 1}; // of gate, x, b, c and steps
  double out_scale = 1;                        // of what the mixer gives
};

// Mamba-2: heads of a state each, keys and queries shared within a group.
struct Mamba2 {
  std::uint64_t hidden, inner, heads, groups, state, kernel;
  bool conv_bias = true, proj_bias = false, norm = true;
  std::string state_dtype;
  std::optional<Mamba2Pass> pass; // none: it is not described
};
void add_mamba2(const Place& place, const Mamba2& m);

// What a Mamba computes besides its shapes.
struct Mamba1Pass {
  bool norms = false; // on steps, b and c, with gains where `inner_norms` are stored
  double epsilon = 0; // of these
};

// Mamba: every channel a state. `inner_norms`: Jamba's norms on dt, B and C.
struct Mamba1 {
  std::uint64_t hidden, inner, state, rank, kernel;
  bool conv_bias = true, proj_bias = false, inner_norms = false;
  std::string state_dtype;
  std::optional<Mamba1Pass> pass = {}; // none: it is not described
};
void add_mamba1(const Place& place, const Mamba1& m);

// PLaMo 2: Mamba-2 whose steps, keys and queries come from what the convolution gives, normed each, and one group for all heads.
struct PlamoMamba {
  std::uint64_t hidden, heads, head_elements, state, rank, kernel;
  std::string state_dtype;
};
void add_plamo_mamba(const Place& place, const PlamoMamba& m);

// RWKV-7: a delta rule whose decay, gates and rates come through matrices of low rank; the last token's input is kept beside the state.
struct Rwkv7 {
  std::uint64_t hidden, heads, head_elements, values, decay_rank, gate_rank, rate_rank, value_rank;
};
void add_rwkv7(const Place& place, const Place& behind_first, const Rwkv7& m);

// LFM2: a gated convolution of a few tokens.
struct ShortConv {
  std::uint64_t hidden, kernel;
  bool bias = false;
};
// Described in every model that has one.
void add_short_conv(const Place& place, const ShortConv& m);

// RecurrentGemma: RG-LRU behind a convolution.
struct GatedLru {
  std::uint64_t hidden, width, heads, kernel;
};
void add_gated_lru(const Place& place, const GatedLru& m);

// MiniMax-Text-01 and Ling-2.5: lightning attention, a matrix of head x head elements per head.
struct Lightning {
  std::uint64_t hidden, heads, head_elements;
  std::string_view qkv = "qkv_proj", gate = "output_gate", norm = "norm", output = "out_proj";
  bool qkv_bias = false, output_bias = false;
  bool qk_norm = false; // query_layernorm and key_layernorm
};
void add_lightning(const Place& place, const Lightning& m);

} // namespace hybrid
