#include "base/printable.hpp"

#include <simdjson.h>

namespace plimsoll {

std::string printable_text(std::string_view text, std::size_t most) {
  std::string out(text.substr(0, most));
  const bool utf8 = simdjson::validate_utf8(out.data(), out.size());
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f || (!utf8 && static_cast<unsigned char>(c) >= 0x80)) c = '?';
  return out;
}

} // namespace plimsoll
