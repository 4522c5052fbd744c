// A draft as its configuration describes it: which kind, its sizes under all their spellings, how its tensors are called, what of it is
// the target model's own. Read once by the planner. Throws plimsoll::Error with the pointer at fault. Threads: immutable after
// construction.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/plugin_util.hpp"

namespace draft {

enum class Kind {
  kEagle,  // EAGLE-1 and -2: layers behind a projection of embedding and hidden state
  kEagle3, // EAGLE-3: the first layer attends over both, hidden states of several target layers are joined
  kDFlash, // block diffusion: several layers, hidden states of several target layers
  kDSpark, // the same with a Markov and a confidence head
  kMedusa, // heads on the last hidden state, no layers
  kFamily  // EAGLE and its like over layers that the family of a model plans
};

// Layers of another family behind a join, and what stands around them.
struct FamilyKind {
  std::string_view layers_as = "";               // whose they are: a model_type, or one that is a draft's alone
  std::array<std::string_view, 3> norms{};       // once each
  std::string_view join = "fc";                  // of embedding and hidden state, or of hidden states of several layers
  std::string_view layer = "layers.{layer}.";    // names
  bool joins_states = false;                     // of several layers
  bool join_bias = false, feature_norms = false; // one norm for each of them
  bool hidden_norm = false, own_head = false;    // EAGLE-3: a norm in the layer, a head over a vocabulary of its own
  bool markov = false;                           // DSpark's head
};

// Widths of a draft's matrices, and what it has beside them.
struct Draft {
  Draft(const plimsoll::Config& config, Kind kind, const FamilyKind* family = nullptr);
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;

  Kind kind;
  const FamilyKind* family;                                  // of kFamily, else null
  std::uint64_t hidden = 0, target_hidden = 0, features = 0; // hidden states of so many target layers are joined
  std::uint64_t heads = 0, kv_heads = 0, head_elements = 0, ffn_width = 0;
  std::uint64_t vocab = 0, draft_vocab = 0, max_length = 0;
  std::uint64_t window_tokens = 0, blocks = 0, block_layers = 0, markov_rank = 0;
  bool qkv_bias = false, o_bias = false, ffn_bias = false, join_bias = false, qk_norm = false, sinks = false;
  bool joins = true;        // target hidden states are projected
  bool join_norms = false;  // and normed, each by itself
  bool input_norms = false; // HASS: norms before the projection
  bool gated_markov = false, confidence = false, confidence_with_markov = false;
  bool own_embedding = false;    // not a view of the target's
  bool stores_embedding = false; // a copy of it all the same
  bool own_head = false, stores_head = false;
  bool maps_tokens = false; // a vocabulary of its own, and tables between the two
  bool one_head = false;    // of Medusa's blocks
  std::string prefix;       // of all names
  std::string layer;        // of a layer's, with the prefix
  std::string join = "fc";  // the projection
  std::vector<std::uint32_t> layers, first, others, full, windowed, block_list;

private:
  class Keys;
  void read_sizes(const Keys& keys);
  void read_layers(const Keys& keys);
  void read_vocabulary(const Keys& keys);
  void read_join(const Keys& keys);
  void read_spark(const Keys& keys);
  void read_medusa(const Keys& keys);
  void read_names(const Keys& keys);
};

// Drafts over the layers of another family, by class; null for the others.
const FamilyKind* family_kind_of(std::string_view architecture);

// The kind that a class of `architectures` has; nothing for those that are built like layers of their target.
std::optional<Kind> kind_of(std::string_view architecture);

} // namespace draft
