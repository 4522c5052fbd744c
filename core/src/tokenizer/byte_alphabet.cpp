#include "tokenizer/byte_alphabet.hpp"

#include <array>

#include "tokenizer/utf8.hpp"

namespace plimsoll {
namespace {

constexpr unsigned kFirstStandIn = 0x100; // characters that stand in for bytes without a printable one of their own
constexpr unsigned kAlphabetEnd = kFirstStandIn + 68;

constexpr bool shows_itself(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
}

// By code point: the byte, or -1. Bytes that do not show themselves take the characters from U+0100 on, in their order (the GPT-2 release,
// its encoder).
constexpr std::array<int, kAlphabetEnd> make_alphabet() {
  std::array<int, kAlphabetEnd> bytes{};
  bytes.fill(-1);
  unsigned next = kFirstStandIn;
  for (unsigned byte = 0; byte < 256; ++byte) bytes[shows_itself(byte) ? byte : next++] = static_cast<int>(byte);
  return bytes;
}
constexpr std::array<int, kAlphabetEnd> kAlphabet = make_alphabet();

} // namespace

std::optional<std::string> bytes_of_alphabet(std::string_view piece) {
  std::string bytes;
  bytes.reserve(piece.size());
  for (std::size_t at = 0; at < piece.size();) {
    const CodePoint point = code_point_at(piece, at);
    if (!point.valid || point.value >= kAlphabetEnd || kAlphabet[point.value] < 0) return std::nullopt;
    bytes += static_cast<char>(kAlphabet[point.value]);
    at += point.length_bytes;
  }
  return bytes;
}

} // namespace plimsoll
