// WordPiece: of a word the longest piece that it begins with, then the longest that goes on, until all is taken; a word of which that fails
// is unknown as a whole. Time for a word of n characters: n^2, and longer words than a limit are unknown. Threads: const functions from any
// thread at once.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/vocabulary.hpp"

namespace plimsoll {

struct WordPiece {
  static constexpr std::uint64_t kMostCharacters = 1024; // of a word, whatever a file says; the usual limit is 100

  std::string prefix = "##";           // of pieces that go on with a word
  std::uint64_t most_characters = 100; // of a word
  Token unknown = 0;

  // Appends the tokens of one word.
  void encode(const Vocabulary& vocabulary, std::string_view word, std::vector<Token>& out) const;
};

} // namespace plimsoll
