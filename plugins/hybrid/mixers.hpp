// Recurrent mixers: what they store and what they keep for each sequence, in the layers of a Place. They add declarations to its
// Model and never read a configuration but for the state's type. Any thread.
#pragma once

#include "model.hpp"

namespace hybrid {

// The type of the recurrence: the engine's, or float32 where the checkpoint asks for it.
std::string read_state_dtype(const Config& config);

// Qwen3-Next and Qwen3.5: gated delta rule.
struct DeltaNet {
  std::uint64_t hidden, key_heads, value_heads, key_elements, value_elements, kernel;
  bool fused = true; // in_proj_qkvz and in_proj_ba; else four projections
  std::string state_dtype;
  std::optional<double> epsilon = {}; // of the gated norm; none: the pass is not described
};
void add_delta_net(const Place& place, const DeltaNet& m);

// Kimi-Linear and Kimi-K3: delta rule with a gate for every channel, and a convolution each for queries, keys and values.
struct KimiDelta {
  std::uint64_t hidden, heads, head_elements, kernel;
  bool full_gate; // K3: the output's gate is one matrix; else two of low rank
};
void add_kimi_delta(const Place& place, const KimiDelta& m);

// What a Mamba-2 computes besides its shapes.
struct Mamba2Pass {
  double epsilon;     // of the gated norm, over all channels
  double least, most; // of a step; most 0: no limit
};

// Mamba-2: heads of a state each, keys and queries shared within a group.
struct Mamba2 {
  std::uint64_t hidden, inner, heads, groups, state, kernel;
  bool conv_bias = true, proj_bias = false, norm = true;
  std::string state_dtype;
  std::optional<Mamba2Pass> pass; // none: it is not described
};
void add_mamba2(const Place& place, const Mamba2& m);

// Mamba: every channel a state. `inner_norms`: Jamba's norms on dt, B and C.
struct Mamba1 {
  std::uint64_t hidden, inner, state, rank, kernel;
  bool conv_bias = true, proj_bias = false, inner_norms = false;
  std::string state_dtype;
};
void add_mamba1(const Place& place, const Mamba1& m);

// LFM2: a gated convolution of a few tokens.
struct ShortConv {
  std::uint64_t hidden, kernel;
  bool bias = false;
};
void add_short_conv(const Place& place, const ShortConv& m);

// RecurrentGemma: RG-LRU behind a convolution.
struct GatedLru {
  std::uint64_t hidden, width, heads, kernel;
};
void add_gated_lru(const Place& place, const GatedLru& m);

// MiniMax-Text-01: lightning attention, a matrix of head x head elements per head.
struct Lightning {
  std::uint64_t hidden, heads, head_elements;
};
void add_lightning(const Place& place, const Lightning& m);

} // namespace hybrid
