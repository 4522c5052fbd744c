// A place in a JSON file that strangers wrote, with its pointer: typed reads whose errors say file, place, what was found and expected.
// For the readers of this room. A key whose value is null counts as absent. Threads: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

struct JsonPart {
  const Json* json = nullptr; // of a document that outlives it
  std::string where;          // "file: /pointer"

  tl::unexpected<Error> wrong(std::string message) const;

  std::optional<JsonPart> find(std::string_view key) const;
  Result<JsonPart> need(std::string_view key) const;
  // The elements of a list; an error for anything else.
  Result<std::vector<JsonPart>> items() const;

  Result<std::string> text() const;
  Result<bool> flag() const;
  Result<std::uint64_t> number() const;
  Result<std::string> text_at(std::string_view key) const;
  // `absent` where there is no such key.
  Result<bool> flag_at(std::string_view key, bool absent) const;
};

// "file: /pointer" one step further down.
std::string json_where(const std::string& where, std::string_view key);

// Reads a JSON file of at most `limit_bytes`; kBadConfig. Its JsonPart begins with `where` = "file: ".
Result<Json> read_json_file(const std::string& path, std::uint64_t limit_bytes);
JsonPart root_of(const Json& json, const std::string& path);

} // namespace plimsoll
