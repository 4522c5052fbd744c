// A strict reader of one YAML mapping: known keys only, each once, with messages that name file and place.
// The document must outlive it; nothing is kept. Threads: any.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"

namespace plimsoll {

// Parses one document; kBadRequest with `origin` where it is not YAML or empty.
Result<Json> read_yaml(std::string_view text, const std::string& origin);

// A word or a number as text; nothing where it is neither.
std::optional<std::string> single_value(const Json& node);

class YamlFields {
public:
  // `where` is file and JSON pointer: "devices.yaml#/devices/3".
  static Result<YamlFields> open(const Json& node, std::string where, std::initializer_list<std::string_view> known);

  // Each answers empty where the key is absent or null. Errors name the key.
  Result<std::optional<std::string>> text(std::string_view key) const;
  Result<std::optional<std::uint64_t>> bytes(std::string_view key) const; // "79.19GiB", 85899345920
  Result<std::optional<std::uint64_t>> count(std::string_view key) const; // digits only
  Result<std::vector<std::string>> texts(std::string_view key) const;     // a list of strings
  const Json* node(std::string_view key) const;                           // nullptr: absent
  std::string at(std::string_view key) const { return where_ + "/" + std::string(key); }
  const std::string& where() const { return where_; }

private:
  std::string where_;
  const Json* fields_ = nullptr;
};

} // namespace plimsoll
