// How one kind of encoder names and shapes its tensors: rows.cpp has a row for each. What a row leaves out is as in BERT. Never reads a
// configuration. Threads: constant data.
#pragma once

#include <cstdint>
#include <string_view>

namespace plimsoll {
class Config;
}

namespace encoder {

class Model;

// Says when something exists: never, always, or where a key of the configuration is true.
using Switch = std::string_view;
inline constexpr Switch kNever = "";
inline constexpr Switch kAlways = "always";

// Names of tensors without ".weight"; what is empty is not there. Parts of a layer follow `layer`.
struct Names {
  std::string_view words = "embeddings.word_embeddings";
  std::string_view positions = "embeddings.position_embeddings"; // where positions are a table
  std::string_view types = "embeddings.token_type_embeddings";   // where there is more than none
  std::string_view embedding_norm = "embeddings.LayerNorm";
  std::string_view layer = "encoder.layer.{layer}.";
  std::string_view q = "attention.self.query", k = "attention.self.key", v = "attention.self.value";
  std::string_view qkv = ""; // not empty: one fused tensor in place of q, k and v
  std::string_view o = "attention.output.dense";
  std::string_view attention_norm = "attention.output.LayerNorm", ffn_norm = "output.LayerNorm";
  std::string_view q_norm = "", k_norm = ""; // over a head
  std::string_view gate = "", up = "intermediate.dense", down = "output.dense";
  std::string_view gate_up = ""; // not empty: one fused tensor in place of gate and up
  std::string_view final_norm = "";
};

// What stands behind the last layer, by the end of the class's name.
enum class Ending : std::uint8_t {
  kModel,     // ...Model: hidden states, where the kind has it through a pooler
  kSequence,  // ...ForSequenceClassification: rerankers
  kToken,     // ...ForTokenClassification
  kMasked,    // ...ForMaskedLM: words of the vocabulary again
  kPretrained // ...ForPreTraining: that, and whether a sentence follows
};

// How a kind names and shapes that.
enum class Heads : std::uint8_t {
  kBert,    // a pooler before the classifier; cls.predictions
  kRoberta, // a classifier of two layers; lm_head
  kModern,  // head.dense and a norm before either
  kDistil,  // pre_classifier; vocab_transform
  kAlbert,  // a pooler that is one matrix; predictions
  kElectra, // a classifier of two layers; what tells words apart that were put in
  kScore,   // one matrix, as decoders have it
  kNeo,     // a decoder of its own
  kEuro     // a dense layer before the classifier; lm_head
};

// What a few keys of one kind say and no column can: see quirks.cpp.
using Quirk = void (*)(const plimsoll::Config& config, Model& model);

struct Row {
  std::string_view model_type;
  const Names* names;
  std::string_view prefix = ""; // of the encoder's names inside a class that has more
  Switch qkv_bias = kAlways, o_bias = kAlways, up_bias = kAlways, down_bias = kAlways, norm_bias = kAlways;
  Heads heads = Heads::kBert;
  bool pools_hidden = true;              // ...Model has a pooler
  bool pooler_outside = false;           // a classifier's pooler is not among the encoder's own names
  bool positions_behind_padding = false; // the first position is the one behind the padding token's
  Quirk quirk = nullptr;
};

// The row of a kind; nullptr where there is none.
const Row* find_row(std::string_view model_type);

} // namespace encoder
