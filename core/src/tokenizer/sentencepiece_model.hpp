// A tokenizer.model: SentencePiece's ModelProto (sentencepiece_model.proto), as far as byte pair encoding needs it. A reader of its own,
// since the library aborts or reads out of bounds on broken models, prints, and brings another copy of protobuf's symbols into the process.
// Never allocates more than the file is long. Threads: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "plimsoll/result.hpp"
#include "tokenizer/vocabulary_tokenizer.hpp"

namespace plimsoll {

inline constexpr std::uint64_t kMaxSentencepieceBytes = std::uint64_t{32} << 20U; // the largest known has 4.7 MB

struct SentencepieceTokenizer {
  VocabularyParts parts;
  NamedTokens named; // what the model's trainer named; a text begins with the token of beginning
};

// kBadConfig names the file and what is wrong or not supported: models other than BPE, normalizations of characters.
Result<SentencepieceTokenizer> parse_sentencepiece_model(std::string_view bytes, const std::string& path, std::uint32_t vocab_size);

} // namespace plimsoll
