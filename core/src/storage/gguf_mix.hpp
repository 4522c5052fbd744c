// Which type each tensor gets in a GGUF file that is quantised as "Q4_K_M" and the like: a type for most, others for those that need more
// bits, by their place in the model. The rules are llama-quantize's; what a mix does is data, in gguf_mix.cpp. Counts no bytes and
// knows no model. Threads: constants, pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/dtype.hpp"

namespace plimsoll {

struct GgufMix; // one file type; a constant of the program

// By its name, "q4_k_m", "Q4-K-M"; nullptr where there is none.
const GgufMix* find_gguf_mix(std::string_view name);
std::vector<std::string_view> gguf_mix_names();

// What the rules ask of a model.
struct MixedModel {
  std::uint32_t layers = 0;
  std::uint64_t experts = 0;       // of a layer; 0: none
  std::uint64_t heads_per_kv = 1;  // query heads that share a KV head
  std::uint32_t value_tensors = 0; // layers that have one (attn_v, attn_qkv, attn_kv_b)
  bool tied = false;               // the embedding is the output
};

// One tensor.
struct MixedTensor {
  std::string_view name;         // "blk.attn_v.weight", "output.weight"; empty: nobody knows
  std::uint32_t layer = 0;       // counted from 0; of the experts and of what is in no layer too
  std::uint32_t value_index = 0; // of a value tensor: how many stand before it
  std::uint64_t columns = 0;     // elements of a row: input features
  bool matrix = true;            // two dimensions or more
  bool stacked = false;          // experts of a layer, one behind the other
  bool linear = true;            // multiplied with; false for convolutions and tables
};

// Its type. A tensor that nobody knows gets the most bits of the mix. Llama-3.1-8B as q4_k_m: attn_v of layer 0 q6_k, of layer 4 q4_k.
Dtype gguf_type(const GgufMix& mix, const MixedModel& model, const MixedTensor& tensor);

// Whether it is one of the tensors whose bits the rules count off by layer: attn_v, attn_qkv, attn_kv_b.
bool is_gguf_value(std::string_view name);

} // namespace plimsoll
