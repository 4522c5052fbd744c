#include "tokenizer/vocabulary.hpp"

#include <functional>

namespace plimsoll {
namespace {

std::uint64_t key_of(std::string_view text) {
  const std::uint64_t hash = std::hash<std::string_view>{}(text);
  return hash == KeyTable<Token>::kNoKey ? 0 : hash;
}

} // namespace

Vocabulary::Outcome Vocabulary::add(Token id, std::string_view text, PieceKind kind) {
  const auto index = static_cast<std::size_t>(id);
  if (kind != PieceKind::kNone && this->kind(id) != PieceKind::kNone) return Outcome::kIdTaken;
  if (pieces_.size() <= index) pieces_.resize(index + 1);
  pieces_[index] = {static_cast<std::uint32_t>(texts_.size()), static_cast<std::uint32_t>(text.size()), kind};
  texts_ += text;
  if (kind == PieceKind::kByte && byte_tokens_[static_cast<unsigned char>(text.front())] == kNoToken)
    byte_tokens_[static_cast<unsigned char>(text.front())] = id;
  if (kind != PieceKind::kText) return Outcome::kAdded;
  if (find(text)) return Outcome::kTextTaken;
  return by_text_.assign(key_of(text), id, [](Token) { return false; }) ? Outcome::kAdded : Outcome::kCrowded;
}

std::optional<Token> Vocabulary::find(std::string_view text) const {
  const Token* const found = by_text_.find(key_of(text), [&](Token id) { return this->text(id) == text; });
  return found == nullptr ? std::nullopt : std::optional(*found);
}

std::optional<Token> Vocabulary::named(std::string_view text) const {
  for (Token id = 0; static_cast<std::size_t>(id) < pieces_.size(); ++id)
    if (kind(id) != PieceKind::kNone && kind(id) != PieceKind::kByte && this->text(id) == text) return id;
  return std::nullopt;
}

std::string_view Vocabulary::text(Token id) const {
  if (!has_room(id)) return {};
  const Piece& piece = pieces_[static_cast<std::size_t>(id)];
  return std::string_view(texts_).substr(piece.at, piece.length_bytes);
}

} // namespace plimsoll
