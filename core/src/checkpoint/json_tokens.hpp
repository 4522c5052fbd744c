// How many tokens a JSON text has: braces, brackets, colons, commas, strings and other values.
// Called before simdjson, which keeps four bytes per token: a text of nothing but brackets would cost five times its
// length. Strings count once, whatever they hold. Never judges the text. Threads: pure functions.
#pragma once

#include <cstddef>
#include <string_view>

namespace plimsoll {

inline constexpr std::size_t kSmallJsonBytes = std::size_t{1} << 20;

// False where the text has more tokens than half its bytes. No header and no index is that dense: a tensor's line has a
// token for four bytes. Small texts may have any number.
inline bool few_tokens(std::string_view text) {
  if (text.size() <= kSmallJsonBytes) return true;
  std::size_t left = text.size() / 2;
  bool in_value = false; // a number or a word goes on
  for (std::size_t i = 0; i < text.size(); ++i) {
    switch (text[i]) {
    case ' ':
    case '\n':
    case '\r':
    case '\t': in_value = false; continue;
    case '{':
    case '}':
    case '[':
    case ']':
    case ':':
    case ',': in_value = false; break;
    case '"':
      in_value = false;
      for (++i; i < text.size() && text[i] != '"'; ++i)
        if (text[i] == '\\') ++i;
      break;
    default:
      if (in_value) continue;
      in_value = true;
    }
    if (left-- == 0) return false;
  }
  return true;
}

} // namespace plimsoll
