// The pieces of a vocabulary: id to text, text to id. Filled by the readers of this room, then constant.
// A vocabulary may have holes: ids that no piece has. Never holds more ids than kMaxTokens, whatever a file says.
// Threads: const functions from any thread at once.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/tokenizer.hpp"
#include "tokenizer/key_table.hpp"

namespace plimsoll {

inline constexpr std::uint32_t kMaxTokens = 1U << 22; // the largest known vocabulary has 262,208

enum class PieceKind : std::uint8_t {
  kNone,   // a hole
  kText,   // what the model's rules find in a text
  kByte,   // one byte, where no text piece fits
  kAdded,  // found before the rules apply; not in the text index
  kControl // the same, but without a text of its own
};

class Vocabulary {
public:
  enum class Outcome { kAdded, kIdTaken, kTextTaken, kCrowded };

  // Room for so many pieces of kind kText.
  explicit Vocabulary(std::size_t pieces = 0) : by_text_(pieces) { byte_tokens_.fill(kNoToken); }

  // `id` is below kMaxTokens. The text of a kByte piece is its byte. Where another piece has the text already, kTextTaken: the new one
  // keeps its id but is not found by its text. Nothing changes for kIdTaken; kCrowded: too many texts have like hashes.
  Outcome add(Token id, std::string_view text, PieceKind kind);
  // A text piece that serves as this byte too.
  void serve_byte(unsigned char byte, Token id) { byte_tokens_[byte] = id; }
  // Makes a text piece one that is found before the rules apply.
  void set_kind(Token id, PieceKind kind) { pieces_[static_cast<std::size_t>(id)].kind = kind; }

  // The text piece of this text.
  std::optional<Token> find(std::string_view text) const;
  // The first piece of any kind but kByte that has this text; looks at all.
  std::optional<Token> named(std::string_view text) const;
  std::optional<Token> byte_token(unsigned char byte) const {
    return byte_tokens_[byte] == kNoToken ? std::nullopt : std::optional(byte_tokens_[byte]);
  }
  PieceKind kind(Token id) const { return has_room(id) ? pieces_[static_cast<std::size_t>(id)].kind : PieceKind::kNone; }
  std::string_view text(Token id) const;
  // One more than the highest id.
  std::uint32_t end() const { return static_cast<std::uint32_t>(pieces_.size()); }

private:
  static constexpr Token kNoToken = -1;
  struct Piece {
    std::uint32_t at = 0, length_bytes = 0; // in texts_
    PieceKind kind = PieceKind::kNone;
  };

  bool has_room(Token id) const { return id >= 0 && static_cast<std::size_t>(id) < pieces_.size(); }

  std::string texts_;
  std::vector<Piece> pieces_; // by id
  KeyTable<Token> by_text_;
  std::array<Token, 256> byte_tokens_{};
};

} // namespace plimsoll
