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

// What is multiplied by a key of the configuration, and whose words these are.
enum class Factors : std::uint8_t {
  kNone,
  kGranite, // embedding, residuals, scores and logits
  kCohere,  // logits
  kFalconH1 // embedding, logits, what attention reads, its keys and what it gives, gates and results of FFNs
};

// Whether positions turn queries and keys.
enum class Turning : std::uint8_t {
  kAlways,
  kByKey,        // position_embedding_type
  kByLayer,      // a 1 in no_rope_layers, or all but each n-th where there is no list
  kWindows,      // in layers with a window
  kWindowsIfAny, // likewise; in all where no window is stated
  kNever         // recurrent layers tell positions apart
};

// Where the norms of a layer stand, in the order of the dialect's names.
enum class Order : std::uint8_t {
  kBefore, // before attention, before the FFN: Llama
  kAfter,  // behind attention, behind the FFN: OLMo 2
  kBeside, // one before both, which read the same: Cohere
  kAround  // before and after attention, before and after the FFN: Gemma 2
};

// How the head that drafts makes one row of a token and of what the model made of the one before, and what its next run takes. Read in
// vLLM's classes of these heads.
enum class Drafts : std::uint8_t {
  kUnknown,
  kTokenFirst, // (token | model); handed on before its last norm: GLM-4.5
  kModelFirst  // (model | token); handed on behind it: MiMo
};

struct Forward {
  std::string_view model_type;
  Order order = Order::kBefore;
  Drafts drafts = Drafts::kUnknown;
  std::string_view activation = "/hidden_act", activation_otherwise = "silu"; // where the key is absent or null
  bool mean = false;                                                          // norms are layer norms
  bool neighbours = false;                                                    // pairs that turn are columns 2i and 2i + 1
  bool plain_windows = false;                                                 // window layers turn by the base alone: OLMo 3
  bool plus_one = false;                                                      // norms store their gain less 1
  bool scaled_embedding = false;                                              // times the root of the hidden size
  bool partial_rotation = false;                                              // partial_rotary_factor counts
  bool window_rope = false;                                                   // window layers turn otherwise: Gemma 3
  std::string_view score_elements = "";                                       // scores are over the root of this key, not of a head's size
  std::string_view score_cap = "", final_cap = "";                            // keys of soft caps
  Factors factors = Factors::kNone;
  Turning turning = Turning::kAlways;
  const plimsoll::rope::Yarn* yarn = nullptr; // of the class, where the configuration is silent
  bool sections = false;                      // mrope_section deals pairs to three positions: Qwen2-VL
  std::string_view epsilon = "/rms_norm_eps"; // of all norms
  // Gemma 4: values are normed, scores are not scaled, every layer has a factor, and maybe an input of its own.
  bool scaled_layers = false;
  std::array<std::string_view, 2> needs{}; // switches that are on where nothing is said, and must be
  bool leaning = false;                    // no positions but ALiBi's
  bool positions = false;                  // a table of positions, from row 2 on: OPT
  bool normed_embedding = false;           // Bloom
  bool own_extras = false;                 // tensors beside the usual ones are accounted for here, or of no account
  bool chunked = false;                    // Llama 4: chunks, norms without gains where layers turn, queries that grow where not
};

// The row of this model; E_UNSUPPORTED where there is none, or where a key of the configuration changes the mathematics and nobody
// here knows how.
const Forward& forward_of(const plimsoll::Config& config);

// The activation of the FFN; E_UNSUPPORTED for one that no op has.
plimsoll::Activation activation_of(const plimsoll::Config& config, const Forward& forward);

// Factors of a model; 1 each, and scores as usual, where it has none.
struct Multipliers {
  double embedding = 1, residual = 1, logits = 1;
  double scores = 0;                        // 0: as usual
  double inputs = 1, keys = 1, context = 1; // of an attention: what it reads, its keys beyond that, what it gives
  double gate = 1, down = 1;                // of a dense FFN
};
Multipliers multipliers_of(const plimsoll::Config& config, const Forward& forward);

// The epsilon of every norm; 0 where the configuration has none, which a norm refuses.
double epsilon_of(const plimsoll::Config& config, const Forward& forward);

// Whether the queries and keys of layers that turn are normed behind that, without gains.
bool norms_turned(const plimsoll::Config& config, const Forward& forward);

// How the queries of layers that do not turn grow with their position; by 0: they do not. E_CONFIG for numbers that make no sense.
struct Growth {
  double by = 0;
  std::uint64_t step = 0; // positions
};
Growth growth_of(const plimsoll::Config& config, const Forward& forward);

// What keys lose by their distance; 0: nothing.
double bias_of(const plimsoll::Config& config, const Forward& forward);

// Whether positions turn queries and keys of a layer.
bool turns(const plimsoll::Config& config, const Forward& forward, const Layer& layer, std::uint32_t number);

// Of `pairs` how many turn by each of three positions; nothing where all turn by one. E_CONFIG where they are not so many together.
std::optional<std::array<std::uint64_t, 3>> sections_of(const plimsoll::Config& config, const Forward& forward, std::uint64_t pairs);

// What turns the queries and keys of a layer.
plimsoll::RopeFrequencies rope_of(const plimsoll::Config& config, const Forward& forward, const Layer& layer);

} // namespace dense
