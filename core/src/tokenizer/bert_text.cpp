#include "tokenizer/bert_text.hpp"

#include <algorithm>
#include <array>
#include <utf8proc.h>
#include <utility>

#include "tokenizer/utf8.hpp"
#include "tokenizer/white_space.hpp"

namespace plimsoll {
namespace {

// Unicode's blocks of CJK ideographs, as BERT's own tokenizer lists them.
bool is_ideograph(char32_t c) {
  static constexpr std::array<std::pair<char32_t, char32_t>, 8> kBlocks{{{0x4E00, 0x9FFF},
                                                                         {0x3400, 0x4DBF},
                                                                         {0x20000, 0x2A6DF},
                                                                         {0x2A700, 0x2B73F},
                                                                         {0x2B740, 0x2B81F},
                                                                         {0x2B920, 0x2CEAF},
                                                                         {0xF900, 0xFAFF},
                                                                         {0x2F800, 0x2FA1F}}};
  return std::any_of(kBlocks.begin(), kBlocks.end(), [&](const auto& block) { return c >= block.first && c <= block.second; });
}

// Of no writing: control characters, formats, surrogates, private and unassigned ones.
bool is_other(char32_t c) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
  case UTF8PROC_CATEGORY_CC:
  case UTF8PROC_CATEGORY_CF:
  case UTF8PROC_CATEGORY_CS:
  case UTF8PROC_CATEGORY_CO:
  case UTF8PROC_CATEGORY_CN: return true;
  default: return false;
  }
}

void append(std::string& out, char32_t c) {
  std::array<utf8proc_uint8_t, 4> bytes{};
  const utf8proc_ssize_t n = utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), bytes.data());
  for (utf8proc_ssize_t i = 0; i < n; ++i) out += static_cast<char>(bytes[static_cast<std::size_t>(i)]);
}

// Calls what(character, its bytes) for each; bytes that are none stay.
template <class Function>
std::string changed(std::string_view text, Function what) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text, at);
    const std::string_view bytes = text.substr(at, point.length_bytes);
    if (point.valid) what(out, point.value, bytes);
    else out.append(bytes);
    at += point.length_bytes;
  }
  return out;
}

} // namespace

std::string bert_cleaned(const BertStep& step, std::string_view text) {
  return changed(text, [&](std::string& out, char32_t c, std::string_view bytes) {
    if (step.cleans) {
      const bool space = white_space_at_start(bytes) > 0;
      if (c == '\t' || c == '\n' || c == '\r' || (space && !is_other(c))) {
        out += ' ';
        return;
      }
      if (c == 0 || c == 0xFFFD || is_other(c)) return;
    }
    const bool apart = step.parts_ideographs && is_ideograph(c);
    if (apart) out += ' ';
    out.append(bytes);
    if (apart) out += ' ';
  });
}

std::string bert_lowered(const BertStep& step, std::string_view text) {
  return changed(text, [&](std::string& out, char32_t c, std::string_view bytes) {
    if (step.strips_accents && utf8proc_category(static_cast<utf8proc_int32_t>(c)) == UTF8PROC_CATEGORY_MN) return;
    if (!step.lowers) {
      out.append(bytes);
    } else if (c == 0x130) { // the one capital whose small letter is two characters
      out += "i\xCC\x87";
    } else {
      append(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
    }
  });
}

} // namespace plimsoll
