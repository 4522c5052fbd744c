// Strings of a simdjson on-demand document without copying them: most names hold no escapes, and then the text itself will do.
// Include after simdjson.h. Threads: pure functions.
#pragma once

#include <cstring>
#include <optional>
#include <simdjson.h>
#include <string_view>

namespace plimsoll {

// The string whose opening quote lies just before `text`, or nothing where it holds an escape.
// `end` is the end of the JSON text, which simdjson has found to close every string.
inline std::optional<std::string_view> plain_string(const char* text, const char* end) {
  const auto* const close = static_cast<const char*>(std::memchr(text, '"', static_cast<std::size_t>(end - text)));
  if (close == nullptr) return std::nullopt;
  const std::string_view found(text, static_cast<std::size_t>(close - text));
  if (std::memchr(found.data(), '\\', found.size()) != nullptr) return std::nullopt;
  return found;
}

// A field's key, escapes resolved.
inline simdjson::simdjson_result<std::string_view> key_text(simdjson::ondemand::field& field, const char* end) {
  if (const auto plain = plain_string(field.key().raw(), end)) return std::string_view(*plain);
  return field.unescaped_key();
}

// A value that must be a string, escapes resolved.
inline simdjson::simdjson_result<std::string_view> string_text(simdjson::ondemand::value value, const char* end) {
  const std::string_view token = value.raw_json_token();
  if (!token.empty() && token.front() == '"') {
    if (const auto plain = plain_string(token.data() + 1, end)) {
      simdjson::ondemand::raw_json_string consumed;
      if (const auto error = value.get_raw_json_string().get(consumed)) return error;
      return std::string_view(*plain);
    }
  }
  return value.get_string();
}

// Nothing follows the document's last brace.
inline bool ends_here(simdjson::ondemand::document& document) { return document.current_location().error() == simdjson::OUT_OF_BOUNDS; }

} // namespace plimsoll
