#include "checkpoint/quoted_name.hpp"

#include <cstddef>
#include <fmt/format.h>
#include <simdjson.h>

namespace plimsoll {

std::string quoted_name(std::string_view name) {
  constexpr std::size_t kShownBytes = 120;
  const bool cut = name.size() > kShownBytes;
  const std::string_view shown = name.substr(0, kShownBytes);
  const bool text = !cut && simdjson::validate_utf8(shown.data(), shown.size());
  std::string out = "'";
  for (const char c : shown) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !text)) out += fmt::format("\\x{:02x}", byte);
    else out += c;
  }
  if (cut) out += "...";
  out += "'";
  return out;
}

} // namespace plimsoll
