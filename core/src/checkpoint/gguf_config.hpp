// A config.json out of GGUF metadata, so that a .gguf file plans without one.
// Translates what the file says into the keys that planners read: sizes that all files spell alike here, everything else by the words of
// its architecture. Where ggml and transformers count differently (MTP layers, MLA key lengths) it counts as transformers does. Never
// guesses a size.
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "checkpoint/gguf.hpp"
#include "checkpoint/gguf_rules.hpp"
#include "checkpoint/gguf_words.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

// What the config takes from the tensors instead of the metadata.
struct GgufTensorFacts {
  std::optional<std::uint64_t> embedding_rows, embedding_columns; // of token_embd.weight
  bool has_output = false;                                        // output.weight is stored: the head is not tied
  bool attention_bias = false, ffn_bias = false;                  // stored of a layer's projections
  StoredLayers stored;
};

GgufTensorFacts tensor_facts(const GgufHeader& header, GgufTensorFacts so_far = {});

// By key of the config the metadata keys that it is read from, with their prefix; keys that all files spell alike are not among them.
using GgufSources = std::map<std::string, std::vector<std::string>, std::less<>>;
GgufSources gguf_sources(std::string_view architecture_name, const GgufArchitecture& architecture);

// `architecture` is what the file's architecture means (gguf_words.hpp); `path` is for messages. kBadConfig where the file names no
// architecture, or lacks the basics or what the architecture needs. Worked example: deepseek2 with key_length_mla 192 and
// rope.dimension_count 64 has qk_nope_head_dim 128; key_length 576 of the same file is the width of the absorbed form and is passed by.
Result<Json> gguf_config(const GgufMetadata& metadata, const GgufTensorFacts& facts, const GgufArchitecture& architecture,
                         const std::string& path);

} // namespace plimsoll
