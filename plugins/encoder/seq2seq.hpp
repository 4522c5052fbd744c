// Models that read a text in one pass and write another, every layer of the decoder looking at what the encoder made of it: T5 and BART;
// also decoders alone that look at what another family's encoder heard. Reads a configuration once. Throws plimsoll::Error with the
// pointer at fault. Threads: immutable after construction.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/plugin_util.hpp"

namespace encoder {

// What one half calls its tensors, without ".weight"; what is empty is not there. Parts of a layer follow `layer`.
struct HalfNames {
  std::string_view layer = "";
  std::string_view attention = "self_attn.", cross = "encoder_attn.", ffn = "";
  std::string_view attention_norm = "self_attn_layer_norm", cross_norm = "encoder_attn_layer_norm", ffn_norm = "final_layer_norm";
  std::string_view positions = "", embedding_norm = "", final_norm = "";
};

// How one kind names and shapes its tensors: one row of seq2seq.cpp for each model_type.
struct SeqKind {
  std::string_view model_type;
  HalfNames encoder, decoder; // an encoder without a name for its layers is another family's
  std::string_view words = "shared";
  std::string_view q = "q_proj", k = "k_proj", v = "v_proj", o = "out_proj";
  std::string_view up = "fc1", down = "fc2";
  std::string_view head = "lm_head";
  std::string_view prefix = "";         // of classes that have more than the two halves
  std::string_view sizes_at = "";       // where the decoder's numbers stand
  bool biases = true, k_bias = true;    // of linear layers; of keys, where the others have them
  bool head_bias = false, tied = true;  // where no key says otherwise
  std::uint64_t positions_before = 0;   // rows of the table in front of the first position
  bool relative = false, shared = true; // distances in place of positions, of the first layer for all
};

class Seq2Seq {
public:
  explicit Seq2Seq(const plimsoll::Config& config);
  Seq2Seq(const Seq2Seq&) = delete;
  Seq2Seq& operator=(const Seq2Seq&) = delete;

  void weights(const plimsoll::Sink& out) const;
  // The decoder's own keys and values, and those of the whole input, which stay as long as the request does.
  void kv(const plimsoll::Sink& out) const;
  plimsoll_facts facts() const;

  std::uint64_t width() const { return width_; }
  // Of an encoder's layer: queries, keys, values and what comes of them; the FFN before and behind its activation.
  plimsoll::Bytes attention_elements() const { return plimsoll::Bytes(encoder_.heads) * head_elements_ * 4; }
  plimsoll::Bytes ffn_elements() const { return plimsoll::Bytes(encoder_.ffn) * (gated_ ? 3 : 2); }
  bool reads() const { return !encoder_.layers.empty(); }

private:
  enum class Ending : std::uint8_t { kGeneration, kModel, kEncoder, kSequence };
  struct Half {
    std::uint64_t heads = 0, ffn = 0;
    std::vector<std::uint32_t> layers, biased; // all; those with a table of distances
  };
  class Site;

  std::string key_of(const plimsoll::Config& config, std::initializer_list<const char*> keys) const;
  std::uint64_t number(const plimsoll::Config& config, std::initializer_list<const char*> keys) const;
  Half half(const plimsoll::Config& config, bool encoder) const;
  void declare(const plimsoll::Sink& out, const Half& half, const HalfNames& names, bool decoder) const;
  void head(const plimsoll::Sink& out) const;

  const SeqKind& kind_; // of the table
  Ending ending_;
  std::string prefix_;
  bool gated_, tied_;
  std::uint64_t width_, head_elements_, vocab_, max_length_, distances_, labels_;
  Half encoder_, decoder_;
};

} // namespace encoder
