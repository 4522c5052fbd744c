#include "tokenizer/json_part.hpp"

#include <fmt/format.h>
#include <utility>

#include "base/regular_file.hpp"

namespace plimsoll {
namespace {

constexpr std::size_t kShownKeyBytes = 128;

// "a list", "the text 'abc'", for messages.
std::string shown(const Json& json) {
  if (json.is_object()) return "an object";
  if (json.is_array()) return "a list";
  return json.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 80);
}

} // namespace

std::string json_where(const std::string& where, std::string_view key) {
  std::string out = where + "/";
  for (const char c : key.substr(0, kShownKeyBytes)) {
    if (c == '~') out += "~0";
    else if (c == '/') out += "~1";
    else out += static_cast<unsigned char>(c) < 0x20U ? '?' : c;
  }
  return out;
}

tl::unexpected<Error> JsonPart::wrong(std::string message) const { return fail(ErrorCode::kBadConfig, std::move(message), where); }

std::optional<JsonPart> JsonPart::find(std::string_view key) const {
  if (!json->is_object()) return std::nullopt;
  for (auto it = json->begin(); it != json->end(); ++it)
    if (it.key() == key && !it->is_null()) return JsonPart{&*it, json_where(where, key)};
  return std::nullopt;
}

Result<JsonPart> JsonPart::need(std::string_view key) const {
  if (!json->is_object()) return wrong(fmt::format("found {}, expected an object", shown(*json)));
  if (auto part = find(key)) return std::move(*part);
  return wrong(fmt::format("the key '{}' is missing", key));
}

Result<std::vector<JsonPart>> JsonPart::items() const {
  if (!json->is_array()) return wrong(fmt::format("found {}, expected a list", shown(*json)));
  std::vector<JsonPart> out;
  for (std::size_t i = 0; i < json->size(); ++i) out.push_back({&(*json)[i], json_where(where, std::to_string(i))});
  return out;
}

Result<std::string> JsonPart::text() const {
  if (!json->is_string()) return wrong(fmt::format("found {}, expected a text", shown(*json)));
  return json->get<std::string>();
}

Result<bool> JsonPart::flag() const {
  if (!json->is_boolean()) return wrong(fmt::format("found {}, expected true or false", shown(*json)));
  return json->get<bool>();
}

Result<std::uint64_t> JsonPart::number() const {
  if (const auto number = as_u64(*json)) return *number;
  return wrong(fmt::format("found {}, expected a number from 0 on", shown(*json)));
}

Result<std::string> JsonPart::text_at(std::string_view key) const {
  PLIMSOLL_ASSIGN(const JsonPart part, need(key));
  return part.text();
}

Result<bool> JsonPart::flag_at(std::string_view key, bool absent) const {
  const auto part = find(key);
  return part ? part->flag() : Result<bool>(absent);
}

Result<Json> read_json_file(const std::string& path, std::uint64_t limit_bytes) {
  PLIMSOLL_ASSIGN(std::string text, read_text_file(path, limit_bytes, ErrorCode::kBadConfig));
  return parse_json(std::move(text), path, ErrorCode::kBadConfig);
}

JsonPart root_of(const Json& json, const std::string& path) { return {&json, path + ": "}; }

} // namespace plimsoll
