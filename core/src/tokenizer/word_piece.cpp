#include "tokenizer/word_piece.hpp"

#include <optional>

#include "tokenizer/utf8.hpp"

namespace plimsoll {

void WordPiece::encode(const Vocabulary& vocabulary, std::string_view word, std::vector<Token>& out) const {
  std::vector<std::size_t> ends; // of characters
  for (std::size_t at = 0; at < word.size();) {
    at += code_point_at(word, at).length_bytes;
    ends.push_back(at);
    if (ends.size() > most_characters) return out.push_back(unknown);
  }
  const std::size_t before = out.size();
  std::string piece;
  std::size_t begin = 0, first = 0; // byte, character
  while (first < ends.size()) {
    std::size_t last = ends.size();
    std::optional<Token> found;
    for (; last > first && !found; --last) {
      piece.assign(begin == 0 ? "" : prefix).append(word.substr(begin, ends[last - 1] - begin));
      found = vocabulary.find(piece);
    }
    if (!found) {
      out.resize(before);
      return out.push_back(unknown);
    }
    out.push_back(*found);
    begin = ends[last];
    first = last + 1;
  }
}

} // namespace plimsoll
