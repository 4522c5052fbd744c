// Regular expressions by which published vocabularies cut texts into words. tokenizer.json brings its own; GGUF files give only names,
// and GPT-2's is implied by the word ByteLevel. Threads: immutable.
#pragma once

#include <span>
#include <string_view>

namespace plimsoll {

// GPT-2's (the encoder of its release), of which ByteLevel means this form.
inline constexpr std::string_view kGpt2Pattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// What a name in a GGUF file's "tokenizer.ggml.pre" stands for.
struct GgufPreTokenizer {
  std::span<const std::string_view> names;
  std::span<const std::string_view> patterns; // each cuts what the one before leaves, matches and the rest alike
  bool whole_words = false;                   // see BpeRules
  bool adds_bos = false;                      // where the file does not say
};

// nullptr for a name that is not known.
const GgufPreTokenizer* find_gguf_pre_tokenizer(std::string_view name);

} // namespace plimsoll
