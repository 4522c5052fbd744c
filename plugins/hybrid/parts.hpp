// The parts of a hybrid model that other models have too: embedding, head, attention, FFN, experts. The functions of models.hpp
// call them for the layers that have them. They add declarations to a Model and never read a file. Any thread.
#pragma once

#include "model.hpp"

namespace hybrid {

struct Attention {
  std::uint64_t hidden, heads, kv_heads, head_elements;
  bool gated = false; // queries bring a gate of their own width
  bool bias = false;  // of q, k and v
  bool out_bias = false;
  std::uint64_t input = 0;  // width of what comes in; 0: hidden
  std::uint64_t window = 0; // 0: every token
  const char* q_norm = nullptr;
  const char* k_norm = nullptr;
  const char* out = "o_proj";
};

// Heads under their usual keys; contradictions are E_CONFIG.
Attention read_attention(const Config& config, std::uint64_t hidden);

// Weights of the layers at `place`, and their cache.
void add_attention(const Place& place, const Attention& a);
void add_attention_cache(Model& model, const Attention& a, const List& layers, bool draft = false);

void add_norm(const Place& place, std::string_view name, std::uint64_t width);

struct Gated {
  const char* gate = "gate_proj";
  const char* up = "up_proj";
  const char* down = "down_proj";
};
void add_gated(const Place& place, std::uint64_t hidden, std::uint64_t width, const Gated& names = {}, bool bias = false);
// Experts, each a tensor of its own.
void add_gated_experts(const Place& place, std::uint64_t hidden, std::uint64_t width, std::uint64_t experts, const Gated& names = {});

struct Ends {
  const char* embedding = "model.embed_tokens.weight";
  const char* norm = "model.norm.weight";
  bool tied = false;
};
void add_ends(Model& model, const Ends& ends);

// Fills what every model has: width, vocabulary, layers, length.
void read_common(const Config& config, Model& model, std::uint32_t layers);

void check_divides(std::uint64_t part, std::uint64_t whole, const char* pointer);
void check_experts(std::uint64_t n, const char* pointer);

} // namespace hybrid
