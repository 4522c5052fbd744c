// An encoder as the planner sees it: a row of rows.cpp joined with the numbers of one configuration. Built once. Throws plimsoll::Error
// with the pointer at fault. Threads: immutable after construction.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/plugin_util.hpp"
#include "rows.hpp"

namespace encoder {

using Layers = std::vector<std::uint32_t>;

class Model {
public:
  explicit Model(const plimsoll::Config& config);
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  // True where the switch is on for this configuration.
  static bool on(const plimsoll::Config& config, Switch when);

  // A tensor of these layers, or of the whole encoder; `name` is complete but for the prefix and the layer.
  plimsoll::Weight in_layers(plimsoll::Aspect aspect, const std::string& name, std::initializer_list<plimsoll::Bytes> dims,
                             const Layers& layers) const;
  plimsoll::Weight of_encoder(plimsoll::Aspect aspect, const std::string& name, std::initializer_list<plimsoll::Bytes> dims) const;

  Row row;     // copies: quirks may change them
  Names names; // likewise
  std::string_view architecture;
  Ending ending = Ending::kModel;
  std::string sizes_at;           // where the numbers stand: "", "/text_config"
  std::string prefix;             // of the encoder's tensors
  std::string stored = ".weight"; // what matrices and tables end in
  std::uint64_t hidden = 0, ffn_width = 0, heads = 0, kv_heads = 0, head_elements = 0;
  std::uint64_t vocab = 0, positions = 0, types = 0, max_length = 0, labels = 0;
  std::uint64_t word_elements = 0;  // of the embedding: hidden, but where a matrix stands behind it
  std::uint64_t token_elements = 0; // of a vector for each token, as late interaction compares them; 0: hidden states as they are
  bool tied = false, classifier_bias = false;
  bool qkv_bias = false, o_bias = false, up_bias = false, down_bias = false, norm_bias = false;
  Layers layers, normed_layers; // all; those with a norm before or behind their attention
  Layers dense_layers;          // with one FFN
  Layers expert_layers;         // with experts in its place
  std::uint64_t experts = 0, experts_per_token = 0;
  std::vector<plimsoll::Weight> extras; // their layer lists are members of this object

private:
  void read_sizes(const plimsoll::Config& config);
  void find_prefix(const plimsoll::Config& config);
  void read_token_width(const plimsoll::Config& config);
};

} // namespace encoder
