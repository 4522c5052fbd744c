#include "tokenizer/white_space.hpp"

#include <utf8proc.h>

#include "tokenizer/utf8.hpp"

namespace plimsoll {
namespace {

// PropList.txt of the Unicode character database: White_Space.
bool is_white_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
         c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool is_word(char32_t c) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
  case UTF8PROC_CATEGORY_LU:
  case UTF8PROC_CATEGORY_LL:
  case UTF8PROC_CATEGORY_LT:
  case UTF8PROC_CATEGORY_LM:
  case UTF8PROC_CATEGORY_LO:
  case UTF8PROC_CATEGORY_MN:
  case UTF8PROC_CATEGORY_MC:
  case UTF8PROC_CATEGORY_ME:
  case UTF8PROC_CATEGORY_ND:
  case UTF8PROC_CATEGORY_PC: return true;
  default: return false;
  }
}

// The last character, which may be a broken byte. The text is not empty.
CodePoint last_code_point(std::string_view text) {
  for (std::size_t back = 1; back <= 4 && back <= text.size(); ++back) {
    const CodePoint point = code_point_at(text, text.size() - back);
    if (point.valid && point.length_bytes == back) return point;
  }
  return {static_cast<unsigned char>(text.back()), 1, false};
}

} // namespace

std::size_t white_space_at_start(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const CodePoint point = code_point_at(text, at);
    if (!point.valid || !is_white_space(point.value)) break;
    at += point.length_bytes;
  }
  return at;
}

std::size_t white_space_at_end(std::string_view text) {
  std::size_t end = text.size();
  while (end > 0) {
    const CodePoint point = last_code_point(text.substr(0, end));
    if (!point.valid || !is_white_space(point.value)) break;
    end -= point.length_bytes;
  }
  return text.size() - end;
}

bool word_at_start(std::string_view text) {
  if (text.empty()) return false;
  const CodePoint point = code_point_at(text, 0);
  return point.valid && is_word(point.value);
}

bool word_at_end(std::string_view text) {
  if (text.empty()) return false;
  const CodePoint point = last_code_point(text);
  return point.valid && is_word(point.value);
}

} // namespace plimsoll
