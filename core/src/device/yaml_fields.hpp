// A strict reader of one YAML mapping: known keys only, each once, with messages that name file and place.
// Called by the catalogue and by device files. It never keeps the document alive beyond its own life.
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
#include <yaml-cpp/node/node.h>

#include "plimsoll/result.hpp"

namespace plimsoll {

// Parses one document; kBadRequest with `origin` and the line where it is not YAML, is empty or exceeds `max_bytes`.
Result<YAML::Node> parse_yaml(const std::string& text, const std::string& origin, std::size_t max_bytes);

class YamlFields {
public:
  // `where` is file and JSON pointer: "devices.yaml#/devices/3".
  static Result<YamlFields> open(const YAML::Node& node, std::string where, std::initializer_list<std::string_view> known);

  // Each answers empty where the key is absent. Errors name the key.
  Result<std::optional<std::string>> text(std::string_view key) const;
  Result<std::optional<std::uint64_t>> bytes(std::string_view key) const; // "79.19GiB", 85899345920
  Result<std::optional<std::uint64_t>> count(std::string_view key) const; // digits only
  Result<std::vector<std::string>> texts(std::string_view key) const;     // a list of strings
  std::optional<YAML::Node> node(std::string_view key) const;
  std::string at(std::string_view key) const { return where_ + "/" + std::string(key); }
  const std::string& where() const { return where_; }

private:
  std::string where_;
  std::vector<std::pair<std::string, YAML::Node>> fields_;
};

} // namespace plimsoll
