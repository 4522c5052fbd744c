// See yaml_fields.hpp.
#include "device/yaml_fields.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>

#include "base/human.hpp"
#include "base/yaml.hpp"

namespace plimsoll {
namespace {

std::string_view kind_of(const Json& node) {
  if (node.is_null()) return "nothing";
  if (node.is_array()) return "a list";
  return node.is_object() ? "a mapping" : "a single value";
}

} // namespace

Result<Json> read_yaml(std::string_view text, const std::string& origin) {
  Json root;
  if (text.find_first_not_of(" \t\r\n") != std::string_view::npos) {
    PLIMSOLL_ASSIGN(root, parse_yaml(text, origin, ErrorCode::kBadRequest));
  }
  if (root.is_null()) return fail(ErrorCode::kBadRequest, "the file is empty; a list of devices was expected", origin);
  return root;
}

std::optional<std::string> single_value(const Json& node) {
  if (node.is_string()) return node.get<std::string>();
  return node.is_primitive() && !node.is_null() ? std::optional(node.dump()) : std::nullopt;
}

Result<YamlFields> YamlFields::open(const Json& node, std::string where, std::initializer_list<std::string_view> known) {
  if (!node.is_object()) return fail(ErrorCode::kBadRequest, fmt::format("found {}, expected a mapping of keys", kind_of(node)), where);
  for (const auto& [key, value] : node.items())
    if (std::find(known.begin(), known.end(), key) == known.end())
      return fail(ErrorCode::kBadRequest, fmt::format("unknown key '{}'; known are {}", key.substr(0, 64), fmt::join(known, ", ")), where);
  YamlFields out;
  out.where_ = std::move(where);
  out.fields_ = &node;
  return out;
}

const Json* YamlFields::node(std::string_view key) const {
  const auto found = fields_->find(key);
  return found == fields_->end() || found->is_null() ? nullptr : &*found;
}

Result<std::optional<std::string>> YamlFields::text(std::string_view key) const {
  const Json* found = node(key);
  if (found == nullptr) return std::nullopt;
  auto value = single_value(*found);
  if (!value) return fail(ErrorCode::kBadRequest, fmt::format("found {}, expected a single value", kind_of(*found)), at(key));
  return value;
}

Result<std::optional<std::uint64_t>> YamlFields::bytes(std::string_view key) const {
  PLIMSOLL_ASSIGN(const std::optional<std::string> value, text(key));
  if (!value) return std::nullopt;
  PLIMSOLL_ASSIGN(const std::uint64_t size, parse_bytes(*value, at(key)));
  return size;
}

Result<std::optional<std::uint64_t>> YamlFields::count(std::string_view key) const {
  PLIMSOLL_ASSIGN(const std::optional<std::string> value, text(key));
  if (!value) return std::nullopt;
  std::uint64_t number = 0;
  const auto [end, problem] = std::from_chars(value->data(), value->data() + value->size(), number);
  if (problem != std::errc() || end != value->data() + value->size())
    return fail(ErrorCode::kBadRequest, fmt::format("'{}' is not a whole number", value->substr(0, 64)), at(key));
  return number;
}

Result<std::vector<std::string>> YamlFields::texts(std::string_view key) const {
  std::vector<std::string> out;
  const Json* found = node(key);
  if (found == nullptr) return out;
  if (!found->is_array()) return fail(ErrorCode::kBadRequest, fmt::format("found {}, expected a list", kind_of(*found)), at(key));
  for (const Json& entry : *found) {
    auto value = single_value(entry);
    if (!value)
      return fail(ErrorCode::kBadRequest, fmt::format("found {}, expected a word", kind_of(entry)),
                  fmt::format("{}/{}", at(key), out.size()));
    out.push_back(std::move(*value));
  }
  return out;
}

} // namespace plimsoll
