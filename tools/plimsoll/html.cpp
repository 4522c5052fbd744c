// See html.hpp.
#include "html.hpp"

#include <cstddef>
#include <fmt/format.h>

namespace plimsoll::cli {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

struct Decoded {
  std::size_t length = 1; // bytes
  char32_t code = 0xfffd;
};

// The code point at the start of `text`, U+FFFD where there is none: overlong, surrogate, cut off or beyond Unicode.
Decoded decoded(std::string_view text) {
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return {1, first};
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return {};
  char32_t code = first & (0xffU >> (length + 1));
  for (std::size_t at = 1; at < length; ++at) {
    if ((byte(at) & 0xc0U) != 0x80U) return {};
    code = code << 6 | (byte(at) & 0x3fU);
  }
  const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  if (overlong || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return {};
  return {length, code};
}

// What XML cannot hold, what draws nothing, and what turns the direction of the text around it.
bool is_replaced(char32_t code) {
  if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return true;
  return (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) || code == 0xfffe || code == 0xffff || code == 0xfffd;
}

} // namespace

std::string html_text(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Decoded next = decoded(text);
    switch (next.code) {
    case '&': out += "&amp;"; break;
    case '<': out += "&lt;"; break;
    case '>': out += "&gt;"; break;
    case '"': out += "&quot;"; break;
    case '\'': out += "&#39;"; break;
    case '\n':
    case '\t': out += ' '; break;
    default: out += is_replaced(next.code) ? kReplacement : text.substr(0, next.length);
    }
    text.remove_prefix(next.length);
  }
  return out;
}

std::string html_element(std::string_view name, std::string_view attributes, std::string_view content) {
  return fmt::format("<{}{}{}>{}</{}>", name, attributes.empty() ? "" : " ", attributes, content, name);
}

} // namespace plimsoll::cli
