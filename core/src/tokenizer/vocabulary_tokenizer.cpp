#include "tokenizer/vocabulary_tokenizer.hpp"

#include <fmt/format.h>

namespace plimsoll {
namespace {

std::string with_replaced(const std::string& text, const Replacement& replacement) {
  std::string out;
  std::size_t copied = 0;
  for (std::size_t at = text.find(replacement.what); at != std::string::npos; at = text.find(replacement.what, copied)) {
    out.append(text, copied, at - copied).append(replacement.by);
    copied = at + replacement.what.size();
  }
  return out.append(text, copied);
}

} // namespace

Result<void> check_token(Token token, std::uint32_t vocab_size) {
  if (token >= 0 && static_cast<std::uint32_t>(token) < vocab_size) return {};
  return fail(ErrorCode::kBadRequest, fmt::format("there is no token {}; the model's are 0 to {}", token, vocab_size - 1));
}

// A part of the text in which no control token stands.
Result<void> VocabularyTokenizer::encode_part(std::string_view part, bool at_start, Bpe::Scratch& scratch, std::vector<Token>& out) const {
  PLIMSOLL_ASSIGN(const std::string changed, apply_steps(parts_.steps, part, at_start));
  for (const AddedTokenPart& piece : parts_.step_added.find(changed)) {
    if (piece.token != nullptr) {
      out.push_back(piece.token->id);
      continue;
    }
    const std::string_view between = std::string_view(changed).substr(piece.span.begin, piece.span.end - piece.span.begin);
    PLIMSOLL_ASSIGN(const std::string text, apply_steps(parts_.word_steps, between, at_start && piece.span.begin == 0));
    PLIMSOLL_ASSIGN(const std::vector<Span> words, split_words(parts_.splits, text));
    for (const Span& span : words) {
      const std::string_view word = std::string_view(text).substr(span.begin, span.end - span.begin);
      if (parts_.word_piece) parts_.word_piece->encode(parts_.vocabulary, word, out);
      else PLIMSOLL_TRY(parts_.bpe.encode(parts_.vocabulary, word, scratch, out));
    }
  }
  return {};
}

Result<std::vector<Token>> VocabularyTokenizer::encode(std::string_view text) const {
  if (text.size() > kMaxTextBytes)
    return fail(ErrorCode::kBadRequest,
                fmt::format("the text has {} bytes, expected at most {}; encode it in parts", text.size(), kMaxTextBytes));
  std::vector<Token> out = parts_.prefix;
  Bpe::Scratch scratch;
  for (const AddedTokenPart& part : parts_.raw_added.find(text)) {
    if (part.token != nullptr) out.push_back(part.token->id);
    else PLIMSOLL_TRY(encode_part(text.substr(part.span.begin, part.span.end - part.span.begin), part.span.begin == 0, scratch, out));
  }
  out.insert(out.end(), parts_.suffix.begin(), parts_.suffix.end());
  return out;
}

Result<void> VocabularyTokenizer::append_text(Token token, bool& at_start, std::string& text) const {
  PLIMSOLL_TRY(check_token(token, vocab_size_));
  const PieceKind kind = parts_.vocabulary.kind(token);
  if (kind == PieceKind::kNone || kind == PieceKind::kControl) return {};
  std::string piece(parts_.vocabulary.text(token));
  if (kind != PieceKind::kByte)
    for (const Replacement& replacement : parts_.piece_text.replaced) piece = with_replaced(piece, replacement);
  const std::string& goes_on = parts_.piece_text.goes_on;
  if (!goes_on.empty() && piece.starts_with(goes_on)) piece.erase(0, goes_on.size());
  else if (!goes_on.empty() && !at_start) piece.insert(0, 1, ' ');
  if (piece.empty()) return {};
  text.append(piece, at_start && parts_.piece_text.drops_first_space && piece.front() == ' ' ? 1 : 0);
  at_start = false;
  return {};
}

} // namespace plimsoll
