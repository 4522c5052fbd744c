// The tokenizer of every vocabulary: control tokens out of the text, steps that change it, words, and pieces of words. What differs from
// model to model is data, filled in by the readers of tokenizer.json, tokenizer.model and GGUF files.
// Threads: const functions from any thread at once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plimsoll/tokenizer.hpp"
#include "tokenizer/added_tokens.hpp"
#include "tokenizer/bpe.hpp"
#include "tokenizer/split.hpp"
#include "tokenizer/text_steps.hpp"
#include "tokenizer/vocabulary.hpp"
#include "tokenizer/word_piece.hpp"

namespace plimsoll {

struct Replacement {
  std::string what, by; // `what` is not empty, `by` is no longer
};

// How the text of a piece becomes the text it stands for.
struct PieceText {
  std::vector<Replacement> replaced; // in every piece but those of bytes, one after another
  bool drops_first_space = false;    // of the whole text
  std::string goes_on = {};          // what pieces begin with that go on with a word: others have a space in front; empty: no such rule
};

struct VocabularyParts {
  Vocabulary vocabulary;
  Bpe bpe;
  std::optional<WordPiece> word_piece; // in place of it
  AddedTokens raw_added;               // found in the text as it is
  std::vector<TextStep> steps;         // of each part between them
  AddedTokens step_added;              // found in the text after the steps
  std::vector<TextStep> word_steps;    // of each part between those
  std::vector<SplitStep> splits;
  std::vector<Token> prefix, suffix; // of every encoded text
  PieceText piece_text;
};

// Tokens that a model's files name.
struct NamedTokens {
  std::optional<Token> bos;
  std::vector<Token> stops; // ascending, each once
};

class VocabularyTokenizer final : public Tokenizer {
public:
  static constexpr std::size_t kMaxTextBytes = std::size_t{64} << 20U;

  // Every id in `parts` and `named` is below `vocab_size`.
  VocabularyTokenizer(std::string name, std::uint32_t vocab_size, VocabularyParts parts, NamedTokens named)
      : name_(std::move(name)), vocab_size_(vocab_size), parts_(std::move(parts)), named_(std::move(named)) {}

  Result<std::vector<Token>> encode(std::string_view text) const override;
  Result<void> append_text(Token token, bool& at_start, std::string& text) const override;
  std::string_view name() const override { return name_; }
  std::uint32_t vocab_size() const override { return vocab_size_; }
  std::optional<Token> bos() const override { return named_.bos; }
  std::span<const Token> stop_tokens() const override { return named_.stops; }

private:
  Result<void> encode_part(std::string_view part, bool at_start, Bpe::Scratch& scratch, std::vector<Token>& out) const;

  std::string name_;
  std::uint32_t vocab_size_;
  VocabularyParts parts_;
  NamedTokens named_;
};

// kBadRequest for an id the model does not have.
Result<void> check_token(Token token, std::uint32_t vocab_size);

} // namespace plimsoll
