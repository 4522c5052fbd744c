// Vocabularies of SentencePiece's kind: each piece has a score, and neighbours merge where they make a piece together, the best score
// first. Read from a tokenizer.model or a GGUF file; made into merges here, so that one machine serves all.
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/result.hpp"
#include "plimsoll/tokenizer.hpp"
#include "tokenizer/vocabulary_tokenizer.hpp"

namespace plimsoll {

// SentencePiece's and GGUF's numbers.
enum class ScoredKind : std::uint8_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

struct ScoredPiece {
  std::string_view text;
  float score = 0;
  ScoredKind kind = ScoredKind::kNormal;
};

// Vocabulary, merges, added tokens and the rules around them. `add_space_prefix`: every text gets a space in front, which
// decoding takes away. Spaces are U+2581 in pieces. An error's `where` is left to the caller; its message names the piece.
Result<VocabularyParts> parts_of_scored_pieces(const std::vector<ScoredPiece>& pieces, bool add_space_prefix);

} // namespace plimsoll
