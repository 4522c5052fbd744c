// What a model_type computes besides what its tensors say: where norms stand, what is scaled, capped and turned. The table in
// forward.cpp has a row for each model_type whose forward pass was read in a published implementation; nobody else's is described.
// Never emits anything. Threads: constant data and pure functions.
#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "model.hpp"
#include "plimsoll/plugin.hpp"

namespace dense {

// Where the norms of a layer stand, in the order of the dialect's names.
enum class Order : std::uint8_t {
  kBefore, // before attention, before the FFN: Llama
  kAfter,  // behind attention, behind the FFN: OLMo 2
  kAround  // before and after attention, before and after the FFN: Gemma 2
};

struct Forward {
  std::string_view model_type;
  Order order = Order::kBefore;
  std::string_view activation = "/hidden_act", activation_otherwise = "silu"; // where the key is absent or null
  bool plus_one = false;                                                      // norms store their gain less 1
  bool scaled_embedding = false;                                              // times the root of the hidden size
  bool partial_rotation = false;                                              // partial_rotary_factor counts
  bool window_rope = false;                                                   // window layers turn otherwise: Gemma 3
  std::string_view score_elements = "";                                       // scores are over the root of this key, not of a head's size
  std::string_view score_cap = "", final_cap = "";                            // keys of soft caps
  bool multipliers = false;                                                   // Granite's, of embedding, residuals, scores and logits
  bool optional_rope = false;                 // position_embedding_type says whether queries and keys turn at all
  const plimsoll::rope::Yarn* yarn = nullptr; // of the class, where the configuration is silent
  bool sections = false;                      // mrope_section deals pairs to three positions: Qwen2-VL
};

// The row of this model; E_UNSUPPORTED where there is none, or where a key of the configuration changes the mathematics and nobody
// here knows how.
const Forward& forward_of(const plimsoll::Config& config);

// The activation of the FFN; E_UNSUPPORTED for one that no op has.
plimsoll::Activation activation_of(const plimsoll::Config& config, const Forward& forward);

// Factors of a Granite; 1 each, and scores as usual, for others.
struct Multipliers {
  double embedding = 1, residual = 1, logits = 1;
  double scores = 0; // 0: as usual
};
Multipliers multipliers_of(const plimsoll::Config& config, const Forward& forward);

// Whether positions turn queries and keys.
bool turns(const plimsoll::Config& config, const Forward& forward);

// Of `pairs` how many turn by each of three positions; nothing where all turn by one. E_CONFIG where they are not so many together.
std::optional<std::array<std::uint64_t, 3>> sections_of(const plimsoll::Config& config, const Forward& forward, std::uint64_t pairs);

// What turns the queries and keys of a layer.
plimsoll::RopeFrequencies rope_of(const plimsoll::Config& config, const Forward& forward, const Layer& layer);

} // namespace dense
