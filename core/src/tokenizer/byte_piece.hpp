// Pieces that stand for one byte: "<0x0A>". For readers of vocabularies that fall back to bytes. Threads: pure functions.
#pragma once

#include <optional>
#include <string_view>

namespace plimsoll {

// The byte of a piece that is written so, with two capital hexadecimal digits.
inline std::optional<char> byte_of_piece(std::string_view piece) {
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece.back() != '>') return std::nullopt;
  unsigned byte = 0;
  for (const char c : piece.substr(3, 2)) {
    if ((c < '0' || c > '9') && (c < 'A' || c > 'F')) return std::nullopt;
    byte = byte * 16 + static_cast<unsigned>(c <= '9' ? c - '0' : c - 'A' + 10);
  }
  return static_cast<char>(static_cast<unsigned char>(byte));
}

} // namespace plimsoll
