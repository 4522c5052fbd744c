// What every tokenizer shares: whole texts and streams, both made of append_text.
#include "plimsoll/tokenizer.hpp"

#include <utility>

#include "tokenizer/utf8.hpp"

namespace plimsoll {

Result<std::string> Tokenizer::decode(std::span<const Token> tokens) const {
  std::string text;
  bool at_start = true;
  for (const Token token : tokens) PLIMSOLL_TRY(append_text(token, at_start, text));
  return text;
}

Result<std::string> TextStream::push(Token token) {
  std::string text = held_back_;
  bool at_start = at_start_;
  PLIMSOLL_TRY(tokenizer_->append_text(token, at_start, text));
  at_start_ = at_start;
  const std::size_t certain_bytes = text.size() - incomplete_tail_bytes(text);
  held_back_.assign(text, certain_bytes);
  text.resize(certain_bytes);
  return text;
}

std::string TextStream::finish() {
  at_start_ = true;
  return std::exchange(held_back_, {});
}

} // namespace plimsoll
