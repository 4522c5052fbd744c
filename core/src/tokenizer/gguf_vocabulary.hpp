// The vocabulary in a GGUF file's metadata, "tokenizer.ggml.*": scores ("llama") or merges of bytes ("gpt2"). Format: the GGUF
// specification in the ggml repository; meaning as llama.cpp has it. Nothing is normalized here, as there. Threads: pure functions.
#pragma once

#include <cstdint>

#include "base/regular_file.hpp"
#include "plimsoll/result.hpp"
#include "tokenizer/vocabulary_tokenizer.hpp"

namespace plimsoll {

struct GgufTokenizer {
  VocabularyParts parts;
  NamedTokens named;
};

// kBadCheckpoint names the file and the key at fault.
Result<GgufTokenizer> read_gguf_tokenizer(const RegularFile& file, std::uint32_t vocab_size);

} // namespace plimsoll
