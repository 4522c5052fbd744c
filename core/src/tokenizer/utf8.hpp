// UTF-8, character by character, for texts that may be anything. Called wherever this room looks at characters.
// A byte that begins no character is one of its own: invalid, one byte long. Never reads beyond the text. Threads: pure functions.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <simdjson.h>
#include <string_view>

#include "plimsoll/result.hpp"

namespace plimsoll {

struct CodePoint {
  char32_t value = 0; // the byte itself where it is invalid
  std::size_t length_bytes = 1;
  bool valid = false;
};

// The character at `at`, which is inside the text. Table 3-7 of the Unicode standard: no overlong forms, no surrogates.
inline CodePoint code_point_at(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t offset) {
    return at + offset < text.size() ? static_cast<unsigned char>(text[at + offset]) : static_cast<unsigned char>(0);
  };
  const auto continues = [&](std::size_t offset) { return (byte(offset) & 0xc0U) == 0x80U; };
  const unsigned lead = byte(0);
  if (lead < 0x80U) return {lead, 1, true};
  const CodePoint broken{lead, 1, false};
  if (lead < 0xc2U || lead > 0xf4U || !continues(1)) return broken;
  const unsigned second = byte(1);
  if (lead < 0xe0U) return {(lead & 0x1fU) << 6U | (second & 0x3fU), 2, true};
  if ((lead == 0xe0U && second < 0xa0U) || (lead == 0xedU && second > 0x9fU) || !continues(2)) return broken;
  if (lead < 0xf0U) return {(lead & 0x0fU) << 12U | (second & 0x3fU) << 6U | (byte(2) & 0x3fU), 3, true};
  if ((lead == 0xf0U && second < 0x90U) || (lead == 0xf4U && second > 0x8fU) || !continues(3)) return broken;
  return {(lead & 0x07U) << 18U | (second & 0x3fU) << 12U | (byte(2) & 0x3fU) << 6U | (byte(3) & 0x3fU), 4, true};
}

// The parts of a text that are well formed, from left to right: calls visit(begin, end) for each until one returns an error, which is
// returned. Bytes that are no UTF-8 lie between them.
template <class Visit>
Result<void> for_each_well_formed(std::string_view text, Visit&& visit) {
  if (simdjson::validate_utf8(text.data(), text.size())) return text.empty() ? Result<void>() : visit(std::size_t{0}, text.size());
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text, at);
    if (!point.valid) {
      if (begin < at) PLIMSOLL_TRY(visit(begin, at));
      begin = at + 1;
    }
    at += point.length_bytes;
  }
  return begin < text.size() ? visit(begin, text.size()) : Result<void>();
}

// How many bytes at the end begin a character that further bytes may complete: 0 to 3.
inline std::size_t incomplete_tail_bytes(std::string_view text) {
  for (std::size_t tail = 1; tail <= std::min<std::size_t>(3, text.size()); ++tail) {
    const auto lead = static_cast<unsigned char>(text[text.size() - tail]);
    if ((lead & 0xc0U) == 0x80U) continue;
    const std::size_t length_bytes = lead < 0xc2U || lead > 0xf4U ? 1 : lead < 0xe0U ? 2 : lead < 0xf0U ? 3 : 4;
    return length_bytes > tail ? tail : 0;
  }
  return 0;
}

} // namespace plimsoll
