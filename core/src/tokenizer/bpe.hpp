// Byte pair encoding: a word's characters (or bytes), of which neighbours are merged, the best pair first, as long as any may be.
// Serves vocabularies with a list of merges (GPT-2's way) and with scores (SentencePiece's: see scored_pieces.hpp) alike.
// Time for a word of n characters: n log n. Threads: encode from any thread once filled, each with a scratch of its own.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "plimsoll/result.hpp"
#include "plimsoll/tokenizer.hpp"
#include "tokenizer/key_table.hpp"
#include "tokenizer/vocabulary.hpp"

namespace plimsoll {

inline constexpr std::size_t kMaxMerges = std::size_t{1} << 22U; // the longest known list has 514,906

struct BpeRules {
  bool byte_level = false;  // words begin as bytes instead of characters
  bool whole_words = false; // a word that is a piece is that piece, whatever the merges would make of it
  std::optional<Token> unknown;
  bool fuse_unknown = false; // unknown characters in a row are one token
};

class Bpe {
public:
  // Memory that encode uses; kept by a caller who encodes many words.
  struct Scratch {
    struct Symbol {
      Token id = 0;
      std::uint32_t next = 0, previous = 0; // indexes; past the end: none
      bool gone = false;
    };
    struct Candidate {
      std::uint32_t rank = 0, left = 0;
      Token left_id = 0, right_id = 0, merged = 0;
    };
    std::vector<Symbol> symbols;
    std::vector<Candidate> candidates;
  };

  explicit Bpe(BpeRules rules = {}, std::size_t merges = 0) : rules_(rules), merges_(merges) {}

  // Lower ranks merge first, of equal ones the leftmost. A pair that is there already gets the new rank. False: too many pairs collide.
  bool add_merge(Token left, Token right, std::uint32_t rank, Token merged);

  // Appends the tokens of one word. kBadRequest where the vocabulary has no token for a character.
  Result<void> encode(const Vocabulary& vocabulary, std::string_view word, Scratch& scratch, std::vector<Token>& out) const;

private:
  struct Merge {
    std::uint32_t rank = 0;
    Token merged = 0;
  };

  Result<void> split(const Vocabulary& vocabulary, std::string_view word, std::vector<Scratch::Symbol>& symbols) const;
  void propose(Scratch& scratch, std::uint32_t left) const;

  BpeRules rules_;
  KeyTable<Merge> merges_; // by the two ids
};

} // namespace plimsoll
