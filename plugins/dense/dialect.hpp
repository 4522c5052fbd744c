// A dialect: how one model_type names and shapes the tensors of its text model. The table in dialects.cpp has one row for each;
// what a row leaves out is as in Llama. Never reads a configuration. Threads: constant data.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace plimsoll {
class Config;
}

namespace dense {

class Model;

// Says when something exists: never, always, or where a key of the configuration is true.
using Switch = std::string_view;
inline constexpr Switch kNever = "";
inline constexpr Switch kAlways = "always";

// Names of tensors without ".weight". Layer parts follow `layer`, attention parts `attention`, FFN parts `ffn`.
struct Names {
  std::string_view embedding = "model.embed_tokens";
  std::string_view layer = "model.layers.{layer}.";
  std::string_view attention = "self_attn.";
  std::string_view q = "q_proj", k = "k_proj", v = "v_proj", o = "o_proj";
  std::string_view qkv = ""; // not empty: one fused tensor in place of q, k and v
  std::string_view kv = "";  // the same in place of k and v
  bool by_head = false;      // the fused tensor has query, key and value of a head together, head after head
  std::string_view ffn = "mlp.";
  std::string_view gate = "gate_proj"; // empty: an FFN of two matrices
  std::string_view up = "up_proj", down = "down_proj";
  std::string_view gate_up = ""; // not empty: one fused tensor in place of gate and up
  std::string_view final_norm = "model.norm";
  std::string_view head = "lm_head";
  bool transposed = false; // linear layers are stored [in, out]
};

// Norms of one layer, the attention's first; empty entries do not exist.
using Norms = std::array<std::string_view, 4>;
inline constexpr Norms kPrePost{"input_layernorm", "post_attention_layernorm"};

// Shapes of the norms on queries and keys.
enum class QkNorm : std::uint8_t {
  kNone,
  kHead,       // one vector of head_dim for all heads
  kProjection, // one vector over the whole projection
  kMatrix,     // [heads, head_dim]
  kPerHead     // one tensor for each head
};

// Which layers attend to a window where no list in the configuration says so.
enum class Window : std::uint8_t {
  kNone,    // sliding_window, if there at all, is not used
  kAll,     // every layer, where sliding_window is set
  kUpper,   // layers from max_window_layers on, where use_sliding_window is true
  kEven,    // layers 0, 2, 4, ...
  kPattern, // all but each sliding_window_pattern-th
  kChunk    // Llama 4: chunks on the layers with rotary embedding
};

// A multi-token-prediction layer: a decoder layer and what joins it to the model.
struct Draft {
  std::string_view layer;                // names of the layer; its number follows `after_model`
  std::array<std::string_view, 4> norms; // of the joining part
  std::string_view projection;           // [hidden, 2 * hidden]
  std::string_view join = "";            // what the joining part's names begin with, where it is not `layer`
  bool after_model = true;               // numbered from num_hidden_layers on, else from 0
  std::string_view embedding = "";       // own copies of embedding and head, where the checkpoint has them
  std::string_view head = "";
  Norms layer_norms{}; // where they are called otherwise than in the model's own layers
};

// What a few keys of one model_type say and no column can: see quirks.cpp.
using Quirk = void (*)(const plimsoll::Config& config, Model& model);

struct Dialect {
  std::string_view model_type;
  const Names* names;
  Norms norms = kPrePost;
  bool norm_bias = false; // layer norms instead of RMS norms
  Switch qkv_bias = kNever, o_bias = kNever, ffn_bias = kNever, head_bias = kNever;
  Switch down_bias = kNever; // of the FFN's last matrix alone
  // Norms in front of an attention's and an FFN's last matrix.
  std::array<std::string_view, 2> inner_norms{};
  QkNorm qk_norm = QkNorm::kNone;
  Switch qk_norm_on = kAlways;
  std::array<std::string_view, 2> qk_norm_names{"q_norm", "k_norm"};
  std::string_view sinks = "";     // one logit per query head, under this name
  std::string_view head_gate = ""; // gates on what heads give, a linear layer of this name: one for each head
  bool head_gate_wide = false;     // or one for each element of a head
  Switch head_gate_on = kAlways;
  Switch gated_queries = kNever; // q_proj brings a gate as wide as the queries, head by head
  bool attention = true;         // false: a model of recurrent layers alone, without heads
  bool k_bias = true;            // false: where projections have biases, keys have none
  bool o_quantized = true;       // false: quantised checkpoints leave the output projection alone
  std::uint32_t ffn_ratio = 0;   // width of the FFN over the hidden size, where no key says it; 0: a key must
  Window window = Window::kNone;
  bool cache_bound = false; // what an engine keeps of a text is not known: no engine is, and the publisher's code keeps nothing
  const Draft* draft = nullptr;
  Quirk quirk = nullptr;
};

// The row of a model_type, or of an architecture where a configuration has no model_type; Llama's where there is none.
const Dialect& find_dialect(std::string_view model_type);

} // namespace dense
